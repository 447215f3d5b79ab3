//! A new project builds where it is made, with nothing but cargo.

#![allow(clippy::unwrap_used)]

use growqr_authoring::{BuildOptions, build, inspect, new};
use std::path::Path;

fn refused(result: anyhow::Result<impl std::fmt::Debug>) -> String {
    format!("{:#}", result.unwrap_err())
}

#[test]
fn a_new_project_becomes_a_component() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("chat-room");
    new(&project, "chat-room").unwrap();
    // What this repository uses is on this machine already, so the network is not asked.
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let report = build(&project, &BuildOptions { offline: true, ..BuildOptions::default() }).unwrap();
    assert_eq!(report.component, project.join("dist/chat_room.wasm"));
    let inspection = inspect(&report.component).unwrap();
    assert_eq!(inspection.problems, []);
    let settings = std::fs::read_to_string(project.join("rivet.json")).unwrap();
    assert!(settings.contains(r#""chatRoom": { "component": "dist/chat_room.wasm" }"#), "{settings}");
}

#[test]
fn a_folder_with_something_in_it_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine"), "mine").unwrap();
    assert!(refused(new(folder.path(), "counter")).contains("is not empty"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(refused(new(&folder.path().join("mine"), "counter")).contains("is a file"));
    assert!(refused(new(&folder.path().join("new"), "no/name")).contains("can't be an actor's name"));
    assert!(!folder.path().join("new").exists());
}

#[test]
fn what_can_not_be_built_or_inspected_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let options = BuildOptions { offline: true, ..BuildOptions::default() };
    assert!(refused(build(folder.path(), &options)).contains("growqr actor new"));

    let manifest =
        "[package]\nname = \"a\"\nedition = \"2024\"\n[workspace]\n[profile.actor]\ninherits = \"release\"\n";
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("src/lib.rs"), "").unwrap();
    assert!(refused(build(folder.path(), &options)).contains("crate-type"));
    std::fs::write(folder.path().join("Cargo.toml"), format!("{manifest}[lib]\ncrate-type = [\"cdylib\"]\n")).unwrap();
    assert!(refused(build(folder.path(), &options)).contains("export!"));
    std::fs::write(folder.path().join("src/lib.rs"), "nonsense").unwrap();
    assert!(refused(build(folder.path(), &options)).contains("cargo did not build"));
    assert!(!folder.path().join("dist").exists());

    assert!(refused(inspect(&folder.path().join("absent.wasm"))).contains("can't read"));
    std::fs::write(folder.path().join("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    assert!(refused(inspect(&folder.path().join("core.wasm"))).contains("core module"));
}
