//! Clients that are connected.

use crate::bindings::growqr::actor::types as wit;
use crate::bindings::growqr::actor::{connections, events};
use crate::{ConnectionKind, ConnectionRequest, Event, Fail, Frame, Json, Result, args, json};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A connection that was accepted.
#[derive(Debug, Clone)]
pub struct Connection {
    /// A UUID. Stays the same while the actor sleeps and wakes.
    pub id: String,
    /// How it came to be.
    pub kind: ConnectionKind,
    /// Whether it stays open while the actor sleeps.
    pub hibernatable: bool,
    params: String,
    state: Option<String>,
}

impl From<wit::Connection> for Connection {
    fn from(connection: wit::Connection) -> Self {
        let wit::Connection { id, kind, params, state, hibernatable } = connection;
        Self { id, kind, hibernatable, params, state }
    }
}

impl Connection {
    /// What the client passed when it connected.
    pub fn params<T: DeserializeOwned + 'static>(&self) -> Result<T> {
        args::value(&self.params, "params")
    }

    /// What the actor keeps about the connection. A connection without state reads as `null`.
    pub fn state<T: DeserializeOwned + 'static>(&self) -> Result<T> {
        args::value(self.state.as_deref().unwrap_or("null"), "connection state")
    }

    /// Replaces what the actor keeps about it. False when the connection is gone.
    pub fn set_state(&mut self, state: &(impl Serialize + ?Sized)) -> Result<bool> {
        let text = json::encode(state)?;
        let there = connections::set_state(&self.id, &text);
        self.state = Some(text);
        Ok(there)
    }

    /// Sends an event with one argument to this connection only. False when it is gone.
    pub fn send(&self, event: &str, payload: &(impl Serialize + ?Sized)) -> bool {
        args_of_one(payload).is_ok_and(|args| events::send(&self.id, event, &args))
    }

    /// Sends a typed event to this connection only. False when it is gone.
    pub fn emit<E: Event>(&self, event: &E) -> bool {
        self.send(E::NAME, event)
    }

    /// Sends an event with any number of arguments, given as a tuple.
    pub fn send_args(&self, event: &str, arguments: &(impl Serialize + ?Sized)) -> bool {
        args_of(arguments).is_ok_and(|args| events::send(&self.id, event, &args))
    }

    /// Sends text on a raw socket. False when it is gone.
    pub fn send_text(&self, text: impl Into<String>) -> bool {
        connections::send_frame(&self.id, &Frame::Text(text.into()))
    }

    /// Sends a frame on a raw socket. False when it is gone.
    pub fn send_frame(&self, frame: &Frame) -> bool {
        connections::send_frame(&self.id, frame)
    }

    /// Closes it after the turn. 1000 is the usual code.
    pub fn disconnect(&self, code: u16, reason: &str) -> bool {
        connections::disconnect(&self.id, Some(code), reason)
    }
}

impl ConnectionRequest {
    /// What the client passed.
    pub fn params<T: DeserializeOwned + 'static>(&self) -> Result<T> {
        args::value(&self.params, "params")
    }
}

/// An event's arguments when there is one.
pub(crate) fn args_of_one(payload: &(impl Serialize + ?Sized)) -> Result<String> {
    Ok(["[", &json::encode(payload)?, "]"].concat())
}

/// Arguments from a tuple, a list, or `()` for none.
pub(crate) fn args_of(arguments: &(impl Serialize + ?Sized)) -> Result<String> {
    // The list of arguments itself is no value, so it never takes an escape: each element is written on its own.
    let list: Vec<Json> = match serde_json::to_string(arguments)?.as_str() {
        "null" => return Ok("[]".to_owned()),
        text => serde_json::from_str(text).map_err(|_| Fail::internal("arguments must be a tuple or a list"))?,
    };
    let mut out = String::from("[");
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&json::escape(item.text()));
    }
    out.push(']');
    Ok(out)
}
