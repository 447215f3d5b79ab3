//! The task of one client's socket: resolves the actor, opens the socket there, and carries frames until either side ends it.
//!
//! Invariant: a socket that was opened at an actor is reported closed there exactly once.

use crate::backend::{Backend, Session};
use crate::link::{Ended, Event, Link, Timing};
use crate::outbox::{CLOSE_FAILURE, Outbox};
use crate::ray::Ray;
use crate::route::Target;
use crate::serve::Shared;
use crate::transport::Transport;
use crate::{CONNECT_FRAME_BYTES_MAX, handshake, serve};
use growqr_seam::{Socket, SocketOpen};
use growqr_types::{ConnectionId, Failure, codes};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use tokio::net::TcpStream;

/// The close code for an encoding that does not exist.
const CLOSE_UNSUPPORTED: u16 = 1003;
/// The close code when the host stops. Official clients look only at the reason, and reconnect.
const CLOSE_GOING_AWAY: u16 = 1001;

/// Sockets that are open, so that they can be closed when the host stops.
#[derive(Default)]
pub(crate) struct Sockets {
    open: Mutex<HashMap<u64, Weak<Outbox>>>,
    last: AtomicU64,
}

impl Sockets {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// Asks every client to connect again.
    pub(crate) fn close_all(&self) {
        let open: Vec<_> = self.open.lock().values().filter_map(Weak::upgrade).collect();
        for outbox in open {
            go_away(&outbox);
        }
    }
}

fn go_away(outbox: &Outbox) {
    outbox.close(CLOSE_GOING_AWAY, &format!("{}.{}", codes::GOING_AWAY.group, codes::GOING_AWAY.code));
}

/// What a socket was opened with.
pub(crate) struct Opening {
    pub(crate) target: Result<Target, Failure>,
    /// Path at the actor and headers.
    pub(crate) request: http::Request<()>,
    pub(crate) ray: Ray,
}

/// Carries one socket, from the upgrade to its end.
pub(crate) async fn run<B: Backend>(shared: Arc<Shared<B>>, upgraded: hyper::upgrade::Upgraded, opening: Opening) {
    // Every connection of this server is a TCP stream, so this can't fail.
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
    let transport = Transport::new(parts.io.into_inner(), parts.read_buf, shared.budget.charge());
    let options = &shared.options;
    let timing = Timing {
        // The timer that finds a silent client is the one that pings it.
        ping_interval: options.ping_interval.min(options.silence_max),
        silence_max: options.silence_max,
        close_timeout: options.close_timeout,
    };
    let is_connection = opening.request.uri().path() == "/connect";
    let frame_bytes_max = if is_connection { CONNECT_FRAME_BYTES_MAX } else { options.raw_frame_bytes_max };
    let outbox = Outbox::new();
    let number = shared.sockets.last.fetch_add(1, Ordering::Relaxed);
    shared.sockets.open.lock().insert(number, Arc::downgrade(&outbox));
    if shared.stop.is_cancelled() {
        go_away(&outbox);
    }
    let link = Link::new(transport, outbox.clone(), frame_bytes_max, timing);
    carry(&shared, link, &outbox, opening).await;
    shared.sockets.open.lock().remove(&number);
}

async fn carry<B: Backend>(shared: &Shared<B>, mut link: Link, outbox: &Arc<Outbox>, opening: Opening) {
    let ray = opening.ray.clone();
    let session = if handshake::has_known_encoding(opening.request.headers()) {
        // The future of opening is large and soon over: it has no place in a task that mostly idles.
        let opened = link.drive(Box::pin(open(shared, opening, outbox.clone()))).await;
        opened.map_err(|failure| (CLOSE_FAILURE, format!("{}.{}#{}", failure.group, failure.code, ray.text())))
    } else {
        let code = codes::UNSUPPORTED_ENCODING;
        Err((CLOSE_UNSUPPORTED, format!("{}.{}", code.group, code.code)))
    };
    let session = match session {
        Ok(session) => Some(session),
        Err((code, reason)) => {
            tracing::debug!(ray = ray.text(), code, reason, "socket refused");
            outbox.close(code, &reason);
            None
        }
    };
    let ended = loop {
        match link.next().await {
            Event::Frame(frame) => {
                if let Some(session) = &session {
                    link.drive(session.message(frame)).await;
                }
            }
            Event::Ended(ended) => break ended,
        }
    };
    finish(link, session, ended).await;
}

async fn finish<S: Session>(link: Link, session: Option<S>, ended: Ended) {
    // A client that is slow to leave does not keep the news from the actor.
    let telling = async {
        if let Some(session) = session {
            let (code, reason) = ended.told();
            tracing::debug!(code, "socket closed");
            session.closed(code, reason).await;
        }
    };
    tokio::join!(Box::pin(link.finish(&ended)), telling);
}

async fn open<B: Backend>(shared: &Shared<B>, opening: Opening, outbox: Arc<Outbox>) -> Result<B::Session, Failure> {
    let (actor, _key) = serve::resolve(&shared.backend, opening.target?).await?;
    let connection = ConnectionId::from_bytes(uuid::Uuid::new_v4().into_bytes());
    shared.backend.websocket(actor, SocketOpen { connection, request: opening.request, socket: outbox }).await
}
