//! Durable ordered bytes: commit, get, scan.
//!
//! [`Storage`] is the three-call trait; [`FjallStorage`] keeps it on disk, [`MemoryStorage`] keeps it in memory for tests and the
//! simulator, with faults on demand. [`Committer`] stands between all actors and one storage: it groups what waits into one commit
//! with one fsync, and answers in the order of submission.
//!
//! Invariants: a commit is all or nothing, and what was answered with `Ok` is on disk. After the first failed commit nothing is
//! acknowledged any more until storage was opened anew, because a failed fsync leaves the state of the disk unknown.
//! Deliberately absent: the meaning of keys and values (the engine's), transactions with reads, and retries after a failed commit.

mod committer;
mod error;
mod fjall_storage;
mod folder;
#[doc(hidden)]
pub mod fuzzing;
mod journal;
mod journal_check;
mod memory;
mod meters;
mod sectors;
mod stats;

pub use committer::{CommitDone, CommitListener, CommitRequest, Committed, Committer, ManualCommitter};
pub use error::StorageError;
pub use fjall_storage::{FjallOptions, FjallStorage};
pub use memory::{Fault, Gate, MemoryStorage};
pub use stats::CommitStats;

use bytes::Bytes;

/// The version of the layout on disk that this code writes, and the newest that it can read.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes of a key. The engine's keys are far shorter; this is what the format can hold.
pub const STORAGE_KEY_BYTES_MAX: usize = u16::MAX as usize;
/// Bytes of a value.
pub const STORAGE_VALUE_BYTES_MAX: usize = 64 << 20;

/// Separate ordered key spaces. One commit may write to several of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum Space {
    /// The actors' own keys.
    Actors,
    /// Which actors exist.
    Directory,
    /// Alarms by time.
    Alarms,
    /// The host's own records. Keys that start with `storage/` belong to this crate.
    Host,
    /// Rows that wait for the database.
    Spool,
}

impl Space {
    /// All of them, in the order of [`Space::index`].
    pub const ALL: [Self; 5] = [Self::Actors, Self::Directory, Self::Alarms, Self::Host, Self::Spool];

    /// Position in [`Space::ALL`].
    pub fn index(self) -> usize {
        match self {
            Self::Actors => 0,
            Self::Directory => 1,
            Self::Alarms => 2,
            Self::Host => 3,
            Self::Spool => 4,
        }
    }
}

/// One write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// Where.
    pub space: Space,
    /// Key: 1 byte at least, [`STORAGE_KEY_BYTES_MAX`] at most.
    pub key: Bytes,
    /// Value; `None` deletes the key.
    pub value: Option<Bytes>,
}

impl Write {
    /// Sets a key.
    pub fn put(space: Space, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { space, key: key.into(), value: Some(value.into()) }
    }

    /// Deletes a key.
    pub fn delete(space: Space, key: impl Into<Bytes>) -> Self {
        Self { space, key: key.into(), value: None }
    }

    /// Bytes of key and value.
    pub fn len(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }

    /// Whether key and value are empty, which no valid write is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether storage can hold it. A write that it can't hold is refused before anything is written.
    pub fn check(&self) -> Result<(), StorageError> {
        if self.key.is_empty() {
            return Err(StorageError::Refused("a key must not be empty".into()));
        }
        if self.key.len() > STORAGE_KEY_BYTES_MAX {
            let length = self.key.len();
            return Err(StorageError::Refused(format!(
                "a key of {length} bytes is too long; {STORAGE_KEY_BYTES_MAX} is the limit"
            )));
        }
        match &self.value {
            Some(value) if value.len() > STORAGE_VALUE_BYTES_MAX => Err(StorageError::Refused(format!(
                "a value of {} bytes is too large; {STORAGE_VALUE_BYTES_MAX} is the limit",
                value.len()
            ))),
            _ => Ok(()),
        }
    }
}

/// Keys and values in key order.
pub type Entries = Vec<(Bytes, Bytes)>;

/// Durable ordered bytes. Calls block the thread; `get` and `scan` for microseconds, `commit` for a disk flush.
pub trait Storage: Send + Sync + 'static {
    /// Like [`Storage::commit`], for writes that lie in several places; one atomic commit, in that order.
    fn commit_groups(&self, groups: &[&[Write]]) -> Result<(), StorageError>;

    /// Makes all writes durable, atomically. When a key is written twice the last one counts.
    ///
    /// [`StorageError::Refused`] means that certainly nothing was written. Any other error means that it is unknown whether the
    /// writes are on disk; the handle must not be used for writing any more, and refuses it.
    fn commit(&self, writes: &[Write]) -> Result<(), StorageError> {
        self.commit_groups(&[writes])
    }

    /// The value of a key as of the last commit that returned.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// At most `limit` entries with `start <= key < end` (`None`: no upper bound), in key order, or from the end if `reverse`.
    /// The entries are one consistent state: a commit is seen whole or not at all.
    fn scan(
        &self,
        space: Space,
        start: &[u8],
        end: Option<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Entries, StorageError>;
}
