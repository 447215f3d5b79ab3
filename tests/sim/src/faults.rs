//! The kinds of faults, and how often each has happened.

use parking_lot::Mutex;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A commit failed and is not on disk.
    CommitLost,
    /// A commit failed and is on disk.
    CommitKept,
    /// A commit failed after a part of its writes.
    CommitTorn,
    /// A commit failed while its sectors reached the disk in an order of their own.
    CommitReordered,
    /// The disk was full.
    DiskFull,
    /// Storage panicked.
    StoragePanic,
    /// A commit took long.
    CommitSlow,
    /// The answer to a durable commit took long.
    AnswerSlow,
    /// The host was killed.
    Killed,
    /// The host was killed between a commit and its answer.
    KilledBeforeAnswer,
    /// The host was stopped cleanly.
    Stopped,
    /// The clock was set forward.
    ClockForward,
    /// The clock was set back.
    ClockBack,
    /// A message came twice.
    MessageDoubled,
    /// A message came late.
    MessageDelayed,
    /// The answer to a message was lost.
    AnswerLost,
    /// An actor was told to sleep.
    ToldToSleep,
    /// The host lost a raw socket's frames, and closed it.
    SocketClosed,
    /// A client came back and resumed.
    Resumed,
    /// A client read slowly what it had missed.
    ReaderSlow,
    /// A client ended a subscription and began it again.
    TurnedAway,
    /// A client came back too late and was told to start anew.
    Resynced,
    /// A turn failed.
    TurnFailed,
    /// A guest crashed.
    GuestCrashed,
    /// Rows for the database were written twice.
    RowsTwice,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::CommitLost,
        Self::CommitKept,
        Self::CommitTorn,
        Self::CommitReordered,
        Self::DiskFull,
        Self::StoragePanic,
        Self::CommitSlow,
        Self::AnswerSlow,
        Self::Killed,
        Self::KilledBeforeAnswer,
        Self::Stopped,
        Self::ClockForward,
        Self::ClockBack,
        Self::MessageDoubled,
        Self::MessageDelayed,
        Self::AnswerLost,
        Self::ToldToSleep,
        Self::SocketClosed,
        Self::Resumed,
        Self::ReaderSlow,
        Self::TurnedAway,
        Self::Resynced,
        Self::TurnFailed,
        Self::GuestCrashed,
        Self::RowsTwice,
    ];
}

/// How often each kind has happened.
pub type Fired = BTreeMap<Fault, u64>;

/// Counts faults; shared by everybody in one run.
#[derive(Default, Clone)]
pub struct Counter(Arc<Mutex<Fired>>);

impl Counter {
    pub fn hit(&self, fault: Fault) {
        *self.0.lock().entry(fault).or_default() += 1;
    }

    pub fn fired(&self) -> Fired {
        self.0.lock().clone()
    }
}

/// A source of decisions. Everybody in a run has their own, so that one's draws don't depend on another's.
pub struct Dice(ChaCha8Rng);

impl Dice {
    pub fn new(seed: u64, purpose: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose.wrapping_mul(0xd134_2543_de82_ef95),
        ))
    }

    /// A source of its own for somebody else.
    pub fn another(&mut self) -> Self {
        Self(ChaCha8Rng::seed_from_u64(self.0.next_u64()))
    }

    pub fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// From `from` to `to`, both possible.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.0.next_u64() % (to - from + 1)
    }

    /// True in so many of a thousand cases.
    pub fn per_mille(&mut self, share: u64) -> bool {
        self.between(0, 999) < share
    }
}
