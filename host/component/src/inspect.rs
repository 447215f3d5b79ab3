//! What a component says about itself, without running it.

use crate::accept::{self, ComponentLimits, PACKAGE, split};
use crate::tier::Tier;
use crate::walk::{StructureLimits, walk};
use growqr_types::Failure;
use serde::Serialize;

/// An interface that a component imports or exports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    /// Package and interface: `growqr:actor/state`.
    pub name: String,
    /// Version, if it has one.
    pub version: Option<String>,
}

/// A tool or language that the component says it was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Producer {
    /// `language`, `processed-by` or `sdk`.
    pub field: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// What can be seen from outside. Producers are the component's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// SHA-256 as hexadecimal digits.
    pub hash: String,
    /// Bytes.
    pub size: usize,
    /// The contract's version that it was built for, if it uses the contract.
    pub contract_version: Option<String>,
    /// What it imports.
    pub imports: Vec<Interface>,
    /// What it exports.
    pub exports: Vec<Interface>,
    /// Functions, all modules together.
    pub functions: u32,
    /// Bytes of the largest function.
    pub largest_function_bytes: usize,
    /// Core modules.
    pub modules: u32,
    /// Memories.
    pub memories: u32,
    /// Tables.
    pub tables: u32,
    /// The pool that would take it; none if no pool does.
    pub tier: Option<Tier>,
    /// What it was made with.
    pub producers: Vec<Producer>,
    /// Why a host of this version would refuse it.
    pub problems: Vec<Failure>,
}

/// Looks at a component. Fails when it is not a valid component at all; what else speaks against it is among the problems.
pub fn inspect(wasm: &[u8]) -> Result<Inspection, Failure> {
    let limits = ComponentLimits::default();
    accept::kind(wasm, limits.size_max)?;
    let shape = walk(wasm, &StructureLimits::from(&limits))?;
    let tier = accept::tier(&shape);
    let problems = [accept::imports(&shape).err(), accept::exports(&shape).err(), tier.as_ref().err().cloned()];
    let interfaces = |names: &[String]| -> Vec<Interface> { names.iter().map(|name| interface(name)).collect() };
    let contract_version = shape.exports.iter().chain(&shape.imports).find_map(|name| {
        let (package, _, version) = split(name);
        (package == PACKAGE).then(|| version.map(str::to_owned)).flatten()
    });
    Ok(Inspection {
        hash: accept::hash(wasm),
        size: wasm.len(),
        contract_version,
        imports: interfaces(&shape.imports),
        exports: interfaces(&shape.exports),
        functions: shape.functions,
        largest_function_bytes: shape.largest_function_bytes,
        modules: shape.modules,
        memories: shape.memories,
        tables: shape.tables,
        tier: tier.ok(),
        producers: producers(wasm),
        problems: problems.into_iter().flatten().collect(),
    })
}

fn interface(name: &str) -> Interface {
    let (package, interface, version) = split(name);
    let name = if package.is_empty() { interface.to_owned() } else { format!("{package}/{interface}") };
    Interface { name, version: version.map(str::to_owned) }
}

/// Producers that are kept of one component.
const PRODUCERS_MAX: usize = 64;

/// The producers of the component and of everything inside it. They are only a label, so one that can't be read is left out.
fn producers(wasm: &[u8]) -> Vec<Producer> {
    let mut found = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let Ok(wasmparser::Payload::CustomSection(section)) = payload else { continue };
        if section.name() != "producers" {
            continue;
        }
        let Ok(producers) = wasm_metadata::Producers::from_bytes(section.data(), section.data_offset()) else {
            continue;
        };
        for (field, entries) in producers.iter() {
            for (name, version) in entries.iter() {
                let producer = Producer { field: field.clone(), name: name.clone(), version: version.clone() };
                if found.len() < PRODUCERS_MAX && !found.contains(&producer) {
                    found.push(producer);
                }
            }
        }
    }
    found
}
