//! How an actor is laid out in its keys, and the bytes of each record.
//!
//! Every record starts with a format version. What was written by a released version must stay readable; `tests/fixtures` keeps
//! samples.

use bytes::{BufMut, Bytes, BytesMut};
pub use growqr_seam::EventRecord;
use growqr_turn::{ConnectionKind, Effect, TimerRecord};
use growqr_types::{ActorId, ConnectionId, Failure, Json, OperationId, ReplyHandle, Seq, TimerId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

const VERSION: u8 = 1;

/// The record can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stored {what} can't be read: {why}")]
pub struct BadRecord {
    what: &'static str,
    why: String,
}

impl From<growqr_seam::BadEvent> for BadRecord {
    fn from(error: growqr_seam::BadEvent) -> Self {
        Self { what: "event", why: error.0.to_owned() }
    }
}

/// Keys of one actor.
pub mod key {
    use super::*;

    /// The actor's own numbers.
    pub const META: &[u8] = b"m";
    /// First byte of the guest's state keys.
    pub const STATE: u8 = b's';
    /// First byte of the event log.
    pub const EVENT: u8 = b'e';
    /// First byte of timers.
    pub const TIMER: u8 = b't';
    /// First byte of unfinished effects.
    pub const OUTBOX: u8 = b'o';
    /// First byte of connections that need an `on-disconnect`.
    pub const CONNECTION: u8 = b'c';
    /// First byte of what senders had delivered.
    pub const INBOX: u8 = b'd';

    /// First byte of deferred calls of other actors.
    pub const HANDLE: u8 = b'h';

    /// A guest's state key.
    pub fn state(key: &str) -> Bytes {
        join(STATE, key.as_bytes())
    }

    /// An event.
    pub fn event(seq: Seq) -> Bytes {
        join(EVENT, &seq.to_be_bytes())
    }

    /// A timer.
    pub fn timer(id: TimerId) -> Bytes {
        join(TIMER, &id.to_be_bytes())
    }

    /// An effect.
    pub fn outbox(operation: OperationId) -> Bytes {
        join(OUTBOX, &operation.to_be_bytes())
    }

    /// A connection.
    pub fn connection(id: ConnectionId) -> Bytes {
        join(CONNECTION, id.as_bytes())
    }

    /// A deferred call of another actor.
    pub fn handle(handle: ReplyHandle) -> Bytes {
        join(HANDLE, &handle.to_be_bytes())
    }

    /// What one sender had delivered.
    pub fn inbox(sender: ActorId) -> Bytes {
        join(INBOX, sender.as_bytes())
    }

    /// The number in the key of an event, a timer or an effect.
    pub fn number(key: &[u8]) -> Option<u64> {
        Some(u64::from_be_bytes(key.get(1..)?.try_into().ok()?))
    }

    /// The range of all keys with one first byte.
    pub fn all(first: u8) -> ([u8; 1], [u8; 1]) {
        ([first], [first + 1])
    }

    fn join(first: u8, rest: &[u8]) -> Bytes {
        let mut key = BytesMut::with_capacity(1 + rest.len());
        key.put_u8(first);
        key.put_slice(rest);
        key.freeze()
    }
}

/// The actor's own numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// `on-create` has run.
    pub created: bool,
    /// `on-destroy` has run.
    pub destroyed: bool,
    /// A turn asked for the actor's destruction.
    pub destroy_asked: bool,
    /// Version of the persisted state's shape.
    pub state_version: u32,
    /// The next operation or timer id.
    pub next_id: u64,
    /// The last event's number.
    pub last_seq: Seq,
    /// The oldest kept event's number; `last_seq + 1` when none is kept.
    pub first_seq: Seq,
    /// Bytes of all state keys and values.
    pub state_bytes: u64,
}

impl Meta {
    /// A new actor's.
    pub fn new(state_version: u32) -> Self {
        Self { state_version, next_id: 1, first_seq: 1, ..Self::default() }
    }

