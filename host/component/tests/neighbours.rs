//! Guests that compute without end beside one that does not, on one thread.

#![allow(clippy::unwrap_used)]

mod support;

use growqr_component::{CompilerCommand, InstanceLimits};
use growqr_turn::Answer;
use growqr_turn::Outcome;
use growqr_types::codes;
use std::time::{Duration, Instant};
use support::*;

/// Guests that never end.
const SPINNING: usize = 24;
/// How long they are let.
const DEADLINE: Duration = Duration::from_millis(1500);
/// The neighbour gets at least one in so many of the turns that it gets alone. Without a bound on long computations it is one in hundreds:
/// each of its turns waits for a tick of every spinning guest.
const SHARE_MIN: u64 = 10;

#[tokio::test]
async fn guests_that_compute_without_end_leave_their_neighbour_its_thread() {
    let compiler = CompilerCommand { program: env!("CARGO_BIN_EXE_growqr-test-compiler").into(), args: Vec::new() };
    let bench = bench(SPINNING + 1, compiler);
    let component = bench.guest().await;
    let limits = InstanceLimits::default();
    let mut good = Box::new(component.instantiate(&limits).await.unwrap());
    let mut turns = [0, 0];
    let mut spinning = Vec::new();
    for loud in [false, true] {
        if loud {
            for _ in 0..SPINNING {
                let bad = Box::new(component.instantiate(&limits).await.unwrap());
                spinning.push(tokio::spawn(bad.turn(World::new().scope(), action("loop", "[]"), DEADLINE)));
            }
        }
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            let (instance, report) = good.turn(World::new().scope(), action("nothing", "[]"), LONG).await;
            assert_eq!(report.result, Ok(Answer::Outcome(Outcome::Done)));
            good = instance.unwrap();
            turns[usize::from(loud)] += 1;
            tokio::task::yield_now().await;
        }
    }
    for bad in spinning {
        let (_, report) = bad.await.unwrap();
        let failure = report.result.unwrap_err().0;
        assert!(failure.is(&codes::ACTION_TIMED_OUT), "{failure:?}");
    }
    assert!(bench.engine.long_computations() >= SPINNING as u64, "{}", bench.engine.long_computations());
    let [quiet, loud] = turns;
    println!("{quiet} turns alone, {loud} beside {SPINNING} that compute without end");
    assert!(loud * SHARE_MIN >= quiet, "{loud} turns beside {SPINNING} that compute without end, {quiet} alone");
}
