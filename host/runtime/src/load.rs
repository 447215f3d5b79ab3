//! Reads what an actor is started with.

use crate::core::Loaded;
use crate::core::record::{BadRecord, ConnectionRecord, EventRecord, HandleRecord, InboxRecord, JsonRecord, Meta, key};
use bytes::Bytes;
use growqr_seam::{ActorStart, EngineHost};
use growqr_turn::{Connection, Effect, TimerRecord};
use growqr_types::{ActorId, ConnectionId, Failure, Seq, TimestampMs, codes};
use std::collections::{BTreeMap, HashSet};

/// Events whose times are read at a time.
const EVENT_TIMES_READ_MAX: usize = 32;
/// Entries that are read at a time.
const READ_MAX: usize = 1000;

/// Reads everything but state, events and inboxes, which are read when needed.
pub async fn load(engine: &dyn EngineHost, start: &ActorStart) -> Result<Loaded, Failure> {
    let input = match &start.input {
        Some(cbor) => {
            Some(growqr_wire::input_to_json(cbor).map_err(|error| codes::INVALID_REQUEST.with(error.to_string()))?)
        }
        None => None,
    };
    let mut loaded = Loaded { input, ..Loaded::default() };
    // Handles, the actor's numbers and its effects lie beside each other.
    for (entry, value) in range(engine, start.actor, key::HANDLE, key::OUTBOX + 1).await? {
        match entry.first() {
            Some(&key::HANDLE) => {
                let HandleRecord(result) = HandleRecord::decode(&value).map_err(bad)?;
                loaded.handles.insert(number(&entry)?, result);
            }
            Some(&key::OUTBOX) => {
                loaded.outbox.insert(number(&entry)?, Effect::decode(&value).map_err(bad)?);
            }
            _ if entry == key::META => loaded.meta = Some(Meta::decode(&value).map_err(bad)?),
            _ => {}
        }
    }
    if loaded.meta.is_some() {
        loaded.timers = timers(engine, start.actor).await?;
        loaded.dead_connections = dead_connections(engine, start.actor).await?;
        if let Some(meta) = loaded.meta.as_ref().filter(|meta| meta.first_seq <= meta.last_seq) {
            loaded.event_times = event_times(engine, start.actor, meta.first_seq).await?;
        }
    }
    Ok(loaded)
}

/// When the events from this one on were made, as far as they are durable, and as many as are read at a time.
pub async fn event_times(engine: &dyn EngineHost, actor: ActorId, first: Seq) -> Result<Vec<TimestampMs>, Failure> {
    let read = engine.scan(actor, &key::event(first), &[key::EVENT + 1], EVENT_TIMES_READ_MAX).get().await;
    let entries = read.map_err(|error| codes::INTERNAL.with(error.to_string()))?;
    let mut times = Vec::with_capacity(entries.len());
    for (expected, (entry, value)) in (first..).zip(entries) {
        if number(&entry)? != expected {
            return Err(codes::INTERNAL.with("the event log has a gap"));
        }
        times.push(EventRecord::time(&value).map_err(|error| bad(error.into()))?);
    }
    Ok(times)
}

async fn timers(engine: &dyn EngineHost, actor: ActorId) -> Result<BTreeMap<u64, TimerRecord>, Failure> {
    let mut timers = BTreeMap::new();
    for (entry, value) in range(engine, actor, key::TIMER, key::TIMER + 1).await? {
        timers.insert(number(&entry)?, TimerRecord::decode(&value).map_err(bad)?);
    }
    Ok(timers)
}

async fn dead_connections(engine: &dyn EngineHost, actor: ActorId) -> Result<Vec<Connection>, Failure> {
    let stored = range(engine, actor, key::CONNECTION, key::CONNECTION + 1).await?;
    if stored.is_empty() {
        return Ok(Vec::new());
    }
    let live: HashSet<ConnectionId> = engine.live_sockets(actor).into_iter().collect();
    let mut dead = Vec::new();
    for (entry, value) in stored {
        let record = ConnectionRecord::decode(&value).map_err(bad)?;
        let Some(id) = entry.get(1..).and_then(|id| id.try_into().ok()).map(ConnectionId::from_bytes) else { continue };
        if !live.contains(&id) {
            dead.push(Connection {
                id,
                kind: record.kind,
                params: record.params.into(),
                state: record.state.map(Into::into),
                hibernatable: false,
            });
        }
    }
    Ok(dead)
}

/// What one sender had delivered.
pub async fn inbox(engine: &dyn EngineHost, actor: ActorId, sender: ActorId) -> Result<Option<InboxRecord>, Failure> {
    match engine.get(actor, &key::inbox(sender)).get().await {
        Ok(Some(bytes)) => InboxRecord::decode(&bytes).map(Some).map_err(bad),
        Ok(None) => Ok(None),
        Err(error) => Err(codes::INTERNAL.with(error.to_string())),
    }
}

async fn range(engine: &dyn EngineHost, actor: ActorId, first: u8, end: u8) -> Result<Vec<(Bytes, Bytes)>, Failure> {
    let mut all = Vec::new();
    let mut from = vec![first];
    loop {
        let read = engine.scan(actor, &from, &[end], READ_MAX).get().await;
        let entries = read.map_err(|error| codes::INTERNAL.with(error.to_string()))?;
        let full = entries.len() == READ_MAX;
        if let Some((last, _)) = entries.last() {
            from = last.to_vec();
            from.push(0);
        }
        all.extend(entries);
        if !full {
            return Ok(all);
        }
    }
}

fn number(entry: &[u8]) -> Result<u64, Failure> {
    key::number(entry).ok_or_else(|| codes::INTERNAL.with("a stored key can't be read"))
}

fn bad(error: BadRecord) -> Failure {
    tracing::error!(%error, "an actor's records are damaged");
    codes::INTERNAL.with(error.to_string())
}
