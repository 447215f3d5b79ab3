//! What the committer counts for metrics. The handles are made once; without metrics they are empty.

use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};
use std::sync::LazyLock;

/// The committer's handles.
pub(crate) struct Meters {
    /// Commits, each with one fsync.
    pub(crate) commits: Counter,
    /// Commits that failed.
    pub(crate) failures: Counter,
    /// Turns that became durable together.
    pub(crate) turns: Histogram,
    /// Bytes of keys and values in one commit.
    pub(crate) bytes: Histogram,
    /// Time of one commit, fsync included.
    pub(crate) seconds: Histogram,
}

/// Made at the first use, which is after the program has decided whether there are metrics.
pub(crate) static METERS: LazyLock<Meters> = LazyLock::new(|| {
    describe_counter!("growqr_commits_total", "Commits to storage, each with one fsync.");
    describe_counter!("growqr_commit_failures_total", "Commits that failed; storage is opened anew after one.");
    describe_histogram!("growqr_commit_turns", "Turns that became durable in one commit.");
    describe_histogram!("growqr_commit_bytes", "Bytes of keys and values in one commit.");
    describe_histogram!("growqr_commit_seconds", "Time of one commit, fsync included.");
    Meters {
        commits: counter!("growqr_commits_total"),
        failures: counter!("growqr_commit_failures_total"),
        turns: histogram!("growqr_commit_turns"),
        bytes: histogram!("growqr_commit_bytes"),
        seconds: histogram!("growqr_commit_seconds"),
    }
});
