//! Building the host, and the actors with it.
//!
//! Actors are built by the host's own command (`growqr actor build`), the same that authors use; so the host comes first.

use crate::machine::{Tool, ensure_wasm_target, root, target_dir};
use crate::node;
use crate::run::{run, say};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which cargo profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Profile {
    /// Quick to build; the dependencies are optimised all the same.
    Dev,
    /// What is served and measured.
    Release,
}

impl Profile {
    /// Where cargo puts the host.
    fn host(self) -> Result<PathBuf> {
        let folder = match self {
            Self::Dev => "debug",
            Self::Release => "release",
        };
        Ok(target_dir()?.join(folder).join("growqr"))
    }
}

/// Arguments of `build`.
#[derive(Args)]
pub struct BuildArguments {
    /// Only the actors, with the host that is built already; it is built first if there is none.
    #[arg(long)]
    actors_only: bool,
    /// The host's profile. Actors are built by the host and are always optimised.
    #[arg(long, value_enum, default_value = "release")]
    profile: Profile,
}

/// `cargo xtask build`
pub fn build(arguments: &BuildArguments) -> Result<()> {
    let built = arguments.profile.host()?;
    let host = if arguments.actors_only && built.is_file() { built } else { build_host(arguments.profile)? };
    build_actors(&host)?;
    build_fixtures(&host)?;
    say(&format!("built: {}", host.display()));
    Ok(())
}

/// Builds the host and gives the path of the program.
pub fn build_host(profile: Profile) -> Result<PathBuf> {
    if profile == Profile::Dev {
        return build_for_tests();
    }
    say("building the host (cargo profile release)");
    run(Tool::Cargo.command().args(["build", "--locked", "--package", "growqr", "--release"]).current_dir(root()?))?;
    profile.host()
}

/// Builds the host and all tests, and gives the path of the host.
///
/// Both at once, and the whole workspace, because cargo turns on those features of a dependency that the chosen packages ask for: a
/// choice of its own for the host would compile the large dependencies a second time.
pub fn build_for_tests() -> Result<PathBuf> {
    say("building the host and the tests (cargo profile dev)");
    run(Tool::Cargo.command().args(["build", "--locked", "--workspace", "--bins", "--tests"]).current_dir(root()?))?;
    Profile::Dev.host()
}

/// Builds every actor of this repository: those in Rust with the built host, those in JavaScript with their own script.
pub fn build_actors(host: &Path) -> Result<()> {
    ensure_wasm_target()?;
    for actor in actor_folders()? {
        build_actor(host, &actor)?;
    }
    Ok(())
}

fn build_actor(host: &Path, actor: &Path) -> Result<()> {
    let shown = actor.strip_prefix(root()?).unwrap_or(actor).display().to_string();
    say(&format!("building the actor {shown}"));
    if actor.join("Cargo.toml").is_file() {
        return run(Command::new(host).args(["actor", "build"]).arg(actor).current_dir(root()?));
    }
    node::install(actor)?;
    node::run_script(actor, "build")
}

/// The folder of the official test-suite's fixture actors.
const CONFORMANCE: &str = "tests/conformance/actors";

/// Builds the fixture actors of the official test-suite. They are many in one component, which takes a minute.
pub fn build_fixtures(host: &Path) -> Result<()> {
    ensure_wasm_target()?;
    build_actor(host, &root()?.join(CONFORMANCE))
}

/// The actors of the product, which the deployment file at the root names.
const PRODUCT: [&str; 1] = ["actors/grow-agent"];

/// The folders of all actors: the product's, and those in `examples` and `actors/test` that have a `Cargo.toml` or a `package.json`,
/// sorted.
fn actor_folders() -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for actor in PRODUCT {
        folders.push(root()?.join(actor));
    }
    for parent in ["examples", "actors/test"] {
        let parent = root()?.join(parent);
        for entry in std::fs::read_dir(&parent).with_context(|| format!("can't read {}", parent.display()))? {
            let folder = entry?.path();
            if ["Cargo.toml", "package.json"].iter().any(|file| folder.join(file).is_file()) {
                folders.push(folder);
            }
        }
    }
    folders.sort();
    Ok(folders)
}
