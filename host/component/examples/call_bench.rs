//! What instantiation and calls cost: `cargo run --release -p growqr-component --example call_bench`.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use growqr_component::{CompilerCommand, InstanceLimits, run_compiler_child};
use growqr_turn::Outcome;
use growqr_turn::{Answer, TurnLimits};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::*;

/// The argument with which this program is its own compiler child.
const COMPILE: &str = "compile-component";
/// Batches of each measurement; the best and the median are shown.
const BATCHES: usize = 30;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == COMPILE) {
        return run_compiler_child(args);
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(measure());
    ExitCode::SUCCESS
}

fn show(name: &str, mut batches: Vec<Duration>, calls: u32) {
    batches.sort();
    let each = |batch: Duration| batch.as_nanos() as f64 / f64::from(calls);
    println!("{name:<44} best {:>9.0} ns   median {:>9.0} ns", each(batches[0]), each(batches[batches.len() / 2]));
}

async fn calls(name: &str, component: &Arc<growqr_component::Component>, action_name: &str, expected: &Outcome) {
    const CALLS: u32 = 5_000;
    let world = World { limits: Arc::new(TurnLimits::default()), ..World::new() };
    let mut instance = component.instantiate(&InstanceLimits::default()).await.unwrap();
    let mut batches = Vec::new();
    for _ in 0..BATCHES {
        let started = Instant::now();
        for _ in 0..CALLS {
            let report = instance.call(world.scope(), action(action_name, "[]"), LONG).await;
            assert_eq!(report.result, Ok(Answer::Outcome(expected.clone())));
        }
        batches.push(started.elapsed());
    }
    show(name, batches, CALLS);
}

async fn measure() {
    let bench = bench(64, CompilerCommand::this_program([COMPILE.into()]).unwrap());
    // Building the guest is no part of what is measured.
    guest();
    let started = Instant::now();
    let component = bench.guest().await;
    println!("{:<44} {:?} ({} bytes)", "load, compiled in the child", started.elapsed(), component.size());
    let started = Instant::now();
    bench.guest().await;
    println!("{:<44} {:?}", "load, from the cache", started.elapsed());

    const CYCLES: u32 = 500;
    let limits = InstanceLimits::default();
    let world = World::new();
    let (mut bare, mut woken) = (Vec::new(), Vec::new());
    for _ in 0..BATCHES {
        let started = Instant::now();
        for _ in 0..CYCLES {
            component.instantiate(&limits).await.unwrap();
        }
        bare.push(started.elapsed());
        let started = Instant::now();
        for _ in 0..CYCLES {
            let mut instance = component.instantiate(&limits).await.unwrap();
            instance.call(world.scope(), action("nothing", "[]"), LONG).await;
        }
        woken.push(started.elapsed());
    }
    show("instantiate and drop", bare, CYCLES);
    show("instantiate, call, drop", woken, CYCLES);

    const SCOPES: u32 = 100_000;
    let mut scopes = Vec::new();
    for _ in 0..BATCHES {
        let started = Instant::now();
        for _ in 0..SCOPES {
            std::hint::black_box((world.scope(), action("nothing", "[]")));
        }
        scopes.push(started.elapsed());
    }
    show("(making a scope and a message)", scopes, SCOPES);
    calls("empty call", &component, "nothing", &Outcome::Done).await;
    calls("call with an answer", &component, "echo", &Outcome::Reply("[]".into())).await;
    calls("call with state.get and state.set", &component, "bump", &Outcome::Reply("42".into())).await;
}
