//! What an actor has to do: one job is one turn, or none when the component has no hook for it.

use super::record::InboxRecord;
use growqr_turn::{
    ActionCall, Connection, HttpRequest, Message, QueueMessage, SandboxEvent, SocketEvent, TimerRecord, WakeReason,
};
use growqr_types::{ActorId, ConnectionId, Failure, Json, OperationId, ReplyHandle, TimerId, TimestampMs};
use std::sync::Arc;

/// Something to be done in a turn, or without one when the component has no hook for it.
pub(super) enum Job<R> {
    Create(Option<String>),
    Migrate(u32, u32),
    Wake(WakeReason),
    Started,
    BeforeConnect {
        connection: Connection,
        request: Arc<HttpRequest>,
        reply: R,
        handle: ReplyHandle,
        deadline: TimestampMs,
    },
    Connect {
        connection: Connection,
        request: Arc<HttpRequest>,
        reply: R,
    },
    Disconnect(Connection),
    Subscribe {
        connection: ConnectionId,
        event: String,
        reply: R,
    },
    Action {
        call: ActionCall,
        reply: R,
        ephemeral: Option<Connection>,
        deadline: TimestampMs,
    },
    Queue {
        message: QueueMessage,
        reply: R,
        ephemeral: Option<Connection>,
        deadline: TimestampMs,
    },
    Request {
        connection: ConnectionId,
        request: HttpRequest,
        reply: R,
        handle: ReplyHandle,
        ephemeral: Option<Connection>,
        deadline: TimestampMs,
    },
    Socket(ConnectionId, SocketEvent),
    SocketClose(Connection, u16, String),
    Envelope(EnvelopeJob<R>),
    Timer(TimerId, TimerRecord),
    EffectResult(OperationId, Result<Json, Failure>),
    Sandbox(SandboxEvent),
    Sleep,
    Destroy,
}

impl<R> Job<R> {
    /// Who waits for its answer, if somebody does.
    pub(super) fn caller(&self) -> Option<&R> {
        match self {
            Self::BeforeConnect { reply, .. }
            | Self::Connect { reply, .. }
            | Self::Subscribe { reply, .. }
            | Self::Action { reply, .. }
            | Self::Queue { reply, .. }
            | Self::Request { reply, .. } => Some(reply),
            Self::Envelope(envelope) => Some(&envelope.reply),
            Self::Create(_)
            | Self::Migrate(..)
            | Self::Wake(_)
            | Self::Started
            | Self::Disconnect(_)
            | Self::Socket(..)
            | Self::SocketClose(..)
            | Self::Timer(..)
            | Self::EffectResult(..)
            | Self::Sandbox(_)
            | Self::Sleep
            | Self::Destroy => None,
        }
    }

    /// Whether it is what the actor is there for, and not what surrounds it.
    pub(super) fn is_work(&self) -> bool {
        match self {
            Self::Action { .. }
            | Self::Queue { .. }
            | Self::Request { .. }
            | Self::Socket(..)
            | Self::Envelope(_)
            | Self::Timer(..)
            | Self::EffectResult(..)
            | Self::Sandbox(_) => true,
            Self::Create(_)
            | Self::Migrate(..)
            | Self::Wake(_)
            | Self::Started
            | Self::BeforeConnect { .. }
            | Self::Connect { .. }
            | Self::Disconnect(_)
            | Self::Subscribe { .. }
            | Self::SocketClose(..)
            | Self::Sleep
            | Self::Destroy => false,
        }
    }
}

pub(super) struct EnvelopeJob<R> {
    pub sender: ActorId,
    pub operation: OperationId,
    pub record: InboxRecord,
    pub message: Option<Message>,
    pub handle: ReplyHandle,
    pub accepted: R,
    pub reply: R,
}
