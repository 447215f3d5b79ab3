//! Clients that call actions.

use crate::faults::{Counter, Dice, Fault};
use crate::guest::NAME;
use crate::ledger::{Ended, Operation, SharedLedger};
use bytes::Bytes;
use growqr_engine::Engine;
use growqr_types::{ActorId, ActorKey, Failure};
use serde_json::{Value, json};
use std::time::Duration;

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
