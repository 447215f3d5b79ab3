//! Storage on disk: fjall, a log-structured store with one journal for all spaces.
//!
//! A commit is one batch in the journal, flushed with `fdatasync` before it becomes visible to readers.
//! Invariant: no panic of the storage engine gets out of here, and after a failed commit nothing more is written.

use crate::folder::FolderLock;
use crate::journal;
use crate::{Entries, FORMAT_VERSION, Space, Storage, StorageError, Write};
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use parking_lot::Mutex;
use std::fs::{self, File};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Below the data folder: what belongs to the storage engine alone.
const STORE_FOLDER: &str = "store";
/// Below the data folder: a store that is being made. One that was left there was never finished, and nothing is in it.
const UNFINISHED_FOLDER: &str = "store.new";
/// In [`Space::Host`]: the version of the layout, as decimal text.
const FORMAT_KEY: &[u8] = b"storage/format";
/// In [`Space::Host`]: the number of the journal that the last start closed.
const JOURNAL_KEY: &[u8] = b"storage/journal";

/// How much memory and how many files the store may use.
#[derive(Debug, Clone)]
pub struct FjallOptions {
    /// Bytes of blocks that are kept in memory for reading.
    pub cache_bytes: u64,
    /// Files that are kept open at a time, so that sockets find descriptors too. At least 10.
    pub open_files_max: usize,
    /// Bytes of the journal, which is what a restart reads again. The store can't do with less than 64 MiB.
    pub journal_bytes_max: u64,
    /// Bytes of fresh writes of the actors that are kept in memory before they go into a sorted file; the other spaces have a quarter each.
    pub memtable_bytes: u64,
    /// Threads that sort in the background.
    pub worker_threads: usize,
}

impl Default for FjallOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            open_files_max: 256,
            journal_bytes_max: Self::JOURNAL_BYTES_MIN,
            memtable_bytes: 16 << 20,
            worker_threads: 2,
        }
    }
}

impl FjallOptions {
    /// The smallest journal.
    pub const JOURNAL_BYTES_MIN: u64 = 64 << 20;
    const OPEN_FILES_MIN: usize = 10;
    const MEMTABLE_BYTES_MIN: u64 = 1 << 20;

    fn memtable_bytes_of(&self, space: Space) -> u64 {
        let share = if space == Space::Actors { 1 } else { 4 };
        (self.memtable_bytes / share).max(Self::MEMTABLE_BYTES_MIN)
    }
}

/// Storage on disk.
pub struct FjallStorage {
    // Fields are dropped in this order: the lock on the folder goes last.
    keyspaces: [Keyspace; Space::ALL.len()],
    database: Database,
    folder: PathBuf,
    /// One commit at a time; holds the error of the first one that failed.
    failed: Mutex<Option<StorageError>>,
    _lock: FolderLock,
}

impl FjallStorage {
    /// Opens the data folder, or makes it. All that was committed is there, and nothing of a commit that was cut off.
    pub fn open(folder: &Path, options: FjallOptions) -> Result<Self, StorageError> {
        let lock = FolderLock::take(folder)?;
        let store = folder.join(STORE_FOLDER);
        if !store.exists() {
            make_store(folder, &options)?;
        }
        let replayed = journal::check_all(&store)?;
        let (database, keyspaces) = guarded(folder, || open_store(&store, &options))??;
        let storage = Self { keyspaces, database, folder: folder.to_owned(), failed: Mutex::new(None), _lock: lock };
        // Before anything is written: a newer host's folder must stay as it is.
        storage.check_format()?;
        if let Some(replayed) = replayed
            && journal::newest(&store)?.is_some_and(|newest| newest == replayed)
        {
            storage.begin_new_journal(&replayed)?;
        }
        Ok(storage)
    }

    /// Bytes on disk, journal included.
    pub fn disk_bytes(&self) -> Result<u64, StorageError> {
        self.run(|| self.database.disk_space())
    }

    fn begin_new_journal(&self, replayed: &journal::JournalFile) -> Result<(), StorageError> {
        let host = self.keyspace(Space::Host);
        guarded(&self.folder, || journal::begin_new(&self.database, &self.keyspaces, host, JOURNAL_KEY, replayed))?
    }

    fn check_format(&self) -> Result<(), StorageError> {
        let Some(found) = self.get(Space::Host, FORMAT_KEY)? else {
            return self.commit(&[Write::put(Space::Host, FORMAT_KEY, FORMAT_VERSION.to_string())]);
        };
        let text = String::from_utf8_lossy(&found);
        match text.parse::<u32>() {
            Ok(version) if (1..=FORMAT_VERSION).contains(&version) => Ok(()),
            Ok(version) if version > FORMAT_VERSION => Err(StorageError::Format(format!(
                "The data folder {} has format {version}, and this host knows formats up to {FORMAT_VERSION}. Use the newer host that wrote it.",
                self.folder.display()
            ))),
            _ => Err(StorageError::Format(format!(
                "The data folder {} has the unknown format {text:?}. Use the host that wrote it, or restore it from a backup.",
                self.folder.display()
            ))),
        }
    }

