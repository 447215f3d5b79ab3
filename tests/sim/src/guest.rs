//! The guest of the simulation: it counts, sets timers, calls other actors, fails when told, and writes down everything it does.
//!
//! Every operation of a client carries a token. Keys of the state: `n` counts, `t/` additions with their number, `s/` and `f/` timers
//! that were set and that ran, `c/` and `k/` repeating timers and how often they ran, `o/` and `d/` calls that were sent and that ended,
//! `r/` calls that were taken, `w/` frames of raw sockets, `op/` the token of an operation. A parent makes a child (`b/`), calls it,
//! destroys it (`dd/`), and is told by its last hook (`g/`). What must not be is written under `bad/`.

use futures::future::BoxFuture;
use growqr_component::{ActionInfo, CallReport, Description, Hooks};
use growqr_runtime::NativeGuest;
use growqr_turn::{Answer, Frame, Message, Outcome, Schedule, Scope, SocketEvent, TargetRef, TurnFailure};
use growqr_types::{Failure, codes};
use serde_json::{Value, json};
use std::time::Duration;

/// The name under which the guest is served.
pub const NAME: &str = "unit";
/// The only event, so that its numbers have no gaps for whoever subscribed to it.
pub const EVENT: &str = "e";

/// How often a repeating timer runs before it is cancelled.
pub const REPEATS: u64 = 3;

/// See the module's documentation.
pub struct Unit;

