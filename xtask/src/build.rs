//! Building the host, and the actors with it.
//!
//! Actors are built by the host's own command (`growqr actor build`), the same that authors use; so the host comes first.

use crate::machine::{Tool, ensure_wasm_target, root, target_dir};
use crate::run::{run, say};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
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
    /// cargo's name of it.
    const fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }

    /// The folder under cargo's target folder.
    const fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// Arguments of `build`.
#[derive(Args)]
pub struct BuildArguments {
    /// Stop after the actors. (The host is still built if it is not, because it is what builds actors.)
    #[arg(long)]
    actors_only: bool,
    /// The host's profile. Actors are always optimised.
    #[arg(long, value_enum, default_value = "release")]
    profile: Profile,
}

/// `cargo xtask build`
pub fn build(arguments: &BuildArguments) -> Result<()> {
    // The quick profile is enough to build actors with; what comes out does not depend on it.
    let profile = if arguments.actors_only { Profile::Dev } else { arguments.profile };
    let host = build_host(profile)?;
    build_actors(&host)?;
    say(&format!("built: {}", host.display()));
    Ok(())
}

/// Builds the host and gives the path of the program.
pub fn build_host(profile: Profile) -> Result<PathBuf> {
    say(&format!("building the host (cargo profile {})", profile.name()));
    run(Tool::Cargo
        .command()
        .args(["build", "--locked", "--package", "growqr", "--profile", profile.name()])
        .current_dir(root()?))?;
    Ok(target_dir()?.join(profile.folder()).join("growqr"))
}

/// Builds every actor of this repository with the built host.
pub fn build_actors(host: &PathBuf) -> Result<()> {
    ensure_wasm_target()?;
    for actor in actor_folders()? {
        let shown = actor.strip_prefix(root()?).unwrap_or(&actor).display().to_string();
        say(&format!("building the actor {shown}"));
        run(Command::new(host).args(["actor", "build"]).arg(&actor).current_dir(root()?))?;
    }
    Ok(())
}

/// The folders of all actors: those in `examples` and `actors/test` that have a `Cargo.toml`, in order of their names.
fn actor_folders() -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for parent in ["examples", "actors/test"] {
        let parent = root()?.join(parent);
        for entry in std::fs::read_dir(&parent).with_context(|| format!("can't read {}", parent.display()))? {
            let folder = entry?.path();
            if folder.join("Cargo.toml").is_file() {
                folders.push(folder);
            }
        }
    }
    folders.sort();
    Ok(folders)
}