    /// The record.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(38);
        out.put_u8(VERSION);
        out.put_u8(u8::from(self.created) | u8::from(self.destroyed) << 1 | u8::from(self.destroy_asked) << 2);
        out.put_u32_le(self.state_version);
        for number in [self.next_id, self.last_seq, self.first_seq, self.state_bytes] {
            out.put_u64_le(number);
        }
        out.freeze()
    }

    /// Reads the record.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let bad = || BadRecord { what: "actor record", why: format!("{} bytes", bytes.len()) };
        let body: &[u8; 38] = bytes.try_into().map_err(|_| bad())?;
        if body[0] != VERSION || body[1] > 7 {
            return Err(BadRecord { what: "actor record", why: format!("format {}", body[0]) });
        }
        let number = |at: usize| {
            let mut le = [0; 8];
            le.copy_from_slice(&body[at..at + 8]);
            u64::from_le_bytes(le)
        };
        let mut version = [0; 4];
        version.copy_from_slice(&body[2..6]);
        let meta = Self {
            created: body[1] & 1 != 0,
            destroyed: body[1] & 2 != 0,
            destroy_asked: body[1] & 4 != 0,
            state_version: u32::from_le_bytes(version),
            next_id: number(6),
            last_seq: number(14),
            first_seq: number(22),
            state_bytes: number(30),
        };
        if meta.first_seq == 0 || meta.first_seq > meta.last_seq.saturating_add(1) {
            return Err(BadRecord { what: "actor record", why: "its event numbers contradict each other".to_owned() });
        }
        Ok(meta)
    }
}

/// A connection that needs an `on-disconnect`, even when the host dies first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionRecord {
    /// How it came to be.
    pub kind: ConnectionKind,
    /// What the client passed.
    pub params: Json,
    /// What the actor keeps about it.
    pub state: Option<Json>,
}

/// What one sender had delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InboxRecord {
    /// Operations below are finished; one that comes again is refused.
    pub floor: OperationId,
    /// Operations from there on.
    pub operations: BTreeMap<OperationId, InboxState>,
}

/// What became of an operation of a sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InboxState {
    /// It was answered.
    Answered(Result<Json, Failure>),
    /// It will be, under this handle.
    Deferred(ReplyHandle),
}

/// A deferred call of another actor: its answer, once there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandleRecord(pub Option<Result<Json, Failure>>);

/// A record that is a version byte and JSON.
pub trait JsonRecord: Serialize + DeserializeOwned {
    /// For messages.
    const WHAT: &'static str;

    /// The record.
    fn encode(&self) -> Bytes {
        let mut out = vec![VERSION];
        // These types have text keys only and no maps that JSON can't say, so writing to memory cannot fail.
        let written = serde_json::to_writer(&mut out, self);
        debug_assert!(written.is_ok());
        out.into()
    }

    /// Reads the record.
    fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        match bytes.split_first() {
            Some((&VERSION, json)) => {
                serde_json::from_slice(json).map_err(|error| BadRecord { what: Self::WHAT, why: error.to_string() })
            }
            _ => Err(BadRecord { what: Self::WHAT, why: "its format is unknown".to_owned() }),
        }
    }
}

impl JsonRecord for TimerRecord {
    const WHAT: &'static str = "timer";
}
impl JsonRecord for Effect {
    const WHAT: &'static str = "effect";
}
impl JsonRecord for ConnectionRecord {
    const WHAT: &'static str = "connection";
}
impl JsonRecord for HandleRecord {
    const WHAT: &'static str = "deferred call";
}
impl JsonRecord for InboxRecord {
    const WHAT: &'static str = "inbox";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were() {
        let meta = Meta { created: true, state_version: 3, next_id: 9, last_seq: 7, first_seq: 2, ..Meta::default() };
        assert_eq!(Meta::decode(&meta.encode()), Ok(meta));
        let event = EventRecord { ts: 5, name: "ping".to_owned(), args: "[1]".to_owned() };
        assert_eq!(EventRecord::decode(&EventRecord::encode(5, "ping", "[1]")), Ok(event));
        let mut inbox = InboxRecord { floor: 4, ..InboxRecord::default() };
        inbox.operations.insert(4, InboxState::Deferred(8));
        inbox.operations.insert(5, InboxState::Answered(Ok("1".to_owned())));
        assert_eq!(InboxRecord::decode(&inbox.encode()), Ok(inbox));
    }

    #[test]
    fn damaged_records_are_refused() {
        let meta = Meta::new(1).encode();
        for cut in 0..meta.len() {
            assert!(Meta::decode(&meta[..cut]).is_err());
        }
        assert!(Meta::decode(&[9; 38]).is_err());
        let event = EventRecord::encode(5, "ping", "[1]");
        for cut in 0..17 {
            assert!(EventRecord::decode(&event[..cut]).is_err());
        }
        assert!(TimerRecord::decode(b"").is_err());
        assert!(TimerRecord::decode(b"\x02{}").is_err());
    }
}
