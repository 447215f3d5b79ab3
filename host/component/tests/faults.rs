//! Every way in which a guest can go wrong, each followed by a good call on a new instance in the same process.

#![allow(clippy::unwrap_used)]

mod support;

use growqr_component::{CompilerCommand, InstanceLimits};
use growqr_turn::Message;
use growqr_types::{Code, codes};
use std::time::Duration;
use support::*;

fn engine() -> Bench {
    bench(2, CompilerCommand { program: env!("CARGO_BIN_EXE_growqr-test-compiler").into(), args: Vec::new() })
}

/// What the operator is told; none: the guest did not trap.
type Detail = Option<&'static str>;

async fn check(message: Message, code: &Code, detail: Detail) {
    check_named(message, LONG, (code.group, code.code), detail).await;
}

/// A message that is never done.
async fn check_late(message: Message, code: &Code, detail: Detail) {
    check_named(message, Duration::from_millis(150), (code.group, code.code), detail).await;
}

async fn check_named(message: Message, deadline: Duration, expected: (&str, &str), detail: Detail) {
    let name = format!("{message:?}");
    let bench = engine();
    let component = bench.guest().await;
    let (report, instance) = call_once(&component, message, deadline).await;
    let failure = report.result.unwrap_err().0;
    assert_eq!((failure.group.as_ref(), failure.code.as_ref()), expected, "{name}: {:?}", report.detail);
    assert_eq!(report.usable, detail.is_none(), "{name}");
    match (detail, &report.detail) {
        (Some(expected), Some(said)) => assert!(said.contains(expected), "{name}: {said}"),
        (None, None) => {}
        (_, said) => panic!("{name}: {said:?}"),
    }
    assert!(!failure.message.contains("wasm"), "a client is not shown the inside: {failure:?}");
    drop(instance);
    let (report, _instance) = call_once(&component, action("bump", "[]"), LONG).await;
    assert_eq!(reply(&report), "42", "{name}: the next instance");
}

#[tokio::test]
async fn an_endless_loop_ends_at_the_deadline() {
    check_late(action("loop", "[]"), &codes::ACTION_TIMED_OUT, Some("growqr_component_guest")).await;
    check_late(timer("loop"), &codes::CALLBACK_TIMED_OUT, Some("interrupt")).await;
}

#[tokio::test]
async fn endless_recursion_ends_at_the_stack_limit() {
    check(action("recurse", "[]"), &codes::LIMIT_STACK, Some("recurse")).await;
}

#[tokio::test]
async fn endless_growth_ends_at_the_memory_limit() {
    check(action("grow", "[]"), &codes::LIMIT_MEMORY, Some("")).await;
}

#[tokio::test]
async fn a_panic_is_a_crash_whose_place_the_operator_sees() {
    check(action("panic", "[]"), &codes::CRASHED, Some("panics_by_name")).await;
}

#[tokio::test]
async fn an_answer_that_is_not_json_is_refused() {
    check(action("not-json", "[]"), &codes::INVALID_OUTPUT, None).await;
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused() {
    check(action("long", "[]"), &codes::OUTGOING_TOO_LONG, None).await;
}

#[tokio::test]
async fn a_failure_of_the_guest_is_passed_on() {
    check_named(action("fail", "[]"), LONG, ("user", "no"), None).await;
    check_named(action("fail-guard", "[]"), LONG, ("user", "actor_ready_timeout"), None).await;
}

#[tokio::test]
async fn a_capability_that_is_not_there_is_an_ordinary_failure() {
    check(action("memory", "[]"), &codes::MEMORY_NOT_AVAILABLE, None).await;
}

#[tokio::test]
async fn a_refusal_of_the_scope_fails_the_turn() {
    check(action("bad-event", "[]"), &codes::INVALID_OUTPUT, Some("")).await;
}

#[tokio::test]
async fn a_host_call_that_waits_ends_at_the_deadline() {
    check_late(action("slow", "[]"), &codes::ACTION_TIMED_OUT, Some("host call")).await;
}

#[tokio::test]
async fn a_guest_that_spins_does_not_hold_its_worker() {
    let bench = engine();
    let component = bench.guest().await;
    // The test runs on one thread: the good calls only get on while the other one spins if it yields.
    let spinning = component.clone();
    let spin =
        tokio::spawn(async move { call_once(&spinning, action("loop", "[]"), Duration::from_millis(300)).await.0 });
    let watch = spin.abort_handle();
    let good = tokio::spawn(async move {
        for _ in 0..5 {
            let (report, _instance) = call_once(&component, action("bump", "[]"), LONG).await;
            assert_eq!(reply(&report), "42");
            tokio::task::yield_now().await;
        }
        assert!(!watch.is_finished(), "the good calls had to wait for the end of the other one");
    });
    good.await.unwrap();
    assert!(spin.await.unwrap().result.unwrap_err().0.is(&codes::ACTION_TIMED_OUT));
}

#[tokio::test]
async fn an_instance_whose_call_was_dropped_is_not_used_again() {
    let bench = engine();
    let component = bench.guest().await;
    let mut instance = component.instantiate(&InstanceLimits::default()).await.unwrap();
    let world = World::new();
    let dropped =
        tokio::time::timeout(Duration::from_millis(50), instance.call(world.scope(), action("slow", "[]"), LONG));
    assert!(dropped.await.is_err());
    assert!(!instance.is_usable());
    let report = instance.call(world.scope(), action("bump", "[]"), LONG).await;
    assert!(!report.usable);
    assert!(report.result.unwrap_err().0.is(&codes::CRASHED));
    drop(instance);
    let (report, _instance) = call_once(&component, action("bump", "[]"), LONG).await;
    assert_eq!(reply(&report), "42");
}

#[tokio::test]
async fn an_instance_that_needs_more_memory_than_it_may_have_does_not_start() {
    let bench = engine();
    let component = bench.guest().await;
    let limits = InstanceLimits { memory_bytes_max: 64 << 10, ..InstanceLimits::default() };
    let failure = component.instantiate(&limits).await.err().unwrap();
    assert!(failure.is(&codes::LIMIT_MEMORY), "{failure:?}");
    assert_eq!(bench.engine.free_slots(component.tier()), 2);
}
