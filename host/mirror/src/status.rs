//! What the mirror says about itself: in a file beside the data, which `growqr mirror status` reads, and as metrics.

use growqr_seam::SpoolLevel;
use growqr_types::TimestampMs;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file, below the data folder.
pub const STATUS_FILE: &str = "mirror.json";

/// What the mirror does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing has been tried yet.
    #[default]
    Starting,
    /// The database can't be reached or used; rows wait.
    Waiting,
    /// Rows are written as they come.
    Running,
    /// The host was stopped.
    Stopped,
}

/// What the mirror says about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MirrorStatus {
    /// What it does.
    pub phase: Phase,
    /// Rows that wait.
    pub lag_rows: u64,
    /// Bytes of them.
    pub lag_bytes: u64,
    /// Bytes that may wait before calls are refused.
    pub lag_bytes_max: u64,
    /// How old the oldest row is that waits. Seconds.
    pub lag_seconds: f64,
    /// Rows that were written since the host was started.
    pub rows: u64,
    /// Batches since then.
    pub batches: u64,
    /// Rows that were put aside since then.
    pub parked: u64,
    /// Rows since then that were too old to be kept as events.
    pub expired: u64,
    /// Attempts that failed since then.
    pub failures: u64,
    /// Why the last attempt failed, if it did.
    pub problem: Option<String>,
    /// When this was written.
    pub updated: TimestampMs,
    /// The host that wrote it.
    pub process: u32,
}

impl MirrorStatus {
    pub(crate) fn level(&mut self, level: SpoolLevel, oldest: Option<TimestampMs>, now: TimestampMs) {
        self.lag_rows = level.rows;
        self.lag_bytes = level.bytes;
        self.lag_bytes_max = level.bytes_max;
        let age = oldest.filter(|_| level.rows > 0).map_or(0, |oldest| now.saturating_sub(oldest));
        self.lag_seconds = age as f64 / 1000.0;
        metrics::gauge!("growqr_mirror_lag_rows").set(level.rows as f64);
        metrics::gauge!("growqr_mirror_lag_bytes").set(level.bytes as f64);
        metrics::gauge!("growqr_mirror_lag_bytes_max").set(level.bytes_max as f64);
        metrics::gauge!("growqr_mirror_lag_seconds").set(self.lag_seconds);
        metrics::gauge!("growqr_mirror_running").set(f64::from(u8::from(self.phase == Phase::Running)));
    }
}

/// Writes the file, whole or not at all.
pub(crate) fn write_status(folder: &Path, status: &MirrorStatus) -> std::io::Result<()> {
    let half = folder.join("mirror.json.tmp");
    std::fs::write(&half, serde_json::to_vec_pretty(status)?)?;
    std::fs::rename(half, folder.join(STATUS_FILE))
}

/// Reads the file of a data folder; none when no mirror has run there.
pub fn read_status(folder: &Path) -> std::io::Result<Option<MirrorStatus>> {
    match std::fs::read(folder.join(STATUS_FILE)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
