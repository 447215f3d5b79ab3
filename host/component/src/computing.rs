//! Where guests compute that are not done within a tick.
//!
//! A turn starts on the thread of its caller, because most turns are over in microseconds. One that still computes at a tick goes on in one
//! of a few places: threads of their own, half as many as processors, at a low priority. There the turns take turns, tick by tick. So
//! guests that compute without end take neither the threads nor the processors from the other actors; before there were such places, a
//! hundred of them made every other actor wait for 0.6 s.
//!
//! Invariant: a guest holds a thread of its caller for one tick at the most, and no more guests than there are places compute beyond that.
//! Deliberately absent: a queue with a bound. As many turns wait as there are live instances, and the deadline of each ends its wait.

use crate::engine::prepare_thread;
use anyhow::Context as _;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// How much lower the priority of the places is. It leaves them a tenth of a processor that everybody else wants too, so a long turn still
/// comes to its end on a busy machine.
const NICENESS: libc::c_int = 10;
/// The lowest priority that there is.
const NICENESS_MAX: libc::c_int = 19;
/// How long after its deadline the caller of a moved turn stops waiting for it. The turn ends itself at its deadline if it gets a processor.
const MOVED_GRACE: Duration = Duration::from_millis(100);
/// The name of the threads.
const THREAD_NAME: &str = "growqr-compute";

thread_local! {
    /// A guest that was polled on this thread has computed for a tick.
    static LONG: Cell<bool> = const { Cell::new(false) };
}

/// To be called when a guest computes at a tick, before it yields.
pub(crate) fn note_tick() {
    LONG.set(true);
}

/// The places.
pub(crate) struct Computing {
    // None only while it is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
    places: usize,
    moved: AtomicU64,
}

/// The work did not come to its end.
#[derive(Debug)]
pub(crate) enum Unfinished {
    /// It was not over a while after its deadline.
    Late,
    /// The host stops.
    Stopped,
}

impl Computing {
    /// Starts the threads.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let places = (processors / 2).max(1);
        let runtime = Builder::new_multi_thread()
            .worker_threads(places)
            .thread_name(THREAD_NAME)
            .enable_all()
            .on_thread_start(|| {
                lower_priority();
                prepare_thread();
            })
            .build()
            .context("the threads for long computations can't be started")?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime), places, moved: AtomicU64::new(0) })
    }

    /// How many guests can compute beyond a tick at a time.
    pub(crate) fn places(&self) -> usize {
        self.places
    }

    /// How many turns have gone to a place so far.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Runs work in which a guest may compute. Dropping the future ends the work. The work comes in a box, because it is large and would
    /// otherwise be a part of every actor's task.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        mut work: Pin<Box<impl Future<Output = T> + Send + 'static>>,
        until: Instant,
    ) -> Result<T, Unfinished> {
        let done = poll_fn(|context| {
            LONG.set(false);
            match work.as_mut().poll(context) {
                Poll::Ready(value) => Poll::Ready(Some(value)),
                Poll::Pending if LONG.get() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        if let Some(value) = done.await {
            return Ok(value);
        }
        self.moved.fetch_add(1, Ordering::Relaxed);
        let moved = AbortOnDropHandle::new(self.handle.spawn(work));
        match tokio::time::timeout_at((until + MOVED_GRACE).into(), moved).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Unfinished::Stopped),
            },
            Err(_) => Err(Unfinished::Late),
        }
    }
}

impl Drop for Computing {
    fn drop(&mut self) {
        // It may be dropped on a thread that must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lower_priority() {
    // SAFETY: the calls take numbers and touch no memory; on Linux the zero means the calling thread. The standard library has no
    // call for it. `the_places_have_a_low_priority` tests that it is in force.
    #[allow(unsafe_code)]
    let result = unsafe {
        let now = libc::getpriority(libc::PRIO_PROCESS, 0);
        libc::setpriority(libc::PRIO_PROCESS, 0, (now + NICENESS).min(NICENESS_MAX))
    };
    if result != 0 {
        tracing::warn!(error = %std::io::Error::last_os_error(), "the priority of long computations can't be lowered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    /// Where the calling thread's name and priority are seen.
    fn here() -> (Option<String>, libc::c_int) {
        // SAFETY: the call takes two numbers and touches no memory.
        #[allow(unsafe_code)]
        let niceness = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        (std::thread::current().name().map(str::to_owned), niceness)
    }

    #[tokio::test]
    async fn short_work_stays_where_it_is() {
        let computing = Computing::new().expect("places");
        let work = async {
            tokio::task::yield_now().await;
            std::thread::current().id()
        };
        assert_eq!(computing.run(Box::pin(work), soon()).await.ok(), Some(std::thread::current().id()));
        assert_eq!(computing.moved(), 0);
    }

    #[tokio::test]
    async fn the_places_have_a_low_priority() {
        let computing = Computing::new().expect("places");
        let (_, before) = here();
        let work = async {
            note_tick();
            tokio::task::yield_now().await;
            here()
        };
        let (name, niceness) = computing.run(Box::pin(work), soon()).await.expect("an end");
        assert_eq!(name.as_deref(), Some(THREAD_NAME));
        assert_eq!(niceness, (before + NICENESS).min(NICENESS_MAX));
        assert_eq!(computing.moved(), 1);
    }

    #[tokio::test]
    async fn no_more_compute_at_a_time_than_there_are_places_and_each_gets_its_turn() {
        let computing = Arc::new(Computing::new().expect("places"));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let all = (0..computing.places() * 8).map(|_| {
            let (computing, now, most) = (computing.clone(), now.clone(), most.clone());
            tokio::spawn(async move {
                let work = async move {
                    for _ in 0..20 {
                        note_tick();
                        tokio::task::yield_now().await;
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_micros(200));
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                };
                computing.run(Box::pin(work), soon()).await.expect("an end");
            })
        });
        for one in all.collect::<Vec<_>>() {
            one.await.expect("no panic");
        }
        assert!(most.load(Ordering::SeqCst) <= computing.places());
        assert_eq!(computing.moved(), computing.places() as u64 * 8);
    }

    #[tokio::test]
    async fn nobody_waits_long_for_work_that_is_late() {
        let computing = Computing::new().expect("places");
        let work = async {
            note_tick();
            tokio::task::yield_now().await;
            std::future::pending::<()>().await;
        };
        let result = computing.run(Box::pin(work), Instant::now()).await;
        assert!(matches!(result, Err(Unfinished::Late)), "{result:?}");
    }

    #[tokio::test]
    #[should_panic(expected = "in the work")]
    async fn a_panic_in_moved_work_reaches_the_caller() {
        let computing = Computing::new().expect("places");
        let work = async {
            note_tick();
            tokio::task::yield_now().await;
            panic!("in the work");
        };
        let _: Result<(), _> = computing.run(Box::pin(work), soon()).await;
    }
}
