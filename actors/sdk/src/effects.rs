//! Timers, other actors, and how effects end.

use crate::bindings::growqr::actor::{timers, types as wit};
use crate::{
    ActorMessage, Fail, Json, QueueMessage, Request, Response, Result, SandboxEvent, Target, TimerEvent, args,
};
use serde::de::DeserializeOwned;

pub use timers::Timer;

/// The end of an effect that this actor asked for.
#[derive(Debug, Clone)]
pub struct EffectResult {
    /// What `ctx.call`, `ctx.spawn` and the others gave.
    pub operation: u64,
    /// How it ended.
    pub outcome: Result<Json>,
}

impl From<wit::EffectResult> for EffectResult {
    fn from(result: wit::EffectResult) -> Self {
        let outcome = match result.outcome {
            Ok(text) => Json::from_text(text),
            Err(failure) => Err(Fail::from(failure)),
        };
        Self { operation: result.operation, outcome }
    }
}

impl Target {
    /// An actor by name and key; it is created if it is not there.
    pub fn actor<K: Into<String>>(name: impl Into<String>, key: impl IntoIterator<Item = K>) -> Self {
        Self::Address(wit::Address { name: name.into(), key: key.into_iter().map(Into::into).collect() })
    }
}

macro_rules! readable {
    ($($type:ty, $method:ident, $field:ident;)*) => {
        $(impl $type {
            /// Reads what it carries.
            pub fn $method<T: DeserializeOwned + 'static>(&self) -> Result<T> {
                args::value(&self.$field, stringify!($field))
            }
        })*
    };
}

readable! {
    Timer, read, payload;
    TimerEvent, read, payload;
    ActorMessage, read, payload;
    SandboxEvent, read, payload;
    QueueMessage, read, body;
}

impl Request {
    /// The path, without the query.
    pub fn path(&self) -> &str {
        let target = self.target();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// What stands behind the question mark; empty if nothing.
    pub fn query(&self) -> &str {
        self.target().split_once('?').map_or("", |(_, query)| query)
    }

    /// Path and query as the client wrote them.
    pub fn target(&self) -> &str {
        let url = self.url.split_once('#').map_or(self.url.as_str(), |(url, _)| url);
        let after_scheme = url.find("://").map_or(0, |at| at + 3);
        match url[after_scheme..].find('/') {
            Some(at) => &url[after_scheme + at..],
            None if after_scheme == 0 => url,
            None => "/",
        }
    }

    /// A header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name == name).map(|header| header.value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body).map_err(|_| Fail::validation("the body is not UTF-8"))
    }

    /// The body as JSON. Plain JSON: tags are not looked at.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| Fail::validation(error.to_string()))
    }
}

impl Response {
    /// A response without a body.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Text.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        let body = text.into().into_bytes();
        Self { body, ..Self::status(status) }.with_header("content-type", "text/plain; charset=utf-8")
    }

    /// JSON.
    pub fn json(status: u16, value: &(impl serde::Serialize + ?Sized)) -> Result<Self> {
        let body = serde_json::to_vec(value)?;
        Ok(Self { body, ..Self::status(status) }.with_header("content-type", "application/json"))
    }

    /// Adds a header. The name must be lower case.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(wit::Header { name: name.into(), value: value.into() });
        self
    }

    /// Replaces the body.
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}
