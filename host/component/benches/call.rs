//! What instances and their turns take: `cargo xtask bench --micro`.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use criterion::Criterion;
use growqr_component::{CompilerCommand, Component, InstanceLimits, run_compiler_child};
use growqr_turn::{Answer, Outcome};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use support::*;
use tokio::runtime::{Builder, Runtime};

/// The argument with which this program is its own compiler child.
const COMPILE: &str = "compile-component";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == COMPILE) {
        return run_compiler_child(arguments);
    }
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let bench = bench(4, CompilerCommand::this_program([COMPILE.into()]).unwrap());
    let component = runtime.block_on(bench.guest());
    let mut criterion = Criterion::default().configure_from_args();
    instances(&mut criterion, &runtime, &component);
    turns(&mut criterion, &runtime, &component);
    criterion.final_summary();
    ExitCode::SUCCESS
}

fn instances(criterion: &mut Criterion, runtime: &Runtime, component: &Arc<Component>) {
    let limits = InstanceLimits::default();
    criterion.bench_function("instance made and dropped", |bench| {
        bench.iter(|| runtime.block_on(component.instantiate(&limits)).unwrap());
    });
    criterion.bench_function("instance made, one turn, dropped", |bench| {
        let world = World::new();
        bench.iter(|| {
            runtime.block_on(async {
                let instance = Box::new(component.instantiate(&limits).await.unwrap());
                instance.turn(world.scope(), action("nothing", "[]"), LONG).await
            })
        });
    });
}

fn turns(criterion: &mut Criterion, runtime: &Runtime, component: &Arc<Component>) {
    let cases = [
        ("component turn, empty", "nothing", Outcome::Done),
        ("component turn with an answer", "echo", Outcome::Reply("[]".into())),
        ("component turn that reads and writes a key", "bump", Outcome::Reply("42".into())),
    ];
    let world = World::new();
    for (name, called, expected) in cases {
        let mut free = Some(Box::new(runtime.block_on(component.instantiate(&InstanceLimits::default())).unwrap()));
        criterion.bench_function(name, |bench| {
            bench.iter_custom(|count| {
                runtime.block_on(async {
                    let start = Instant::now();
                    for _ in 0..count {
                        let instance = free.take().unwrap();
                        let (instance, report) = instance.turn(world.scope(), action(called, "[]"), LONG).await;
                        assert_eq!(report.result, Ok(Answer::Outcome(expected.clone())));
                        free = instance;
                    }
                    start.elapsed()
                })
            });
        });
    }
    criterion.bench_function("scope and message of a turn", |bench| {
        bench.iter(|| (world.scope(), action("nothing", "[]")));
    });
}
