//! What comes to an actor, and what leaves it. `R` stands for whoever waits for a reply; the core only carries it around.

use super::record::InboxRecord;
use growqr_seam::{Envelope, StopReason};
use growqr_turn::{Connection, Effect, Frame, HttpRequest, HttpResponse, Message, SandboxEvent, SocketEvent};
use growqr_types::{ActorId, ConnectionId, Failure, Json, OperationId, Seq, TimestampMs};
use std::sync::Arc;
use std::time::Duration;

/// One message for an actor.
#[derive(Debug)]
pub enum Mail<R> {
    /// A connection asks to be let in. Answered by [`Reply::Accepted`].
    Connect {
        /// The connection as it will be; its state is not set yet.
        connection: Connection,
        /// The request behind it.
        request: Arc<HttpRequest>,
        /// Who waits.
        reply: R,
    },
    /// A connection is gone.
    Disconnect {
        /// Which.
        connection: ConnectionId,
        /// WebSocket close code.
        code: u16,
        /// Reason.
        reason: String,
    },
    /// A connection wants an event. Answered by [`Reply::Accepted`].
    Subscribe {
        /// Which.
        connection: ConnectionId,
        /// Event name.
        event: String,
        /// Who waits.
        reply: R,
    },
    /// An action. Answered by [`Reply::Value`].
    Action {
        /// Name.
        name: String,
        /// A JSON array.
        args: Json,
        /// Whose.
        caller: Caller,
        /// Who waits.
        reply: R,
    },
    /// A queue message. Answered by [`Reply::Value`].
    Queue {
        /// Queue name.
        queue: String,
        /// The message.
        body: Json,
        /// Whose.
        caller: Caller,
        /// The sender waits for completion, at most so long.
        wait: Option<Duration>,
        /// Who waits.
        reply: R,
    },
    /// A raw request. Answered by [`Reply::Response`].
    Request {
        /// The request.
        request: HttpRequest,
        /// Whose.
        caller: Caller,
        /// Who waits.
        reply: R,
    },
    /// Something happened on a raw socket that was let in.
    Socket {
        /// Which.
        connection: ConnectionId,
        /// What.
        event: SocketEvent,
    },
    /// A message from another actor. `accepted` hears [`Reply::Accepted`] when the turn is durable, `reply` the value.
    Envelope {
        /// The message.
        envelope: Envelope,
        /// What this sender had delivered, as stored.
        stored: Option<InboxRecord>,
        /// Who waits for delivery.
        accepted: R,
        /// Who waits for the answer.
        reply: R,
    },
    /// An effect has ended.
    EffectDone {
        /// Which.
        operation: OperationId,
        /// How.
        outcome: Result<Json, Failure>,
    },
    /// News from the sandbox.
    Sandbox(SandboxEvent),
    /// The engine stops the actor.
    Stop(StopReason),
}

impl<R> Mail<R> {
    /// The actor that sent it.
    pub(super) fn sender(&self) -> Option<ActorId> {
        match self {
            Self::Envelope { envelope, .. } => Some(envelope.sender),
            _ => None,
        }
    }

    /// Whether somebody hears of it when it is refused. What nobody hears of must not be refused.
    pub(super) fn can_be_refused(&self) -> bool {
        !matches!(self, Self::Disconnect { .. } | Self::EffectDone { .. } | Self::Sandbox(_) | Self::Stop(_))
    }

    /// Bytes that it takes while it waits, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Connect { connection, .. } => connection.params.len(),
            Self::Action { name, args, .. } => name.len() + args.len(),
            Self::Queue { body, .. } => body.len(),
            Self::Request { request, .. } => request.body.len(),
            Self::Socket { event: SocketEvent::Message(Frame::Text(text), _), .. } => text.len(),
            Self::Socket { event: SocketEvent::Message(Frame::Binary(bytes), _), .. } => bytes.len(),
            _ => 0,
        }
    }
}

/// Who calls.
#[derive(Debug, Clone)]
pub enum Caller {
    /// A connection that was let in before.
    Connection(ConnectionId),
    /// A connection that exists for this call only; nobody asked to hear of it.
    Ephemeral(Connection),
    /// The host itself.
    Host,
}

/// The answer to one who waits.
#[derive(Debug, Clone)]
pub enum Reply {
    /// To an action, a queue message (`None`: timed out waiting) or another actor.
    Value(Result<Json, Failure>),
    /// To a raw request.
    Response(Result<HttpResponse, Failure>),
    /// To a connection, a subscription, or a delivery.
    Accepted(Result<(), Failure>),
}

/// Something that leaves the actor once everything before it is durable.
#[derive(Debug)]
pub enum Release<R> {
    /// To one who waits.
    Reply(R, Reply),
    /// An event for all who subscribed.
    Broadcast {
        /// Its number.
        seq: Seq,
        /// When the turn ran.
        ts: TimestampMs,
        /// Name.
        name: Arc<str>,
        /// A JSON array.
        args: Arc<str>,
    },
    /// An event for one connection.
    Send {
        /// To whom.
        connection: ConnectionId,
        /// When the turn ran.
        ts: TimestampMs,
        /// Name.
        name: Arc<str>,
        /// A JSON array.
        args: Arc<str>,
    },
    /// A frame on a raw socket.
    Frame(ConnectionId, Frame),
    /// Closes a connection.
    Close {
        /// Which.
        connection: ConnectionId,
        /// WebSocket close code.
        code: u16,
        /// Reason.
        reason: String,
    },
    /// An effect may run.
    Run(OperationId, Effect),
}

/// A turn to be run.
#[derive(Debug)]
pub struct Turn {
    /// What the guest is called with.
    pub message: Message,
    /// A write fails it.
    pub read_only: bool,
    /// How long it may take.
    pub timeout: Duration,
}
