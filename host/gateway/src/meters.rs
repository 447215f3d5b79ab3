//! What the gateway counts for metrics. The handles are made once; without metrics they are empty.

use http::StatusCode;
use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};
use std::sync::LazyLock;
use std::time::Duration;

/// What a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A browser's question before a request to an actor.
    Preflight,
    /// The opening of a WebSocket.
    Socket,
    /// A request to an actor.
    Actor,
    /// The REST interface of Rivet.
    Rest,
    /// Routes of others below `/api`.
    Extra,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Preflight, Self::Socket, Self::Actor, Self::Rest, Self::Extra];

    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Socket => "socket",
            Self::Actor => "actor",
            Self::Rest => "rest",
            Self::Extra => "api",
        }
    }
}

/// The first digits of a status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

struct OfKind {
    by_class: [Counter; CLASSES.len()],
    seconds: Histogram,
}

/// The gateway's handles.
pub(crate) struct Meters {
    kinds: [OfKind; Kind::ALL.len()],
    /// Messages of clients over WebSockets.
    pub(crate) messages_in: Counter,
    /// Messages to clients over WebSockets.
    pub(crate) messages_out: Counter,
    /// Sockets that were closed because their client read too slowly.
    pub(crate) slow_readers: Counter,
}

impl Meters {
    /// Counts a request that was answered.
    pub(crate) fn request(&self, kind: Kind, status: StatusCode, took: Duration) {
        let of_kind = &self.kinds[kind as usize];
        let class = usize::from(status.as_u16() / 100).saturating_sub(1).min(CLASSES.len() - 1);
        of_kind.by_class[class].increment(1);
        of_kind.seconds.record(took);
    }
}

/// Made at the first use, which is after the program has decided whether there are metrics.
pub(crate) static METERS: LazyLock<Meters> = LazyLock::new(|| {
    describe_counter!("growqr_requests_total", "Requests, by what they were for and how they were answered.");
    describe_histogram!("growqr_request_seconds", "From a request's head until its answer is ready.");
    describe_counter!("growqr_socket_messages_total", "Messages over WebSockets, by direction.");
    describe_counter!("growqr_slow_readers_total", "WebSockets that were closed because the client read too slowly.");
    let of_kind = |kind: Kind| OfKind {
        by_class: CLASSES.map(|class| counter!("growqr_requests_total", "kind" => kind.word(), "status" => class)),
        seconds: histogram!("growqr_request_seconds", "kind" => kind.word()),
    };
    Meters {
        kinds: Kind::ALL.map(of_kind),
        messages_in: counter!("growqr_socket_messages_total", "direction" => "in"),
        messages_out: counter!("growqr_socket_messages_total", "direction" => "out"),
        slow_readers: counter!("growqr_slow_readers_total"),
    }
});
