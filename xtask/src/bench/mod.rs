//! `cargo xtask bench`: this host and its peers, measured in one go on one machine, written to `docs/performance.md`.
//!
//! Invariant: servers are measured in turns, cell by cell, so that a disturbance of the machine meets all of them; what could not
//! be measured is on the page, with the reason. Deliberately absent: a verdict. The page says what was measured, and the goals.

mod alone;
mod cells;
mod client;
mod micro;
mod page;
mod servers;

use crate::build::build_actors;
use crate::machine::{Tool, root, target_dir};
use crate::node::{ensure_node, install};
use crate::run::{run, say};
use alone::Fact;
use anyhow::{Context, Result};
use cells::{Cell, Scale};
use clap::Args;
use client::Clients;
use serde_json::Value;
use servers::{Kind, Places, Server};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Arguments of `bench`.
#[derive(Args)]
pub struct BenchArguments {
    /// How long the soak runs, for example `60s` or `10m`.
    #[arg(long, default_value = "10m", value_parser = duration_s)]
    soak: u64,
    /// How often each cell that is compared runs; the best round of each server counts.
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// How often the host is killed under load.
    #[arg(long, default_value_t = 5)]
    kills: u32,
    /// Actors for the measurement of a restart.
    #[arg(long, default_value_t = 100_000)]
    restart_actors: u64,
    /// Shorter windows and fewer samples; the page says so.
    #[arg(long)]
    quick: bool,
    /// Measures this program instead of building one; its actors must have been built.
    #[arg(long, value_name = "PROGRAM")]
    host: Option<PathBuf>,
    /// Only the small benchmarks of the crates, compared with the committed baseline; no page is written.
    #[arg(long)]
    micro: bool,
    /// Makes what `--micro` measures the new baseline.
    #[arg(long, requires = "micro")]
    save_baseline: bool,
    /// Where the page goes.
    #[arg(long, default_value = "docs/performance.md")]
    page: PathBuf,
}

/// Everything that was measured.
#[derive(Default)]
pub struct Results {
    /// What each cell gave for each server, round by round.
    figures: BTreeMap<(&'static str, Kind), Vec<Value>>,
    /// What is measured of this host alone.
    facts: Vec<Fact>,
    /// Milliseconds of one raw flush, p50.
    flush_ms: Option<f64>,
    /// What could not be measured, and why.
    missing: Vec<String>,
}

/// `cargo xtask bench`
pub fn bench(arguments: &BenchArguments) -> Result<()> {
    if arguments.micro {
        return micro::micro(arguments.save_baseline);
    }
    let scale = if arguments.quick {
        Scale { window_ms: 1500, samples: 1000, eviction_ms: 3000 }
    } else {
        Scale { window_ms: 4000, samples: 2000, eviction_ms: 85_000 }
    };
    let start = page::Moment::now()?;
    let bench = Bench::prepare(arguments)?;
    let mut results = Results::default();
    bench.compare(&scale, arguments.rounds, &mut results)?;
    let file = root()?.join(&arguments.page);
    // What was measured is kept when the rest is cut off.
    alone::measure(&bench, arguments, &mut results, |results| {
        let text = page::text(results, &bench.places, &start, arguments)?;
        std::fs::write(&file, text).with_context(|| format!("can't write {}", file.display()))
    })?;
    std::fs::remove_dir_all(&bench.places.data).context("can't remove the data of the benchmark")?;
    say(&format!("the figures are in {}", arguments.page.display()));
    Ok(())
}

/// What every measurement needs.
pub struct Bench {
    places: Places,
    clients: Clients,
}

impl Bench {
    fn prepare(arguments: &BenchArguments) -> Result<Self> {
        let node = root()?.join(ensure_node()?);
        let tools = root()?.join("tools/bench");
        install(&tools)?;
        say("building what is measured (cargo profile release)");
        let mut command = Tool::Cargo.command();
        // All at once and for the whole workspace, as the tests are built: a choice of packages has features of its own, and would
        // compile the large dependencies once more.
        command.args([
            "build",
            "--locked",
            "--release",
            "--workspace",
            "--example",
            "floor",
            "--example",
            "call_bench",
        ]);
        if arguments.host.is_none() {
            command.args(["--bin", "growqr"]);
        }
        run(command.current_dir(root()?))?;
        let target = target_dir()?;
        let host = arguments.host.clone().unwrap_or_else(|| target.join("release/growqr"));
        if arguments.host.is_none() {
            build_actors(&host)?;
        }
        let floor = target.join("release/examples/floor");
        let data = target.join("bench-data");
        std::fs::create_dir_all(&data).context("no folder for the data of the benchmark")?;
        let places = Places { host, floor, tools: tools.clone(), node: node.clone(), data };
        Ok(Self { places, clients: Clients { node, folder: tools } })
    }

