//! The actors of this repository, turn by turn, through the component host.

#![allow(clippy::unwrap_used)]

mod support;

use growqr_turn::*;
use support::{Stage, repository, said};

/// What every counter does, whatever language it is written in.
async fn check_counter(mut counter: Stage) {
    counter.check("getCount", "[]", "0").await;
    counter.check("increment", "[]", "1").await;
    counter.check("increment", "[5]", "6").await;
    counter.check("increment", r#"[["$Undefined",0]]"#, "7").await;
    counter.check("increment", "[null]", "8").await;
    counter.forget();
    counter.check("getCount", "[]", "8").await;
    counter.check("echo", r#"[{"a":["$Date",5]}]"#, r#"{"a":["$Date",5]}"#).await;
    counter.check("noop", "[]", "done").await;
    counter.check("failUser", "[]", "user.my_code: nope").await;
    assert_eq!(counter.action("failUser", "[]").await.result.unwrap_err().metadata.as_deref(), Some(r#"{"a":1}"#));
    let turn = counter.action("failInternal", "[]").await;
    assert_eq!(said(&turn.result), "core.internal_error: An internal error occurred");
    assert!(turn.log[0].contains("secret detail"), "{:?}", turn.log);
    counter.check("nothing", "[]", "actor.action_not_found: The action `nothing` was not found.").await;
    let wrong = counter.action("increment", r#"["x"]"#).await.result.unwrap_err();
    assert_eq!((&*wrong.group, &*wrong.code), ("actor", "validation_error"));
    assert!(wrong.message.starts_with("argument 1 (`by`) is not"), "{wrong}");

    let turn = counter.action("broadcastPing", r#"[{"n":1}]"#).await;
    assert_eq!(said(&turn.result), "true");
    let [Outgoing::Broadcast { name, args }] = &turn.effects.outgoing[..] else { panic!("{:?}", turn.effects) };
    assert_eq!((&**name, &**args), ("ping", r#"[{"n":1}]"#));
    assert!(counter.action("destroySelf", "[]").await.effects.destroy);

    let connection = counter.connect(1, ConnectionKind::RawSocket);
    let request = HttpRequest {
        method: "POST".into(),
        url: "http://actor/a/b?c=%20d".into(),
        headers: vec![("x-a".into(), "1".into())],
        body: "ä€😀".into(),
    };
    let turn = counter.turn(Message::Request(connection, request, 9)).await;
    let Ok(Answer::Request(RequestOutcome::Response(response))) = turn.result else { panic!("{:?}", turn.result) };
    assert_eq!(response.status, 207);
    assert!(response.headers.contains(&("x-from-actor".into(), "yes".into())), "{:?}", response.headers);
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    let expected = serde_json::json!({
        "method": "POST", "url": "http://actor/a/b?c=%20d", "path": "/a/b?c=%20d", "headers": {"x-a": "1"}, "body": "ä€😀",
    });
    assert_eq!(body, expected);

    let frames = [
        (SocketEvent::Open(Default::default()), Some(Frame::Text("hello from actor".into()))),
        (SocketEvent::Message(Frame::Text("ä".into()), 1), Some(Frame::Text("ä".into()))),
        (SocketEvent::Message(Frame::Binary(vec![0, 255].into()), 2), Some(Frame::Binary(vec![0, 255].into()))),
        (SocketEvent::Close(1000, String::new()), None),
    ];
    for (event, expected) in frames {
        let turn = counter.turn(Message::Socket(connection, event)).await;
        assert_eq!(said(&turn.result), "done");
        let sent = turn.effects.outgoing.into_iter().find_map(|outgoing| match outgoing {
            Outgoing::Frame { frame, .. } => Some(frame),
            _ => None,
        });
        assert_eq!(sent, expected);
    }
}

#[tokio::test]
async fn the_counter_counts() {
    check_counter(Stage::built("examples/counter").await).await;
}

#[tokio::test]
async fn the_counter_in_javascript_is_the_same_counter() {
    // It takes node and packages to build; what is built is checked wherever it is there.
    let file = repository().join("examples/counter-js/dist/counter-js.wasm");
    if let Ok(wasm) = std::fs::read(&file) {
        check_counter(Stage::of(wasm, "counter").await).await;
    } else {
        println!("not built: run `npm ci && npm run build` in examples/counter-js");
    }
}

#[tokio::test]
async fn a_struct_is_stored_only_when_it_changed() {
    let mut counter = Stage::built("examples/counter").await;
    counter.check("increment", "[0]", "0").await;
    assert_eq!(counter.stored("$state"), None);
    counter.check("increment", "[2]", "2").await;
    assert_eq!(counter.stored("$state").as_deref(), Some(r#"{"count":2}"#));
    assert!(counter.action("increment", "[0]").await.effects.is_read_only());
    assert!(counter.action("getCount", "[]").await.effects.is_read_only());
}

#[tokio::test]
async fn a_struct_that_can_not_be_read_fails_with_a_reason() {
    let mut counter = Stage::built("examples/counter").await;
    counter.store("$state", r#"{"count":"many"}"#);
    for message in [Message::Wake(WakeReason::Woken), Message::Check] {
        let failure = counter.turn(message).await.result.unwrap_err();
        assert_eq!((&*failure.group, &*failure.code), ("actor", "state_invalid"));
        assert!(failure.message.contains("invalid type: string \"many\""), "{failure}");
    }
}

#[tokio::test]
async fn the_ledger_counts_each_id_once() {
    let mut ledger = Stage::built("actors/test/ledger").await;
    ledger.check("add", r#"["a",5]"#, "5").await;
    ledger.check("add", r#"["b",2]"#, "7").await;
    let again = ledger.action("add", r#"["a",5]"#).await;
    assert_eq!(said(&again.result), "7");
    assert!(again.effects.is_read_only() && again.effects.outgoing.is_empty());
    ledger.forget();
    ledger.check("total", "[]", "7").await;
    ledger.check("ids", "[]", r#"["a","b"]"#).await;
    ledger.check("entries", "[]", r#"[["a",5],["b",2]]"#).await;
    ledger.check("has", r#"["a"]"#, "true").await;
    ledger.check("has", r#"["c"]"#, "false").await;
    ledger.check("add", r#"["c"]"#, "actor.validation_error: argument 2 (`amount`) is missing").await;
    let turn = ledger.action("add", r#"["c",1]"#).await;
    let [Outgoing::Broadcast { name, args }] = &turn.effects.outgoing[..] else { panic!("{:?}", turn.effects) };
    assert_eq!((&**name, &**args), ("added", r#"[{"id":"c","total":8}]"#));
}

#[tokio::test]
async fn the_bench_actor_answers_frames_and_requests() {
    let mut bench = Stage::built("actors/test/bench").await;
    let id = bench.connect(1, ConnectionKind::RawSocket);
    let cases = [
        (r#"{"id":1,"op":"get","v":0}"#, r#"{"id":1,"r":0}"#),
        (r#"{"id":2,"op":"increment","v":3}"#, r#"{"id":2,"r":3}"#),
        (r#"{"id":3,"op":"echo","v":"x\"y"}"#, r#"{"id":3,"r":"x\"y"}"#),
        (r#"{"id":4,"op":"info","v":0}"#, r#"{"id":4,"r":{"n":3,"mem":1,"version":"v1","sockets":1}}"#),
        (r#"{"id":5,"op":"broadcast","v":{"a":1}}"#, r#"{"id":5,"r":1}"#),
    ];
    for (message, expected) in cases {
        let frame = Frame::Text(message.into());
        let turn = bench.turn(Message::Socket(id, SocketEvent::Message(frame, 1))).await;
        assert!(turn.result.is_ok(), "{message}: {:?}", turn.result);
        let last = turn.effects.outgoing.last().map(|outgoing| match outgoing {
            Outgoing::Frame { frame: Frame::Text(text), .. } => text.as_str(),
            other => panic!("{other:?}"),
        });
        assert_eq!(last, Some(expected));
        let body = message.as_bytes().to_vec().into();
        let request = HttpRequest { method: "POST".into(), url: "http://actor/".into(), headers: vec![], body };
        if !message.contains("increment") {
            let turn = bench.turn(Message::Request(id, request, 1)).await;
            let Ok(Answer::Request(RequestOutcome::Response(response))) = turn.result else { panic!() };
            assert_eq!(response.body, expected.as_bytes());
        }
    }
    let bad = Message::Socket(id, SocketEvent::Message(Frame::Text("{}".into()), 2));
    assert!(said(&bench.turn(bad).await.result).contains("the message is not valid"));
}
