//! What can go wrong with storage, in words that say what to do.

use std::io;
use std::path::Path;

/// What the system says when this process, or all together, have no file handle left.
const OUT_OF_FILES: [i32; 2] = [rustix::io::Errno::MFILE.raw_os_error(), rustix::io::Errno::NFILE.raw_os_error()];

/// An error of storage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The disk or the operating system failed.
    #[error("storage failed: {0}")]
    Io(String),
    /// What is on disk can't be what was written.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// Another host uses the data folder.
    #[error("{0}")]
    Locked(String),
    /// The data folder has a newer or unknown format.
    #[error("{0}")]
    Format(String),
    /// No space is left.
    #[error("the disk is full: {0}")]
    DiskFull(String),
    /// The data folder can't be written.
    #[error("the data folder can't be written: {0}")]
    ReadOnly(String),
    /// The request was not taken, and certainly nothing of it was written: the queue is full, the committer was stopped, or
    /// a key or value has an impossible size.
    #[error("the write was refused: {0}")]
    Refused(String),
}

impl StorageError {
    /// Whether certainly nothing was written, so that storage is still good.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    pub(crate) fn from_io(error: &io::Error, path: &Path) -> Self {
        let path = path.display();
        if error.raw_os_error().is_some_and(|code| OUT_OF_FILES.contains(&code)) {
            return Self::Io(format!(
                "{path}: {error}. Raise the limit of open files (ulimit -n), then start the host again."
            ));
        }
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(format!(
                "{path}: {error}. Give the user that runs the host write access, or choose another data folder."
            )),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull(format!("{path}: {error}. Free some space; a host that runs then goes on by itself."))
            }
            io::ErrorKind::FileTooLarge => Self::DiskFull(format!(
                "{path}: {error}. Raise the limit of file sizes (ulimit -f); a host that runs then goes on by itself."
            )),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::corrupt(path, &error),
            _ => Self::Io(format!("{path}: {error}. Check the disk, then start the host again.")),
        }
    }

    pub(crate) fn corrupt(path: impl std::fmt::Display, what: &dyn std::fmt::Display) -> Self {
        Self::Corrupt(format!(
            "{path}: {what}. Keep a copy of the folder, check the disk, and restore the data folder from a backup."
        ))
    }

    pub(crate) fn from_fjall(error: &fjall::Error, path: &Path) -> Self {
        let shown = path.display();
        match error {
            fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => Self::from_io(error, path),
            fjall::Error::Locked => Self::locked(path, None),
            fjall::Error::InvalidVersion(_) | fjall::Error::Storage(fjall::LsmError::InvalidVersion(_)) => {
                Self::Format(format!(
                    "{shown} was written in a format that this version can't read ({error}). Use the version that wrote it."
                ))
            }
            fjall::Error::Poisoned => Self::Io(format!(
                "{shown}: an earlier write in the background failed, so nothing more is written. Check that the disk has space and works, then start the host again."
            )),
            other => Self::corrupt(shown, other),
        }
    }

    pub(crate) fn locked(path: &Path, holder: Option<&str>) -> Self {
        let holder = holder.map(|process| format!(" (process {process})")).unwrap_or_default();
        Self::Locked(format!(
            "Another host{holder} uses the data folder {}. Stop it, or choose another data folder.",
            path.display()
        ))
    }

    /// A panic inside of the storage engine.
    pub(crate) fn from_panic(panic: &(dyn std::any::Any + Send), path: &Path) -> Self {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("unknown");
        Self::corrupt(path.display(), &format!("the storage engine gave up ({text})"))
    }
}
