//! The two traits between a runtime and an engine.
//!
//! The **engine** decides where and when an actor runs, and keeps its bytes. The **runtime** runs it. [`EngineHost`] is what the
//! runtime asks of the engine, [`RuntimeHost`] what the engine asks of the runtime. They are shaped like `EnvoyHandle` and
//! `EnvoyCallbacks` of `rivet-envoy-client` (`reference/rivet-protocol.md` section 6), so that a real Rivet engine fits as well
//! as the embedded one.
//!
//! Invariant: nothing of one engine shows through: keys, batches, sockets and requests are plain bytes and `http` types.
//! Deliberately absent: turns, components, client encodings (the runtime's); directories, placement, journals (the engine's).

mod mirror;
mod traced;

pub use mirror::{
    ACTOR_CRASHED, ACTOR_CREATED, ACTOR_DESTROYED, ACTOR_VERSION, BadEvent, EventRecord, MirrorRow, MirrorSource,
    MirrorState, NOT_MIRRORED, SpoolLevel, SpoolRow,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use growqr_types::{ActorId, ActorKey, ConnectionId, Failure, Generation, Json, OperationId, TimestampMs};
use std::sync::Arc;

pub use growqr_turn::Read;
pub use traced::TracedRows;

/// What an actor is started with.
#[derive(Debug, Clone)]
pub struct ActorStart {
    /// Which.
    pub actor: ActorId,
    /// Counts its starts; fences its commits.
    pub generation: Generation,
    /// Actor name.
    pub name: String,
    /// Key.
    pub key: ActorKey,
    /// Namespace.
    pub namespace: String,
    /// Region.
    pub region: String,
    /// When it was created.
    pub created: TimestampMs,
    /// What its creator passed, as the CBOR of the client; used once.
    pub input: Option<Bytes>,
}

/// Why an actor is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// It has nothing to do, or somebody said so.
    Sleep,
    /// It is to be removed.
    Destroy,
    /// The host is going away.
    Shutdown,
    /// Storage failed or another generation took over: nothing that is not durable may be released.
    Lost,
}

/// The actor is not running here. The message certainly did not run; start the actor and try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the actor is not running")]
pub struct NotRunning;

/// One WebSocket message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketFrame {
    /// UTF-8 text.
    Text(Bytes),
    /// Bytes.
    Binary(Bytes),
}

impl SocketFrame {
    /// Bytes of the payload.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What the names of actions begin with that a gateway may answer itself on a connection.
pub const GATEWAY_ACTIONS: &str = "growqr.";

/// The client's end of a WebSocket, as the runtime sees it. It belongs to the engine's gateway and outlives instances.
pub trait Socket: Send + Sync {
    /// Queues a frame; never waits. A socket whose reader is too slow is closed by its owner; then this does nothing.
    fn send(&self, frame: SocketFrame);
    /// Closes after what was queued. The reason has at most 123 bytes.
    fn close(&self, code: u16, reason: &str);
    /// Comes back when at most half of the queue is taken, or the socket is closed: how a long replay waits for its reader.
    fn ready(&self) -> BoxFuture<'_, ()>;
    /// Answers an action that is meant for the gateway and not for the actor: one whose name begins with [`GATEWAY_ACTIONS`]. The
    /// arguments are a JSON array. `None`: there is no such action here, and the actor is asked.
    fn action(&self, name: &str, args: &str) -> Option<BoxFuture<'static, Result<Json, Failure>>> {
        let _ = (name, args);
        None
    }
}

/// A WebSocket that a client opened.
pub struct SocketOpen {
    /// Identity of the connection.
    pub connection: ConnectionId,
    /// Path after the gateway, with its query (`/connect`, `/websocket/chat?z=1`), and headers. No body.
    pub request: http::Request<()>,
    /// The client's end.
    pub socket: Arc<dyn Socket>,
}

/// The actor's end of a WebSocket, as the engine's gateway sees it.
pub trait SocketHandler: Send + Sync {
    /// A frame came from the client. Frames of one socket are given in order. `Err` gives the frame back: start the actor first.
    fn message(&self, frame: SocketFrame) -> Result<(), SocketFrame>;
    /// The actor can't be started to take this frame. Whoever sent it is told.
    fn unreachable(&self, frame: SocketFrame, failure: Failure);
    /// The client's end is closed. Called once. `Err`: start the actor first, and call again.
    fn closed(&self, code: u16, reason: &str) -> Result<(), NotRunning>;
}

/// A message from one actor to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Who sends it.
    pub sender: ActorId,
    /// The sender's actor name.
    pub sender_name: String,
    /// The sender's operation. (sender, operation) is delivered once; operations of one sender to one receiver come in order.
    pub operation: OperationId,
    /// The sender's oldest unfinished operation: the receiver may forget those below.
    pub floor: OperationId,
    /// What.
    pub content: EnvelopeContent,
}

/// What an [`Envelope`] carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvelopeContent {
    /// For `on-message`.
    Message(Json),
    /// For `on-action`: name and a JSON array.
    Call(String, Json),
}

