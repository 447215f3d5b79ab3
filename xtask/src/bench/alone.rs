//! What is measured of this host alone: the limits of the machine, kills, restart, idling, the soak, the flushes.
//!
//! Invariant: each measurement fails by itself; its failure is on the page.

use crate::bench::servers::{Kind, Server, signal};
use crate::bench::{Bench, BenchArguments, Results};
use crate::run::capture;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A figure without a peer.
pub struct Fact {
    /// What was measured.
    pub measure: String,
    /// What came out.
    pub figure: String,
    /// What it should be, if there is a goal, and whether it is.
    pub goal: Option<(String, bool)>,
    /// The figure in milliseconds, of the raw flush alone: other figures contain it.
    pub number: Option<f64>,
}

/// How long strace is given to attach itself.
const ATTACH: Duration = Duration::from_millis(1500);
/// What the bad neighbours must have run into, or they were not bad.
const MISDEEDS: [(&str, &str); 4] = [
    ("spin", "actor.action_timed_out"),
    ("allocate", "limit.memory"),
    ("eventFlood", "limit.events"),
    ("tickEvery", "done"),
];
/// Actors that there are when the host is killed.
const ACTORS_AT_KILL: u64 = 10_000;
/// Increments that `strace` looks at, sent 64 at a time.
const BURST_INCREMENTS: u64 = 640;

/// Measures everything that has no peer. After each step it says what is there by then.
pub fn measure(
    bench: &Bench,
    arguments: &BenchArguments,
    results: &mut Results,
    save: impl Fn(&Results) -> Result<()>,
) -> Result<()> {
    let steps: [(&str, Step); 8] = [
        ("the raw flush", |bench, _| raw_flush(bench)),
        ("bad neighbours", |bench, arguments| neighbours(bench, arguments.quick)),
        ("the empty call", |bench, _| empty_call(bench)),
        ("flushes of pipelined increments", |bench, _| flushes(bench)),
        ("kills under load", |bench, arguments| kills(bench, arguments.kills)),
        ("restart", |bench, arguments| restart(bench, arguments.restart_actors)),
        ("idling", |bench, _| idling(bench)),
        ("soak", |bench, arguments| soak(bench, arguments.soak)),
    ];
    for (name, step) in steps {
        crate::run::say(name);
        match step(bench, arguments) {
            Ok(facts) => {
                for fact in &facts {
                    results.flush_ms = fact.number.or(results.flush_ms);
                    println!("    {}: {}", fact.measure, fact.figure);
                }
                results.facts.extend(facts);
            }
            Err(error) => {
                crate::run::say(&format!("{name} FAILED: {error:#}"));
                results.missing.push(format!("This host alone, {name}: {error:#}."));
            }
        }
        save(results)?;
    }
    Ok(())
}

type Step = fn(&Bench, &BenchArguments) -> Result<Vec<Fact>>;

fn fact(measure: impl Into<String>, figure: String) -> Fact {
    Fact { measure: measure.into(), figure, goal: None, number: None }
}

fn aimed(measure: impl Into<String>, figure: String, goal: &str, met: bool) -> Fact {
    Fact { measure: measure.into(), figure, goal: Some((goal.to_owned(), met)), number: None }
}

fn number(value: &Value, field: &str) -> Result<f64> {
    value[field].as_f64().with_context(|| format!("the result has no {field}: {value}"))
}

fn raw_flush(bench: &Bench) -> Result<Vec<Fact>> {
    let mut command = Command::new(&bench.places.floor);
    let (_, text) = capture(command.arg("sync").arg(&bench.places.data).args(["2000", "256"]))?;
    let value: Value = serde_json::from_str(text.trim()).with_context(|| format!("not a result: {text}"))?;
    let (min, p50) = (number(&value, "min_us")? / 1000.0, number(&value, "p50_us")? / 1000.0);
    let flush = fact("Append of 256 bytes and fdatasync, p50 (best)", format!("{p50:.3} ms ({min:.3})"));
    Ok(vec![Fact { number: Some(p50), ..flush }])
}

