//! Users are recorded on first sight.
//!
//! Whoever is seen for the first time goes into a queue, and a task writes the queue into the store. No request waits for that.
//!
//! Invariant: while a user is remembered, the store is told once, however many requests come at the same time. Memory and queue are
//! bounded; a user who finds the queue full is recorded on a later request.
//! Deliberately absent: any decision. A user who is not recorded yet may do everything.

use crate::StoreError;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Users that are remembered. The memory has two halves; when one is full, the other is forgotten.
pub const REMEMBERED_MAX: usize = 200_000;
/// Users that wait to be written.
pub const QUEUE_MAX: usize = 10_000;
/// Users that are written at a time.
const BATCH_MAX: usize = 500;
/// A user is recorded again after this time, so that the store knows who still comes.
pub const SEEN_AGAIN_MS: u64 = 60 * 60 * 1000;
/// The pause after a failed attempt, doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A user who was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The user.
    pub user: Arc<str>,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// Where users are recorded.
pub trait UserSink: Send + Sync {
    /// Records users. Doing it again changes nothing but the time at which they were seen last.
    fn record<'a>(&'a self, users: &'a [Seen]) -> BoxFuture<'a, Result<(), StoreError>>;
}

#[derive(Default)]
struct Memory {
    recent: HashMap<Arc<str>, u64>,
    older: HashMap<Arc<str>, u64>,
}

impl Memory {
    /// When a user was recorded last; a user that is asked for is remembered for longer.
    fn get(&mut self, user: &str) -> Option<u64> {
        if let Some(at) = self.recent.get(user) {
            return Some(*at);
        }
        let (user, at) = self.older.remove_entry(user)?;
        self.insert(user, at);
        Some(at)
    }

    fn insert(&mut self, user: Arc<str>, at_ms: u64) {
        if self.recent.len() >= REMEMBERED_MAX / 2 {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(user, at_ms);
    }
}

/// See the module's documentation.
pub struct Users {
    memory: Mutex<Memory>,
    queue: mpsc::Sender<Seen>,
}

/// What writes the queue into the store.
pub struct Recorder {
    queue: mpsc::Receiver<Seen>,
    sink: Arc<dyn UserSink>,
}

impl Users {
    /// Users that are recorded here, and the task that does it.
    pub fn new(sink: Arc<dyn UserSink>) -> (Self, Recorder) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        (Self { memory: Mutex::default(), queue: sender }, Recorder { queue: receiver, sink })
    }

    /// A verified request of this user came. Never waits.
    pub fn seen(&self, user: &Arc<str>, now_ms: u64) {
        let mut memory = self.memory.lock();
        if memory.get(user).is_some_and(|at| now_ms.saturating_sub(at) < SEEN_AGAIN_MS) {
            return;
        }
        // Under the lock, so that only the first of many requests gets here.
        match self.queue.try_send(Seen { user: user.clone(), at_ms: now_ms }) {
            Ok(()) => memory.insert(user.clone(), now_ms),
            Err(_) => tracing::debug!("the queue of new users is full; this one is recorded later"),
        }
    }
}

impl Recorder {
    /// Writes users until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            let received = stop.run_until_cancelled(self.queue.recv_many(&mut batch, BATCH_MAX)).await;
            if received.is_none_or(|count| count == 0) {
                return;
            }
            if stop.run_until_cancelled(self.write(&batch)).await.is_none() {
                tracing::warn!(
                    users = batch.len(),
                    "some users were seen and are not recorded; they will be on their next request"
                );
                return;
            }
            batch.clear();
        }
    }

    async fn write(&self, batch: &[Seen]) {
        let mut pause = PAUSE_MIN;
        while let Err(error) = self.sink.record(batch).await {
            tracing::warn!(%error, users = batch.len(), "users can't be recorded now");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}
