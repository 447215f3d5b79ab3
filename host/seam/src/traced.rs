//! Follows the rows of traced actions until they are in the database.
//!
//! Invariant: what is not traced leaves nothing here, and no more than a bounded number of rows is followed, however long the database
//! is away. A row that an earlier host has left is stored as well and followed no more.

use crate::SpoolRow;
use growqr_types::{ActorId, Seq};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tracing::Span;

/// Turns of which rows are followed at a time.
const FOLLOWED_MAX: usize = 1024;

/// Makes the span of the rows' way, given the span of the action. It must not keep the action's span open.
type Follow = Box<dyn Fn(&Span) -> Span + Send + Sync>;

/// See the module's documentation.
pub struct TracedRows {
    follow: Follow,
    waiting: Mutex<HashMap<(ActorId, Seq), Span>>,
}

impl TracedRows {
    /// Nothing is followed yet.
    pub fn new(follow: impl Fn(&Span) -> Span + Send + Sync + 'static) -> Self {
        Self { follow: Box::new(follow), waiting: Mutex::default() }
    }

    /// The rows of an action's turn go into its commit; the last one has this event's number.
    pub fn submitted(&self, actor: ActorId, event: Seq, action: &Span) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < FOLLOWED_MAX {
            waiting.insert((actor, event), (self.follow)(action));
        }
    }

    /// The commit has failed, and its rows with it.
    pub fn lost(&self, actor: ActorId, event: Seq) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&(actor, event));
    }

    /// These rows are in the database: the way of those that are followed ends.
    pub fn stored(&self, rows: &[SpoolRow]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            return;
        }
        for row in rows {
            if let Some(event) = row.event {
                waiting.remove(&(row.actor, event));
            }
        }
    }
}
