//! The page `docs/performance.md`.
//!
//! Invariant: every figure on it was measured in the run that wrote it. What explains a figure that falls short comes from
//! `tools/bench/notes.json`, by the name of the cell and field, and is only shown while the figure does fall short.

use crate::bench::cells::{RIVET_ROWS, Row, WORKERD_ROWS};
use crate::bench::servers::{Kind, Places};
use crate::bench::{BenchArguments, Results};
use crate::run::capture;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fmt::Write;
use std::process::Command;

/// When a run began.
pub struct Moment {
    date: String,
    load: String,
}

impl Moment {
    /// Now.
    pub fn now() -> Result<Self> {
        let (_, date) = capture(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))?;
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        Ok(Self { date: date.trim().to_owned(), load })
    }
}

/// The whole page.
pub fn text(results: &Results, places: &Places, start: &Moment, arguments: &BenchArguments) -> Result<String> {
    let notes = std::fs::read_to_string(places.tools.join("notes.json")).context("tools/bench has no notes.json")?;
    let notes: Value = serde_json::from_str(&notes).context("tools/bench/notes.json is not JSON")?;
    let mut page = String::new();
    let mut short = Vec::new();
    head(&mut page, results, places, start, arguments)?;
    page.push_str("\n## Against workerd (Durable Objects)\n\n");
    page.push_str("The same plain client and the same frames for both; both flush before they answer.\n\n");
    table(&mut page, results, WORKERD_ROWS, "workerd", &notes, &mut short)?;
    page.push_str("\n## Against Rivet\n\nThe official JavaScript client on both sides. The peer is the engine with its TypeScript runner.\n\n");
    table(&mut page, results, RIVET_ROWS, "Rivet", &notes, &mut short)?;
    let beyond = floors(&mut page, results, &notes)?;
    page.push_str("\n## This host alone\n\n| measure | figure | goal |\n|---|---:|---|\n");
    for fact in &results.facts {
        let goal = match &fact.goal {
            Some((goal, met)) => format!("{goal}: {}", if *met { "met" } else { "**not met**" }),
            None => String::new(),
        };
        writeln!(page, "| {} | {} | {goal} |", fact.measure, fact.figure)?;
        if let Some((goal, false)) = &fact.goal {
            let note = note_on(&notes, &fact.measure).unwrap_or("Not explained yet.");
            short.push(format!("{}: {} instead of {goal}. {note}", fact.measure, fact.figure));
        }
    }
    page.push_str(REASONS);
    list(&mut page, "Short of the goal", &short, "Nothing.")?;
    list(&mut page, "More than twice what it must contain", &beyond, "Nothing.")?;
    list(&mut page, "Not measured in this run", &results.missing, "Nothing was left out.")?;
    Ok(page)
}

/// What the reasons of the two lists that follow are worth.
const REASONS: &str = "\nThe reasons given below come from reading the code. They were not confirmed by profiles.\n";

/// The note whose name is how the measure begins: the rest of it may hold figures.
fn note_on<'a>(notes: &'a Value, measure: &str) -> Option<&'a str> {
    notes.as_object()?.iter().find(|(name, _)| measure.starts_with(*name))?.1.as_str()
}

fn head(
    page: &mut String,
    results: &Results,
    places: &Places,
    start: &Moment,
    arguments: &BenchArguments,
) -> Result<()> {
    let end = Moment::now()?;
    let package =
        std::fs::read_to_string(places.tools.join("package.json")).context("tools/bench has no package.json")?;
    let package: Value = serde_json::from_str(&package).context("tools/bench/package.json is not JSON")?;
    let version = |name: &str| package["dependencies"][name].as_str().unwrap_or("unknown").to_owned();
    let (_, host) = capture(Command::new(&places.host).arg("--version"))?;
    let (_, node) = capture(Command::new(&places.node).arg("--version"))?;
    let (_, kernel) = capture(Command::new("uname").arg("-sr"))?;
    let (_, commit) =
        capture(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(crate::machine::root()?))?;
    page.push_str("# Performance\n\nWritten by `cargo xtask bench`; do not edit. Every acknowledged increment of this host was flushed to disk first.\n\n");
    writeln!(page, "- Measured {} to {}, commit {}, `{}`.", start.date, end.date, commit.trim(), host.trim())?;
    writeln!(page, "- Machine: {}, {}.", machine(), kernel.trim())?;
    writeln!(
        page,
        "- Peers and clients: workerd {}, Rivet {}, rivetkit {}, ws {}, undici {}, Node {}.",
        version("workerd"),
        version("@rivetkit/engine-cli"),
        version("rivetkit"),
        version("ws"),
        version("undici"),
        node.trim()
    )?;
    writeln!(
        page,
        "- Load average before {}, after {}; the processors were busy for {:.0} % of the time on average. Clients, servers and whatever else ran shared the same processors.",
        start.load,
        end.load,
        busy(results) * 100.0
    )?;
    let kind = if arguments.quick { "short" } else { "full" };
    writeln!(
        page,
        "- A {kind} run: {} rounds in turns, and of each server the best round of each figure counts. CPU and memory are those of the server's processes; a page that is mapped several times counts once (Pss).",
        arguments.rounds
    )?;
    Ok(())
}

