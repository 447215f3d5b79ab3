//! Every chore of this repository, behind one door: `cargo xtask`.
//!
//! Invariant: a chore says what it does before it does it, and when something is missing it says what and how to get it; nothing
//! is skipped in silence. Deliberately absent: libraries of the host. This program is built first on a fresh machine, so it calls
//! `cargo`, `npm` and the built `growqr` as processes instead of linking what they link.

mod bench;
mod build;
mod conformance;
mod deny;
mod machine;
mod node;
mod run;
mod suite;
mod up;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Every chore of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Sets everything up on a fresh machine and serves the deployment of this repository.
    Up(up::UpArguments),
    /// Builds the actors and the host.
    Build(build::BuildArguments),
    /// Serves the fixture actors of the official test-suite, for a harness outside this repository.
    ConformanceHost(conformance::ConformanceArguments),
    /// Measures the host and its peers, and writes `docs/performance.md`.
    Bench(bench::BenchArguments),
    /// Runs every check: format, lints, licences, unit tests, end-to-end tests.
    Test(suite::TestArguments),
}

fn main() -> ExitCode {
    match chore(Arguments::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore(chore: Chore) -> Result<()> {
    match chore {
        Chore::Up(arguments) => up::up(&arguments),
        Chore::Build(arguments) => build::build(&arguments),
        Chore::ConformanceHost(arguments) => conformance::serve(&arguments),
        Chore::Bench(arguments) => bench::bench(&arguments),
        Chore::Test(arguments) => suite::test(&arguments),
    }
}
