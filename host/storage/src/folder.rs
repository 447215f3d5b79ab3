//! The data folder: created when missing, and owned by one host at a time.
//!
//! Invariant: while a [`FolderLock`] lives no other process, and no other handle of this one, gets the same folder.

use crate::StorageError;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

const LOCK_FILE: &str = "growqr.lock";
/// Bytes that are read of the lock file; it holds one process id.
const HOLDER_BYTES_MAX: u64 = 32;

/// The lock on a data folder. The operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Creates the folder if it is missing, and takes it.
    pub(crate) fn take(folder: &Path) -> Result<Self, StorageError> {
        fs::create_dir_all(folder).map_err(|error| StorageError::from_io(&error, folder))?;
        let path = folder.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| StorageError::from_io(&error, &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let readable = file.take(HOLDER_BYTES_MAX).read_to_string(&mut holder).is_ok();
                let holder = holder.trim();
                return Err(StorageError::locked(folder, (readable && !holder.is_empty()).then_some(holder)));
            }
            Err(TryLockError::Error(error)) => return Err(StorageError::from_io(&error, &path)),
        }
        // The id is only for the message above; failing to note it is no reason to stop.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}
