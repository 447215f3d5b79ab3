//! A bound on the bytes that all clients together may make the gateway hold.
//!
//! Invariant: the sum of all live [`Charge`]s never exceeds the budget's maximum, and a dropped charge gives its bytes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be held, and those that are.
#[derive(Debug)]
pub(crate) struct Budget {
    max: usize,
    used: AtomicUsize,
}

impl Budget {
    /// A budget of so many bytes.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, used: AtomicUsize::new(0) })
    }

    /// Bytes that are held now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A charge of nothing.
    pub(crate) fn charge(self: &Arc<Self>) -> Charge {
        Charge { budget: self.clone(), bytes: 0 }
    }
}

/// The budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent;

/// Bytes that one holder has taken of a [`Budget`].
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Charge {
    /// Changes how many bytes are taken; more than is left is refused and changes nothing.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), Spent> {
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            let max = self.budget.max;
            self.budget
                .used
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                    used.checked_add(more).filter(|sum| *sum <= max)
                })
                .map_err(|_| Spent)?;
        } else if bytes < self.bytes {
            self.budget.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Takes more bytes.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), Spent> {
        self.set(self.bytes.saturating_add(bytes))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_over_what_is_left_is_refused_and_changes_nothing() {
        let budget = Budget::new(10);
        let mut first = budget.charge();
        let mut second = budget.charge();
        assert_eq!(first.set(6), Ok(()));
        assert_eq!(second.set(5), Err(Spent));
        assert_eq!(second.add(4), Ok(()));
        assert_eq!(budget.used(), 10);
        assert_eq!(first.set(1), Ok(()));
        drop(second);
        assert_eq!(budget.used(), 1);
        assert_eq!(first.add(usize::MAX), Err(Spent));
    }
}
