//! Calls whose answer comes in a later turn.

use super::{Core, Release, Reply};
use growqr_turn::{Connection, HttpRequest};
use growqr_types::{ConnectionId, Failure, ReplyHandle, TimestampMs, codes};
use std::sync::Arc;

/// Who waits for a deferred answer.
pub(super) enum Deferred<R> {
    /// An action or a queue message.
    Value { reply: R, ephemeral: Option<ConnectionId>, deadline: TimestampMs, timeout: Failure },
    /// A raw request.
    Response { reply: R, ephemeral: Option<ConnectionId>, deadline: TimestampMs },
    /// A connection that is not let in yet.
    Connect { connection: Connection, request: Arc<HttpRequest>, reply: R, deadline: TimestampMs },
    /// Another actor, which asks again after a crash.
    Envelope { reply: R },
}

impl<R> Deferred<R> {
    fn deadline(&self) -> Option<TimestampMs> {
        match self {
            Self::Value { deadline, .. } | Self::Response { deadline, .. } | Self::Connect { deadline, .. } => {
                Some(*deadline)
            }
            Self::Envelope { .. } => None,
        }
    }

    pub(super) fn deadline_mut(&mut self) -> Option<&mut TimestampMs> {
        match self {
            Self::Value { deadline, .. } | Self::Response { deadline, .. } | Self::Connect { deadline, .. } => {
                Some(deadline)
            }
            Self::Envelope { .. } => None,
        }
    }

    pub(super) fn ephemeral(&self) -> Option<ConnectionId> {
        match self {
            Self::Value { ephemeral, .. } | Self::Response { ephemeral, .. } => *ephemeral,
            Self::Connect { .. } | Self::Envelope { .. } => None,
        }
    }

    /// The failure for the one who waits. Another actor is told nothing: it asks again.
    pub(super) fn fail(self, failure: Failure) -> Option<Release<R>> {
        match self {
            Self::Value { reply, .. } => Some(Release::Reply(reply, Reply::Value(Err(failure)))),
            Self::Response { reply, .. } => Some(Release::Reply(reply, Reply::Response(Err(failure)))),
            Self::Connect { reply, .. } => Some(Release::Reply(reply, Reply::Accepted(Err(failure)))),
            Self::Envelope { .. } => None,
        }
    }
}

impl<R> Core<R> {
    pub(super) fn new_handle(&mut self) -> ReplyHandle {
        let handle = u64::from(self.generation) << 32 | u64::from(self.next_handle);
        self.next_handle = self.next_handle.wrapping_add(1);
        handle
    }

    pub(super) fn defer(&mut self, handle: ReplyHandle, deferred: Deferred<R>) {
        if let Some(deadline) = deferred.deadline() {
            self.deadlines.insert((deadline, handle));
        }
        self.deferred.insert(handle, deferred);
    }

    pub(super) fn take_deferred(&mut self, handle: ReplyHandle) -> Option<Deferred<R>> {
        let deferred = self.deferred.remove(&handle)?;
        if let Some(deadline) = deferred.deadline() {
            self.deadlines.remove(&(deadline, handle));
        }
        Some(deferred)
    }

    /// Ends the calls that have waited too long. What is returned may leave at once: it says nothing about the actor's state.
    pub fn expire(&mut self, now: TimestampMs) -> Vec<Release<R>> {
        self.observe(now);
        let mut releases = Vec::new();
        while let Some(&(deadline, handle)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            let Some(deferred) = self.take_deferred(handle) else {
                self.deadlines.remove(&(deadline, handle));
                continue;
            };
            if let Some(connection) = deferred.ephemeral() {
                self.connections.remove(connection);
            }
            let failure = match &deferred {
                Deferred::Value { timeout, .. } => timeout.clone(),
                Deferred::Connect { .. } => codes::CALLBACK_TIMED_OUT.failure(),
                Deferred::Response { .. } | Deferred::Envelope { .. } => codes::ACTION_TIMED_OUT.failure(),
            };
            releases.extend(deferred.fail(failure));
        }
        releases
    }

    /// A connection that closed while it waited to be let in does not wait any more.
    pub(super) fn forget_deferred_connection(&mut self, id: ConnectionId) {
        let handle = self.deferred.iter().find_map(|(handle, deferred)| match deferred {
            Deferred::Connect { connection, .. } if connection.id == id => Some(*handle),
            _ => None,
        });
        if let Some(handle) = handle {
            self.take_deferred(handle);
        }
    }
}
