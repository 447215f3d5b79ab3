//! One sample at least of every record and every key that a host keeps.

use crate::Sample;
use growqr_engine::fuzzing as engine;
use growqr_runtime::core::record::{
    ConnectionRecord, EventRecord, HandleRecord, InboxRecord, InboxState, JsonRecord, Meta, key,
};
use growqr_turn::{ConnectionKind, Effect, Repeat, TargetRef, TimerRecord};
use growqr_types::{ActorId, ActorKey, ConnectionId, Failure};

const ACTOR: ActorId = ActorId::from_bytes(*b"an actor's id 16");
const NOW: u64 = 1_767_225_630_000;
/// Text with everything that spelling can get wrong.
const TEXT: &str = "ä\u{1f600}\u{0}\n\"\\/\u{7f}";

/// All of them.
pub fn samples() -> Vec<Sample> {
    [actor_keys(), numbers(), events(), timers(), effects(), connections(), mail(), directory(), storage()]
        .into_iter()
        .flatten()
        .collect()
}

fn json(kind: &'static str, name: &str, record: &impl JsonRecord) -> Sample {
    Sample::new(kind, name, record.encode())
}

fn actor_keys() -> Vec<Sample> {
    let connection = ConnectionId::from_bytes(*b"a connection's16");
    let keys = [
        ("meta", key::META.to_vec()),
        ("state", key::state("s/1").to_vec()),
        ("event", key::event(0x0102_0304_0506_0708).to_vec()),
        ("timer", key::timer(7).to_vec()),
        ("outbox", key::outbox(8).to_vec()),
        ("connection", key::connection(connection).to_vec()),
        ("handle", key::handle(9).to_vec()),
        ("inbox", key::inbox(ACTOR).to_vec()),
    ];
    keys.into_iter().map(|(name, bytes)| Sample::new("actor.key", name, bytes)).collect()
}

fn numbers() -> Vec<Sample> {
    let full = Meta {
        created: true,
        destroyed: true,
        destroy_asked: true,
        state_version: 0x0102_0304,
        next_id: 0x1112_1314_1516_1718,
        last_seq: 0x2122_2324_2526_2728,
        first_seq: 0x2022_2324_2526_2728,
        state_bytes: 0x3132_3334_3536_3738,
    };
    let flags = Meta { created: true, destroy_asked: true, ..Meta::new(1) };
    vec![
        Sample::new("actor.meta", "new", Meta::new(1).encode()),
        Sample::new("actor.meta", "full", full.encode()),
        Sample::new("actor.meta", "flags", flags.encode()),
    ]
}

