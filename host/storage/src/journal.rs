//! Gives each start a journal file of its own.
//!
//! The store makes a journal file with its full length, so that a commit overwrites and a flush touches data alone. After a
//! restart, however, it cuts the old file after its last commit and appends to it: then every flush also writes the file's new
//! length through the file system's own journal, which costs half as much again (169 against 109 us here). So the old
//! file is closed and a new one begun, by the store's own rule: a journal of more than 64 MB is changed when a memtable is
//! written out. The old file is given that length as a hole; recovery stops at the hole and cuts it off.
//!
//! Invariants: no commit of a caller is written behind the hole, since [`begin_new`] returns only when the new file is there, and
//! the storage is not handed out otherwise; a crash at any point in between leaves all commits readable.
//! Deliberately absent: what is in a journal (`journal_check` knows). That the rule holds is tested; the store's version is pinned.

use crate::StorageError;
use crate::journal_check::{self, Finding};
use fjall::{Database, Keyspace, PersistMode};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const EXTENSION: &str = "jnl";
/// The store changes a journal that is longer than 64,000,000 bytes.
pub(crate) const LENGTH_FOR_CHANGE_BYTES: u64 = 65_000_000;
/// How long the store may take to change it; the background threads may have to write out what was replayed first.
const CHANGE_TIME_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(1);

/// A journal file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JournalFile {
    number: u64,
    path: PathBuf,
}

/// The newest journal below a folder of the store; `None` when there is none, or no folder yet.
pub(crate) fn newest(store: &Path) -> Result<Option<JournalFile>, StorageError> {
    Ok(all(store)?.pop())
}

/// The journals below a folder of the store, oldest first.
fn all(store: &Path) -> Result<Vec<JournalFile>, StorageError> {
    let failed = |error: io::Error| StorageError::from_io(&error, store);
    let entries = match fs::read_dir(store) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut journals = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        if let Some(number) = name.filter(|_| path.extension().is_some_and(|extension| extension == EXTENSION)) {
            journals.push(JournalFile { number, path });
        }
    }
    journals.sort_unstable_by_key(|journal: &JournalFile| journal.number);
    Ok(journals)
}

/// Cuts off a last commit that was never finished; refuses journals that are damaged before that. Returns the newest.
pub(crate) fn check_all(store: &Path) -> Result<Option<JournalFile>, StorageError> {
    let mut journals = all(store)?;
    for journal in &journals {
        let path = &journal.path;
        match journal_check::check(path).map_err(|error| StorageError::from_io(&error, path))? {
            Finding::Whole => {}
            Finding::CutOff(bytes) => {
                tracing::info!(path = %path.display(), bytes, "cut off what followed the last whole commit of a journal");
            }
            Finding::Damaged(position) => {
                let what = format!("a commit at byte {position} is damaged, and whole ones follow");
                return Err(StorageError::corrupt(path.display(), &what));
            }
        }
    }
    Ok(journals.pop())
}

/// Closes `old`, the journal that the store has just replayed, and begins a new one. `mark` is a key of the keyspace `host` that
/// this may write to.
pub(crate) fn begin_new(
    database: &Database,
    keyspaces: &[Keyspace],
    host: &Keyspace,
    mark: &'static [u8],
    old: &JournalFile,
) -> Result<(), StorageError> {
    let store = old.path.parent().unwrap_or(&old.path);
    let engine = |error: fjall::Error| StorageError::from_fjall(&error, store);
    lengthen(&old.path).map_err(|error| StorageError::from_io(&error, &old.path))?;
    // The store learns the file's length with a write of its own.
    let mut batch = database.batch().durability(Some(PersistMode::SyncData));
    batch.insert(host, mark, old.number.to_string().into_bytes());
    batch.commit().map_err(engine)?;
    // All of them, so that the old file has no use any more and the next start need not replay it.
    for keyspace in keyspaces {
        keyspace.rotate_memtable().map_err(engine)?;
    }
    let began = Instant::now();
    while newest(store)?.is_none_or(|newest| newest.number <= old.number) {
        if began.elapsed() > CHANGE_TIME_MAX {
            return Err(StorageError::Io(format!(
                "{}: the store did not begin a new journal within {CHANGE_TIME_MAX:?}. Check that the disk has space and works, then start the host again.",
                store.display()
            )));
        }
        std::thread::sleep(POLL);
    }
    // Waits for the one who changes the file, and fails if that went wrong.
    database.persist(PersistMode::SyncData).map_err(engine)
}

fn lengthen(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    if file.metadata()?.len() < LENGTH_FOR_CHANGE_BYTES {
        file.set_len(LENGTH_FOR_CHANGE_BYTES)?;
    }
    Ok(())
}
