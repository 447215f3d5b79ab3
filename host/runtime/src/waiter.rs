//! Whoever waits for an actor's reply.

use crate::core::Reply;
use crate::session::Session;
use growqr_turn::HttpResponse;
use growqr_types::{Failure, Json};
use std::sync::Arc;
use tokio::sync::oneshot;

/// See the module's documentation. Whoever has stopped waiting is simply not told.
pub enum Waiter {
    /// An HTTP action, a queue message, or another actor.
    Value(oneshot::Sender<Result<Json, Failure>>),
    /// A raw HTTP request.
    Response(oneshot::Sender<Result<HttpResponse, Failure>>),
    /// A connection of an HTTP request, or the delivery of another actor's message.
    Accepted(oneshot::Sender<Result<(), Failure>>),
    /// An action of a socket.
    Action(Arc<Session>, u64),
    /// A socket that asks to be let in.
    Open(Arc<Session>),
    /// A socket that wants an event.
    Subscription(Arc<Session>, Arc<str>),
    /// One of these, whose call is traced.
    Traced(Box<Waiter>, tracing::Span),
}

impl Waiter {
    /// The same, with the trace that its call belongs to.
    pub fn traced(self, trace: Option<tracing::Span>) -> Self {
        match trace {
            Some(trace) => Self::Traced(Box::new(self), trace),
            None => self,
        }
    }

    /// The trace that its call belongs to.
    pub fn trace(&self) -> Option<&tracing::Span> {
        match self {
            Self::Traced(_, trace) => Some(trace),
            _ => None,
        }
    }

    /// Tells the one who waits.
    pub fn hear(self, reply: Reply) {
        match (self, reply) {
            (Self::Value(to), Reply::Value(value)) => drop(to.send(value)),
            (Self::Value(to), Reply::Accepted(Err(failure)) | Reply::Response(Err(failure))) => {
                drop(to.send(Err(failure)))
            }
            (Self::Response(to), Reply::Response(response)) => drop(to.send(response)),
            (Self::Response(to), Reply::Accepted(Err(failure)) | Reply::Value(Err(failure))) => {
                drop(to.send(Err(failure)))
            }
            (Self::Accepted(to), Reply::Accepted(accepted)) => drop(to.send(accepted)),
            (Self::Accepted(to), Reply::Value(Err(failure)) | Reply::Response(Err(failure))) => {
                drop(to.send(Err(failure)))
            }
            (Self::Action(session, id), Reply::Value(value)) => session.answer(id, value),
            (Self::Open(session), Reply::Accepted(accepted)) => session.decided(accepted),
            (Self::Subscription(session, event), Reply::Accepted(accepted)) => {
                session.subscription_decided(event, accepted)
            }
            (Self::Traced(waiter, _trace), reply) => waiter.hear(reply),
            // The core answers each waiter in its own kind.
            (_, reply) => tracing::error!(?reply, "a reply of the wrong kind"),
        }
    }
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Waiter")
    }
}