    /// Runs the cells that compare.
    fn compare(&self, scale: &Scale, rounds: u32, results: &mut Results) -> Result<()> {
        let available = self.available(results);
        let mut shared: BTreeMap<Kind, Server> = BTreeMap::new();
        for cell in cells::cells(scale) {
            let rounds = if cell.fresh { 1 } else { rounds };
            for _ in 0..rounds {
                for (kind, prefix) in cell.servers.iter().filter(|server| available.contains(&server.0)) {
                    let result = self.one(&cell, *kind, prefix, &mut shared);
                    if result.is_err() {
                        // What is left of it may be why it failed; the next cell gets a fresh one.
                        shared.remove(kind);
                    }
                    note(results, &cell, *kind, result);
                }
            }
        }
        Ok(())
    }

    /// The servers that can be had on this machine; the others are noted.
    fn available(&self, results: &mut Results) -> Vec<Kind> {
        let mut available = vec![Kind::Ours, Kind::Floor];
        for (kind, program) in
            [(Kind::Workerd, self.places.workerd_program()), (Kind::Rivet, self.places.rivet_program())]
        {
            match program {
                Ok(_) => available.push(kind),
                Err(error) => results.missing.push(format!("{kind:?} could not be had on this machine: {error:#}.")),
            }
        }
        available
    }

    fn one(&self, cell: &Cell, kind: Kind, prefix: &str, shared: &mut BTreeMap<Kind, Server>) -> Result<Value> {
        if cell.fresh {
            let server = self.places.start(kind, &format!("{kind:?}-{}", cell.name))?;
            return self.clients.run(&server, prefix, &cell.options);
        }
        if let std::collections::btree_map::Entry::Vacant(place) = shared.entry(kind) {
            place.insert(self.places.start(kind, &format!("{kind:?}"))?);
        }
        let server = shared.get(&kind).context("the server was just started")?;
        self.clients.run(server, prefix, &cell.options)
    }
}

fn note(results: &mut Results, cell: &Cell, kind: Kind, result: Result<Value>) {
    match result {
        Ok(value) => {
            say(&format!("{} {kind:?}: {}", cell.name, brief(&value)));
            results.figures.entry((cell.name, kind)).or_default().push(value);
        }
        Err(error) => {
            say(&format!("{} {kind:?} FAILED: {error:#}", cell.name));
            results.missing.push(format!("{kind:?}, cell `{}`: {error:#}.", cell.name));
        }
    }
}

/// The fields that matter, on one line.
fn brief(value: &Value) -> String {
    let shown = ["min_ms", "p50_ms", "per_second", "server_cpu_us", "client_cpu_us", "kib_each", "machine_busy"];
    let field = |name: &&str| value[*name].as_f64().map(|number| format!("{name} {number:.3}"));
    shown.iter().filter_map(field).collect::<Vec<_>>().join(", ")
}

fn duration_s(text: &str) -> Result<u64, String> {
    let (number, scale) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    number.parse::<u64>().map(|count| count * scale).map_err(|_| format!("{text:?} is no duration like 60s or 10m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_in_seconds_or_minutes() {
        for (text, expected) in [("60s", Some(60)), ("10m", Some(600)), ("5", Some(5)), ("x", None), ("", None)] {
            assert_eq!(duration_s(text).ok(), expected, "{text:?}");
        }
    }
}