fn machine() -> String {
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once(':').map_or("unknown", |split| split.1.trim()).to_owned()
    };
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<u64>().unwrap_or(0) >> 20;
    format!("{processors} processors ({}), {memory} GiB", field("/proc/cpuinfo", "model name"))
}

fn busy(results: &Results) -> f64 {
    let all: Vec<f64> = results.figures.values().flatten().filter_map(|value| value["machine_busy"].as_f64()).collect();
    all.iter().sum::<f64>() / all.len().max(1) as f64
}

/// The best round's figure: the least, or the most of a rate.
fn best(results: &Results, cell: &'static str, kind: Kind, field: &str) -> Option<f64> {
    let rounds = results.figures.get(&(cell, kind))?;
    let pointer = format!("/{}", field.replace('.', "/"));
    let figures = rounds.iter().filter_map(|value| value.pointer(&pointer)?.as_f64());
    if field == "per_second" { figures.reduce(f64::max) } else { figures.reduce(f64::min) }
}

fn shown(figure: Option<f64>, unit: &str) -> String {
    match figure {
        None => "not measured".to_owned(),
        Some(figure) if unit == "/s" => format!("{figure:.0}{unit}"),
        Some(figure) if unit == "ms" => format!("{figure:.2} {unit}"),
        Some(figure) => format!("{figure:.1} {unit}"),
    }
}

fn table(
    page: &mut String,
    results: &Results,
    rows: &[Row],
    peer_name: &str,
    notes: &Value,
    short: &mut Vec<String>,
) -> Result<()> {
    writeln!(page, "| measure | GrowQR | {peer_name} | ratio | goal | |\n|---|---:|---:|---:|---|---|")?;
    for row in rows {
        let ours = best(results, row.cell, Kind::Ours, row.field);
        let peer = best(results, row.cell, row.peer, row.field);
        let ratio = match (ours, peer) {
            (Some(ours), Some(peer)) if peer > 0.0 => format!("{:.2}", ours / peer),
            _ => String::new(),
        };
        let goal = row.goal.text(row.unit);
        let met = ours.and_then(|ours| row.goal.met(ours, peer));
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "**not met**",
            None => "",
        };
        let (ours, peer) = (shown(ours, row.unit), shown(peer, row.unit));
        writeln!(page, "| {} | {ours} | {peer} | {ratio} | {goal} | {verdict} |", row.measure)?;
        if met == Some(false) {
            let note = notes[format!("{}.{}", row.cell, row.field)].as_str().unwrap_or("Not explained yet.");
            short.push(format!("{}: {ours} against {peer}, the goal is {goal}. {note}", row.measure));
        }
    }
    Ok(())
}

/// The table of the limits; gives a line for each figure that is more than twice what it must contain.
fn floors(page: &mut String, results: &Results, notes: &Value) -> Result<Vec<String>> {
    let mut beyond = Vec::new();
    page.push_str("\n## What a figure must contain\n\nAn echo with the same libraries and nothing behind it, on one thread, driven by the same plain client.\n\n");
    page.push_str("An acknowledged increment also contains one flush, which the last column adds to a latency: twice that sum is where an explanation is due.\n\n");
    page.push_str("| measure | echo | GrowQR | to the sum of echo and flush |\n|---|---:|---:|---:|\n");
    let rows = [
        ("WebSocket, one after the other, p50", "ws", "p50_ms", "ms"),
        ("WebSocket, one after the other, server CPU", "ws", "server_cpu_us", "us"),
        ("HTTP, one after the other, p50", "http", "p50_ms", "ms"),
        ("HTTP, one after the other, server CPU", "http", "server_cpu_us", "us"),
        ("64 sockets with one in flight each, server CPU", "one", "server_cpu_us", "us"),
        ("64 sockets with one in flight each", "one", "per_second", "/s"),
        ("One socket with 64 in flight, server CPU", "shared", "server_cpu_us", "us"),
        ("One socket with 64 in flight", "shared", "per_second", "/s"),
    ];
    for (measure, cell, field, unit) in rows {
        let [floor, ours] = [Kind::Floor, Kind::Ours].map(|kind| best(results, cell, kind, field));
        // A flush is waited for, not computed; and 64 increments in flight share one.
        let flush = if unit == "ms" { results.flush_ms } else { Some(0.0) };
        let ratio = match (floor, ours, flush) {
            (Some(floor), Some(ours), Some(flush)) if floor + flush > 0.0 => Some(ours / (floor + flush)),
            _ => None,
        };
        let text = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        writeln!(page, "| {measure} | {} | {} | {text} |", shown(floor, unit), shown(ours, unit))?;
        if unit != "/s" && ratio > Some(2.0) {
            let note = notes[format!("{cell}.{field}/limit")].as_str().unwrap_or("Not explained yet.");
            beyond.push(format!("{measure}: {text} times what it must contain. {note}"));
        }
    }
    Ok(beyond)
}

fn list(page: &mut String, title: &str, lines: &[String], none: &str) -> Result<()> {
    writeln!(page, "\n## {title}\n")?;
    if lines.is_empty() {
        writeln!(page, "{none}")?;
    }
    for line in lines {
        writeln!(page, "- {line}")?;
    }
    Ok(())
}
