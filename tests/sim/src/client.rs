//! Clients: some call actions, some listen to events and resume where they were.

use crate::faults::{Counter, Dice, Fault};
use crate::guest::{EVENT, NAME};
use crate::ledger::{Ended, Operation, SharedLedger};
use bytes::Bytes;
use futures::future::BoxFuture;
use growqr_engine::Engine;
use growqr_seam::{Socket, SocketFrame, SocketOpen};
use growqr_types::{ActorId, ActorKey, ConnectionId, Failure};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Actors of one run.
pub const ACTORS: usize = 3;

/// Codes that promise that nothing ran, or that nothing was kept.
const NOT_DONE: [&str; 7] = [
    "actor.restarting",
    "actor.overloaded",
    "actor.crash_backoff",
    "actor.start_failed",
    "actor.not_found",
    "actor.crashed",
    "user.failed",
];

/// The id of an actor, which is made if there is none.
pub async fn resolve(engine: &Engine, actor: usize) -> Result<ActorId, Failure> {
    let key = ActorKey(vec![actor.to_string()]);
    engine.host().get_or_create("default", NAME, key, None).await.map(|found| found.actor)
}

/// Calls an action.
pub async fn call(engine: &Engine, actor: usize, action: &str, args: Value) -> Ended {
    let id = match resolve(engine, actor).await {
        Ok(id) => id,
        Err(failure) => return Ended::NotDone(failure.to_string()),
    };
    let body = Bytes::from(json!({ "args": args }).to_string());
    let request = http::Request::post(format!("/action/{action}")).header("x-rivet-encoding", "json").body(body);
    let answered = engine.http(id, request.expect("a request")).await;
    let (code, text) = match answered {
        Ok(response) => {
            let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
            if response.status() == http::StatusCode::OK {
                return Ended::Done(body["output"].to_string());
            }
            let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
            (format!("{}.{}", text("group"), text("code")), body.to_string())
        }
        Err(failure) => (format!("{}.{}", failure.group, failure.code), failure.to_string()),
    };
    if NOT_DONE.contains(&code.as_str()) { Ended::NotDone(text) } else { Ended::Unknown }
}

/// Calls one action after the other until it is dropped.
pub async fn caller(engine: &Engine, ledger: &SharedLedger, counter: &Counter, name: String, mut dice: Dice) {
    for number in 0.. {
        tokio::time::sleep(Duration::from_millis(dice.between(0, 60))).await;
        let token = format!("{name}-{number}");
        let actor = dice.between(0, ACTORS as u64 - 1) as usize;
        let delay = dice.between(1, 400);
        let (kind, extra) = match dice.between(0, 99) {
            0..36 => ("add", Value::Null),
            36..44 => ("late", json!(delay)),
            44..56 => ("timer", json!(delay)),
            56..62 => ("repeat", json!(delay)),
            62..68 => ("breed", Value::Null),
            68..82 => ("send", json!(dice.between(0, ACTORS as u64 - 1).to_string())),
            82..90 => ("fail", json!(delay % 2)),
            _ => ("get", Value::Null),
        };
        if kind == "get" {
            read(engine, ledger, actor).await;
            continue;
        }
        ledger.lock().operations.insert(token.clone(), Operation { actor, kind, ended: Ended::Unknown });
        let ended = call(engine, actor, kind, json!([token, extra])).await;
        if kind == "fail" && ended != Ended::Unknown {
            counter.hit(if delay.is_multiple_of(2) { Fault::GuestCrashed } else { Fault::TurnFailed });
        }
        if let Some(operation) = ledger.lock().operations.get_mut(&token) {
            operation.ended = ended;
        }
    }
}

/// Reads an actor's whole state and remembers what it showed.
pub async fn read(engine: &Engine, ledger: &SharedLedger, actor: usize) -> Option<Value> {
    let Ended::Done(text) = call(engine, actor, "get", json!([])).await else { return None };
    let state: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut ledger = ledger.lock();
    for (key, value) in state.as_object().into_iter().flatten() {
        if ["t/", "f/", "r/"].iter().any(|first| key.starts_with(first)) {
            ledger.read.insert((actor, key.clone()), value.as_str().unwrap_or_default().to_owned());
        }
    }
    Some(state)
}

