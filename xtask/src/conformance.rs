//! `cargo xtask conformance-host`: serves exactly the fixture actors of the official test-suite.
//!
//! Invariant: the line with the address is the host's own (`{"listening": "http://..."}`), on a line of its own; the host stays until
//! it is told to stop. Data that nobody asked to keep is removed at the end.

use crate::build::{Profile, build_fixtures, build_host};
use crate::machine::{root, target_dir};
use crate::run::say;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::PathBuf;
use std::process::Command;

/// The deployment that is served.
const CONFIG: &str = "tests/conformance/rivet.json";

/// Arguments of `conformance-host`.
#[derive(Args)]
pub struct ConformanceArguments {
    /// Where to listen. Port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:6420")]
    listen: String,
    /// Where the host keeps its data; a folder under `target` that is removed at the end if none is named.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// The host's profile.
    #[arg(long, value_enum, default_value = "dev")]
    profile: Profile,
}

/// `cargo xtask conformance-host`
pub fn serve(arguments: &ConformanceArguments) -> Result<()> {
    let host = build_host(arguments.profile)?;
    build_fixtures(&host)?;
    let temporary = target_dir()?.join(format!("conformance-{}", std::process::id()));
    let data = arguments.data_dir.clone().unwrap_or_else(|| temporary.clone());
    say(&format!("serving {CONFIG}"));
    let mut child = Command::new(&host)
        .args(["serve", "--listen", &arguments.listen, "--data-dir"])
        .arg(std::path::absolute(&data).context("the data folder has no path")?)
        .args(["--config", CONFIG])
        .current_dir(root()?)
        .spawn()
        .with_context(|| format!("can't start {}", host.display()))?;
    let id = child.id().to_string();
    // Ctrl-C reaches the host as well; this process only has to wait for it. A SIGTERM meant for this one is passed on.
    ctrlc::set_handler(move || {
        if let Err(error) = Command::new("kill").args(["-TERM", &id]).status() {
            eprintln!("can't pass the signal on: {error}");
        }
    })
    .context("can't listen for Ctrl-C")?;
    let status = child.wait().context("can't wait for the host")?;
    if temporary.is_dir() {
        std::fs::remove_dir_all(&temporary).with_context(|| format!("can't remove {}", temporary.display()))?;
    }
    if !status.success() {
        bail!("the host ended with {status}");
    }
    Ok(())
}
