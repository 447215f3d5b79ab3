//! The actor that uses every capability, and the one that misuses them.

#![allow(clippy::unwrap_used)]

mod support;

use growqr_component::InstanceLimits;
use growqr_turn::*;
use growqr_types::{ConnectionId, codes};
use std::time::Duration;
use support::{Stage, Turn, said};

fn answers(turn: &Turn) -> Vec<String> {
    let answer = |outgoing: &Outgoing| match outgoing {
        Outgoing::Answer { reply, outcome: Ok(json) } => Some(format!("{reply}: {json}")),
        Outgoing::Answer { reply, outcome: Err(failure) } => Some(format!("{reply}: {failure}")),
        _ => None,
    };
    turn.effects.outgoing.iter().filter_map(answer).collect()
}

#[tokio::test]
async fn a_deferred_action_is_answered_by_a_timer_or_by_another_actor() {
    let mut actor = Stage::built("actors/test/everything").await;
    actor.check("waitFor", "[50]", "deferred").await;
    actor.check("waitForever", "[]", "deferred").await;
    let turns = actor.fire().await;
    assert_eq!(turns.iter().flat_map(answers).collect::<Vec<_>>(), [r#"1: "waited""#]);

    let turn = actor.action("callOn", r#"["b","value",[1]]"#).await;
    assert_eq!(said(&turn.result), "deferred");
    let [(operation, Effect::Call { action, args, .. })] = &turn.effects.effects[..] else { panic!() };
    assert_eq!((action.as_str(), &**args), ("value", "[1]"));
    let operation = *operation;
    actor.forget();
    let failure = codes::ACTION_NOT_FOUND.failure();
    let turn = actor.turn(Message::EffectResult(EffectResult { operation, outcome: Err(failure) })).await;
    assert_eq!(answers(&turn), ["3: actor.action_not_found: The action was not found."]);
}

#[tokio::test]
async fn an_error_that_keeps_is_answered_and_the_write_stays() {
    let mut actor = Stage::built("actors/test/everything").await;
    let turn = actor.action("failAndKeep", "[1]").await;
    assert_eq!(said(&turn.result), "deferred");
    assert_eq!(answers(&turn), ["1: user.kept: an error that keeps"]);
    actor.check("failAndForget", "[2]", "user.forgotten: an error that forgets").await;
    actor.check("value", "[]", "1").await;
}

#[tokio::test]
async fn timers_and_hooks_leave_their_records() {
    let mut actor = Stage::built("actors/test/everything").await;
    for message in [
        Message::Create(Some(r#"{"a":1}"#.into())),
        Message::Wake(WakeReason::Created),
        Message::Sleep,
        Message::Wake(WakeReason::Swapped),
    ] {
        assert_eq!(said(&actor.turn(message).await.result), "done");
    }
    actor.check("input", "[]", r#"{"a":1}"#).await;
    let counts = said(&actor.action("counts", "[]").await.result);
    assert!(counts.starts_with(r#"{"creates":1,"wakes":2,"sleeps":1,"#), "{counts}");
    assert!(counts.ends_with(r#""wake_reasons":["created","swapped"]}"#), "{counts}");
    actor.check("countInVars", "[]", "1").await;
    actor.check("countInVars", "[]", "2").await;
    actor.forget();
    actor.check("countInVars", "[]", "1").await;

    actor.check("timerAfter", r#"[5,"a"]"#, "1").await;
    actor.check("timerEvery", r#"[7,"b"]"#, "2").await;
    actor.check("timerCron", r#"["*/5 * * * *","c"]"#, "3").await;
    actor.check("cancelTimer", "[2]", "true").await;
    actor.check("cancelTimer", "[2]", "false").await;
    let timers = said(&actor.action("timers", "[]").await.result);
    assert!(timers.contains(r#"{"due":1700000000005,"id":1,"name":"run"}"#), "{timers}");
    actor.fire().await;
    let ran = said(&actor.action("ran", "[]").await.result);
    assert!(ran.contains(r#""label":"a""#) && ran.contains(r#""label":"c""#), "{ran}");
    let turn = actor.action("timerCron", r#"["never","c"]"#).await;
    assert!(turn.result.unwrap_err().is(&codes::TIMER_SCHEDULE));
}

#[tokio::test]
async fn connections_are_let_in_refused_or_made_to_wait() {
    let mut actor = Stage::built("actors/test/everything").await;
    let id = ConnectionId::from_bytes([1; 16]);
    let request = |params: &str| {
        let (params, kind) = (params.into(), ConnectionKind::Socket);
        Message::BeforeConnect(ConnectionRequest { id, kind, params, request: Default::default(), reply: 7 })
    };
    let accepted = |state: &str| Ok(Answer::Verdict(Verdict::Accept(Some(state.into()))));
    assert_eq!(actor.turn(request("null")).await.result, accepted(r#"{"name":"anonymous","calls":0}"#));
    assert_eq!(actor.turn(request(r#"{"name":"a","after":1}"#)).await.result, accepted(r#"{"name":"a","calls":0}"#));
    assert_eq!(said(&actor.turn(request(r#"{"refuse":true}"#)).await.result), "user.refused: as asked");
    assert_eq!(actor.turn(request(r#"{"deferMs":5}"#)).await.result, Ok(Answer::Verdict(Verdict::Deferred)));
    assert_eq!(
        actor.fire().await.iter().flat_map(answers).collect::<Vec<_>>(),
        [r#"7: {"name":"anonymous","calls":0}"#]
    );

    for (event, expected) in [("note", "done"), ("secret", "user.forbidden: this event is secret")] {
        assert_eq!(said(&actor.turn(Message::Subscribe(id, event.into())).await.result), expected);
    }

    let socket = actor.connect(1, ConnectionKind::Socket);
    let turn = actor.action_of("countConnection", "[]", Some(socket)).await;
    assert_eq!(turn.result.unwrap_err().code, "validation_error", "no state was given at the door");
    let turn = actor.action_of("sendToMe", r#"["note",{"a":1}]"#, Some(socket)).await;
    assert!(matches!(&turn.effects.outgoing[..], [Outgoing::Send { args, .. }] if &**args == r#"[{"a":1}]"#));
    let turn = actor.action_of("disconnectMe", "[]", Some(socket)).await;
    assert!(matches!(&turn.effects.outgoing[..], [Outgoing::Disconnect { code: 1000, .. }]));
    let turn = actor.action("broadcast", r#"["note",[1,["$Date",5]]]"#).await;
    assert!(
        matches!(&turn.effects.outgoing[..], [Outgoing::Broadcast { args, .. }] if &**args == r#"[1,["$Date",5]]"#)
    );
}

#[tokio::test]
async fn queues_complete_now_or_later() {
    let mut actor = Stage::built("actors/test/everything").await;
    assert_eq!(actor.description.queues, ["jobs", "slow"]);
    let message = |queue: &str, reply| {
        let (queue, body) = (queue.to_owned(), r#"{"n":1}"#.into());
        Message::Queue(QueueMessage { queue, body, connection: None, waiting: true, reply })
    };
    assert_eq!(said(&actor.turn(message("jobs", 50)).await.result), r#"{"echo":{"n":1}}"#);
    assert_eq!(said(&actor.turn(message("slow", 51)).await.result), "deferred");
    assert_eq!(said(&actor.turn(message("unknown", 52)).await.result), "done");
    let turn = actor.action("completeSlow", r#"["x"]"#).await;
    assert_eq!((said(&turn.result).as_str(), answers(&turn)), ("true", vec![r#"51: "x""#.to_owned()]));
    actor.check("completeSlow", r#"["x"]"#, "false").await;
}

#[tokio::test]
async fn raw_requests_are_answered_now_or_later() {
    let mut actor = Stage::built("actors/test/everything").await;
    let connection = actor.connect(1, ConnectionKind::RawRequest);
    let request = |url: &str| {
        let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
        let request = HttpRequest { method: "POST".into(), url: url.into(), headers, body: "body".into() };
        Message::Request(connection, request, 9)
    };
    for (url, status, body) in [
        ("http://actor/echo?x=1", 200, "body"),
        ("http://actor/headers", 200, r#"{"content-type":"text/plain"}"#),
        ("http://actor/status/418", 418, ""),
        ("http://actor", 404, "Not Found"),
    ] {
        let turn = actor.turn(request(url)).await;
        let Ok(Answer::Request(RequestOutcome::Response(response))) = turn.result else { panic!("{url}") };
        assert_eq!((response.status, &response.body[..]), (status, body.as_bytes()), "{url}");
    }
    assert_eq!(actor.turn(request("http://actor/later?5")).await.result, Ok(Answer::Request(RequestOutcome::Deferred)));
    let turns = actor.fire().await;
    assert!(matches!(&turns[0].effects.outgoing[..], [Outgoing::AnswerRequest { reply: 9, .. }]));
}

#[tokio::test]
async fn what_misbehaves_fails_and_the_actor_goes_on() {
    let mut actor = Stage::built("actors/test/misbehaving").await;
    actor.limits = InstanceLimits::default();
    for (action, args, code) in [
        ("recurse", "[]", &codes::LIMIT_STACK),
        ("allocate", "[]", &codes::LIMIT_MEMORY),
        ("hugeState", "[]", &codes::LIMIT_STATE_VALUE),
        ("manyWrites", "[]", &codes::LIMIT_WRITES),
        ("eventFlood", "[]", &codes::LIMIT_EVENTS),
        ("timerFlood", "[]", &codes::LIMIT_TIMERS),
        ("sendFlood", "[]", &codes::LIMIT_EFFECTS),
        ("panic", "[]", &codes::CRASHED),
        ("badJson", "[]", &codes::INVALID_OUTPUT),
        ("writeInReadOnly", "[]", &codes::READ_ONLY),
    ] {
        let turn = actor.action(action, args).await;
        let failure = turn.result.unwrap_err();
        assert!(failure.is(code), "{action}: {failure}");
        actor.check("ok", "[]", r#""ok""#).await;
    }
    let turn = actor.action("panic", "[]").await;
    assert!(turn.log[0].contains("told to panic") && turn.log[0].contains("lib.rs"), "{:?}", turn.log);
    actor.check("fail", r#"["some_code"]"#, "user.some_code: told to fail").await;
    actor.check("useMemory", "[]", r#""memory.not_available""#).await;
    actor.check("useSandbox", "[]", r#""sandbox.not_available""#).await;
    actor.check("calls", "[]", "1").await;
    let call = ActionCall { name: "spin".into(), args: "[]".into(), connection: None, caller: None, reply: 1 };
    let turn = actor.turn_within(Message::Action(call), Duration::from_millis(100)).await;
    assert!(turn.result.unwrap_err().is(&codes::ACTION_TIMED_OUT));

    for (place, message) in
        [("on-create", Message::Create(None)), ("on-sleep", Message::Sleep), ("check", Message::Check)]
    {
        actor.config.insert("panicIn".into(), format!("\"{place}\""));
        assert!(actor.turn(message.clone()).await.result.unwrap_err().is(&codes::CRASHED), "{place}");
        actor.config.clear();
        assert_eq!(said(&actor.turn(message).await.result), "done", "{place}");
    }
}
