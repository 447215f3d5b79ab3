//! Licences, sources, duplicates and known vulnerabilities of the dependencies, checked by `cargo deny` with `deny.toml`.
//!
//! Invariant: licences, bans and sources are always checked, without a network. Advisories need the advisory database; when it is
//! out of reach that is said in plain words and in the summary, and it is the only thing that is let pass.

use crate::machine::{Tool, root, target_dir};
use crate::run::{capture, run, say};
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// The version that is installed where there is none.
const CARGO_DENY_VERSION: &str = "0.20.2";

/// How the check of the advisories ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advisories {
    /// Nothing known.
    Clean,
    /// There is no database to compare with.
    OutOfReach,
}

/// Checks everything; `frozen` uses the database that is already here.
pub fn check(frozen: bool) -> Result<Advisories> {
    let program = ensure_cargo_deny()?;
    run(deny(&program)?.args(["check", "licenses", "bans", "sources"]))?;
    let mut advisories = deny(&program)?;
    if frozen {
        advisories.arg("--offline");
    }
    let (success, text) = capture(advisories.args(["check", "advisories"]))?;
    print!("{text}");
    if success {
        return Ok(Advisories::Clean);
    }
    if !database_is_missing(&text) {
        bail!("`cargo deny check advisories` found something; see above");
    }
    say("advisories: NOT checked, because the advisory database is out of reach from here (see the message above)");
    Ok(Advisories::OutOfReach)
}

/// Whether the failure is that there is no database, and not what the database says.
fn database_is_missing(output: &str) -> bool {
    let fetch_failed = ["failed to fetch advisory database", "'FETCH_HEAD' metadata"];
    fetch_failed.iter().any(|text| output.contains(text)) && !output.contains("advisories FAILED")
}

fn deny(program: &PathBuf) -> Result<Command> {
    let mut command = Command::new(program);
    command.args(["--color", "never", "--workspace", "--all-features", "--locked"]).current_dir(root()?);
    Ok(command)
}

fn ensure_cargo_deny() -> Result<PathBuf> {
    let on_path = PathBuf::from("cargo-deny");
    let own = target_dir()?.join("tools/bin/cargo-deny");
    for program in [&on_path, &own] {
        if capture(Command::new(program).arg("--version")).is_ok_and(|(success, _)| success) {
            return Ok(program.clone());
        }
    }
    say(&format!("installing cargo-deny {CARGO_DENY_VERSION} into the target folder (once; two to six minutes)"));
    let mut folder = OsString::from(target_dir()?);
    folder.push("/tools");
    run(Tool::Cargo
        .command()
        .args(["install", "cargo-deny", "--locked", "--version", CARGO_DENY_VERSION, "--root"])
        .arg(&folder)
        .current_dir(root()?))?;
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_database_is_let_pass() {
        let cases = [
            ("[ERROR] failed to fetch advisory database https://example.com", true),
            ("[ERROR] failed to get 'FETCH_HEAD' metadata: failed to get HEAD timestamp", true),
            ("error[vulnerability]: use after free\n\nadvisories FAILED", false),
            ("failed to fetch advisory database\nadvisories FAILED", false),
            ("error: unexpected argument", false),
            ("", false),
        ];
        for (output, expected) in cases {
            assert_eq!(database_is_missing(output), expected, "{output}");
        }
    }
}