struct Ear {
    client: usize,
    actor: usize,
    ledger: SharedLedger,
    counter: Counter,
    closed: AtomicBool,
    ended: Notify,
    first: Mutex<bool>,
}

impl Ear {
    fn hear(&self, text: &[u8]) {
        let message: Value = serde_json::from_slice(text).unwrap_or_default();
        if message["body"]["tag"] != "Event" {
            return;
        }
        let event = &message["body"]["val"];
        let place = (self.client, self.actor);
        let mut ledger = self.ledger.lock();
        let seen = ledger.seen.get(&place).copied().unwrap_or(0);
        if event["name"] == "resync" {
            self.counter.hit(Fault::Resynced);
            ledger.seen.insert(place, event["args"][0]["latest"].as_u64().unwrap_or_default());
            return;
        }
        let seq = event["args"][1]["seq"].as_u64().unwrap_or_default();
        let token = event["args"][0].as_str().unwrap_or_default().to_owned();
        if seq != seen + 1 {
            ledger.wrong.push(format!("client {} of actor {} saw event {seq} after {seen}", self.client, self.actor));
        }
        if seen > 0 && std::mem::take(&mut *self.first.lock()) {
            self.counter.hit(Fault::Resumed);
        }
        ledger.seen.insert(place, seq);
        let before = ledger.events.insert((self.actor, seq), token.clone());
        if let Some(before) = before.filter(|before| *before != token) {
            ledger.wrong.push(format!("event {seq} of actor {} was {before}, and then {token}", self.actor));
        }
    }
}

impl Socket for Ear {
    fn send(&self, frame: SocketFrame) {
        let (SocketFrame::Text(bytes) | SocketFrame::Binary(bytes)) = frame;
        if !self.closed.load(Ordering::Relaxed) {
            self.hear(&bytes);
        }
    }

    fn close(&self, _: u16, _: &str) {
        self.closed.store(true, Ordering::Relaxed);
        self.ended.notify_one();
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Listens to an actor until it is dropped: comes, stays a while, goes, and comes back where it was.
pub async fn listener(
    engine: &Engine,
    ledger: &SharedLedger,
    counter: &Counter,
    place: (usize, usize),
    stay: bool,
    mut dice: Dice,
) {
    let (client, actor) = place;
    loop {
        let after = ledger.lock().seen.get(&place).copied().unwrap_or(0);
        let ear = Arc::new(Ear {
            client,
            actor,
            ledger: ledger.clone(),
            counter: counter.clone(),
            closed: AtomicBool::new(false),
            ended: Notify::new(),
            first: Mutex::new(true),
        });
        let protocols = format!("rivet, rivet_encoding.json, rivet_conn_params.%7B%22after%22%3A{after}%7D");
        let request = http::Request::get("/connect").header("sec-websocket-protocol", protocols).body(());
        let open = SocketOpen {
            connection: ConnectionId::from_bytes(dice.bytes()),
            request: request.expect("a request"),
            socket: ear.clone(),
        };
        if let Ok(id) = resolve(engine, actor).await
            && let Ok(session) = engine.websocket(id, open).await
        {
            let subscribe =
                json!({ "body": { "tag": "SubscriptionRequest", "val": { "eventName": EVENT, "subscribe": true } } });
            session.message(SocketFrame::Text(subscribe.to_string().into())).await;
            let time = if stay { 3_600_000 } else { dice.between(20, 700) };
            tokio::select! {
                biased;
                () = ear.ended.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(time)) => {}
            }
            ear.closed.store(true, Ordering::Relaxed);
            session.closed(1000, "").await;
        }
        ear.closed.store(true, Ordering::Relaxed);
        let pause = if stay || dice.per_mille(700) { dice.between(1, 100) } else { dice.between(500, 2500) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}
