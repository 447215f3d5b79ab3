//! What the committer has done so far, for metrics.

use std::time::Duration;

/// Counts since the committer was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitStats {
    /// Commits, each with one fsync.
    pub commits: u64,
    /// Requests that were answered, those without writes included.
    pub turns: u64,
    /// Bytes of keys and values in successful commits.
    pub bytes: u64,
    /// Requests that became durable in the largest commit.
    pub largest_group_turns: u64,
    /// Time that all commits took together, fsync included.
    pub commit_time_sum: Duration,
    /// Time that the slowest commit took.
    pub commit_time_max: Duration,
    /// Commits by their time: how many took at most as many microseconds as [`CommitStats::BUCKETS_US`] says at that position;
    /// the last one counts those that took longer. Each commit is counted once.
    pub commit_time_buckets: [u64; CommitStats::BUCKETS_US.len() + 1],
}

impl CommitStats {
    /// Upper bounds of the buckets, in microseconds.
    pub const BUCKETS_US: [u64; 10] = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 250_000, 1_000_000];

    pub(crate) fn count_commit(&mut self, turns: usize, bytes: usize, took: Duration) {
        self.commits += 1;
        self.bytes += bytes as u64;
        self.largest_group_turns = self.largest_group_turns.max(turns as u64);
        self.commit_time_sum += took;
        self.commit_time_max = self.commit_time_max.max(took);
        let micros = took.as_micros();
        let bucket = Self::BUCKETS_US.iter().position(|bound| micros <= u128::from(*bound));
        self.commit_time_buckets[bucket.unwrap_or(Self::BUCKETS_US.len())] += 1;
    }
}
