//! The actors of this repository become components that need nothing but the contract.

#![allow(clippy::unwrap_used)]

use growqr_authoring::{BuildOptions, build, inspect};
use growqr_component::Tier;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[track_caller]
fn check(folder: &str) {
    let output = tempfile::tempdir().unwrap();
    let output = output.path().join("actor.wasm");
    let options = BuildOptions { output: Some(output.clone()), offline: true, ..BuildOptions::default() };
    let report = build(&repository().join(folder), &options).unwrap();
    assert_eq!(report.component, output);
    let bytes = std::fs::read(&output).unwrap();
    assert_eq!(report.size, bytes.len() as u64);

    let inspection = inspect(&output).unwrap();
    assert_eq!(inspection.problems, []);
    assert_eq!(inspection.contract_version.as_deref(), Some("1.0.0"));
    assert_eq!(inspection.tier, Some(Tier::Standard));
    assert!(inspection.imports.iter().all(|import| import.name.starts_with("growqr:actor/")), "{inspection:?}");
}

#[test]
fn the_counter_is_a_component() {
    check("examples/counter");
}

#[test]
fn the_grow_agent_is_a_component() {
    check("actors/grow-agent");
}
