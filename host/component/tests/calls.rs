//! What a turn does through a component: answers, writes, events, randomness, log lines.

#![allow(clippy::unwrap_used)]

mod support;

use growqr_component::{CompilerCommand, ComponentLimits, Engine, EngineOptions, InstanceLimits, SLOTS_MAX, Tier};
use growqr_turn::*;
use growqr_types::{ConnectionId, codes};
use support::*;

fn engine(slots: usize) -> Bench {
    bench(slots, CompilerCommand { program: env!("CARGO_BIN_EXE_growqr-test-compiler").into(), args: Vec::new() })
}

async fn check(name: &str, args: &str, expected: Outcome) {
    let engine = engine(2);
    let component = engine.guest().await;
    let (report, _instance) = call_once(&component, action(name, args), LONG).await;
    assert_eq!(report.result, Ok(Answer::Outcome(expected)), "{name}: {:?}", report.detail);
    assert!(report.usable, "{name}");
}

#[tokio::test]
async fn an_action_answers() {
    check("nothing", "[]", Outcome::Done).await;
    check("echo", r#"[1,"ä"]"#, Outcome::Reply(r#"[1,"ä"]"#.into())).await;
    check("defer", "[]", Outcome::Deferred).await;
    check("clock", "[]", Outcome::Reply("1700000000000".into())).await;
}

#[tokio::test]
async fn a_turn_reads_its_own_writes_through_the_overlay() {
    check("overlay", "[]", Outcome::Reply(r#""a/1=one,a/2=two;true""#.into())).await;
}

#[tokio::test]
async fn writes_and_events_come_back_in_the_scope() {
    let engine = engine(2);
    let component = engine.guest().await;
    let (report, mut instance) = call_once(&component, action("bump", "[]"), LONG).await;
    assert_eq!(reply(&report), "42");
    let (finished, _) = report.scope.finish();
    assert_eq!(finished.effects.state["count"].as_deref(), Some(&b"42"[..]));

    let report = instance.call(World::new().scope(), action("broadcast", "[1]"), LONG).await;
    let (finished, _) = report.scope.finish();
    assert!(
        matches!(&finished.effects.outgoing[..], [Outgoing::Broadcast { name, args }] if &**name == "news" && &**args == "[1]")
    );
}

#[tokio::test]
async fn random_numbers_follow_the_seed() {
    let engine = engine(2);
    let component = engine.guest().await;
    let mut seen = Vec::new();
    for seed in [[7; 32], [7; 32], [8; 32]] {
        let mut instance = component.instantiate(&InstanceLimits::default()).await.unwrap();
        let world = World { seed, ..World::new() };
        let report = instance.call(world.scope(), action("random", "[]"), LONG).await;
        seen.push(reply(&report).to_owned());
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
}

#[tokio::test]
async fn guest_log_lines_come_back() {
    let engine = engine(2);
    let component = engine.guest().await;
    let (report, _instance) = call_once(&component, action("log", "[]"), LONG).await;
    let (_, log) = report.scope.finish();
    assert_eq!(log, [LogLine { level: LogLevel::Warn, message: "a line from the guest".into() }]);
}

#[tokio::test]
async fn every_kind_of_message_reaches_its_handler() {
    let engine = engine(2);
    let component = engine.guest().await;
    let mut instance = component.instantiate(&InstanceLimits::default()).await.unwrap();
    let id = ConnectionId::from_bytes([3; 16]);
    let connection =
        Connection { id, kind: ConnectionKind::Socket, params: "null".into(), state: None, hibernatable: true };
    let asked = ConnectionRequest {
        id,
        kind: ConnectionKind::Socket,
        params: "{}".into(),
        request: Default::default(),
        reply: 2,
    };
    let request =
        |url: &str| HttpRequest { method: "GET".into(), url: url.into(), headers: vec![], body: "body".into() };
    let response =
        HttpResponse { status: 200, headers: vec![("x-url".into(), "http://a/b".into())], body: "body".into() };
    let effect = |outcome| Message::EffectResult(EffectResult { operation: 9, outcome });
    let queue = QueueMessage { queue: "jobs".into(), body: "[2]".into(), connection: None, waiting: true, reply: 4 };
    let frame = SocketEvent::Message(Frame::Binary("x".into()), 1);
    let sender = ActorMessage { sender: World::new().identity.id, sender_name: "b".into(), payload: "1".into() };
    let news = SandboxEvent { session: None, kind: "k".into(), payload: "{}".into() };
    let cases = [
        (Message::Create(Some("{}".into())), Ok(Answer::None)),
        (Message::Wake(WakeReason::Swapped), Ok(Answer::None)),
        (Message::BeforeConnect(asked), Ok(Answer::Verdict(Verdict::Accept(Some("{}".into()))))),
        (Message::Connect(connection.clone()), Ok(Answer::None)),
        (Message::Disconnect(connection), Ok(Answer::None)),
        (Message::Subscribe(id, "open".into()), Ok(Answer::None)),
        (Message::Subscribe(id, "secret".into()), Err("user.secret")),
        (Message::Queue(queue), Ok(Answer::Outcome(Outcome::Reply("[2]".into())))),
        (Message::Request(id, request("http://a/b"), 3), Ok(Answer::Request(RequestOutcome::Response(response)))),
        (Message::Request(id, request("http://a/bad"), 3), Err("actor.invalid_output")),
        (Message::Socket(id, SocketEvent::Open(Default::default())), Ok(Answer::None)),
        (Message::Socket(id, frame), Ok(Answer::None)),
        (Message::Socket(id, SocketEvent::Close(1000, String::new())), Ok(Answer::None)),
        (Message::Actor(sender), Ok(Answer::None)),
        (timer("tick"), Ok(Answer::None)),
        (Message::Sandbox(news), Ok(Answer::None)),
        (effect(Ok("1".into())), Ok(Answer::None)),
        (effect(Err(codes::FORBIDDEN.failure())), Err("auth.forbidden")),
        (Message::Migrate(1, 2), Ok(Answer::None)),
        (Message::Migrate(2, 1), Err("user.backwards")),
        (Message::Check, Ok(Answer::None)),
        (Message::Sleep, Ok(Answer::None)),
        (Message::Destroy, Ok(Answer::None)),
    ];
    for (message, expected) in cases {
        let name = format!("{message:?}");
        let report = instance.call(World::new().scope(), message, LONG).await;
        let got = report.result.map_err(|failure| format!("{}.{}", failure.0.group, failure.0.code));
        assert_eq!(got, expected.map_err(str::to_owned), "{name}: {:?}", report.detail);
        assert!(report.usable, "{name}");
    }
}

#[tokio::test]
async fn a_body_as_large_as_the_limit_crosses_both_ways() {
    let engine = engine(2);
    let component = engine.guest().await;
    let mut instance = component.instantiate(&InstanceLimits::default()).await.unwrap();
    let id = ConnectionId::from_bytes([3; 16]);
    for (bytes, fits) in
        [(growqr_types::limits::RAW_BODY_BYTES_MAX, true), (growqr_types::limits::RAW_BODY_BYTES_MAX + 1, false)]
    {
        let request =
            HttpRequest { method: "PUT".into(), url: "http://a/".into(), headers: vec![], body: vec![9; bytes].into() };
        let report = instance.call(World::new().scope(), Message::Request(id, request, 1), LONG).await;
        match report.result {
            Ok(Answer::Request(RequestOutcome::Response(response))) => assert!(fits && response.body.len() == bytes),
            Err(failure) => {
                assert!(!fits && failure.0.is(&codes::OUTGOING_TOO_LONG), "{failure:?} {:?}", report.detail)
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn slots_are_bounded_and_come_back() {
    let engine = engine(3);
    assert_eq!(engine.engine.slots(), 3);
    let component = engine.guest().await;
    let limits = InstanceLimits::default();
    let held = [
        component.instantiate(&limits).await.unwrap(),
        component.instantiate(&limits).await.unwrap(),
        component.instantiate(&limits).await.unwrap(),
    ];
    let refused = component.instantiate(&limits).await.err().unwrap();
    assert!(refused.is(&codes::OVERLOADED), "{refused:?}");
    // The description does not need one of them.
    component.describe("counter", Default::default()).await.unwrap();
    drop(held);
    for round in 0..1000 {
        let mut instance = component.instantiate(&limits).await.unwrap();
        if round % 100 == 0 {
            let report = instance.call(World::new().scope(), action("bump", "[]"), LONG).await;
            assert_eq!(reply(&report), "42");
        }
        assert!(instance.memory_bytes() > 0);
    }
    assert_eq!(engine.engine.free_slots(component.tier()), 3);
}

#[tokio::test]
async fn a_component_outlives_the_handle_of_its_engine() {
    let engine = engine(1);
    let component = engine.engine.load(guest(), &ComponentLimits::default()).await.unwrap();
    drop(engine);
    let (report, _instance) = call_once(&component, action("loop", "[]"), std::time::Duration::from_millis(50)).await;
    assert!(!report.usable);
    assert!(report.result.unwrap_err().0.is(&codes::ACTION_TIMED_OUT));
}

#[tokio::test]
async fn an_engine_of_the_machines_full_size_can_be_made_and_used() {
    let cache = tempfile::tempdir().unwrap();
    let compiler = CompilerCommand { program: env!("CARGO_BIN_EXE_growqr-test-compiler").into(), args: Vec::new() };
    let options = EngineOptions { slots: None, runtime_slots: None, cache_dir: cache.path().to_owned(), compiler };
    let engine = Engine::new(options).unwrap();
    assert!(engine.slots() > engine.tier_slots(Tier::Runtime) && engine.slots() <= SLOTS_MAX);
    let component = engine.load(guest(), &ComponentLimits::default()).await.unwrap();
    let (report, _instance) = call_once(&component, action("bump", "[]"), LONG).await;
    assert_eq!(reply(&report), "42");
}