/// What the guest says about itself.
pub fn description() -> Description {
    let action = |name: &str| ActionInfo { name: name.to_owned(), read_only: name == "get" };
    Description {
        actions: ["add", "late", "timer", "repeat", "send", "take", "breed", "fail", "get"].map(action).into(),
        events: vec![EVENT.to_owned()],
        queues: Vec::new(),
        hooks: Hooks {
            create: true,
            wake: true,
            sleep: true,
            destroy: true,
            effect_result: true,
            message: true,
            socket: true,
            ..Hooks::default()
        },
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
        Message::Create(input) => {
            if let Some(input) = input {
                scope.state_set("birth".to_owned(), input.into())?;
            }
            count(scope, "created").await?;
            Ok(Answer::None)
        }
        Message::Destroy => {
            let birth: Value =
                read(scope, "birth").await?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            if let Some(parent) = birth["parent"].as_str() {
                scope.send_message(unit(parent), json!({"gone": birth["token"]}).to_string())?;
            }
            Ok(Answer::None)
        }
        Message::Actor(message) => {
            let payload: Value = serde_json::from_str(&message.payload).unwrap_or_default();
            count(scope, &format!("g/{}", payload["gone"].as_str().unwrap_or_default())).await?;
            Ok(Answer::None)
        }
        Message::Socket(connection, SocketEvent::Message(Frame::Text(token), index)) => {
            let connection = connection.to_string();
            if count(scope, &format!("ws/{connection}")).await? != index {
                scope
                    .state_set(format!("bad/{token}"), format!("frame {index} came without those before it").into())?;
            }
            count(scope, &format!("w/{token}")).await?;
            scope.send_frame(&connection, Frame::Text(token))?;
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
                "repeat" => repeated(scope, &token, timer.id, timer.due, &payload).await?,
                "taken" => scope.answer(payload["reply"].as_u64().unwrap_or_default(), Ok("\"later\"".to_owned()))?,
                _ => {
                    count(scope, &format!("f/{token}")).await?;
                    announce(scope, &token)?;
                }
            }
            Ok(Answer::None)
        }
        Message::EffectResult(result) => {
            if let Some(token) = read(scope, &format!("op/{}", result.operation)).await? {
                count(scope, &format!("d/{token}")).await?;
                if let Err(failure) = result.outcome {
                    scope.state_set(format!("bad/{token}"), failure.to_string().into())?;
                }
            } else if let Some(step) = read(scope, &format!("step/{}", result.operation)).await? {
                breed(scope, &step, result.outcome).await?;
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
        "repeat" => {
            count(scope, &format!("c/{token}")).await?;
            let (schedule, every) = match delay % 2 {
                0 => (Schedule::Cron("*/2 * * * * *".to_owned()), 0),
                _ => (Schedule::Every(delay), delay),
            };
            let payload = json!({ "token": token, "start": scope.now(), "every": every }).to_string();
            scope.timer_set(schedule, "repeat".to_owned(), payload)?;
            Ok(Outcome::Done)
        }
        "breed" => {
            count(scope, &format!("b/{token}")).await?;
            let parent = scope.identity().key.0.first().cloned().unwrap_or_default();
            let input = json!({ "token": token, "parent": parent }).to_string();
            let operation = scope.spawn(NAME.to_owned(), vec!["child".to_owned(), token.to_owned()], Some(input))?;
            scope.state_set(format!("step/{operation}"), format!("made {token}").into())?;
            Ok(Outcome::Done)
        }
        "send" => {
            count(scope, &format!("o/{token}")).await?;
            let target = unit(extra.and_then(Value::as_str).unwrap_or_default());
            let operation = scope.call(target, "take".to_owned(), json!([token]).to_string())?;
            scope.state_set(format!("op/{operation}"), token.to_owned().into())?;
            Ok(Outcome::Done)
        }
        "take" => {
            count(scope, &format!("r/{token}")).await?;
            announce(scope, token)?;
            let chance = scope.random_number() % 3;
            if chance == 1 && read(scope, "birth").await?.is_some() {
                scope.destroy_self()?;
            }
            if chance == 0 {
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
            let state = scope.state_scan("", None, 10_000).await?;
            let text = |value: bytes::Bytes| String::from_utf8_lossy(&value).into_owned();
            let all: serde_json::Map<String, Value> =
                state.into_iter().map(|(key, value)| (key, Value::String(text(value)))).collect();
            Ok(Outcome::Reply(Value::Object(all).to_string()))
        }
    }
}

fn unit(key: &str) -> TargetRef {
    TargetRef::Address { name: NAME.to_owned(), key: vec![key.to_owned()] }
}

/// A repeating timer runs on its beat, and ends after some times.
async fn repeated(scope: &mut Scope, token: &str, timer: u64, due: u64, payload: &Value) -> Result<(), Bad> {
    let every = payload["every"].as_u64().unwrap_or_default();
    let off = match every {
        0 => due % 2000,
        every => (due - payload["start"].as_u64().unwrap_or_default()) % every,
    };
    if off != 0 {
        scope.state_set(format!("bad/{token}"), format!("it was due {off} ms beside its beat").into())?;
    }
    if count(scope, &format!("k/{token}")).await? >= REPEATS {
        scope.timer_cancel(timer)?;
    }
    Ok(())
}

/// The next step of a parent: its child was made, has answered, is gone.
async fn breed(scope: &mut Scope, step: &str, outcome: Result<String, Failure>) -> Result<(), Bad> {
    let (step, token) = step.split_once(' ').unwrap_or_default();
    let child: Value = match &outcome {
        Ok(text) => serde_json::from_str(text).unwrap_or_default(),
        Err(_) => Value::Null,
    };
    let (operation, next) = match step {
        "made" => {
            let Some(id) = child["actorId"].as_str().and_then(|id| id.parse().ok()) else {
                scope.state_set(format!("bad/{token}"), format!("no child: {outcome:?}").into())?;
                return Ok(());
            };
            scope
                .state_set(format!("child/{token}"), child["actorId"].as_str().unwrap_or_default().to_owned().into())?;
            (scope.call(TargetRef::Id(id), "take".to_owned(), json!([token]).to_string())?, "called")
        }
        // It may have destroyed itself already.
        "called" => {
            let id = read(scope, &format!("child/{token}")).await?.and_then(|id| id.parse().ok());
            let Some(id) = id else { return Ok(()) };
            (scope.destroy(TargetRef::Id(id))?, "destroyed")
        }
        _ => {
            count(scope, &format!("dd/{token}")).await?;
            if let Err(failure) = outcome {
                scope.state_set(format!("bad/{token}"), failure.to_string().into())?;
            }
            return Ok(());
        }
    };
    scope.state_set(format!("step/{operation}"), format!("{next} {token}").into())?;
    Ok(())
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
