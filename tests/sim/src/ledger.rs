//! What the clients know: which operations they sent, what they were answered, which events they saw.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How an operation ended for its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Not known: no answer, or one that says so.
    Unknown,
    /// Done, with this value.
    Done(String),
    /// Certainly not done.
    NotDone(String),
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Operation {
    pub actor: usize,
    pub kind: &'static str,
    pub ended: Ended,
}

/// See the module's documentation.
#[derive(Default)]
pub struct Ledger {
    /// By token.
    pub operations: BTreeMap<String, Operation>,
    /// What each event number of an actor was, as somebody saw it.
    pub events: BTreeMap<(usize, u64), String>,
    /// The last event number that each client has seen, by client and actor.
    pub seen: BTreeMap<(usize, usize), u64>,
    /// Tokens that a read has shown, by actor.
    pub read: BTreeMap<(usize, String), String>,
    /// What is wrong.
    pub wrong: Vec<String>,
}

/// Shared by all clients; it survives the host.
pub type SharedLedger = Arc<Mutex<Ledger>>;
