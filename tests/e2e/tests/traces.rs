//! Traces: one client action is followed through the host, and what is not asked for is not traced.

use growqr_e2e::{Deployment, Host, get, request};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// How long a private database may take to be made, and a row to arrive in it.
const DATABASE_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long spans may take to arrive: they are collected for some seconds before they are sent.
const SPANS_TIME_MAX: Duration = Duration::from_secs(30);

/// A collector on this machine: takes OTLP over HTTP and gives the spans.
fn collector() -> (String, Receiver<(Vec<Span>, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || take(stream, &sender));
        }
    });
    (format!("http://{address}/v1/traces"), receiver)
}

/// Answers the requests of one connection.
fn take(stream: TcpStream, sender: &Sender<(Vec<Span>, String)>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut stream = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length =
            head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; length.expect("a length")];
        reader.read_exact(&mut body).expect("a body");
        let exported = ExportTraceServiceRequest::decode(&body[..]).expect("protobuf");
        let scopes = exported.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        // Nobody listens any more when the test is over.
        let _ = sender.send((scopes.flat_map(|scope| scope.spans).collect(), head));
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("an answer");
    }
}

fn traced(endpoint: &str, ratio: f64, client_sampling: bool) -> Host {
    let traces = json!({
        "otlpEndpoint": endpoint, "sampleRatio": ratio, "clientSampling": client_sampling,
        "otlpHeaders": { "x-key": "s3same" },
    });
    Host::start(&Deployment::of(&["counter"]).setting("traces", traces))
}

fn increment(host: &Host, traceparent: &str) {
    act(host, "increment", traceparent);
}

fn act(host: &Host, action: &str, traceparent: &str) {
    let path = format!(
        "/gateway/counter/action/{action}?rvt-namespace=default&rvt-runner=default&rvt-method=getOrCreate&rvt-key=ada"
    );
    let answer = request("POST", host.url(), &path, &[("traceparent", traceparent)], r#"{"args":[1]}"#);
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// All spans up to the one that ends a stopping host's sending.
fn spans(host: &mut Host, receiver: &Receiver<(Vec<Span>, String)>) -> Vec<Span> {
    assert!(host.stop().success());
    let mut all = Vec::new();
    let end = Instant::now() + SPANS_TIME_MAX;
    // Everything was answered before the host ended.
    while let Ok((spans, head)) = receiver.try_recv() {
        assert!(head.to_lowercase().contains("x-key: s3same"), "{head}");
        all.extend(spans);
        assert!(Instant::now() < end, "spans come without end");
    }
    all
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no span is called {name}: {spans:#?}"));
    assert!(found.next().is_none(), "two spans are called {name}: {spans:#?}");
    span
}

#[test]
fn one_action_is_followed_through_gateway_turn_and_commit_under_its_clients_trace() {
    let (endpoint, receiver) = collector();
    let mut host = traced(&endpoint, 0.0, true);
    increment(&host, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    // A client that does not sample, and one that says nothing of use, are not traced.
    increment(&host, "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    increment(&host, "nonsense");
    let spans = spans(&mut host, &receiver);
    let (action, turn, commit) = (named(&spans, "action"), named(&spans, "turn"), named(&spans, "commit"));
    assert_eq!(spans.len(), 3, "{spans:#?}");
    assert!(spans.iter().all(|span| span.trace_id[..2] == [0x0a, 0xf7]), "{spans:#?}");
    assert_eq!(action.parent_span_id, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
    assert_eq!(turn.parent_span_id, action.span_id);
    assert_eq!(commit.parent_span_id, action.span_id);
    assert!(turn.end_time_unix_nano <= commit.start_time_unix_nano, "the commit follows the turn");
    assert!(commit.end_time_unix_nano <= action.end_time_unix_nano, "the answer follows the commit");
    let keys: Vec<&str> = turn.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert!(["actor", "actor_name", "turn"].iter().all(|key| keys.contains(key)), "{keys:?}");
}

#[test]
fn the_way_of_an_actions_events_to_the_database_is_a_part_of_its_trace() {
    let (endpoint, receiver) = collector();
    let traces = json!({ "otlpEndpoint": endpoint, "sampleRatio": 1.0, "otlpHeaders": { "x-key": "s3same" } });
    let deployment = Deployment::of(&["counter"])
        .setting("traces", traces)
        .setting("database", json!({}))
        .setting("metrics", json!({ "listen": "127.0.0.1:0" }));
    let mut host = Host::start(&deployment);
    act(&host, "broadcastPing", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let end = Instant::now() + DATABASE_WAIT_MAX;
    let arrived = |numbers: &str| {
        let rows = numbers.lines().find_map(|line| line.strip_prefix("growqr_mirror_rows_total "));
        rows.and_then(|rows| rows.parse::<f64>().ok()).is_some_and(|rows| rows >= 2.0)
    };
    while !arrived(&get(host.operator(), "/metrics").body) {
        assert!(Instant::now() < end, "the rows do not arrive: {}", get(host.operator(), "/ready").body);
        std::thread::sleep(Duration::from_millis(50));
    }
    let spans = spans(&mut host, &receiver);
    let (action, mirror) = (named(&spans, "action"), named(&spans, "mirror"));
    assert_eq!(mirror.parent_span_id, action.span_id);
    assert_eq!(mirror.trace_id, action.trace_id);
    assert!(mirror.end_time_unix_nano > action.end_time_unix_nano, "the answer does not wait for the database");
}

#[test]
fn the_ratio_decides_when_clients_may_not() {
    let (endpoint, receiver) = collector();
    let mut host = traced(&endpoint, 0.0, false);
    increment(&host, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert!(spans(&mut host, &receiver).is_empty());
    let mut host = traced(&endpoint, 1.0, false);
    increment(&host, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    increment(&host, "nonsense");
    let spans = spans(&mut host, &receiver);
    assert_eq!(spans.iter().filter(|span| span.name == "turn").count(), 2, "{spans:#?}");
    // The client's trace is kept whoever decides, so that both sides see one.
    assert_eq!(spans.iter().filter(|span| span.name == "action" && span.trace_id[..2] == [0x0a, 0xf7]).count(), 1);
}

#[test]
fn a_collector_that_is_away_disturbs_nobody() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}/v1/traces", free.local_addr().expect("an address"));
    drop(free);
    let mut host = traced(&endpoint, 1.0, false);
    for _ in 0..10 {
        increment(&host, "nonsense");
    }
    assert!(host.stop().success());
}
