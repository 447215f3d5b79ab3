//! A client's socket at an actor. It belongs to the gateway, and survives sleep and wake of the actor.

use crate::Inner;
use crate::live::STARTS_MAX;
use growqr_seam::{SocketFrame, SocketHandler, SocketOpen};
use growqr_types::{ActorId, ConnectionId, Failure, codes};
use std::sync::Arc;

/// The gateway drives it with what the client sends.
pub struct SocketSession {
    inner: Arc<Inner>,
    actor: ActorId,
    connection: ConnectionId,
    handler: Arc<dyn SocketHandler>,
}

/// Opens a socket at an actor, starting it if it sleeps.
pub(crate) async fn open(inner: &Arc<Inner>, actor: ActorId, open: SocketOpen) -> Result<SocketSession, Failure> {
    let connection = open.connection;
    let mut open = Box::new(open);
    for _ in 0..STARTS_MAX {
        inner.sockets.entry(actor).or_default().insert(connection);
        match inner.runtime()?.websocket(actor, open) {
            Ok(handler) => {
                let session = SocketSession { inner: inner.clone(), actor, connection, handler };
                if let Err(failure) = inner.durable(actor).await {
                    session.closed(1011, "actor.commit_failed").await;
                    return Err(failure);
                }
                return Ok(session);
            }
            Err(back) => open = back,
        }
        if let Err(failure) = inner.ensure_started(actor).await {
            inner.forget_socket(actor, connection);
            return Err(failure);
        }
    }
    inner.forget_socket(actor, connection);
    Err(codes::RESTARTING.failure())
}

impl SocketSession {
    /// Gives a frame to the actor, starting it if it sleeps. Frames must be given one after the other.
    pub async fn message(&self, frame: SocketFrame) {
        let mut frame = frame;
        for _ in 0..STARTS_MAX {
            match self.handler.message(frame) {
                Ok(()) => return,
                Err(back) => frame = back,
            }
            if let Err(failure) = self.inner.ensure_started(self.actor).await {
                self.handler.unreachable(frame, failure);
                return;
            }
        }
        self.handler.unreachable(frame, codes::RESTARTING.failure());
    }

    /// The client is gone. Must be called once.
    pub async fn closed(&self, code: u16, reason: &str) {
        self.inner.forget_socket(self.actor, self.connection);
        for _ in 0..STARTS_MAX {
            if self.handler.closed(code, reason).is_ok() {
                return;
            }
            // An actor that can't start finds out when it does: its stored connections are compared with the live ones.
            if self.inner.ensure_started(self.actor).await.is_err() {
                return;
            }
        }
    }
}

impl Inner {
    fn forget_socket(&self, actor: ActorId, connection: ConnectionId) {
        if let Some(mut sockets) = self.sockets.get_mut(&actor) {
            sockets.remove(&connection);
        }
        self.sockets.remove_if(&actor, |_, sockets| sockets.is_empty());
    }
}
