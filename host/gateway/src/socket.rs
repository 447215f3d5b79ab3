//! One client's socket: resolves the actor, opens the socket there, and carries frames until either side ends it.
//!
//! Invariant: a socket that was opened at an actor is reported closed there exactly once.

use crate::backend::{Backend, Session};
use crate::entry::{self, Pass, Visitor};
use crate::link::{Ended, Event, Link, Timing};
use crate::meters::METERS;
use crate::outbox::{CLOSE_FAILURE, Outbox};
use crate::ray::Ray;
use crate::route::Target;
use crate::serve::Shared;
use crate::server::Connection;
use crate::transport::Transport;
use crate::{CONNECT_FRAME_BYTES_MAX, GatewayOptions, handshake};
use growqr_seam::{Socket, SocketOpen};
use growqr_types::{ConnectionId, Failure, codes};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

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
        self.all().iter().for_each(|outbox| go_away(outbox));
    }

    /// Ends every socket without another word.
    pub(crate) fn abort_all(&self) {
        self.all().iter().for_each(|outbox| outbox.abort());
    }

    fn all(&self) -> Vec<Arc<Outbox>> {
        self.open.lock().values().filter_map(Weak::upgrade).collect()
    }
}

/// A socket's place among the open ones.
struct Place<B> {
    shared: Arc<Shared<B>>,
    number: u64,
    /// What the socket takes of the host's limits.
    _permits: Permits,
    /// How long it may stay.
    pass: Pass,
}

/// A place among the sockets, and one among the connections.
pub(crate) type Permits = (OwnedSemaphorePermit, Arc<Connection>);

impl<B> Drop for Place<B> {
    fn drop(&mut self) {
        self.shared.sockets.open.lock().remove(&self.number);
    }
}

fn go_away(outbox: &Outbox) {
    Socket::close(outbox, CLOSE_GOING_AWAY, &format!("{}.{}", codes::GOING_AWAY.group, codes::GOING_AWAY.code));
}

/// What a socket was opened with.
pub(crate) struct Opening {
    pub(crate) target: Result<Target, Failure>,
    /// Who opens it.
    pub(crate) visitor: Visitor,
    /// Path at the actor and headers.
    pub(crate) request: http::Request<()>,
    pub(crate) ray: Ray,
}

/// Opens one socket at its actor, and leaves it to a task of its own.
pub(crate) async fn open<B: Backend>(
    shared: Arc<Shared<B>>,
    upgraded: hyper::upgrade::Upgraded,
    opening: Opening,
    permits: Permits,
) {
    // Every connection of this server is a TCP stream, so this can't fail.
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
    let transport = Transport::new(parts.io.into_inner(), parts.read_buf, shared.budget.charge());
    let outbox = Outbox::new();
    let number = shared.sockets.last.fetch_add(1, Ordering::Relaxed);
    shared.sockets.open.lock().insert(number, Arc::downgrade(&outbox));
    let mut place = Place { shared: shared.clone(), number, _permits: permits, pass: None };
    if shared.closing.is_cancelled() {
        go_away(&outbox);
    }
    let is_connection = opening.request.uri().path() == "/connect";
    let frame_bytes_max = if is_connection { CONNECT_FRAME_BYTES_MAX } else { shared.options.raw_frame_bytes_max };
    let mut link = Link::new(transport, outbox.clone(), frame_bytes_max, timing(&shared.options));
    let ray = opening.ray.clone();
    let opened = if handshake::has_known_encoding(opening.request.headers()) {
        let opening = pin!(at_actor(&shared, opening, outbox.clone()));
        let Some(opened) = link.drive(opening).await else { return };
        opened.map_err(|failure| (CLOSE_FAILURE, format!("{}.{}#{}", failure.group, failure.code, ray.text())))
    } else {
        let code = codes::UNSUPPORTED_ENCODING;
        Err((CLOSE_UNSUPPORTED, format!("{}.{}", code.group, code.code)))
    };
    let session = match opened {
        Ok((session, pass)) => {
            place.pass = pass;
            Some(session)
        }
        Err((code, reason)) => {
            tracing::debug!(ray = ray.text(), code, reason, "socket refused");
            Socket::close(&*outbox, code, &reason);
            None
        }
    };
    shared.tasks.spawn(carry(place, link, session));
}

fn timing(options: &GatewayOptions) -> Timing {
    Timing {
        // The timer that finds a silent client is the one that pings it.
        ping_interval: options.ping_interval.min(options.silence_max),
        silence_max: options.silence_max,
        close_timeout: options.close_timeout,
    }
}

async fn at_actor<B: Backend>(
    shared: &Shared<B>,
    mut opening: Opening,
    outbox: Arc<Outbox>,
) -> Result<(B::Session, Pass), Failure> {
    let identity = shared.options.identity.as_ref();
    let principal = opening.visitor.identify(identity).await?;
    let (actor, _key) = entry::reach(&shared.backend, &principal, opening.target?).await?;
    let (pass, socket) = entry::admit(identity, &principal, &outbox)?;
    entry::announce(&principal, opening.request.headers_mut());
    let connection = ConnectionId::from_bytes(uuid::Uuid::new_v4().into_bytes());
    let session = shared.backend.websocket(actor, SocketOpen { connection, request: opening.request, socket }).await?;
    Ok((session, pass))
}

/// The task of an open socket. Its size is what an idle socket costs, so that what is rare is boxed. It is no `async fn`, because
/// those keep their arguments twice.
#[expect(clippy::manual_async_fn, reason = "an async fn would be nearly twice as large")]
fn carry<B: Backend>(place: Place<B>, mut link: Link, session: Option<B::Session>) -> impl Future<Output = ()> + Send {
    async move {
        let ended = loop {
            match link.next().await {
                Event::Frame(frame) => {
                    METERS.messages_in.increment(1);
                    if place.shared.stop.is_cancelled() {
                        // The host stops and takes nothing new; what the client is owed is written, until the socket is closed.
                        Box::pin(closing(&mut link, &place.shared)).await;
                    } else if let Some(session) = &session {
                        let delivered = pin!(session.message(frame));
                        link.drive(delivered).await;
                    }
                }
                Event::Ended(ended) => break ended,
            }
        };
        Box::pin(finish(link, session, ended)).await;
        drop(place);
    }
}

/// Waits until sockets are closed; writes meanwhile, and does not read.
async fn closing<B>(link: &mut Link, shared: &Shared<B>) {
    let closing = pin!(shared.closing.cancelled());
    link.drive(closing).await;
}

async fn finish<S: Session>(link: Link, session: Option<S>, ended: Ended) {
    // A client that is slow to leave does not keep the news from the actor.
    let telling = async {
        if let Some(session) = &session {
            let (code, reason) = ended.told();
            tracing::debug!(code, "socket closed");
            session.closed(code, reason).await;
        }
    };
    tokio::join!(link.finish(&ended), telling);
}

#[cfg(test)]
mod tests {
    use super::*;
    use growqr_engine::{Engine, SocketSession};

    /// Bytes of the task of an idle socket. The read buffer of 8 KiB comes on top, of which mostly one page is in use.
    const TASK_BYTES_MAX: usize = 2 << 10;

    #[test]
    fn the_task_of_an_idle_socket_is_small() {
        fn len<F>(_: impl Fn(Place<Engine>, Link, Option<SocketSession>) -> F) -> usize {
            size_of::<F>()
        }
        let len = len(carry);
        assert!(len <= TASK_BYTES_MAX, "{len}");
    }
}