/// What actors that behave feel of a hundred that do not, in one run.
fn neighbours(bench: &Bench, quick: bool) -> Result<Vec<Fact>> {
    let server = bench.places.start(Kind::Ours, "neighbours")?;
    let (rounds, window_ms) = if quick { (3, 1500) } else { (8, 3000) };
    let options = json!({ "phase": "neighbours", "rounds": rounds, "window_ms": window_ms });
    let value = bench.clients.run(&server, "/p", &options)?;
    let bad = &value["bad"];
    for (kind, outcome) in MISDEEDS {
        if bad[kind][outcome].as_u64().unwrap_or_default() == 0 {
            bail!("the bad neighbours were not bad: no {outcome} of {kind}: {bad}");
        }
    }
    if bad["ticks"].as_u64().unwrap_or_default() == 0 {
        bail!("the timers of the bad neighbours never came: {bad}");
    }
    let mut facts = Vec::new();
    for (name, field) in [("p50", "p50_ms"), ("p99", "p99_ms")] {
        let [quiet, loud, ratio] = ["quiet", "loud", "ratio"].map(|kind| number(&value, &format!("{kind}_{field}")));
        let (quiet, loud, ratio) = (quiet?, loud?, ratio?);
        let measure = format!("Increment beside 100 actors that misbehave, {name}");
        let figure = format!("{loud:.2} ms, without them {quiet:.2} ms: {ratio:.2} times");
        facts.push(if name == "p99" {
            aimed(measure, figure, "at most 1.1 times", ratio <= 1.1)
        } else {
            fact(measure, figure)
        });
    }
    Ok(facts)
}

fn empty_call(bench: &Bench) -> Result<Vec<Fact>> {
    let program = bench.places.floor.with_file_name("call_bench");
    if !program.is_file() {
        bail!("`call_bench` is only built when the host is built by this command");
    }
    let (success, text) = capture(Command::new(program).current_dir(crate::machine::root()?))?;
    let wanted = ["instantiate, call, drop", "empty call", "call with state.get and state.set"];
    let mut facts = Vec::new();
    for line in text.lines() {
        let Some(name) = wanted.iter().find(|name| line.starts_with(**name)) else { continue };
        let figure = line.split_once("best").map_or("", |split| split.1);
        let nanoseconds = figure.split_whitespace().next().unwrap_or_default();
        facts.push(fact(format!("WebAssembly: {name}, best"), format!("{nanoseconds} ns")));
    }
    if !success || facts.len() != wanted.len() {
        bail!("call_bench printed something else: {text}");
    }
    Ok(facts)
}

fn flushes(bench: &Bench) -> Result<Vec<Fact>> {
    let server = bench.places.start(Kind::Ours, "flushes")?;
    let mut burst = bench.clients.start(&server, "/p", &json!({ "phase": "burst" }))?;
    burst.ready()?;
    let table = bench.places.data.join("strace.txt");
    let pid = server.pids().first().copied().context("the host has no process")?;
    let mut trace = Command::new("strace");
    trace.args(["-f", "-c", "-e", "trace=fdatasync,fsync", "-p", &pid.to_string(), "-o"]).arg(&table);
    let mut trace = trace.stderr(Stdio::null()).spawn().context("strace is not on this machine")?;
    std::thread::sleep(ATTACH);
    burst.proceed()?;
    let result = burst.finish();
    signal(trace.id(), "INT")?;
    trace.wait().context("can't wait for strace")?;
    result?;
    let text = std::fs::read_to_string(&table).context("strace wrote nothing; it may not be allowed to attach here")?;
    let calls: u64 = text.lines().filter_map(sync_calls).sum();
    if calls == 0 {
        bail!("strace saw no flush: {text}");
    }
    let per_burst = calls as f64 / (BURST_INCREMENTS / 64) as f64;
    Ok(vec![fact("Flushes (fdatasync) for 64 pipelined increments", format!("{per_burst:.1}"))])
}

/// The number of calls in a line of strace's table.
fn sync_calls(line: &str) -> Option<u64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let last = words.last()?;
    if matches!(*last, "fdatasync" | "fsync") { words.get(3)?.parse().ok() } else { None }
}

/// Actors with one increment each, quickly.
fn populate(bench: &Bench, server: &Server, prefix: &str, count: u64) -> Result<()> {
    bench.clients.run(server, prefix, &json!({ "phase": "cold", "count": count, "flight": 64 }))?;
    Ok(())
}

fn port(server: &Server) -> Result<u16> {
    server.url.rsplit(':').next().and_then(|port| port.parse().ok()).context("the address has no port")
}

