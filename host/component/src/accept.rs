//! Whether a component is taken, decided without running or compiling it.

use crate::tier::Tier;
use crate::walk::{Shape, StructureLimits, walk};
use growqr_types::{Failure, codes};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Bounds of a component. They come from the deployment's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentLimits {
    /// Bytes of the component.
    pub size_max: usize,
    /// Functions, all modules together.
    pub functions_max: u32,
    /// Bytes of the largest function body.
    pub function_body_bytes_max: usize,
    /// Locals of one function.
    pub locals_max: u32,
    /// Loops inside loops: compile time grows with their square.
    pub loop_depth_max: usize,
    /// Address space of the compiler child.
    pub compile_memory_bytes_max: u64,
    /// Processor time of the compiler child for a component of the standard tier.
    pub compile_cpu_max: Duration,
    /// Processor time of the compiler child for a component of the runtime tier.
    pub compile_runtime_cpu_max: Duration,
    /// Wall time of the compiler child, as a multiple of its processor time: a loaded machine must not fail a good component.
    pub compile_wall_factor: u32,
}

impl Default for ComponentLimits {
    fn default() -> Self {
        Self {
            size_max: 24 << 20,
            functions_max: 50_000,
            function_body_bytes_max: 512 << 10,
            locals_max: 10_000,
            loop_depth_max: 256,
            compile_memory_bytes_max: 768 << 20,
            compile_cpu_max: Duration::from_secs(10),
            compile_runtime_cpu_max: Duration::from_secs(30),
            compile_wall_factor: 4,
        }
    }
}

impl ComponentLimits {
    pub(crate) fn compile_cpu(&self, tier: Tier) -> Duration {
        match tier {
            Tier::Standard => self.compile_cpu_max,
            Tier::Runtime => self.compile_runtime_cpu_max,
        }
    }
}

/// The version of the contract that this host serves.
pub const CONTRACT_VERSION: &str = "1.0.0";
/// The contract's package.
pub(crate) const PACKAGE: &str = "growqr:actor";
/// What a component may import.
const IMPORTS: [&str; 13] = [
    "actors",
    "clock",
    "config",
    "connections",
    "events",
    "log",
    "memory",
    "random",
    "replies",
    "sandbox",
    "state",
    "timers",
    "types",
];
/// What a component must export.
const EXPORT: &str = "handlers";

/// A component that may be compiled.
pub(crate) struct Accepted {
    /// SHA-256 of its bytes as hexadecimal digits.
    pub(crate) hash: String,
    /// The first tier that should admit it.
    pub(crate) tier: Tier,
}

/// Runs every check, cheap ones first. The first that fails says what is wrong.
pub(crate) fn check(wasm: &[u8], limits: &ComponentLimits) -> Result<Accepted, Failure> {
    kind(wasm, limits.size_max)?;
    let shape = walk(wasm, &StructureLimits::from(limits))?;
    imports(&shape)?;
    exports(&shape)?;
    let tier = tier(&shape)?;
    Ok(Accepted { hash: hash(wasm), tier })
}

pub(crate) fn hash(wasm: &[u8]) -> String {
    hex::encode(Sha256::digest(wasm))
}

/// Refuses what is no component at all.
pub(crate) fn kind(wasm: &[u8], size_max: usize) -> Result<(), Failure> {
    if wasm.len() > size_max {
        let message = format!("the file has {} bytes, and at most {size_max} are allowed", wasm.len());
        return Err(codes::COMPONENT_TOO_LARGE.with(message));
    }
    if wasmtime::Engine::detect_precompiled(wasm).is_some() {
        return Err(codes::COMPONENT_PRECOMPILED.failure());
    }
    if wasmparser::Parser::is_core_wasm(wasm) {
        return Err(codes::COMPONENT_NOT_A_COMPONENT.with(
            "the file is a core WebAssembly module, not a component; build it with `growqr actor build`, or wrap it with wit-component",
        ));
    }
    if !wasmparser::Parser::is_component(wasm) {
        return Err(codes::COMPONENT_NOT_A_COMPONENT.failure());
    }
    Ok(())
}

