//! Clients that listen to events, in each encoding, fast and slow, and resume where they were.

use crate::client::resolve;
use crate::faults::{Counter, Dice, Fault};
use crate::guest::EVENT;
use crate::ledger::SharedLedger;
use futures::future::BoxFuture;
use growqr_engine::Engine;
use growqr_seam::{Socket, SocketFrame, SocketOpen};
use growqr_types::ConnectionId;
use growqr_wire::{CborFlavor, Encoding};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// The version of the binary encoding, and what stands before the two messages that matter here.
const BARE_VERSION: [u8; 2] = [4, 0];
const BARE_EVENT: u8 = 3;
const BARE_SUBSCRIPTION: u8 = 1;

struct Ear {
    client: usize,
    actor: usize,
    encoding: Encoding,
    /// How long it takes to read what it has, in milliseconds at the most.
    slowness: u64,
    dice: Mutex<Dice>,
    ledger: SharedLedger,
    counter: Counter,
    closed: AtomicBool,
    ended: Notify,
    first: Mutex<bool>,
}

impl Ear {
    fn hear(&self, bytes: &[u8]) {
        let Some(event) = event_of(self.encoding, bytes) else { return };
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
        let pause = self.dice.lock().between(0, self.slowness);
        if pause > 0 {
            self.counter.hit(Fault::ReaderSlow);
        }
        Box::pin(tokio::time::sleep(Duration::from_millis(pause)))
    }
}

/// The event of a frame; none when it is another message.
fn event_of(encoding: Encoding, bytes: &[u8]) -> Option<Value> {
    let value = |bytes: &[u8], flavor| {
        let json = growqr_wire::cbor_to_json(bytes, flavor).expect("a frame of the host is CBOR");
        serde_json::from_str::<Value>(&json).expect("a value is JSON")
    };
    let message = match encoding {
        Encoding::Json => serde_json::from_slice(bytes).expect("a frame of the host is JSON"),
        Encoding::Cbor => value(bytes, CborFlavor::Direct),
        Encoding::Bare => {
            let rest = bytes.strip_prefix(&BARE_VERSION)?.strip_prefix(&[BARE_EVENT])?;
            // The name and its length, which is one byte; the arguments and theirs, which are short too.
            let (name, rest) = rest[1..].split_at(usize::from(rest[0]));
            let length_bytes = 1 + usize::from(rest[0] > 0x7f);
            let args = value(&rest[length_bytes..], CborFlavor::Compat);
            return Some(json!({ "name": String::from_utf8_lossy(name), "args": args }));
        }
    };
    (message["body"]["tag"] == "Event").then(|| message["body"]["val"].clone())
}

fn subscription(encoding: Encoding, subscribe: bool) -> SocketFrame {
    let json =
        json!({ "body": { "tag": "SubscriptionRequest", "val": { "eventName": EVENT, "subscribe": subscribe } } });
    match encoding {
        Encoding::Json => SocketFrame::Text(json.to_string().into()),
        Encoding::Cbor => {
            let cbor = growqr_wire::json_to_cbor(&json.to_string(), CborFlavor::Direct).expect("it is JSON");
            SocketFrame::Binary(cbor.into())
        }
        Encoding::Bare => {
            let name = [&[BARE_SUBSCRIPTION, EVENT.len() as u8], EVENT.as_bytes()].concat();
            SocketFrame::Binary([&BARE_VERSION, &name[..], &[u8::from(subscribe)]].concat().into())
        }
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
        let encoding = [Encoding::Json, Encoding::Cbor, Encoding::Bare][dice.between(0, 2) as usize];
        let ear = Arc::new(Ear {
            client,
            actor,
            encoding,
            slowness: if dice.per_mille(400) { dice.between(1, 120) } else { 0 },
            dice: Mutex::new(dice.another()),
            ledger: ledger.clone(),
            counter: counter.clone(),
            closed: AtomicBool::new(false),
            ended: Notify::new(),
            first: Mutex::new(true),
        });
        let encoding_name = encoding.name();
        let protocols = format!("rivet, rivet_encoding.{encoding_name}, rivet_conn_params.%7B%22after%22%3A{after}%7D");
        let request = http::Request::get("/connect").header("sec-websocket-protocol", protocols).body(());
        let open = SocketOpen {
            connection: ConnectionId::from_bytes(dice.bytes()),
            request: request.expect("a request"),
            socket: ear.clone(),
        };
        if let Ok(id) = resolve(engine, actor).await
            && let Ok(session) = engine.websocket(id, open).await
        {
            session.message(subscription(encoding, true)).await;
            let mut time = if stay { 3_600_000 } else { dice.between(20, 700) };
            while time > 0 {
                // Now and then it turns away, and at once back.
                let moment = if stay { time } else { dice.between(1, time) };
                time -= moment;
                tokio::select! {
                    biased;
                    () = ear.ended.notified() => break,
                    () = tokio::time::sleep(Duration::from_millis(moment)) => {}
                }
                if time > 0 && dice.per_mille(300) {
                    counter.hit(Fault::TurnedAway);
                    session.message(subscription(encoding, false)).await;
                    session.message(subscription(encoding, true)).await;
                }
            }
            ear.closed.store(true, Ordering::Relaxed);
            session.closed(1000, "").await;
        }
        ear.closed.store(true, Ordering::Relaxed);
        let pause = if stay || dice.per_mille(700) { dice.between(1, 100) } else { dice.between(500, 2500) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}
