//! Serves Rivet clients over HTTP and WebSocket.
//!
//! The gateway finds out which actor a request means ([`route`]), resolves it, carries the request or the socket to it, and
//! answers the REST interface. Everything is served at the root and again below `/api/rivet`, because the official client keeps a
//! path prefix of its endpoint.
//!
//! Invariant: no byte of a client makes the gateway panic or hold more memory than [`GatewayOptions`] allows, and no token,
//! parameter or protocol header is ever logged.
//! Who asks is found out before an actor is touched ([`GatewayOptions::identity`]), in one place for every way to reach one, and every
//! route of the REST interface has a rule in its table.
//! Deliberately absent: what happens *at* an actor (actions, connection messages, encodings: the runtime's), directories and
//! placement (the engine's), and how a token is verified (`growqr-identity`).

mod backend;
mod body;
mod budget;
mod entry;
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod link;
mod meters;
mod outbox;
mod query;
mod ray;
mod reply;
mod rest;
mod rest_actors;
mod rest_identity;
mod route;
mod serve;
mod server;
mod socket;
mod transport;

pub use backend::{Backend, Session};
pub use reply::{ExtraRoutes, ReplyBody};
pub use rest::rules;
pub use route::{Form, Shortcut};
pub use server::Gateway;

use futures::future::BoxFuture;
use growqr_identity::Identity;
use growqr_seam::Tracer;
use growqr_types::limits;
use std::sync::Arc;
use std::time::Duration;

/// Says whether the host is ready for clients, with the body of `/ready`.
pub type Ready = Arc<dyn Fn() -> (bool, serde_json::Value) + Send + Sync>;
/// Lets what is under way at actors come to its end, while their clients still hear of it.
pub type Drain = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// What a [`Gateway`] is started with. Every bound of the network edge is here.
#[derive(Clone)]
pub struct GatewayOptions {
    /// Version of the host, as `/metadata` and `/health` report it.
    pub version: String,
    /// TCP connections at a time, sockets included; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// WebSockets at a time; further ones are answered `guard.service_unavailable`.
    pub sockets_max: usize,
    /// Bytes of request bodies and of incomplete or undelivered socket messages in memory at a time, over all clients.
    pub incoming_bytes_max: usize,
    /// Bytes of a request's line and headers.
    pub header_bytes_max: usize,
    /// Bytes of the body of an action or a queue message.
    pub message_bytes_max: usize,
    /// Bytes of the body of a raw request, and of any answer of an actor.
    pub raw_body_bytes_max: usize,
    /// Bytes of a message on a raw WebSocket.
    pub raw_frame_bytes_max: usize,
    /// How long a client may take to send a request's head.
    pub header_timeout: Duration,
    /// How long a client may take to send a request's body.
    pub body_timeout: Duration,
    /// After this much silence a socket's client is asked for a sign of life.
    pub ping_interval: Duration,
    /// After this much silence a socket's client is taken for gone.
    pub silence_max: Duration,
    /// How long the closing handshake of a socket may take.
    pub close_timeout: Duration,
    /// How long requests under way may take to finish when the gateway stops.
    pub stop_timeout: Duration,
    /// Short addresses of actors.
    pub shortcuts: Vec<Shortcut>,
    /// Serves `/api/...` outside `/api/rivet`.
    pub extra: Option<ExtraRoutes>,
    /// Says who asks. Without it everybody may do everything, which is for one's own machine only.
    pub identity: Option<Arc<Identity>>,
    /// Answers `/ready`; without it the gateway is ready as soon as it listens.
    pub ready: Option<Ready>,
    /// What the gateway waits for when it stops, after it has stopped taking messages and before it closes sockets.
    pub drain: Option<Drain>,
    /// Decides which requests to actors are traced.
    pub tracer: Option<Tracer>,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            connections_max: CONNECTIONS_MAX,
            sockets_max: SOCKETS_MAX,
            incoming_bytes_max: INCOMING_BYTES_MAX,
            header_bytes_max: limits::HEADER_BYTES_MAX,
            message_bytes_max: limits::INCOMING_MESSAGE_BYTES_MAX,
            raw_body_bytes_max: limits::RAW_BODY_BYTES_MAX,
            raw_frame_bytes_max: limits::RAW_FRAME_BYTES_MAX,
            header_timeout: limits::HEADER_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            ping_interval: PING_INTERVAL,
            silence_max: SILENCE_MAX,
            close_timeout: CLOSE_TIMEOUT,
            stop_timeout: STOP_TIMEOUT,
            shortcuts: Vec::new(),
            extra: None,
            identity: None,
            ready: None,
            drain: None,
            tracer: None,
        }
    }
}

/// What a [`Gateway`] holds and has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// TCP connections that are open, sockets included.
    pub connections: usize,
    /// WebSockets that are open.
    pub sockets: usize,
    /// Requests since the start, upgrades included.
    pub requests: u64,
    /// Bytes of request bodies and socket messages in memory.
    pub incoming_bytes: usize,
}

/// TCP connections at a time, unless the options say otherwise.
pub const CONNECTIONS_MAX: usize = 65_536;
/// WebSockets at a time, unless the options say otherwise.
pub const SOCKETS_MAX: usize = 50_000;
/// Bytes of bodies and messages of all clients in memory, unless the options say otherwise.
pub const INCOMING_BYTES_MAX: usize = 256 << 20;
/// How long a request's body may take, unless the options say otherwise.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Silence before a ping, unless the options say otherwise.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Silence before a socket is dropped, unless the options say otherwise.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a closing handshake may take, unless the options say otherwise.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a stopping gateway waits for requests under way, unless the options say otherwise.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a message on a RivetKit connection that are carried to the actor. It refuses more than its own, lower limit by
/// itself and with its own words; this bound only keeps the gateway from collecting megabytes for it.
const CONNECT_FRAME_BYTES_MAX: usize = 1 << 20;
/// Bytes of a REST request's body: an actor's input in base64, and some more.
const REST_BODY_BYTES_MAX: usize = limits::INPUT_BYTES_MAX / 3 * 4 + (64 << 10);

const _: () = assert!(CONNECT_FRAME_BYTES_MAX >= limits::INCOMING_MESSAGE_BYTES_MAX);
const _: () = assert!(INCOMING_BYTES_MAX >= limits::RAW_FRAME_BYTES_MAX);
const _: () = assert!(INCOMING_BYTES_MAX >= limits::RAW_BODY_BYTES_MAX);
