//! The messages that an actor takes, one at a time, and its answers. They mirror `wit/types.wit`.

use bytes::Bytes;
use growqr_types::{ActorId, ConnectionId, Failure, Json, OperationId, ReplyHandle, TimerId, TimestampMs};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a connection came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionKind {
    /// `connect()`: actions and events over one socket.
    Socket,
    /// One action or queue message over HTTP.
    Request,
    /// A raw WebSocket.
    RawSocket,
    /// A raw HTTP request.
    RawRequest,
}

/// A connection that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Identity.
    pub id: ConnectionId,
    /// How it came to be.
    pub kind: ConnectionKind,
    /// What the client passed; `null` if nothing.
    pub params: Arc<str>,
    /// What the actor keeps about it.
    pub state: Option<Arc<str>>,
    /// Whether it stays open while the actor sleeps.
    pub hibernatable: bool,
}

/// A connection that asks to be let in.
#[derive(Debug, Clone)]
pub struct ConnectionRequest {
    /// Identity.
    pub id: ConnectionId,
    /// How it came to be.
    pub kind: ConnectionKind,
    /// What the client passed; `null` if nothing.
    pub params: Arc<str>,
    /// The request behind it, without a body.
    pub request: Arc<HttpRequest>,
    /// For a verdict in a later turn.
    pub reply: ReplyHandle,
}

/// An HTTP request as the actor sees it. Header names are lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// Method, upper case as sent.
    pub method: String,
    /// Absolute URL.
    pub url: String,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// Body; empty for connections and actions.
    pub body: Bytes,
}

/// The answer to a raw request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status.
    pub status: u16,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Bytes,
}

/// One WebSocket message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

/// A client's or another actor's action call.
#[derive(Debug, Clone)]
pub struct ActionCall {
    /// Name, dots included.
    pub name: String,
    /// A JSON array.
    pub args: Json,
    /// The calling connection.
    pub connection: Option<ConnectionId>,
    /// The calling actor.
    pub caller: Option<ActorId>,
    /// For a deferred answer.
    pub reply: ReplyHandle,
}

/// A message that a client put into a queue.
#[derive(Debug, Clone)]
pub struct QueueMessage {
    /// Queue name.
    pub queue: String,
    /// The message.
    pub body: Json,
    /// The sending connection.
    pub connection: Option<ConnectionId>,
    /// The sender waits for completion.
    pub waiting: bool,
    /// For the completion.
    pub reply: ReplyHandle,
}

/// What happens on a raw WebSocket.
#[derive(Debug, Clone)]
pub enum SocketEvent {
    /// It was accepted.
    Open(Arc<HttpRequest>),
    /// A frame came; the index counts from 1.
    Message(Frame, u64),
    /// It closed.
    Close(u16, String),
}

/// A message from another actor.
#[derive(Debug, Clone)]
pub struct ActorMessage {
    /// Who sent it.
    pub sender: ActorId,
    /// The sender's actor name.
    pub sender_name: String,
    /// What it says.
    pub payload: Json,
}

/// A timer that is due.
#[derive(Debug, Clone)]
pub struct TimerEvent {
    /// Identity.
    pub id: TimerId,
    /// The guest's name for it.
    pub name: String,
    /// The guest's payload.
    pub payload: Json,
    /// When it was meant to run.
    pub due: TimestampMs,
}

/// News from the user's sandbox.
#[derive(Debug, Clone)]
pub struct SandboxEvent {
    /// The session that it is about.
    pub session: Option<String>,
    /// Kind.
    pub kind: String,
    /// Content.
    pub payload: Json,
}

/// The end of an effect.
#[derive(Debug, Clone)]
pub struct EffectResult {
    /// Which.
    pub operation: OperationId,
    /// How it ended.
    pub outcome: Result<Json, Failure>,
}

/// Why the actor has a new instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeReason {
    /// Right after creation.
    Created,
    /// It slept, or the host is new.
    Woken,
    /// The turn before failed.
    Restarted,
    /// New code.
    Swapped,
}

/// One message for one actor; handling it is a turn.
#[derive(Debug, Clone)]
pub enum Message {
    /// `on-create`
    Create(Option<Json>),
    /// `on-wake`
    Wake(WakeReason),
    /// `on-before-connect`
    BeforeConnect(ConnectionRequest),
    /// `on-connect`
    Connect(Connection),
    /// `on-disconnect`
    Disconnect(Connection),
    /// `on-subscribe`
    Subscribe(ConnectionId, String),
    /// `on-action`
    Action(ActionCall),
    /// `on-queue-message`
    Queue(QueueMessage),
    /// `on-request`
    Request(ConnectionId, HttpRequest, ReplyHandle),
    /// `on-socket`
    Socket(ConnectionId, SocketEvent),
    /// `on-message`
    Actor(ActorMessage),
    /// `on-timer`
    Timer(TimerEvent),
    /// `on-sandbox-event`
    Sandbox(SandboxEvent),
    /// `on-effect-result`
    EffectResult(EffectResult),
    /// `migrate` from, to
    Migrate(u32, u32),
    /// `check`
    Check,
    /// `on-sleep`
    Sleep,
    /// `on-destroy`
    Destroy,
}

/// What the guest answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Nothing to say.
    None,
    /// To a connection request.
    Verdict(Verdict),
    /// To an action or a queue message.
    Outcome(Outcome),
    /// To a raw request.
    Request(RequestOutcome),
}

/// What an actor says to a connection request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Let in, with this state.
    Accept(Option<Json>),
    /// A later turn says it.
    Deferred,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to say.
    Done,
    /// With this value.
    Reply(Json),
    /// A later turn answers.
    Deferred,
}

/// How a raw request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestOutcome {
    /// With this response.
    Response(HttpResponse),
    /// A later turn answers.
    Deferred,
}
