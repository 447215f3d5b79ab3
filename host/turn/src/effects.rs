//! What a turn asks the host to do, as plain data. It is carried out after the turn's commit.

use crate::{Frame, HttpResponse, Repeat};
use bytes::Bytes;
use growqr_types::{ActorId, ConnectionId, Failure, Json, OperationId, ReplyHandle, TimerId, TimestampMs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that a turn did.
#[derive(Debug, Default)]
pub struct Effects {
    /// State writes by key; `None` deletes.
    pub state: BTreeMap<String, Option<Bytes>>,
    /// Connection states that were set.
    pub connection_state: BTreeMap<ConnectionId, Arc<str>>,
    /// What leaves to clients, in the order in which the guest asked.
    pub outgoing: Vec<Outgoing>,
    /// Timers set (`Some`) and cancelled (`None`).
    pub timers: BTreeMap<TimerId, TimerWrite>,
    /// Effects to be run by the outbox, in order.
    pub effects: Vec<(OperationId, Effect)>,
    /// The actor wants to be destroyed.
    pub destroy: bool,
    /// The actor wants to sleep.
    pub sleep: bool,
}

impl Effects {
    /// Whether the turn changes nothing durable: no commit is needed, but its output still waits for the turns before it.
    pub fn is_read_only(&self) -> bool {
        self.state.is_empty()
            && self.connection_state.is_empty()
            && self.timers.is_empty()
            && self.effects.is_empty()
            && !self.destroy
            && !self.outgoing.iter().any(|outgoing| matches!(outgoing, Outgoing::Broadcast { .. }))
    }
}

/// A timer that was set or cancelled.
pub type TimerWrite = Option<TimerRecord>;

/// A timer as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerRecord {
    /// The guest's name for it.
    pub name: String,
    /// The guest's payload.
    pub payload: Json,
    /// The next time.
    pub due: TimestampMs,
    /// How it goes on.
    pub repeat: Repeat,
}

/// Something that leaves to a client after the commit.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// An event for all who subscribed; it gets a sequence number.
    Broadcast {
        /// Event name.
        name: Arc<str>,
        /// A JSON array.
        args: Arc<str>,
    },
    /// An event for one connection.
    Send {
        /// To whom.
        connection: ConnectionId,
        /// Event name.
        name: Arc<str>,
        /// A JSON array.
        args: Arc<str>,
    },
    /// A frame on a raw socket.
    Frame {
        /// To whom.
        connection: ConnectionId,
        /// What.
        frame: Frame,
    },
    /// Closes a connection.
    Disconnect {
        /// Which.
        connection: ConnectionId,
        /// WebSocket close code.
        code: u16,
        /// Reason.
        reason: String,
    },
    /// A deferred answer to an action, a queue message or a connection request.
    Answer {
        /// Whose.
        reply: ReplyHandle,
        /// What.
        outcome: Result<Json, Failure>,
    },
    /// A deferred answer to a raw request.
    AnswerRequest {
        /// Whose.
        reply: ReplyHandle,
        /// What.
        response: HttpResponse,
    },
}

/// Who is meant by a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetRef {
    /// An actor that exists.
    Id(ActorId),
    /// Get or create.
    Address {
        /// Actor name.
        name: String,
        /// Actor key.
        key: Vec<String>,
    },
}

/// An effect that the outbox runs after the commit, at least once, under its operation id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Makes sure that an actor exists.
    Spawn {
        /// Actor name.
        name: String,
        /// Actor key.
        key: Vec<String>,
        /// For its creation.
        input: Option<Json>,
    },
    /// A message to another actor.
    Send {
        /// To whom.
        target: TargetRef,
        /// What.
        payload: Json,
    },
    /// An action of another actor.
    Call {
        /// Whose.
        target: TargetRef,
        /// Action name.
        action: String,
        /// A JSON array.
        args: Json,
    },
    /// Destroys another actor.
    Destroy {
        /// Whom.
        target: TargetRef,
    },
    /// A change in long-term memory: the memory service defines the content.
    Memory(Json),
    /// A call to the sandbox: the sandbox service defines the content.
    Sandbox(Json),
}
