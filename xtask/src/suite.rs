//! `cargo xtask test`: every check of this repository, in order, with a summary at the end.
//!
//! Invariant: a check that did not run is in the summary, with the reason.

use crate::build::{build_actors, build_fixtures, build_for_tests};
use crate::deny::{self, Advisories};
use crate::machine::{Tool, root};
use crate::node::ensure_node;
use crate::run::{run, say, spelled, watch};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::process::Command;
use std::time::{Duration, Instant};

/// The tests that take much longer than a few seconds; `--quick` leaves them out.
const SLOW: [&str; 1] = ["nothing_acknowledged_is_lost_or_doubled_and_events_have_no_gap"];

/// Arguments of `test`.
#[derive(Args)]
pub struct TestArguments {
    /// Leaves out what takes long: the check of licences and advisories, and the `kill -9` test.
    #[arg(long)]
    quick: bool,
    /// Checks advisories against the copy of the advisory database that is here, without fetching a new one.
    #[arg(long)]
    frozen_advisories: bool,
}

/// What the summary says of one step.
struct Line {
    step: String,
    outcome: String,
    took: Duration,
}

/// `cargo xtask test`
pub fn test(arguments: &TestArguments) -> Result<()> {
    let mut lines = Vec::new();
    let result = steps(arguments, &mut lines);
    println!("\nSummary");
    for line in &lines {
        println!("  {:<46} {:>6.1} s  {}", line.step, line.took.as_secs_f64(), line.outcome);
    }
    result?;
    println!("\nEverything that ran passed.");
    Ok(())
}

fn steps(arguments: &TestArguments, lines: &mut Vec<Line>) -> Result<()> {
    Tool::Git.require()?;
    step(lines, "format", || {
        run(&mut cargo(&["fmt", "--all", "--check"])?).context("`cargo fmt --all` mends it")?;
        Ok("passed".to_owned())
    })?;
    step(lines, "lints", || {
        run(&mut cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"])?)?;
        Ok("passed".to_owned())
    })?;
    if arguments.quick {
        left_out(lines, "licences, bans, sources, advisories");
    } else {
        step(lines, "licences, bans, sources, advisories", || {
            Ok(match deny::check(arguments.frozen_advisories)? {
                Advisories::Clean => "passed".to_owned(),
                Advisories::OutOfReach => "passed, but ADVISORIES NOT CHECKED: the database is out of reach".to_owned(),
            })
        })?;
    }
    let mut node = None;
    step(lines, "npm components", || {
        node = Some(ensure_node()?);
        Ok("installed".to_owned())
    })?;
    let node = node.context("no Node was found")?;
    let mut host = None;
    step(lines, "host and actors", || {
        let built = build_for_tests()?;
        build_actors(&built)?;
        build_fixtures(&built)?;
        host = Some(built);
        Ok("built".to_owned())
    })?;
    let host = host.context("no host was built")?;
    step(lines, "tests", || {
        let mut command = cargo(&["test", "--locked", "--workspace", "--no-fail-fast", "--"])?;
        command.env("GROWQR_BINARY", &host).env("GROWQR_NODE", &node);
        if arguments.quick {
            command.args(SLOW.iter().flat_map(|name| ["--skip", name]));
        }
        cargo_test(command)
    })?;
    if arguments.quick {
        for name in SLOW {
            left_out(lines, &format!("test {name}"));
        }
    }
    Ok(())
}

fn step(lines: &mut Vec<Line>, name: &str, work: impl FnOnce() -> Result<String>) -> Result<()> {
    say(name);
    let start = Instant::now();
    let result = work();
    let outcome = match &result {
        Ok(outcome) => outcome.clone(),
        Err(_) => "FAILED".to_owned(),
    };
    lines.push(Line { step: name.to_owned(), outcome, took: start.elapsed() });
    result.map(|_| ()).with_context(|| format!("step \"{name}\""))
}

fn left_out(lines: &mut Vec<Line>, name: &str) {
    say(&format!("{name}: left out, because of --quick"));
    lines.push(Line { step: name.to_owned(), outcome: "LEFT OUT (--quick)".to_owned(), took: Duration::ZERO });
}

fn cargo(arguments: &[&str]) -> Result<Command> {
    let mut command = Tool::Cargo.command();
    command.args(arguments).current_dir(root()?);
    // A backtrace in every error slows the host and tells the tests nothing.
    command.env_remove("RUST_BACKTRACE");
    Ok(command)
}

/// Runs `cargo test` and says how many tests passed.
fn cargo_test(mut command: Command) -> Result<String> {
    let mut counts = Counts::default();
    let text = spelled(&command);
    let success = watch(&mut command, |line| counts.read(line))?;
    if !success {
        bail!("`{text}` failed: {}", counts.text());
    }
    if counts.passed == 0 {
        bail!("`{text}` ran no test at all");
    }
    Ok(counts.text())
}

/// Adds up what the test programs print at their end.
#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
    programs: u64,
    /// What a test says it could not do on this machine.
    left_out: Vec<String>,
}

impl Counts {
    fn read(&mut self, line: &str) {
        if let Some(what) = line.strip_prefix("LEFT OUT: ") {
            self.left_out.push(what.to_owned());
        }
        let Some(rest) = line.strip_prefix("test result: ") else { return };
        self.programs += 1;
        for part in rest.split(['.', ';']) {
            let mut words = part.split_whitespace();
            if let (Some(Ok(count)), Some(what)) = (words.next().map(str::parse::<u64>), words.next()) {
                match what {
                    "passed" => self.passed += count,
                    "failed" => self.failed += count,
                    "ignored" => self.ignored += count,
                    _ => {}
                }
            }
        }
    }

    fn text(&self) -> String {
        let left_out: String = self.left_out.iter().map(|what| format!("; LEFT OUT: {what}")).collect();
        format!(
            "{} passed, {} failed, {} ignored in {} programs{left_out}",
            self.passed, self.failed, self.ignored, self.programs
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_several_test_programs_are_added_up() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 1 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s",
        ] {
            counts.read(line);
        }
        assert_eq!(counts.text(), "4 passed, 2 failed, 1 ignored in 2 programs");
        counts.read("LEFT OUT: a full disk: no test may mount");
        assert!(counts.text().ends_with("2 programs; LEFT OUT: a full disk: no test may mount"), "{}", counts.text());
    }
}