fn events() -> Vec<Sample> {
    vec![
        Sample::new("actor.event", "plain", EventRecord::encode(NOW, "ping", r#"[1,{"a":["$Date",0]}]"#)),
        Sample::new("actor.event", "text", EventRecord::encode(u64::MAX, TEXT, "[]")),
    ]
}

fn timers() -> Vec<Sample> {
    let timer =
        |name: &str, repeat| TimerRecord { name: name.to_owned(), payload: r#"{"a":1}"#.to_owned(), due: NOW, repeat };
    vec![
        json("actor.timer", "once", &timer("once", Repeat::Once)),
        json("actor.timer", "every", &timer(TEXT, Repeat::Every(60_000))),
        json("actor.timer", "cron", &timer("", Repeat::Cron("*/5 * * * *".to_owned()))),
    ]
}

fn effects() -> Vec<Sample> {
    let by_id = || TargetRef::Id(ACTOR);
    let by_name = || TargetRef::Address { name: "counter".to_owned(), key: vec!["a".to_owned(), TEXT.to_owned()] };
    let payload = || r#"["$BigInt","5"]"#.to_owned();
    let spawn = |input| Effect::Spawn { name: "counter".to_owned(), key: vec!["k".to_owned()], input };
    let call = Effect::Call { target: by_name(), action: "add".to_owned(), args: "[1]".to_owned() };
    let effects = [
        ("spawn", spawn(None)),
        ("spawn-with-input", spawn(Some(payload()))),
        ("send-by-id", Effect::Send { target: by_id(), payload: payload() }),
        ("send-by-name", Effect::Send { target: by_name(), payload: payload() }),
        ("call", call),
        ("destroy", Effect::Destroy { target: by_id() }),
        ("memory", Effect::Memory(payload())),
        ("sandbox", Effect::Sandbox(payload())),
    ];
    effects.into_iter().map(|(name, effect)| json("actor.effect", name, &effect)).collect()
}

fn connections() -> Vec<Sample> {
    let kinds = [
        ("socket", ConnectionKind::Socket),
        ("request", ConnectionKind::Request),
        ("raw-socket", ConnectionKind::RawSocket),
        ("raw-request", ConnectionKind::RawRequest),
    ];
    let record = |kind| ConnectionRecord { kind, params: "null".to_owned(), state: Some(r#"{"user":"a"}"#.to_owned()) };
    let mut samples: Vec<Sample> =
        kinds.map(|(name, kind)| json("actor.connection", name, &record(kind))).into_iter().collect();
    let stateless =
        ConnectionRecord { state: None, params: r#"{"after":5}"#.to_owned(), ..record(ConnectionKind::Socket) };
    samples.push(json("actor.connection", "without-state", &stateless));
    samples
}

fn failure(metadata: Option<&str>) -> Failure {
    let metadata = metadata.map(str::to_owned);
    Failure { group: "user".into(), code: "my_code".into(), message: TEXT.to_owned(), metadata }
}

fn mail() -> Vec<Sample> {
    let mut inbox = InboxRecord { floor: 4, ..InboxRecord::default() };
    let states = [
        InboxState::Answered(Ok(r#"[1,"a"]"#.to_owned())),
        InboxState::Answered(Err(failure(None))),
        InboxState::Answered(Err(failure(Some("{}")))),
        InboxState::Deferred(u64::MAX),
    ];
    for (operation, state) in (4..).zip(states) {
        inbox.operations.insert(operation, state);
    }
    vec![
        json("actor.inbox", "empty", &InboxRecord::default()),
        json("actor.inbox", "all", &inbox),
        json("actor.handle", "open", &HandleRecord(None)),
        json("actor.handle", "answered", &HandleRecord(Some(Ok("1".to_owned())))),
        json("actor.handle", "failed", &HandleRecord(Some(Err(failure(Some("[1]")))))),
    ]
}

fn directory() -> Vec<Sample> {
    let key = || ActorKey(vec!["a".to_owned(), String::new(), "b/c\\".to_owned()]);
    let actor = |key, destroying| engine::StoredActor {
        name: "counter".to_owned(),
        key,
        namespace: "default".to_owned(),
        created: NOW,
        destroying,
        removing: false,
    };
    let encoded = |actor: engine::StoredActor| actor.encode().expect("a record");
    let keys = [
        ("actor", engine::id_key(ACTOR)),
        ("input", engine::input_key(ACTOR)),
        ("generation", engine::generation_key(ACTOR)),
        ("alarm", engine::alarm_of_key(ACTOR)),
        ("mirrored", engine::mirrored_key(ACTOR)),
        ("mirrored-version", engine::mirrored_version_key(ACTOR)),
        ("name", engine::name_key("default", "counter", &key())),
        ("name-of-empty-key", engine::name_key("default", "counter", &ActorKey::default())),
        ("actors-own", engine::actor_key(ACTOR, key::META)),
    ];
    let mut samples: Vec<Sample> =
        keys.map(|(name, bytes)| Sample::new("engine.key", name, bytes)).into_iter().collect();
    samples.extend([
        Sample::new("engine.actor", "plain", encoded(actor(key(), false))),
        Sample::new("engine.actor", "destroying", encoded(actor(ActorKey::default(), true))),
        Sample::new("engine.actor", "removing", encoded(engine::StoredActor { removing: true, ..actor(key(), true) })),
        Sample::new("engine.row-place", "event", engine::row_place(258, ACTOR, &actor(key(), false), 3, Some(7))),
        Sample::new(
            "engine.row-place",
            "of-the-host-without-a-user",
            engine::row_place(u64::MAX, ACTOR, &actor(ActorKey::default(), false), 1, None),
        ),
        Sample::new("engine.alarm-key", "plain", engine::alarm_key(NOW, ACTOR)),
        Sample::new("engine.list-key", "plain", engine::list_key("default", "counter", NOW, ACTOR)),
        Sample::new("engine.generation", "plain", 0x0102_0304u32.to_le_bytes()),
        Sample::new("engine.alarm", "plain", NOW.to_le_bytes()),
    ]);
    samples
}

fn storage() -> Vec<Sample> {
    vec![Sample::new("storage.journal", "commits", crate::folder::journal_of_today())]
}