    fn keyspace(&self, space: Space) -> &Keyspace {
        &self.keyspaces[space.index()]
    }

    fn run<T>(&self, action: impl FnOnce() -> fjall::Result<T>) -> Result<T, StorageError> {
        guarded(&self.folder, action)?.map_err(|error| StorageError::from_fjall(&error, &self.folder))
    }

    fn write(&self, groups: &[&[Write]]) -> fjall::Result<()> {
        let count = groups.iter().map(|group| group.len()).sum();
        let mut batch =
            fjall::OwnedWriteBatch::with_capacity(self.database.clone(), count).durability(Some(PersistMode::SyncData));
        for write in groups.iter().copied().flatten() {
            let keyspace = self.keyspace(write.space);
            match &write.value {
                Some(value) => batch.insert(keyspace, write.key.clone(), value.clone()),
                None => batch.remove(keyspace, write.key.clone()),
            }
        }
        batch.commit()
    }
}

/// Runs something of the storage engine; a panic becomes an error.
fn guarded<T>(folder: &Path, action: impl FnOnce() -> T) -> Result<T, StorageError> {
    catch_unwind(AssertUnwindSafe(action)).map_err(|panic| StorageError::from_panic(&*panic, folder))
}

/// Makes an empty store beside its place and moves it there when it is whole, because the store can't be opened again after it was
/// made in part: by a host that was killed, or found no space.
fn make_store(folder: &Path, options: &FjallOptions) -> Result<(), StorageError> {
    let unfinished = folder.join(UNFINISHED_FOLDER);
    let failed = |error| StorageError::from_io(&error, &unfinished);
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(failed)?;
    }
    guarded(folder, || open_store(&unfinished, options).map(drop))??;
    fs::rename(&unfinished, folder.join(STORE_FOLDER)).map_err(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn open_store(folder: &Path, options: &FjallOptions) -> Result<(Database, [Keyspace; Space::ALL.len()]), StorageError> {
    let database = Database::builder(folder)
        .cache_size(options.cache_bytes)
        .max_cached_files(Some(options.open_files_max.max(FjallOptions::OPEN_FILES_MIN)))
        .max_journaling_size(options.journal_bytes_max.max(FjallOptions::JOURNAL_BYTES_MIN))
        .worker_threads(options.worker_threads.max(1))
        .manual_journal_persist(true)
        .open()
        .map_err(|error| StorageError::from_fjall(&error, folder))?;
    let open = |space: Space| {
        let settings = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(options.memtable_bytes_of(space))
                .manual_journal_persist(true)
        };
        database.keyspace(name_on_disk(space), settings).map_err(|error| StorageError::from_fjall(&error, folder))
    };
    let [actors, directory, alarms, host, spool] = Space::ALL;
    let keyspaces = [open(actors)?, open(directory)?, open(alarms)?, open(host)?, open(spool)?];
    Ok((database, keyspaces))
}

/// These names are part of the format.
fn name_on_disk(space: Space) -> &'static str {
    match space {
        Space::Actors => "actors",
        Space::Directory => "directory",
        Space::Alarms => "alarms",
        Space::Host => "host",
        Space::Spool => "spool",
    }
}

impl Storage for FjallStorage {
    fn commit_groups(&self, groups: &[&[Write]]) -> Result<(), StorageError> {
        groups.iter().copied().flatten().try_for_each(Write::check)?;
        let mut failed = self.failed.lock();
        if let Some(error) = &*failed {
            return Err(error.clone());
        }
        if groups.iter().all(|group| group.is_empty()) {
            return Ok(());
        }
        self.run(|| self.write(groups)).inspect_err(|error| *failed = Some(error.clone()))
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.run(|| Ok(self.keyspace(space).get(key)?.map(Bytes::from)))
    }

    fn scan(
        &self,
        space: Space,
        start: &[u8],
        end: Option<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Entries, StorageError> {
        if limit == 0 || end.is_some_and(|end| end <= start) {
            return Ok(Entries::new());
        }
        let bounds = (Bound::Included(start), end.map_or(Bound::Unbounded, Bound::Excluded));
        self.run(|| {
            // A snapshot, because a plain range may see a commit that is just being applied in part.
            let range = self.database.snapshot().range::<&[u8], _>(self.keyspace(space), bounds);
            let entry =
                |guard: fjall::Guard| guard.into_inner().map(|(key, value)| (Bytes::from(key), Bytes::from(value)));
            if reverse { range.rev().take(limit).map(entry).collect() } else { range.take(limit).map(entry).collect() }
        })
    }
}
