//! The clock that bounds how long a guest computes at a stretch.
//!
//! A thread ticks while guests run, and stands still when none has run for a while: a host whose actors are all idle uses no processor.
//!
//! Invariant: while a [`Running`] is held, ticks come. The start of a guest costs two atomic operations, and a wake-up of the thread only
//! when nothing has run for [`IDLE_TICKS_MAX`] ticks.
//! Deliberately absent: precision. A tick may come early or late; deadlines are compared with the real time.

use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

/// How often a guest that computes is looked at. It holds up others of its thread for as long.
const TICK: Duration = Duration::from_millis(2);
/// Ticks in a row at which no guest ran, until the thread stands still. A host that works at all should not wake it for each call.
const IDLE_TICKS_MAX: u32 = 500;

/// The ticking thread. It ends when this is dropped.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    still: AtomicBool,
    ended: AtomicBool,
}

/// A guest runs as long as this is held.
pub(crate) struct Running<'a>(&'a Shared);

impl Ticker {
    /// Starts the thread, which calls `tick`.
    pub(crate) fn start(tick: impl Fn() + Send + 'static) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new()
            .name("growqr-epoch".to_owned())
            .spawn({
                let shared = shared.clone();
                move || shared.run(&tick)
            })
            .context("the ticker thread can't be started")?;
        Ok(Self { thread: thread.thread().clone(), shared })
    }

    /// To be held while a guest runs.
    pub(crate) fn running(&self) -> Running<'_> {
        // The thread says that it stands still and then looks whether anything runs; here it is the other way round. Both are in one order
        // (`SeqCst`), so at least one of the two sees the other.
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.still.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn run(&self, tick: &impl Fn()) {
        let mut idle_ticks = 0;
        while !self.ended.load(Ordering::SeqCst) {
            if idle_ticks < IDLE_TICKS_MAX {
                std::thread::park_timeout(TICK);
                tick();
            } else {
                self.still.store(true, Ordering::SeqCst);
                while self.running.load(Ordering::SeqCst) == 0 && !self.ended.load(Ordering::SeqCst) {
                    std::thread::park();
                }
                self.still.store(false, Ordering::SeqCst);
            }
            idle_ticks = if self.running.load(Ordering::SeqCst) == 0 { idle_ticks + 1 } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::time::Instant;

    /// How long the test waits for what must come.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn until(what: &str, condition: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < end, "{what} did not come");
            std::thread::yield_now();
        }
    }

    #[test]
    fn it_ticks_while_a_guest_runs_and_stands_still_otherwise() {
        let ticks = Arc::new(AtomicU64::new(0));
        let ticker = Ticker::start({
            let ticks = ticks.clone();
            move || {
                ticks.fetch_add(1, Ordering::SeqCst);
            }
        })
        .expect("a thread");
        for round in 0..3 {
            let running = ticker.running();
            let before = ticks.load(Ordering::SeqCst);
            until("ticks", || ticks.load(Ordering::SeqCst) > before + 2);
            drop(running);
            until("the end of ticks", || ticker.shared.still.load(Ordering::SeqCst));
            let still = ticks.load(Ordering::SeqCst);
            std::thread::sleep(TICK * 3);
            assert_eq!(ticks.load(Ordering::SeqCst), still, "round {round}");
        }
        let shared = Arc::downgrade(&ticker.shared);
        drop(ticker);
        until("the end of the thread", || shared.upgrade().is_none());
    }
}