/// A name like `growqr:actor/state@1.0.0` in its parts.
pub(crate) fn split(name: &str) -> (&str, &str, Option<&str>) {
    let (path, version) = match name.split_once('@') {
        Some((path, version)) => (path, Some(version)),
        None => (name, None),
    };
    match path.rsplit_once('/') {
        Some((package, interface)) => (package, interface, version),
        None => ("", path, version),
    }
}

/// Whether a component built for this version of the contract runs here: same major, and no newer minor.
fn served(version: &str) -> bool {
    let parts = |text: &str| -> Option<(u64, u64)> {
        let mut parts = text.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    match (parts(version), parts(CONTRACT_VERSION)) {
        (Some((major, minor)), Some((ours, newest))) => major == ours && minor <= newest,
        _ => false,
    }
}

fn version(name: &str, version: Option<&str>) -> Result<(), Failure> {
    if version.is_some_and(served) {
        return Ok(());
    }
    Err(codes::COMPONENT_VERSION.with(format!(
        "the component uses {name}, and this host serves {PACKAGE}@{CONTRACT_VERSION}; build it with the SDK of this release"
    )))
}

/// Every import must be of the contract, in a version that is served.
pub(crate) fn imports(shape: &Shape) -> Result<(), Failure> {
    for name in &shape.imports {
        let (package, interface, of) = split(name);
        if package == PACKAGE && of.is_some_and(|of| !served(of)) {
            version(name, of)?;
        }
        if package != PACKAGE || !IMPORTS.contains(&interface) {
            let hint = if package.starts_with("wasi:") {
                "; there is no WASI here: build for wasm32-unknown-unknown, and use the contract's clock, random and log"
            } else {
                ""
            };
            return Err(codes::COMPONENT_IMPORT
                .with(format!("the component imports {name}, which the host does not offer{hint}")));
        }
        version(name, of)?;
    }
    Ok(())
}

/// The contract's export must be there, in a version that is served.
pub(crate) fn exports(shape: &Shape) -> Result<(), Failure> {
    for name in &shape.exports {
        let (package, interface, of) = split(name);
        if package == PACKAGE && interface == EXPORT {
            return version(name, of);
        }
    }
    Err(codes::COMPONENT_EXPORT.with(format!(
        "the component does not export {PACKAGE}/{EXPORT}@{CONTRACT_VERSION}; it exports: {}",
        if shape.exports.is_empty() { "nothing".to_owned() } else { shape.exports.join(", ") }
    )))
}

/// The first tier whose pool should admit the component. The pool itself has the last word when it is linked.
pub(crate) fn tier(shape: &Shape) -> Result<Tier, Failure> {
    Tier::ALL
        .into_iter()
        .find(|tier| {
            let caps = tier.caps();
            shape.memories <= caps.memories
                && shape.core_instances <= caps.core_instances
                && shape.tables <= caps.tables
        })
        .ok_or_else(|| {
            let caps = Tier::Runtime.caps();
            codes::COMPONENT_STRUCTURE.with(format!(
                "the component has {} memories, {} core instances and {} tables, and at most {}, {} and {} are allowed",
                shape.memories, shape.core_instances, shape.tables, caps.memories, caps.core_instances, caps.tables
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_apart() {
        assert_eq!(split("growqr:actor/state@1.0.0"), ("growqr:actor", "state", Some("1.0.0")));
        assert_eq!(split("wasi:cli/environment@0.2.3"), ("wasi:cli", "environment", Some("0.2.3")));
        assert_eq!(split("run"), ("", "run", None));
    }

    #[test]
    fn only_served_versions_are_taken() {
        for (version, expected) in [
            ("1.0.0", true),
            ("1.0.7", true),
            ("1.1.0", false),
            ("2.0.0", false),
            ("0.9.0", false),
            ("1", false),
            ("x.y.z", false),
            ("", false),
        ] {
            assert_eq!(served(version), expected, "{version}");
        }
    }
}
