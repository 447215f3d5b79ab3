//! What this machine has, and how to get what it lacks.

use crate::run::capture;
use anyhow::{Context, Result, anyhow, bail};
use std::path::PathBuf;
use std::process::Command;

/// A program that is expected on the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tool {
    /// Rust's package manager.
    Cargo,
    /// Rust's toolchain manager.
    Rustup,
    /// Version control.
    Git,
    /// The JavaScript runtime.
    Node,
    /// Its package manager.
    Npm,
}

impl Tool {
    const ALL: [Self; 5] = [Self::Cargo, Self::Rustup, Self::Git, Self::Node, Self::Npm];

    /// The program's name.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Rustup => "rustup",
            Self::Git => "git",
            Self::Node => "node",
            Self::Npm => "npm",
        }
    }

    const fn how_to_get(self) -> &'static str {
        match self {
            Self::Cargo | Self::Rustup => "install Rust with rustup, see https://rustup.rs",
            Self::Git => "install it with the system's package manager, for example `apt-get install git`",
            Self::Node | Self::Npm => {
                "install Node.js 20 or newer together with npm, see https://nodejs.org, or for example `apt-get install nodejs npm`"
            }
        }
    }

    /// The tool behind a program's name.
    pub fn named(program: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.program() == program)
    }

    /// What to tell the one who misses it.
    pub fn missing(self) -> anyhow::Error {
        anyhow!("`{}` is not on this machine\nhint: {}", self.program(), self.how_to_get())
    }

    /// The tool as a command.
    pub fn command(self) -> Command {
        Command::new(self.program())
    }

    /// Fails when it is not here.
    pub fn require(self) -> Result<()> {
        match self.command().arg("--version").output() {
            Ok(output) if output.status.success() => Ok(()),
            _ => Err(self.missing()),
        }
    }
}

/// The repository, from where every chore runs.
pub fn root() -> Result<PathBuf> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    Ok(PathBuf::from(manifest).parent().context("xtask has no parent folder")?.to_owned())
}

/// Where cargo builds.
pub fn target_dir() -> Result<PathBuf> {
    let root = root()?;
    Ok(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir)))
}

/// Makes sure that the compiler can build for `wasm32-unknown-unknown`.
pub fn ensure_wasm_target() -> Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let (_, libdir) =
        capture(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).current_dir(root()?))?;
    if libdir.lines().any(|line| PathBuf::from(line.trim()).is_dir()) {
        return Ok(());
    }
    crate::run::say(&format!("adding the compiler target {TARGET}"));
    if Tool::Rustup.require().is_err() {
        bail!(
            "the compiler has no target {TARGET}, and there is no rustup to add it\n\
             hint: {}, or install the system's package for that target",
            Tool::Rustup.how_to_get()
        );
    }
    crate::run::run(Tool::Rustup.command().args(["target", "add", TARGET]).current_dir(root()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_with_how_to_get_it() {
        for tool in Tool::ALL {
            let text = tool.missing().to_string();
            assert!(text.contains(tool.program()) && text.contains("hint: install"), "{text}");
            assert_eq!(Tool::named(tool.program()), Some(tool));
        }
        assert_eq!(Tool::named("growqr"), None);
    }
}
