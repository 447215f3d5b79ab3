//! How an action answers: now, with text of its own making, or later.

use crate::{Response, Result, json};
use serde::{Deserialize, Serialize};

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With this JSON.
    Reply(String),
    /// A later turn answers.
    Deferred,
}

/// What an action may return: anything that serialises, a [`Reply`] or a [`Deferred`].
pub trait IntoReply {
    /// The outcome on the wire.
    fn into_reply(self) -> Result<Outcome>;
}

impl<T: Serialize> IntoReply for T {
    fn into_reply(self) -> Result<Outcome> {
        json::encode(&self).map(Outcome::Reply)
    }
}

/// Where a deferred answer goes. Keep it in the state, in a timer's payload or in the vars, and answer with `ctx.answer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplyHandle(pub u64);

/// Says that a later turn answers. From `ctx.defer()`.
#[derive(Debug)]
#[must_use = "return it, so that the host keeps the caller waiting"]
pub struct Deferred(pub(crate) ReplyHandle);

impl Deferred {
    /// Where the answer goes.
    pub fn handle(&self) -> ReplyHandle {
        self.0
    }
}

impl IntoReply for Deferred {
    fn into_reply(self) -> Result<Outcome> {
        Ok(Outcome::Deferred)
    }
}

/// An answer that is there, or one that a later turn gives.
#[derive(Debug)]
pub enum Reply<T> {
    /// Here it is.
    Now(T),
    /// Here it is, as JSON text that nobody has checked yet. The host refuses what is not JSON.
    Text(String),
    /// Later.
    Later(Deferred),
}

impl<T: Serialize> IntoReply for Reply<T> {
    fn into_reply(self) -> Result<Outcome> {
        match self {
            Self::Now(value) => value.into_reply(),
            Self::Text(text) => Ok(Outcome::Reply(text)),
            Self::Later(deferred) => deferred.into_reply(),
        }
    }
}

/// A typed event. Derive it: `#[derive(Serialize, Event)]`. The value is the event's only argument.
pub trait Event: Serialize {
    /// Its name on the wire.
    const NAME: &'static str;
}

/// What `#[on_request]` may give.
pub trait IntoResponse {
    /// The response; none for one that a later turn gives.
    fn into_response(self) -> Option<Response>;
}

impl IntoResponse for Response {
    fn into_response(self) -> Option<Response> {
        Some(self)
    }
}

impl IntoResponse for Deferred {
    fn into_response(self) -> Option<Response> {
        None
    }
}

impl IntoResponse for Reply<Response> {
    fn into_response(self) -> Option<Response> {
        match self {
            Self::Now(response) => Some(response),
            Self::Text(text) => Some(Response::text(200, text)),
            Self::Later(deferred) => deferred.into_response(),
        }
    }
}
