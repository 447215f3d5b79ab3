//! Reads each kind of file and shows what it says in words that do not depend on how the code names its fields.

use growqr_engine::fuzzing as engine;
use growqr_runtime::core::record::{ConnectionRecord, EventRecord, HandleRecord, InboxRecord, JsonRecord, Meta};
use growqr_turn::{Effect, TimerRecord};
use growqr_wire::{CborFlavor, Encoding, QueueSend, ToServer};
use serde::Serialize;
use serde_json::{Value, json};

type Read = fn(&[u8]) -> Result<Value, String>;

/// Everything that is kept. A key of a table is shown as it is: what it means is what this code makes of the same key.
pub const KINDS: &[(&str, Read)] = &[
    ("actor.key", |bytes| Ok(json!({"bytes": hex::encode(bytes)}))),
    ("actor.meta", meta),
    ("actor.event", event),
    ("actor.timer", record::<TimerRecord>),
    ("actor.effect", record::<Effect>),
    ("actor.connection", record::<ConnectionRecord>),
    ("actor.inbox", record::<InboxRecord>),
    ("actor.handle", record::<HandleRecord>),
    ("engine.key", |bytes| Ok(json!({"bytes": hex::encode(bytes)}))),
    ("engine.actor", |bytes| {
        engine::StoredActor::decode(bytes).map_err(|why| why.to_string()).and_then(|it| shown(&it))
    }),
    ("engine.alarm-key", alarm_key),
    ("engine.list-key", |bytes| Ok(json!({"actor": known(engine::read_list_key(bytes))?.to_string()}))),
    ("engine.generation", |bytes| Ok(json!(known(engine::read_u32(bytes))?))),
    ("engine.alarm", |bytes| Ok(json!(known(engine::read_u64(bytes))?))),
    ("engine.row-place", row_place),
    ("storage.journal", journal),
    ("wire.frame-json", |bytes| frame(Encoding::Json, bytes)),
    ("wire.frame-cbor", |bytes| frame(Encoding::Cbor, bytes)),
    ("wire.frame-bare", |bytes| frame(Encoding::Bare, bytes)),
    ("wire.action-json", |bytes| action(Encoding::Json, bytes)),
    ("wire.action-cbor", |bytes| action(Encoding::Cbor, bytes)),
    ("wire.action-bare", |bytes| action(Encoding::Bare, bytes)),
    ("wire.queue-json", |bytes| queue(Encoding::Json, bytes)),
    ("wire.queue-cbor", |bytes| queue(Encoding::Cbor, bytes)),
    ("wire.queue-bare", |bytes| queue(Encoding::Bare, bytes)),
    ("wire.input", |bytes| growqr_wire::input_to_json(bytes).map(Value::from).map_err(|why| why.to_string())),
    // What is sent to clients: nothing here reads it, so it is shown as a client's own decoder sees it.
    ("wire.sent-json", |bytes| serde_json::from_slice(bytes).map_err(|why| why.to_string())),
    ("wire.sent-cbor", |bytes| {
        growqr_wire::cbor_to_json(bytes, CborFlavor::Direct).map(Value::from).map_err(|why| why.to_string())
    }),
    ("wire.sent-bare", |bytes| Ok(json!({"bytes": hex::encode(bytes)}))),
];

/// What a file says.
pub fn read(kind: &str, bytes: &[u8]) -> Result<Value, String> {
    let found = KINDS.iter().find(|(name, _)| *name == kind);
    found.ok_or_else(|| format!("the kind {kind} is not known"))?.1(bytes)
}

fn known<T>(read: Option<T>) -> Result<T, String> {
    read.ok_or_else(|| "it is not understood".to_owned())
}

fn shown(record: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(record).map_err(|why| why.to_string())
}

fn record<T: JsonRecord>(bytes: &[u8]) -> Result<Value, String> {
    shown(&T::decode(bytes).map_err(|why| why.to_string())?)
}

fn meta(bytes: &[u8]) -> Result<Value, String> {
    let meta = Meta::decode(bytes).map_err(|why| why.to_string())?;
    Ok(json!({
        "created": meta.created,
        "destroyed": meta.destroyed,
        "destroy asked": meta.destroy_asked,
        "state version": meta.state_version,
        "next id": meta.next_id,
        "last event": meta.last_seq,
        "first event": meta.first_seq,
        "state bytes": meta.state_bytes,
    }))
}

fn event(bytes: &[u8]) -> Result<Value, String> {
    let event = EventRecord::decode(bytes).map_err(|why| why.to_string())?;
    Ok(json!({"time": event.ts, "name": event.name, "arguments": event.args}))
}

fn alarm_key(bytes: &[u8]) -> Result<Value, String> {
    let (at, actor) = known(engine::read_alarm_key(bytes))?;
    Ok(json!({"at": at, "actor": actor.to_string()}))
}

fn row_place(bytes: &[u8]) -> Result<Value, String> {
    let row = known(engine::read_row_place(bytes))?;
    Ok(json!({
        "number": row.number,
        "actor": row.actor.to_string(),
        "number among the actor's": row.seq,
        "event": row.event,
        "name": row.name,
        "user": row.user,
    }))
}

fn journal(bytes: &[u8]) -> Result<Value, String> {
    let (end, said) = growqr_storage::fuzzing::journal(bytes);
    Ok(json!({"whole bytes": end, "said": said}))
}

fn frame(encoding: Encoding, bytes: &[u8]) -> Result<Value, String> {
    Ok(match growqr_wire::decode_to_server(encoding, bytes).map_err(|why| why.to_string())? {
        ToServer::Action { id, name, args } => json!({"action": name, "id": id, "arguments": args}),
        ToServer::Subscription { event, subscribe } => json!({"event": event, "subscribe": subscribe}),
    })
}

fn action(encoding: Encoding, bytes: &[u8]) -> Result<Value, String> {
    growqr_wire::decode_action_request(encoding, bytes).map(Value::from).map_err(|why| why.to_string())
}

fn queue(encoding: Encoding, bytes: &[u8]) -> Result<Value, String> {
    let QueueSend { body, name, wait, timeout_ms } =
        growqr_wire::decode_queue_send(encoding, bytes).map_err(|why| why.to_string())?;
    Ok(json!({"body": body, "queue": name, "wait": wait, "timeout ms": timeout_ms}))
}
