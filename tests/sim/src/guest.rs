//! The guest of the simulation: it counts, sets timers, calls other actors, fails when told, and writes down everything it does.
//!
//! Every operation of a client carries a token. Keys of the state: `n` counts, `t/` additions with their number, `s/` and `f/` timers
//! that were set and that ran, `o/` and `d/` calls that were sent and that ended, `r/` calls that were taken, `op/` the token of an operation.

use futures::future::BoxFuture;
use growqr_component::{ActionInfo, CallReport, Description, Hooks};
use growqr_runtime::NativeGuest;
use growqr_turn::{Answer, Message, Outcome, Schedule, Scope, TargetRef, TurnFailure};
use growqr_types::{Failure, codes};
use serde_json::{Value, json};
use std::time::Duration;

/// The name under which the guest is served.
pub const NAME: &str = "unit";
/// The only event, so that its numbers have no gaps for whoever subscribed to it.
pub const EVENT: &str = "e";

/// See the module's documentation.
pub struct Unit;

/// What the guest says about itself.
pub fn description() -> Description {
    let action = |name: &str| ActionInfo { name: name.to_owned(), read_only: name == "get" };
    Description {
        actions: ["add", "late", "timer", "send", "take", "fail", "get"].map(action).into(),
        events: vec![EVENT.to_owned()],
        queues: Vec::new(),
        hooks: Hooks { create: true, wake: true, sleep: true, effect_result: true, message: true, ..Hooks::default() },
        state_version: 1,
        migrates_from: 1,
        migrates_back_to: 1,
        requires: Vec::new(),
        options: r#"{"sleepTimeout":300,"eventRetentionCount":12,"eventRetention":"30s","actionTimeout":"20s"}"#
            .to_owned(),
    }
}

/// Why a turn ends badly.
enum Bad {
    Failed(Failure),
    Crashed,
}

impl From<TurnFailure> for Bad {
    fn from(failure: TurnFailure) -> Self {
        Self::Failed(failure.0)
    }
}

impl NativeGuest for Unit {
    fn call(&self, mut scope: Scope, message: Message, _: Duration) -> BoxFuture<'_, CallReport> {
        Box::pin(async move {
            let ended = turn(&mut scope, message).await;
            let usable = !matches!(ended, Err(Bad::Crashed));
            let result = ended.map_err(|bad| match bad {
                Bad::Failed(failure) => TurnFailure(failure),
                Bad::Crashed => TurnFailure(codes::CRASHED.failure()),
            });
            CallReport { result, scope, usable, detail: None }
        })
    }
}

async fn turn(scope: &mut Scope, message: Message) -> Result<Answer, Bad> {
    match message {
        Message::Create(_) => {
            count(scope, "created").await?;
            Ok(Answer::None)
        }
        Message::Sleep => {
            count(scope, "slept").await?;
            Ok(Answer::None)
        }
        Message::Action(call) => {
            let args: Vec<Value> = serde_json::from_str(&call.args).unwrap_or_default();
            let token = args.first().and_then(Value::as_str).unwrap_or_default().to_owned();
            let outcome = action(scope, &call.name, &token, args.get(1), call.reply).await?;
            Ok(Answer::Outcome(outcome))
        }
        Message::Timer(timer) => {
            let payload: Value = serde_json::from_str(&timer.payload).unwrap_or_default();
            let token = payload["token"].as_str().unwrap_or_default().to_owned();
            match timer.name.as_str() {
                "late" => {
                    let number = add(scope, &token).await?;
                    scope.answer(payload["reply"].as_u64().unwrap_or_default(), Ok(number.to_string()))?;
                }
                "taken" => scope.answer(payload["reply"].as_u64().unwrap_or_default(), Ok("\"later\"".to_owned()))?,
                _ => {
                    count(scope, &format!("f/{token}")).await?;
                    announce(scope, &token)?;
                }
            }
            Ok(Answer::None)
        }
        Message::EffectResult(result) => {
            let token = read(scope, &format!("op/{}", result.operation)).await?.unwrap_or_default();
            count(scope, &format!("d/{token}")).await?;
            if let Err(failure) = result.outcome {
                scope.state_set(format!("bad/{token}"), failure.to_string().into())?;
            }
            Ok(Answer::None)
        }
        _ => Ok(Answer::None),
    }
}

