//! Where things are.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The built component of an actor of this repository; says how to build it when it is not there.
pub fn component(actor: &str) -> PathBuf {
    let folders = ["examples", "actors/test", "actors"].map(|folder| repository().join(folder).join(actor));
    let folder = folders.iter().find(|folder| folder.is_dir());
    let folder = folder.unwrap_or_else(|| panic!("no actor is called {actor}"));
    // Cargo writes underscores, the scripts of JavaScript actors keep the name.
    let files = [actor.replace('-', "_"), actor.to_owned()].map(|name| folder.join("dist").join(name + ".wasm"));
    let built = files.iter().find(|file| file.is_file()).cloned();
    built.unwrap_or_else(|| panic!("{} is not built: run `cargo xtask build --actors-only`", files[0].display()))
}

/// A program that cargo built beside this test.
pub fn staged(variable: &str, program: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("the test knows its own path");
    let folder = test.parent().and_then(Path::parent).expect("tests are in target/<profile>/deps");
    let path = folder.join(program);
    assert!(path.is_file(), "{} is not built: run `cargo xtask build --profile dev`", path.display());
    path
}

/// A number that differs from test to test and from run to run.
pub fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
    hasher.finish()
}
