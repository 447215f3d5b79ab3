//! `cargo xtask bench --micro`: the criterion benchmarks of the crates, compared with the committed baseline.
//!
//! Invariant: the baseline is only written when that is asked for, and every benchmark is in it or is said to be new.
//! Deliberately absent: a verdict. The machine of the baseline is another one as a rule; the ratios of all lines together say more than
//! a single line.

use crate::machine::{Tool, root, target_dir};
use crate::run::{run, say};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The benchmarks: of `host/wire`, `host/runtime` and `host/component`.
const BENCHES: [&str; 3] = ["wire", "turn", "call"];
/// Where the baseline is kept.
const BASELINE: &str = "tools/bench/micro.json";
/// Seconds for each benchmark, beside a third of it to warm up.
const SECONDS: &str = "2";

/// Nanoseconds by name.
pub type Times = BTreeMap<String, f64>;

/// Runs the benchmarks and prints how they compare.
pub fn micro(save: bool) -> Result<()> {
    let times = measure()?;
    let file = root()?.join(BASELINE);
    let baseline = if file.is_file() { read(&file)? } else { Times::new() };
    println!("\n{}", table(&times, &baseline));
    if save {
        let rounded: Times = times.iter().map(|(name, time)| (name.clone(), time.round())).collect();
        let text = serde_json::to_string_pretty(&rounded).context("the figures are not JSON")? + "\n";
        std::fs::write(&file, text).with_context(|| format!("can't write {BASELINE}"))?;
        say(&format!("the baseline is in {BASELINE}"));
    }
    Ok(())
}

/// Runs the benchmarks.
pub fn measure() -> Result<Times> {
    say("building and running the benchmarks of the crates");
    let folder = target_dir()?.join("criterion");
    if folder.exists() {
        // Figures of benchmarks that are no longer there would be read as well.
        std::fs::remove_dir_all(&folder).context("can't remove the figures of an earlier run")?;
    }
    let mut command = Tool::Cargo.command();
    command.args(["bench", "--locked", "--workspace"]).current_dir(root()?);
    for bench in BENCHES {
        command.args(["--bench", bench]);
    }
    run(command.args(["--", "--noplot", "--warm-up-time", "0.7", "--measurement-time", SECONDS]))?;
    figures(&folder)
}

/// The median of every benchmark, as criterion wrote them.
fn figures(folder: &Path) -> Result<Times> {
    let mut times = Times::new();
    for entry in std::fs::read_dir(folder).context("criterion wrote no figures")? {
        let new = entry.context("criterion's folder can't be read")?.path().join("new");
        if !new.is_dir() {
            continue;
        }
        let name =
            json(&new.join("benchmark.json"))?["full_id"].as_str().context("a benchmark without a name")?.to_owned();
        let median = json(&new.join("estimates.json"))?["median"]["point_estimate"].as_f64();
        times.insert(name, median.context("a benchmark without a median")?);
    }
    if times.is_empty() {
        bail!("criterion wrote no figures");
    }
    Ok(times)
}

fn json(file: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))
}

fn read(file: &Path) -> Result<Times> {
    serde_json::from_value(json(file)?).with_context(|| format!("{} is no baseline", file.display()))
}

fn table(times: &Times, baseline: &Times) -> String {
    let mut lines = vec![format!("{:<44} {:>12} {:>12} {:>7}", "benchmark", "ns", "baseline", "ratio")];
    for (name, time) in times {
        lines.push(match baseline.get(name) {
            Some(before) => format!("{name:<44} {time:>12.0} {before:>12.0} {:>7.2}", time / before),
            None => format!("{name:<44} {time:>12.0} {:>12} {:>7}", "", "new"),
        });
    }
    for name in baseline.keys().filter(|name| !times.contains_key(*name)) {
        lines.push(format!("{name:<44} {:>12} {:>12} {:>7}", "", "", "gone"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_is_compared_or_said_to_be_new_or_gone() {
        let times = Times::from([("a".to_owned(), 30.0), ("b".to_owned(), 5.0)]);
        let baseline = Times::from([("a".to_owned(), 20.0), ("c".to_owned(), 1.0)]);
        let shown = table(&times, &baseline);
        let words: Vec<Vec<&str>> = shown.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words, [vec!["a", "30", "20", "1.50"], vec!["b", "5", "new"], vec!["c", "gone"]]);
    }

    #[test]
    fn the_committed_baseline_can_be_read() {
        let file = root().expect("a root").join(BASELINE);
        assert!(!read(&file).expect("a baseline").is_empty());
    }
}
