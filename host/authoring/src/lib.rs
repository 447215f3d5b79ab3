//! What an agent author needs: make a project, build it into a component, look at a component.
//!
//! Everything is a library call: no external tool but cargo is needed, and a project made here builds anywhere, because it
//! carries the SDK's sources with it.
//!
//! Invariant: a file that is written is written whole or not at all, and an existing project is never overwritten.
//! Deliberately absent: running a component. `growqr-component` does that.

mod build;
mod create;

pub use build::{BuildOptions, BuildReport, TARGET, build};
pub use create::new;
pub use growqr_component::Inspection;

use anyhow::{Context, Result, bail};
use growqr_types::codes;
use std::path::Path;

/// Makes a component of a core module that was built against the contract. Refuses one that a host would refuse.
pub fn componentise(module: &[u8]) -> Result<Vec<u8>> {
    let component = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| encoder.encode())
        .context("the module can't become a component")?;
    if let Some(problem) = growqr_component::inspect(&component)?.problems.into_iter().next() {
        match problem.is(&codes::COMPONENT_EXPORT) {
            true => bail!("{problem}\nhint: does the crate say `growqr_actor_sdk::export!(...)`?"),
            false => bail!(problem),
        }
    }
    Ok(component)
}

/// Looks at a component file without running it.
pub fn inspect(file: &Path) -> Result<Inspection> {
    let bytes = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    match growqr_component::inspect(&bytes) {
        Ok(inspection) => Ok(inspection),
        Err(failure) if bytes.starts_with(CORE_MODULE) => {
            bail!("{failure}\nhint: this is a core module; `growqr actor build` makes a component of it")
        }
        Err(failure) => Err(failure.into()),
    }
}

/// How a core module of WebAssembly begins; a component has another version number.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
