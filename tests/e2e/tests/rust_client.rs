//! The official Rust client, in all encodings.

use growqr_e2e::{Deployment, Host};
use rivetkit_client::{
    Client, ClientConfig, ConnectionStatus, CreateOptions, EncodingKind, GetOptions, GetOrCreateOptions,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long anything may take.
const WAIT_MAX: Duration = Duration::from_secs(20);

fn client(host: &Host, encoding: EncodingKind) -> Client {
    Client::new(ClientConfig::new(host.url()).encoding(encoding))
}

fn key(encoding: EncodingKind, name: &str) -> Vec<String> {
    vec!["rust".to_owned(), encoding.as_str().to_owned(), name.to_owned()]
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(WAIT_MAX, future).await.unwrap_or_else(|_| panic!("{what} took longer than {WAIT_MAX:?}"))
}

#[tokio::test]
async fn the_rust_client_calls_connects_and_hears_events() {
    let host = Host::start(&Deployment::of(&["counter"]));
    for encoding in [EncodingKind::Json, EncodingKind::Cbor, EncodingKind::Bare] {
        actions(&host, encoding).await;
        connection(&host, encoding).await;
    }
}

#[tokio::test]
async fn an_actor_can_be_tried_against_stand_ins_for_memory_and_sandbox() {
    for (doubles, memory, sandbox) in
        [(false, "memory.not_available", "sandbox.not_available"), (true, "available", "available")]
    {
        let host = Host::start(&Deployment::of(&["misbehaving"]).setting("doubles", json!(doubles)));
        let client = client(&host, EncodingKind::Json);
        let options = GetOrCreateOptions::default();
        let handle =
            client.get_or_create("misbehaving", key(EncodingKind::Json, "doubles"), options).expect("a handle");
        let call = |name: &'static str| within(name, handle.action(name, vec![]));
        assert_eq!(call("useMemory").await.expect("a reply"), json!(memory));
        assert_eq!(call("useSandbox").await.expect("a reply"), json!(sandbox));
    }
}

async fn actions(host: &Host, encoding: EncodingKind) {
    let client = client(host, encoding);
    let handle =
        client.get_or_create("counter", key(encoding, "http"), GetOrCreateOptions::default()).expect("a handle");
    let call = |name: &'static str, args: Vec<Value>| within(name, handle.action(name, args));
    assert_eq!(call("increment", vec![json!(2)]).await.expect("a reply"), json!(2));
    assert_eq!(call("getCount", vec![]).await.expect("a reply"), json!(2));
    let value = json!({"a": [1, "x", null, 1.5, true], "b": {}});
    assert_eq!(call("echo", vec![value.clone()]).await.expect("a reply"), value);
    let error = call("noSuchAction", vec![]).await.expect_err("there is no such action").to_string();
    assert!(error.contains("actor/action_not_found"), "{error}");

    let id = within("resolve", handle.resolve()).await.expect("an id");
    let by_id = client.get_for_id("counter", &id, GetOptions::default()).expect("a handle");
    assert_eq!(within("by id", by_id.action("getCount", vec![])).await.expect("a reply"), json!(2));
    let created = within("create", client.create("counter", key(encoding, "created"), CreateOptions::default())).await;
    let created = created.expect("an actor");
    assert_eq!(within("created", created.action("increment", vec![json!(5)])).await.expect("a reply"), json!(5));
}

async fn connection(host: &Host, encoding: EncodingKind) {
    let client = client(host, encoding);
    let handle =
        client.get_or_create("counter", key(encoding, "socket"), GetOrCreateOptions::default()).expect("a handle");
    let connection = handle.connect();
    let mut status = connection.status_receiver();
    within("connecting", status.wait_for(|status| *status == ConnectionStatus::Connected)).await.expect("a connection");
    let (sender, mut heard) = mpsc::unbounded_channel();
    let subscription = connection
        .on_event("ping", move |args| {
            // The receiver is gone only when the test is over.
            let _ = sender.send(args.clone());
        })
        .await;
    let call = |name: &'static str, args: Vec<Value>| within(name, connection.action(name, args));
    assert_eq!(call("increment", vec![json!(3)]).await.expect("a reply"), json!(3));
    assert_eq!(call("broadcastPing", vec![json!({"n": 1})]).await.expect("a reply"), json!(true));
    assert_eq!(within("the event", heard.recv()).await, Some(vec![json!({"n": 1})]));
    subscription.unsubscribe().await;
    assert_eq!(call("broadcastPing", vec![json!(2)]).await.expect("a reply"), json!(true));
    assert!(heard.try_recv().is_err(), "an event came after the subscription had ended");
    within("disconnecting", connection.disconnect()).await;
}