fn kills(bench: &Bench, count: u32) -> Result<Vec<Fact>> {
    let mut server = bench.places.start(Kind::Ours, "kills")?;
    populate(bench, &server, "/h", ACTORS_AT_KILL)?;
    let port = port(&server)?;
    let (mut acknowledged, mut lost, mut doubled, mut back) = (0.0, 0.0, 0.0, Vec::new());
    for trial in 0..count {
        let phase = bench.clients.start(&server, "/p", &json!({ "phase": "kill" }))?;
        phase.ready()?;
        // Each trial ends at another moment of the load.
        std::thread::sleep(Duration::from_millis(500 + 137 * u64::from(trial)));
        server.kill();
        server = bench.places.again("kills", port)?;
        let value = phase.finish()?;
        acknowledged += number(&value, "acknowledged")?;
        lost += number(&value, "lost")?;
        doubled += number(&value, "doubled")?;
        back.push(number(&value, "back_ms")?);
    }
    back.sort_by(f64::total_cmp);
    let worst = back.last().copied().unwrap_or_default();
    let median = back.get(back.len() / 2).copied().unwrap_or_default();
    let figure = format!("{lost} of {acknowledged} in {count} kills");
    Ok(vec![
        aimed("Acknowledged increments lost by `kill -9` under load", figure, "0", lost == 0.0),
        aimed("Increments stored that nobody sent", doubled.to_string(), "0", doubled == 0.0),
        aimed(
            "From the kill to the next answer, with 10,000 actors, median (worst)",
            format!("{median:.0} ms ({worst:.0})"),
            "at most 200 ms",
            median <= 200.0,
        ),
    ])
}

fn restart(bench: &Bench, actors: u64) -> Result<Vec<Fact>> {
    let server = bench.places.start(Kind::Ours, "restart")?;
    populate(bench, &server, "/h", actors)?;
    let port = port(&server)?;
    server.stop()?;
    let start = Instant::now();
    let server = bench.places.again("restart", port)?;
    let ready = start.elapsed().as_secs_f64();
    bench.clients.run(
        &server,
        "/p",
        &json!({ "phase": "sequential", "transport": "http", "count": 1, "warmup": 0 }),
    )?;
    let figure = format!("{ready:.2} s");
    Ok(vec![aimed(format!("Restart with {actors} actors, until it listens"), figure, "at most 2 s", ready <= 2.0)])
}

fn idling(bench: &Bench) -> Result<Vec<Fact>> {
    let server = bench.places.start(Kind::Ours, "idling")?;
    populate(bench, &server, "/h", 10_000)?;
    let options = json!({ "phase": "memory", "actors": 1000, "settle_ms": 5000, "idle_ms": 5000 });
    let value = bench.clients.run(&server, "/p", &options)?;
    let percent = number(&value, "idle_percent")?;
    let measure = "Idle CPU with 10,000 sleeping and 1,000 awake actors";
    Ok(vec![aimed(measure, format!("{percent:.2} % of one processor"), "0", percent < 0.05)])
}

fn soak(bench: &Bench, seconds: u64) -> Result<Vec<Fact>> {
    let server = bench.places.start(Kind::Ours, "soak")?;
    let options = json!({
        "phase": "throughput", "transport": "ws", "actors": 64, "memory": true,
        "warmup_ms": 10_000, "duration_ms": seconds * 1000,
    });
    let value = bench.clients.run(&server, "/p", &options)?;
    let samples: Vec<f64> = value["memory_kib"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_f64)
        .map(|kib| kib / 1024.0)
        .collect();
    let (middle, last) = peaks(&samples).with_context(|| format!("too few samples of memory: {value}"))?;
    let rate = number(&value, "per_second")?;
    Ok(vec![aimed(
        format!("Soak of {seconds} s, {rate:.0} increments a second: most memory in its second and its last third"),
        format!("{middle:.0} MiB, {last:.0} MiB"),
        "no growth beyond a tenth",
        last <= middle * 1.1,
    )])
}

/// The most in the second third and in the last one. Storage fills its write buffer and empties it, so single samples say little.
fn peaks(samples: &[f64]) -> Option<(f64, f64)> {
    let third = samples.len() / 3;
    let most = |part: &[f64]| part.iter().copied().reduce(f64::max);
    Some((most(&samples[third..third * 2])?, most(&samples[third * 2..])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peaks_of_the_later_thirds_are_found() {
        let cases: [(&[f64], _); 3] = [
            (&[9.0, 9.0, 1.0, 3.0, 2.0, 4.0], Some((3.0, 4.0))),
            (&[1.0, 2.0, 3.0, 9.0], Some((2.0, 9.0))),
            (&[1.0, 2.0], None),
        ];
        for (samples, expected) in cases {
            assert_eq!(peaks(samples), expected, "{samples:?}");
        }
    }

    #[test]
    fn the_calls_are_read_from_the_table_that_strace_prints() {
        let cases = [
            ("100.00    0.012345         120        11           fdatasync", Some(11)),
            (" 50.00    0.012345         120         3         1 fsync", Some(3)),
            ("100.00    0.012345         120        14           total", None),
            ("% time     seconds  usecs/call     calls    errors syscall", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(sync_calls(line), expected, "{line:?}");
        }
    }
}
