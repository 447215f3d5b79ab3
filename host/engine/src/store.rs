//! Storage together with its committer, replaced as one when storage has failed.

use bytes::Bytes;
use growqr_storage::{CommitDone, CommitRequest, CommitStats, Committer, Entries, Space, Storage, StorageError, Write};
use growqr_types::{Failure, codes};
use parking_lot::RwLock;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

/// Opens storage: at start, and again after it has failed.
pub type Opener = Box<dyn Fn() -> Result<Arc<dyn Storage>, StorageError> + Send + Sync>;

/// Waits between two attempts to open storage again.
const REOPEN_PAUSE: Duration = Duration::from_millis(500);

/// Starts the committer of storage that was opened.
pub type CommitterStart = Box<dyn Fn(Arc<dyn Storage>) -> Committer + Send + Sync>;

struct Open {
    storage: Arc<dyn Storage>,
    committer: Committer,
}

/// See the module's documentation. While storage is being opened anew, everything is refused.
pub struct Store {
    opener: Opener,
    committer: CommitterStart,
    open: RwLock<Option<Arc<Open>>>,
}

impl Store {
    /// Opens storage.
    pub fn open(opener: Opener, committer: CommitterStart) -> Result<Self, StorageError> {
        let open = Self::fresh(&opener, &committer)?;
        Ok(Self { opener, committer, open: RwLock::new(Some(open)) })
    }

    fn fresh(opener: &Opener, committer: &CommitterStart) -> Result<Arc<Open>, StorageError> {
        let storage = opener()?;
        let committer = committer(storage.clone());
        Ok(Arc::new(Open { storage, committer }))
    }

    fn current(&self) -> Result<Arc<Open>, StorageError> {
        self.open.read().clone().ok_or_else(|| StorageError::Refused("storage is being opened anew".to_owned()))
    }

    /// The value of a key.
    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.current()?.storage.get(space, key)
    }

    /// Entries in key order.
    pub fn scan(&self, space: Space, start: &[u8], end: Option<&[u8]>, limit: usize) -> Result<Entries, StorageError> {
        self.current()?.storage.scan(space, start, end, limit, false)
    }

    /// The greatest key of a space.
    pub fn last_key(&self, space: Space) -> Result<Option<Bytes>, StorageError> {
        let found = self.current()?.storage.scan(space, &[0], None, 1, true)?;
        Ok(found.into_iter().next().map(|(key, _)| key))
    }

    /// Submits writes; `done` hears how it ended.
    pub fn submit(&self, writes: Vec<Write>, done: CommitDone) {
        match self.current() {
            Ok(open) => open.committer.submit(CommitRequest { writes, done }),
            Err(error) => match done {
                CommitDone::Call(function) => function(Err(error)),
                CommitDone::Ticket(listener, ticket) => listener.committed(ticket, Err(error)),
            },
        }
    }

    /// Submits writes and waits until they are durable.
    pub async fn commit(&self, writes: Vec<Write>) -> Result<(), StorageError> {
        let (tell, told) = oneshot::channel();
        self.submit(writes, CommitDone::call(move |result| drop(tell.send(result))));
        told.await.unwrap_or_else(|_| Err(StorageError::Io("the committer ended".to_owned())))
    }

    /// The error of the first commit that failed, if one did.
    pub fn failed(&self) -> Option<StorageError> {
        self.open.read().as_ref().and_then(|open| open.committer.failed())
    }

    /// Why nothing can be committed at the moment: storage has failed, is being opened anew, or was closed.
    pub fn problem(&self) -> Option<StorageError> {
        match self.current() {
            Ok(open) => open.committer.failed(),
            Err(error) => Some(error),
        }
    }

    /// Requests that the committer has not answered.
    pub fn unanswered(&self) -> usize {
        self.open.read().as_ref().map_or(0, |open| open.committer.unanswered())
    }

    /// Counts of the committer.
    pub fn stats(&self) -> CommitStats {
        self.open.read().as_ref().map(|open| open.committer.stats()).unwrap_or_default()
    }

    /// Closes failed storage and opens it anew, however often that takes. Nothing is acknowledged in between.
    pub async fn reopen(self: &Arc<Self>) {
        let old = self.open.write().take();
        drop(old);
        let mut told = None;
        loop {
            match self.open_beside().await {
                Ok(Ok(open)) => {
                    *self.open.write() = Some(open);
                    return;
                }
                // The same reason may stay for hours, until the operator has freed some space.
                Ok(Err(error)) if told.as_ref() == Some(&error) => {
                    tracing::debug!(%error, "storage still can't be opened anew");
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "storage can't be opened anew; trying again until it can");
                    told = Some(error);
                }
                Err(error) => tracing::error!(%error, "opening storage panicked; trying again"),
            }
            tokio::time::sleep(REOPEN_PAUSE).await;
        }
    }

    /// Opens storage without holding up others. A runtime of one thread has nobody to hold up: there it is done in place, so that a
    /// simulated run does not depend on how fast another thread is.
    async fn open_beside(self: &Arc<Self>) -> Result<Result<Arc<Open>, StorageError>, String> {
        let store = self.clone();
        let open = move || Self::fresh(&store.opener, &store.committer);
        if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            return catch_unwind(AssertUnwindSafe(open)).map_err(|_| "it panicked".to_owned());
        }
        tokio::task::spawn_blocking(open).await.map_err(|error| error.to_string())
    }

    /// Finishes what waits and closes storage.
    pub fn close(&self) {
        if let Some(open) = self.open.write().take() {
            open.committer.stop();
        }
    }
}

/// What a caller is told about storage that can't be read.
pub fn unreadable(error: &StorageError) -> Failure {
    if error.is_refusal() {
        // Every request meets this until storage is open again; the reason was logged when it failed.
        tracing::debug!(%error, "storage can't be read now");
        return codes::RESTARTING.with("The host's storage failed and is being opened anew; try again.");
    }
    tracing::error!(%error, "storage can't be read");
    codes::INTERNAL.failure()
}