async fn action(scope: &mut Scope, name: &str, token: &str, extra: Option<&Value>, reply: u64) -> Result<Outcome, Bad> {
    let delay = extra.and_then(Value::as_u64).unwrap_or(1);
    match name {
        "add" => Ok(Outcome::Reply(add(scope, token).await?.to_string())),
        "late" => {
            let payload = json!({ "token": token, "reply": reply }).to_string();
            scope.timer_set(Schedule::After(delay), "late".to_owned(), payload)?;
            Ok(Outcome::Deferred)
        }
        "timer" => {
            count(scope, &format!("s/{token}")).await?;
            let payload = json!({ "token": token }).to_string();
            scope.timer_set(Schedule::After(delay), "timer".to_owned(), payload)?;
            Ok(Outcome::Done)
        }
        "send" => {
            count(scope, &format!("o/{token}")).await?;
            let key = vec![extra.and_then(Value::as_str).unwrap_or_default().to_owned()];
            let target = TargetRef::Address { name: NAME.to_owned(), key };
            let operation = scope.call(target, "take".to_owned(), json!([token]).to_string())?;
            scope.state_set(format!("op/{operation}"), token.to_owned().into())?;
            Ok(Outcome::Done)
        }
        "take" => {
            count(scope, &format!("r/{token}")).await?;
            announce(scope, token)?;
            if scope.random_number().is_multiple_of(3) {
                let payload = json!({ "token": token, "reply": reply }).to_string();
                scope.timer_set(Schedule::After(30), "taken".to_owned(), payload)?;
                return Ok(Outcome::Deferred);
            }
            Ok(Outcome::Done)
        }
        "fail" => {
            count(scope, &format!("x/{token}")).await?;
            announce(scope, token)?;
            if delay == 0 {
                return Err(Bad::Crashed);
            }
            let message = "as asked".to_owned();
            Err(Bad::Failed(Failure { group: "user".into(), code: "failed".into(), message, metadata: None }))
        }
        _ => {
            let state = scope.state_scan("", None, 1000).await?;
            let text = |value: bytes::Bytes| String::from_utf8_lossy(&value).into_owned();
            let all: serde_json::Map<String, Value> =
                state.into_iter().map(|(key, value)| (key, Value::String(text(value)))).collect();
            Ok(Outcome::Reply(Value::Object(all).to_string()))
        }
    }
}

async fn add(scope: &mut Scope, token: &str) -> Result<u64, Bad> {
    let number = count(scope, "n").await?;
    let key = format!("t/{token}");
    // A token that is added twice shows as text that is no number.
    let before = read(scope, &key).await?.map(|before| format!("{before} and ")).unwrap_or_default();
    scope.state_set(key, format!("{before}{number}").into())?;
    announce(scope, token)?;
    Ok(number)
}

fn announce(scope: &mut Scope, token: &str) -> Result<(), Bad> {
    Ok(scope.broadcast(EVENT, &json!([token]).to_string())?)
}

async fn read(scope: &Scope, key: &str) -> Result<Option<String>, Bad> {
    Ok(scope.state_get(key).await?.map(|value| String::from_utf8_lossy(&value).into_owned()))
}

async fn count(scope: &mut Scope, key: &str) -> Result<u64, Bad> {
    let number = read(scope, key).await?.and_then(|text| text.parse().ok()).unwrap_or(0) + 1;
    scope.state_set(key.to_owned(), number.to_string().into())?;
    Ok(number)
}