/// How a message to another actor arrived: the receiver's turn is durable.
pub enum Delivered {
    /// It was answered in that turn.
    Answered(Result<Json, Failure>),
    /// It will be answered in a later one.
    Deferred(BoxFuture<'static, Result<Json, Failure>>),
}

/// The time, as milliseconds since 1970. A parameter, so that a simulator can bring its own.
pub type Clock = Arc<dyn Fn() -> TimestampMs + Send + Sync>;
/// Random bytes. A parameter, so that a simulator can bring its own.
pub type Randomness = Arc<dyn Fn() -> [u8; 16] + Send + Sync>;

/// What the engine asks of the runtime.
pub trait RuntimeHost: Send + Sync {
    /// Whether actors of this name can be started; if not, why.
    fn serves(&self, name: &str) -> Result<(), Failure>;
    /// Whether an actor runs here.
    fn runs(&self, actor: ActorId) -> bool;
    /// Starts an actor; answers when it can take messages. Starting one that runs with the same generation changes nothing.
    fn start(&self, start: ActorStart) -> BoxFuture<'_, Result<(), Failure>>;
    /// Stops an actor and answers when it is gone; what it had acknowledged is durable then. False when it was to sleep and goes on
    /// instead, because a message came meanwhile.
    fn stop(&self, actor: ActorId, generation: Generation, reason: StopReason) -> BoxFuture<'_, bool>;
    /// A request for an actor: path after the gateway (`/action/increment`), headers, body. `Err` gives it back: the actor does not
    /// run, and nothing of the request has.
    fn http(
        &self,
        actor: ActorId,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, Box<http::Request<Bytes>>>>;
    /// A client opened a WebSocket. `Err` gives it back: the actor does not run.
    fn websocket(&self, actor: ActorId, open: Box<SocketOpen>) -> Result<Arc<dyn SocketHandler>, Box<SocketOpen>>;
    /// The version of the code that runs actors of this name; none when it has no version.
    fn version(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }
    /// A message from another actor. Answers when the receiver's turn is durable. Giving the same one again gives the same answer.
    fn message(&self, actor: ActorId, envelope: Envelope) -> BoxFuture<'_, Result<Delivered, NotRunning>>;
}

/// The target of every span that belongs to the trace of a client's action. The log leaves it out.
pub const TRACE_TARGET: &str = "growqr_trace";
/// Begins the trace of a client's action, given the client's own `traceparent` and a word for what it does; none when this action is
/// not traced. A request brings its span along in its extensions, as a `tracing::Span`; who does a part of the work makes a span under
/// it, with [`TRACE_TARGET`], and who finds none makes none.
pub type Tracer = Arc<dyn Fn(Option<&str>, &'static str) -> Option<tracing::Span> + Send + Sync>;

/// Keys and values in key order.
pub type Entries = Vec<(Bytes, Bytes)>;

/// One write to an actor's keys; `None` deletes.
pub type Write = (Bytes, Option<Bytes>);

/// What one turn commits: all of it or nothing.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    /// Writes to the actor's own keys.
    pub writes: Vec<Write>,
    /// `Some` sets or clears the actor's alarm: the time at which it must run even if nobody asks.
    pub alarm: Option<Option<TimestampMs>>,
    /// Rows for the database, in order. Empty when [`EngineHost::mirror`] says that there is none.
    pub mirror: Vec<MirrorRow>,
}

/// Why a commit did not become durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A newer generation owns the actor; nothing was written.
    #[error("another generation of the actor has taken over")]
    Fenced,
    /// Storage failed; whether it was written is not known until it was read again.
    #[error("storage failed: {0}")]
    Storage(String),
}

/// Hears how commits ended, in the order in which they were submitted.
pub trait CommitSink: Send + Sync {
    /// The commit with this ticket is durable, or failed. Must not block.
    fn committed(&self, ticket: u64, result: Result<(), CommitError>);
}

/// Reading failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("storage can't be read: {0}")]
pub struct ReadError(pub String);

/// Who an actor is, found or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// Its id.
    pub actor: ActorId,
    /// Whether it was made just now.
    pub created: bool,
}

/// What the runtime asks of the engine. Keys are the actor's own: the engine keeps actors apart.
pub trait EngineHost: Send + Sync {
    /// The value of one key as of the last durable commit.
    fn get(&self, actor: ActorId, key: &[u8]) -> Read<'_, Result<Option<Bytes>, ReadError>>;
    /// At most `limit` entries with `start <= key < end`, in key order.
    fn scan(&self, actor: ActorId, start: &[u8], end: &[u8], limit: usize) -> Read<'_, Result<Entries, ReadError>>;
    /// Submits a batch. The sink hears of it; batches of one actor become durable in the order of submission.
    fn commit(&self, actor: ActorId, generation: Generation, batch: Batch, sink: &Arc<dyn CommitSink>, ticket: u64);
    /// Whether batches may have rows for the database.
    fn mirror(&self) -> MirrorState {
        MirrorState::Off
    }
    /// The actor has nothing to do and would like to be stopped.
    fn sleep_intent(&self, actor: ActorId, generation: Generation);
    /// The actor wants to be destroyed: it is stopped with that reason, then its keys are removed.
    fn destroy_intent(&self, actor: ActorId, generation: Generation);
    /// Connections of this actor that the gateway still holds. Stored ones that are absent here are dead.
    fn live_sockets(&self, actor: ActorId) -> Vec<ConnectionId>;
    /// Finds an actor, or makes it (`input` is the CBOR of a client).
    fn get_or_create(
        &self,
        namespace: &str,
        name: &str,
        key: ActorKey,
        input: Option<Bytes>,
    ) -> BoxFuture<'_, Result<Resolved, Failure>>;
    /// Carries a message to another actor, wherever it runs, starting it if needed. An error means that it certainly did not run,
    /// and may be tried again, or that there is no such actor.
    fn message(&self, actor: ActorId, envelope: Envelope) -> BoxFuture<'_, Result<Delivered, Failure>>;
    /// Destroys another actor.
    fn destroy(&self, actor: ActorId) -> BoxFuture<'_, Result<(), Failure>>;
}
