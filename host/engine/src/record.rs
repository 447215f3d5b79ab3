//! How the directory and the alarms are laid out in storage.
//!
//! | space | key | value |
//! |---|---|---|
//! | Directory | `i` id | the actor, as JSON behind a version byte |
//! | Directory | `k` namespace 0 name 0 key | id |
//! | Directory | `n` namespace 0 name 0 inverted creation time, id | nothing |
//! | Directory | `x` id | what the creator passed |
//! | Directory | `g` id | generation of the last commit |
//! | Directory | `a` id | alarm |
//! | Directory | `m` id | number of the actor's last row for the database |
//! | Directory | `v` id | the version of its code that the database was told |
//! | Alarms | time id | nothing |
//! | Actors | id, the actor's own key | the actor's own value |
//! | Spool | see `spool.rs` | an event |

use bytes::{BufMut, Bytes, BytesMut};
use growqr_types::{ActorId, ActorKey, Failure, TimestampMs, codes};
use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;

/// What is stored about an actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredActor {
    /// Actor name.
    pub name: String,
    /// Key.
    pub key: ActorKey,
    /// Namespace.
    pub namespace: String,
    /// When it was created.
    pub created: TimestampMs,
    /// It is being destroyed: only its last hook and the removal of its keys are left.
    pub destroying: bool,
    /// Its last hook is over and some of its keys are gone: it must not be started any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removing: bool,
}

impl StoredActor {
    /// The record.
    pub fn encode(&self) -> Result<Bytes, Failure> {
        let mut out = vec![VERSION];
        serde_json::to_writer(&mut out, self).map_err(|error| codes::INTERNAL.with(error.to_string()))?;
        Ok(out.into())
    }

    /// Reads the record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Failure> {
        match bytes.split_first() {
            Some((&VERSION, json)) => serde_json::from_slice(json)
                .map_err(|error| codes::INTERNAL.with(format!("a stored actor can't be read: {error}"))),
            _ => Err(codes::INTERNAL.with("a stored actor can't be read: its format is unknown")),
        }
    }
}

/// The directory entry of an actor.
pub fn id_key(id: ActorId) -> Bytes {
    join(b'i', id)
}

/// What the creator of an actor passed.
pub fn input_key(id: ActorId) -> Bytes {
    join(b'x', id)
}

/// The generation of an actor.
pub fn generation_key(id: ActorId) -> Bytes {
    join(b'g', id)
}

/// The alarm of an actor.
pub fn alarm_of_key(id: ActorId) -> Bytes {
    join(b'a', id)
}

/// How many rows of an actor the database was to get.
pub fn mirrored_key(id: ActorId) -> Bytes {
    join(b'm', id)
}

/// The version of an actor's code that the database was told.
pub fn mirrored_version_key(id: ActorId) -> Bytes {
    join(b'v', id)
}

/// An actor's place among the alarms.
pub fn alarm_key(at: TimestampMs, id: ActorId) -> Bytes {
    let mut key = BytesMut::with_capacity(24);
    key.put_u64(at);
    key.put_slice(id.as_bytes());
    key.freeze()
}

/// Reads a key of the alarms.
pub fn read_alarm_key(key: &[u8]) -> Option<(TimestampMs, ActorId)> {
    let (at, id) = key.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*at), ActorId::from_bytes(id.try_into().ok()?)))
}

/// One of an actor's own keys.
pub fn actor_key(id: ActorId, key: &[u8]) -> Bytes {
    let mut whole = BytesMut::with_capacity(16 + key.len());
    whole.put_slice(id.as_bytes());
    whole.put_slice(key);
    whole.freeze()
}

/// Where the keys of an actor end. None when its id is the greatest one.
pub fn after_actor(id: ActorId) -> Option<Bytes> {
    let mut next = *id.as_bytes();
    for byte in next.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(Bytes::copy_from_slice(&next));
        }
    }
    None
}

/// The place of a (namespace, name, key) in the directory.
pub fn name_key(namespace: &str, name: &str, key: &ActorKey) -> Bytes {
    let mut out = prefix(b'k', namespace, name);
    out.put_slice(key.to_rest().as_bytes());
    out.freeze()
}

/// The range of the keys that continue this one: with a `/`, which in a part would be escaped.
pub fn below(name_key: &[u8]) -> (Bytes, Bytes) {
    let with = |last: u8| [name_key, &[last]].concat().into();
    (with(b'/'), with(b'/' + 1))
}

/// The place of an actor in the list of its name, newest first.
pub fn list_key(namespace: &str, name: &str, created: TimestampMs, id: ActorId) -> Bytes {
    let mut out = prefix(b'n', namespace, name);
    out.put_u64(!created);
    out.put_slice(id.as_bytes());
    out.freeze()
}

/// The range of a name's list.
pub fn list_range(namespace: &str, name: &str) -> (Bytes, Bytes) {
    let start = prefix(b'n', namespace, name);
    let mut end = start.clone();
    end.truncate(start.len() - 1);
    end.put_u8(1);
    (start.freeze(), end.freeze())
}

/// Reads the id at the end of a list key.
pub fn read_list_key(key: &[u8]) -> Option<ActorId> {
    key.last_chunk::<16>().map(|id| ActorId::from_bytes(*id))
}

/// Reads a number of four bytes.
pub fn read_u32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// Reads a number of eight bytes.
pub fn read_u64(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn join(first: u8, id: ActorId) -> Bytes {
    let mut key = BytesMut::with_capacity(17);
    key.put_u8(first);
    key.put_slice(id.as_bytes());
    key.freeze()
}

fn prefix(first: u8, namespace: &str, name: &str) -> BytesMut {
    let mut out = BytesMut::with_capacity(namespace.len() + name.len() + 64);
    out.put_u8(first);
    out.put_slice(namespace.as_bytes());
    out.put_u8(0);
    out.put_slice(name.as_bytes());
    out.put_u8(0);
    out
}
