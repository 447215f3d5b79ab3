//! Embeds the SDK's sources, so that a project made anywhere carries them with it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What a project needs, from the repository's root. The layout stays the same, so that relative paths in the sources do as well.
const FOLDERS: &[&str] = &["actors/sdk", "actors/sdk-macros", "wit"];

fn main() {
    let variable = |name: &str| PathBuf::from(std::env::var_os(name).unwrap_or_default());
    let root = variable("CARGO_MANIFEST_DIR").join("../..");
    let mut files = Vec::new();
    for folder in FOLDERS {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
        collect(&root, Path::new(folder), &mut files);
    }
    files.sort();
    let mut table = String::from("pub(crate) const SDK_FILES: &[(&str, &str)] = &[\n");
    for file in files {
        // Writing to a text can't fail.
        let _ = writeln!(table, "    ({:?}, include_str!({:?})),", file, root.join(&file));
    }
    table.push_str("];\n");
    let output = variable("OUT_DIR").join("sdk_files.rs");
    if let Err(error) = std::fs::write(&output, table) {
        panic!("can't write {}: {error}", output.display());
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = match std::fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) => panic!("can't read {}: {error}", folder.display()),
    };
    for entry in entries.flatten() {
        let path = folder.join(entry.file_name());
        match path.extension().and_then(|extension| extension.to_str()) {
            // The SDK's own tests stay here.
            _ if path.file_name().is_some_and(|name| name == "tests.rs" || name == "target") => {}
            _ if entry.path().is_dir() => collect(root, &path, files),
            Some("rs" | "toml" | "wit") => files.push(path),
            _ => {}
        }
    }
}
