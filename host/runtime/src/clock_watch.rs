//! Notices that the clock was set.
//!
//! Actors wait for a moment of the clock with timers that count elapsed time. When somebody sets the clock, or the machine slept, the two
//! no longer agree: then all that wait are told to look again. One task does this for all of them, because an actor that looked by itself
//! would cost processor time for as long as it has nothing to do.
//!
//! Invariant: no actor waits longer than [`LOOK_INTERVAL`] for a moment that a jump of the clock has made the past.

use growqr_seam::Clock;
use growqr_types::TimestampMs;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

/// Time between two looks at the clock.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Milliseconds by which the clock may differ from the elapsed time before it counts as set. Slow corrections add up to it as well.
const DIFFERENCE_MAX_MS: u64 = 250;

/// Tells those who wait for a moment of the clock that it was set.
#[derive(Default)]
pub struct ClockWatch {
    jumps: Notify,
}

impl ClockWatch {
    /// Ends when the clock is set. Make this before reading the clock: a jump between the two is not missed then.
    pub fn jump(&self) -> Notified<'_> {
        self.jumps.notified()
    }

    /// Watches for ever.
    pub async fn run(&self, clock: &Clock) {
        let mut base: (TimestampMs, Instant) = (clock(), Instant::now());
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let now = (clock(), Instant::now());
            let elapsed = u64::try_from((now.1 - base.1).as_millis()).unwrap_or(u64::MAX);
            if now.0.abs_diff(base.0.saturating_add(elapsed)) > DIFFERENCE_MAX_MS {
                base = now;
                self.jumps.notify_waiters();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// Whether somebody who waits is told, when the clock is set by so much and runs by so much too fast in each second.
    async fn check(name: &str, set_ms: i64, drift_ms: i64, seconds: u64, told: bool) {
        let start = Instant::now();
        let offset = Arc::new(AtomicI64::new(0));
        let added = offset.clone();
        let clock: Clock = Arc::new(move || {
            let elapsed = i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX);
            (1_000_000_000 + elapsed + elapsed / 1000 * drift_ms + added.load(Ordering::Relaxed)).unsigned_abs()
        });
        let watch = ClockWatch::default();
        let run = watch.run(&clock);
        tokio::pin!(run);
        assert!(run.as_mut().now_or_never().is_none());
        let jump = watch.jump();
        tokio::pin!(jump);
        offset.store(set_ms, Ordering::Relaxed);
        let heard = tokio::select! {
            () = run => false,
            () = jump => true,
            () = tokio::time::sleep(Duration::from_secs(seconds)) => false,
        };
        assert_eq!(heard, told, "{name}");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_are_told_when_the_clock_is_set_and_not_otherwise() {
        check("a_clock_that_runs_evenly", 0, 0, 3600, false).await;
        check("set_forward", 5_000, 0, 2, true).await;
        check("set_back", -5_000, 0, 2, true).await;
        check("set_by_days", 2 * 86_400_000, 0, 2, true).await;
        check("set_by_a_little", 100, 0, 3600, false).await;
        check("a_slow_correction_is_told_when_it_has_added_up", 0, 1, 300, true).await;
        check("a_slow_correction_before_that", 0, 1, 200, false).await;
    }
}
