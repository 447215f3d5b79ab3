//! What the machine allows the host, and how it is shared out.
//!
//! Invariant: what clients use up is never what storage needs. A commit that fails for want of a file handle would stop every actor,
//! while a client that waits hurts nobody else.

use anyhow::{Context, Result};
use growqr_storage::FjallOptions;

/// File handles that clients never get: what storage keeps open at the most, and some for everything else.
const FILES_RESERVED: usize = 512;
/// Open files when the system does not say how many there may be.
const FILES_UNKNOWN: u64 = 1024;
/// Storage keeps at most this share of the files open.
const STORAGE_SHARE: usize = 4;

/// How many files the host may have open at a time. Every socket is one.
#[derive(Clone, Copy)]
pub struct OpenFiles(usize);

impl OpenFiles {
    /// Raises the limit as far as the operator allows.
    pub fn raise() -> Self {
        let max = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
            tracing::warn!(%error, "the limit of open files can't be raised; many sockets may not find a place");
            FILES_UNKNOWN
        });
        tracing::debug!(max, "open files");
        Self(usize::try_from(max).unwrap_or(usize::MAX))
    }

    /// How many clients can be connected at a time, so that storage always finds a handle.
    pub fn connections_max(self) -> usize {
        self.0.saturating_sub(FILES_RESERVED).max(self.0 / 4).clamp(1, growqr_gateway::CONNECTIONS_MAX)
    }

    /// How storage is opened. Where files are scarce, it closes and opens them more often rather than take the clients' share.
    pub fn storage_options(self) -> FjallOptions {
        let options = FjallOptions::default();
        let open_files_max = options.open_files_max.min(self.0 / STORAGE_SHARE);
        FjallOptions { open_files_max, ..options }
    }
}

/// A file that may not grow further is an error of storage, and not the end of the process, which is what its signal does by itself.
/// Called within the asynchronous runtime.
pub fn outlive_file_limits() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // A handler stays when its listener is dropped, and its being there is all that is needed.
    signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop).context("no signal handler")
}

/// Memory of actors comes and goes in small pieces. In pages of 2 MiB, which the allocator asks for, the gaps between the pieces cost a
/// tenth of what an actor takes, and the host starts with twice the memory that it needs.
pub fn forbid_huge_pages() {
    // SAFETY: this option takes one number, reads no memory, and only says how later page faults of this process are served. The standard
    // library has no call for it. `the_host_takes_memory_in_small_pages` tests that it is in force.
    #[allow(unsafe_code)]
    let result = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    if result != 0 {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "large memory pages can't be turned off; the host takes some more memory");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_handles_for_storage() {
        for files in [0, 1, 64, 96, 256, 700, 1024, 20_000, usize::MAX] {
            let open = OpenFiles(files);
            let clients = open.connections_max();
            let left = files.saturating_sub(clients);
            assert!(clients == 1 || left >= FILES_RESERVED.min(files / 2), "{files}: {clients} clients");
            assert!(open.storage_options().open_files_max <= files / STORAGE_SHARE, "{files}");
        }
        assert_eq!(OpenFiles(20_000).connections_max(), 20_000 - FILES_RESERVED);
    }

    #[test]
    fn the_host_takes_memory_in_small_pages() {
        forbid_huge_pages();
        let status = std::fs::read_to_string("/proc/self/status").expect("a status");
        // Kernels before 5.0 do not say.
        assert!(!status.contains("THP_enabled:\t1"), "{status}");
    }
}
