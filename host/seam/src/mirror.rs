//! What is copied into a database: rows that ride in the actor's own commit, and where they wait until they are there.
//!
//! The runtime says which rows a turn has. The engine numbers them for each actor, keeps them beside everything else that the commit
//! writes, and gives them out in the order of the commits until somebody says that they have arrived.
//!
//! Invariant: a row is kept exactly when the commit that it belongs to is durable, and its number (actor, `seq`) is never given twice.

use crate::{CommitError, ReadError};
use bytes::{BufMut, Bytes, BytesMut};
use futures::future::BoxFuture;
use growqr_types::{ActorId, Json, Seq, TimestampMs};

/// An actor was created. Its payload has namespace, name, key and version.
pub const ACTOR_CREATED: &str = "actor.created";
/// An actor was destroyed.
pub const ACTOR_DESTROYED: &str = "actor.destroyed";
/// A turn crashed. Its payload has group, code and message.
pub const ACTOR_CRASHED: &str = "actor.crashed";
/// Another version of its component runs the actor from now on.
pub const ACTOR_VERSION: &str = "actor.version";
/// Events whose name ends so are for those who listen now; they are not mirrored.
pub const NOT_MIRRORED: &str = ".delta";

/// Whether rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirrorState {
    /// There is no database: rows are not even made.
    Off,
    /// Yes.
    On,
    /// So many rows wait that no turn may make more.
    Full,
}

/// A row of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorRow {
    /// The event's number, for an event that clients see; none for what the host itself tells about the actor.
    pub event: Option<Seq>,
    /// An [`EventRecord`], shared with the actor's event log.
    pub record: Bytes,
}

/// A row that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolRow {
    /// Where it waits, to be removed by.
    pub place: Bytes,
    /// Its place in the order of all rows.
    pub number: u64,
    /// Whose it is.
    pub actor: ActorId,
    /// Counts the rows of the actor, from 1 on and without gaps.
    pub seq: u64,
    /// See [`MirrorRow::event`].
    pub event: Option<Seq>,
    /// The actor's name.
    pub name: String,
    /// The first part of the actor's key.
    pub user: Option<String>,
    /// See [`MirrorRow::record`].
    pub record: Bytes,
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolLevel {
    /// Rows.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// How many bytes may wait before turns are refused.
    pub bytes_max: u64,
}

/// Where rows wait.
pub trait MirrorSource: Send + Sync {
    /// Counts what an earlier host left. Blocks for as long as reading all of it takes; until then the level is too low.
    fn count(&self) -> Result<(), ReadError>;
    /// Rows behind a number, in order: `rows_max` at most, and about `bytes_max` bytes of them, but one if there is one.
    fn read(&self, after: Option<u64>, rows_max: usize, bytes_max: usize) -> Result<Vec<SpoolRow>, ReadError>;
    /// Removes rows that have arrived. Durable when it answers.
    fn remove<'a>(&'a self, rows: &'a [SpoolRow]) -> BoxFuture<'a, Result<(), CommitError>>;
    /// Comes back when rows were added since the last time.
    fn added(&self) -> BoxFuture<'_, ()>;
    /// How much waits.
    fn level(&self) -> SpoolLevel;
}

/// A record can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored event can't be read: {0}")]
pub struct BadEvent(pub &'static str);

/// An event as it is stored. Clients that resume are given it as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// When the turn ran.
    pub ts: TimestampMs,
    /// Name.
    pub name: String,
    /// A JSON array.
    pub args: Json,
}

impl EventRecord {
    /// The version of the format.
    const VERSION: u8 = 1;
    const HEAD_BYTES: usize = 13;

    /// The record of an event.
    pub fn encode(ts: TimestampMs, name: &str, args: &str) -> Bytes {
        let mut out = BytesMut::with_capacity(Self::HEAD_BYTES + name.len() + args.len());
        out.put_u8(Self::VERSION);
        out.put_u64_le(ts);
        // The size of one event is limited far below 4 GiB before it gets here.
        out.put_u32_le(u32::try_from(name.len()).unwrap_or(u32::MAX));
        out.put_slice(name.as_bytes());
        out.put_slice(args.as_bytes());
        out.freeze()
    }

    /// Reads when the turn ran, and nothing else.
    pub fn time(bytes: &[u8]) -> Result<TimestampMs, BadEvent> {
        match bytes.split_first_chunk::<9>() {
            Some(([Self::VERSION, ts @ ..], _)) => Ok(u64::from_le_bytes(*ts)),
            _ => Err(BadEvent("it is too short, or its format is unknown")),
        }
    }

    /// Reads the record where it lies: time, name, arguments.
    pub fn parts(bytes: &[u8]) -> Result<(TimestampMs, &str, &str), BadEvent> {
        let (head, rest) = bytes.split_at_checked(Self::HEAD_BYTES).ok_or(BadEvent("it is too short"))?;
        if head[0] != Self::VERSION {
            return Err(BadEvent("its format is unknown"));
        }
        let mut ts = [0; 8];
        ts.copy_from_slice(&head[1..9]);
        let mut len = [0; 4];
        len.copy_from_slice(&head[9..13]);
        let cut = rest.split_at_checked(u32::from_le_bytes(len) as usize);
        let (name, args) = cut.ok_or(BadEvent("its name is cut off"))?;
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| BadEvent("it is not UTF-8"));
        Ok((u64::from_le_bytes(ts), text(name)?, text(args)?))
    }

    /// Reads the record.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadEvent> {
        let (ts, name, args) = Self::parts(bytes)?;
        Ok(Self { ts, name: name.to_owned(), args: args.to_owned() })
    }
}
