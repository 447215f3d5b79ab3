//! The sockets of one actor. They outlive its instance: events reach them, and what they send wakes the actor.

use crate::core::Connections;
use crate::session::Session;
use growqr_seam::SocketFrame;
use growqr_types::{ConnectionId, Seq, TimestampMs};
use growqr_wire::Encoding;
use parking_lot::Mutex;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module's documentation.
#[derive(Default)]
pub struct Hub {
    /// Connections that were let in.
    pub connections: Arc<Connections>,
    sessions: Mutex<HashMap<ConnectionId, Arc<Session>>>,
    released_seq: AtomicU64,
    first_seq: AtomicU64,
}

impl Hub {
    /// Adds a socket.
    pub fn insert(&self, session: Arc<Session>) {
        self.sessions.lock().insert(session.id(), session);
    }

    /// Takes a socket out.
    pub fn remove(&self, id: ConnectionId) {
        self.sessions.lock().remove(&id);
    }

    /// A socket.
    pub fn session(&self, id: ConnectionId) -> Option<Arc<Session>> {
        self.sessions.lock().get(&id).cloned()
    }

    /// All sockets.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.sessions.lock().values().cloned().collect()
    }

    /// Whether there is no socket.
    pub fn is_empty(&self) -> bool {
        self.sessions.lock().is_empty()
    }

    /// The last event that was released, and the oldest that is kept.
    pub fn window(&self) -> (Seq, Seq) {
        (self.first_seq.load(Ordering::Acquire), self.released_seq.load(Ordering::Acquire))
    }

    /// The actor was started: what its log holds.
    pub fn set_window(&self, first: Seq, last: Seq) {
        self.first_seq.store(first, Ordering::Release);
        self.released_seq.store(last, Ordering::Release);
    }

    /// The oldest event that is kept.
    pub fn set_first(&self, first: Seq) {
        self.first_seq.store(first, Ordering::Release);
    }

    /// Gives an event to every socket that subscribed. Events come in the order of their numbers.
    pub fn broadcast(&self, event: Event) {
        // First the number: a socket that subscribes from now on finds the event in the log and must not get it from here.
        self.released_seq.store(event.seq.unwrap_or_default(), Ordering::Release);
        for session in self.sessions.lock().values() {
            session.event(&event);
        }
    }
}

/// An event on its way to sockets, encoded at most once for each form in which they want it.
pub struct Event {
    /// Its number; none for an event to one connection.
    pub seq: Option<Seq>,
    /// When its turn ran.
    pub ts: TimestampMs,
    /// Name.
    pub name: Arc<str>,
    /// A JSON array.
    pub args: Arc<str>,
    frames: [OnceCell<Option<SocketFrame>>; 6],
}

impl Event {
    /// An event.
    pub fn new(seq: Option<Seq>, ts: TimestampMs, name: Arc<str>, args: Arc<str>) -> Self {
        Self { seq, ts, name, args, frames: Default::default() }
    }

    /// The frame for a socket; none when the event can't be said in its encoding.
    pub fn frame(&self, encoding: Encoding, numbered: bool) -> Option<&SocketFrame> {
        let form = encoding as usize * 2 + usize::from(numbered);
        self.frames[form].get_or_init(|| self.encode(encoding, numbered)).as_ref()
    }

    fn encode(&self, encoding: Encoding, numbered: bool) -> Option<SocketFrame> {
        let encoded = if numbered {
            let seq = self.seq.map_or_else(|| "null".to_owned(), |seq| seq.to_string());
            let extra = format!(r#"{{"seq":{seq},"ts":{}}}"#, self.ts);
            growqr_wire::encode_event(encoding, &self.name, &growqr_wire::with_extra_argument(&self.args, &extra))
        } else {
            growqr_wire::encode_event(encoding, &self.name, &self.args)
        };
        match encoded {
            Ok(bytes) => Some(frame(encoding, bytes)),
            Err(error) => {
                tracing::warn!(event = %self.name, %error, "an event can't be encoded");
                None
            }
        }
    }
}

/// A message of the connection protocol as a frame.
pub fn frame(encoding: Encoding, bytes: bytes::Bytes) -> SocketFrame {
    if encoding.is_text() { SocketFrame::Text(bytes) } else { SocketFrame::Binary(bytes) }
}
