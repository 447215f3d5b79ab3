//! Waits between two attempts while the database is away.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(10);

/// Counts attempts that failed in a row.
#[derive(Debug, Default)]
pub struct Backoff(u32);

impl Backoff {
    /// Something worked.
    pub fn reset(&mut self) {
        self.0 = 0;
    }

    /// How long to wait now: about twice as long as before, from half to the whole of it by chance, so that hosts that lost one database
    /// don't all come back in the same moment.
    pub fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.0.min(16)).min(LONGEST);
        self.0 = self.0.saturating_add(1);
        let chance = RandomState::new().build_hasher().finish() % 1000;
        whole / 2 + whole.mul_f64(chance as f64 / 2000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_start_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..40).map(|_| backoff.next()).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST);
        assert!(waits.iter().all(|wait| *wait <= LONGEST) && waits[39] >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
