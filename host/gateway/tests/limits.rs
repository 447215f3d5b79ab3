//! Bounds of size, time and number, and how the gateway starts and stops.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;
use support::{Client, Host, KNOWN, Reply};
use tokio::io::AsyncWriteExt;

fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST /gateway/{KNOWN}{path} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn post_in_chunks(path: &str, body: &[u8]) -> Vec<u8> {
    let mut request =
        format!("POST /gateway/{KNOWN}{path} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(1000) {
        request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

fn told(reply: &Reply) -> (u16, Option<&str>) {
    (reply.status, reply.header("x-rivet-error"))
}

#[tokio::test]
async fn bodies_are_bounded_and_a_refused_client_keeps_its_connection() {
    let host = Host::with(|options| options.raw_body_bytes_max = 200_000).await;
    type Case = (&'static str, &'static str, usize, (u16, Option<&'static str>));
    let cases: &[Case] = &[
        ("an_action_that_fits", "/action/a", 65_536, (200, None)),
        ("an_action_that_is_too_long", "/action/a", 65_537, (400, Some("message.incoming_too_long"))),
        ("a_queue_message_that_is_too_long", "/queue/q", 65_537, (400, Some("message.incoming_too_long"))),
        ("a_raw_request_that_fits", "/request/a", 200_000, (200, None)),
        ("a_raw_request_that_is_too_long", "/request/a", 200_001, (413, Some("guard.invalid_request_body"))),
    ];
    for (name, path, len, expected) in cases {
        for build in [post, post_in_chunks] {
            let mut client = host.connect().await;
            let reply = client.ask(&build(path, &vec![b'x'; *len])).await;
            assert_eq!(told(&reply), *expected, "{name}: {reply:?}");
            if reply.status == 200 {
                assert!(reply.body.contains(&format!(r#""body_len":{len}"#)), "{name}: {reply:?}");
            }
            let reply = client.ask(&post("/action/a", b"{}")).await;
            assert_eq!(reply.status, 200, "{name}: the connection is usable");
        }
    }
    assert_eq!(host.gateway.stats().incoming_bytes, 0);
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_head_is_dropped() {
    let host = Host::with(|options| options.header_timeout = Duration::from_millis(100)).await;
    let mut client = host.connect().await;
    client.send(b"GET /health HTTP/1.1\r\nhost: h\r\nx-slow: ").await;
    while client.more().await {}
    while host.gateway.stats().connections > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_body_is_refused() {
    let host = Host::with(|options| options.body_timeout = Duration::from_millis(100)).await;
    let mut client = host.connect().await;
    let head = format!("POST /gateway/{KNOWN}/action/a HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nabc");
    let reply = client.ask(head.as_bytes()).await;
    assert_eq!(told(&reply), (504, Some("guard.request_timeout")));
}

#[tokio::test]
async fn a_head_over_its_limit_is_refused() {
    let host = Host::start().await;
    let head = format!("GET /health HTTP/1.1\r\nhost: h\r\nx-long: {}\r\n\r\n", "x".repeat(70_000));
    assert_eq!(host.ask(&head).await.status, 431);
    let fits = format!("GET /health HTTP/1.1\r\nhost: h\r\nx-long: {}\r\n\r\n", "x".repeat(60_000));
    assert_eq!(host.ask(&fits).await.status, 200);
}

#[tokio::test]
async fn bodies_of_all_clients_are_bounded() {
    let host = Host::with(|options| options.incoming_bytes_max = 50_000).await;
    let mut first = host.connect().await;
    let head = format!("POST /gateway/{KNOWN}/action/a HTTP/1.1\r\nhost: h\r\ncontent-length: 40001\r\n\r\n");
    first.send(&[head.as_bytes(), &[b'x'; 40_000]].concat()).await;
    while host.gateway.stats().incoming_bytes < 40_000 {
        tokio::task::yield_now().await;
    }
    let refused = host.connect().await.ask(&post("/action/a", &[b'x'; 20_000])).await;
    assert_eq!(told(&refused), (503, Some("guard.service_unavailable")));
    assert_eq!(first.ask(b"x").await.status, 200);
    assert_eq!(host.connect().await.ask(&post("/action/a", &[b'x'; 20_000])).await.status, 200);
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_place() {
    let host = Host::with(|options| options.connections_max = 1).await;
    let mut first = host.connect().await;
    assert_eq!(first.ask(b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n").await.status, 200);
    let mut second = host.connect().await;
    second.send(b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(first.ask(b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n").await.status, 200);
    assert_eq!(host.gateway.stats().requests, 2);
    drop(first);
    assert_eq!(second.reply(false).await.status, 200);
}

#[tokio::test]
async fn a_client_that_only_listens_on_still_gets_its_answer() {
    let host = Host::start().await;
    let mut client = host.connect().await;
    client.send(&post("/action/a", b"{}")).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.reply(false).await.status, 200);
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_order() {
    let host = Host::start().await;
    let mut client = host.connect().await;
    let requests: Vec<u8> = (0..20).flat_map(|number| post(&format!("/action/a{number}"), b"{}")).collect();
    client.send(&requests).await;
    for number in 0..20 {
        let reply = client.reply(false).await;
        assert!(reply.body.contains(&format!(r#""path":"/action/a{number}""#)), "{reply:?}");
    }
}

#[tokio::test]
async fn nonsense_ends_only_its_own_connection() {
    let host = Host::start().await;
    for nonsense in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"GET\r\n\r\n", b"\0\0\0\0\r\n\r\n"] {
        let mut client = host.connect().await;
        client.send(nonsense).await;
        client.stream.shutdown().await.unwrap();
        while client.more().await {}
    }
    assert_eq!(host.ask("GET /health HTTP/1.1\r\nhost: h\r\n\r\n").await.status, 200);
}

async fn slow_request(host: &Host) -> Client {
    let mut client = host.connect().await;
    let target = "/gateway/slow/request/a?rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default";
    client.send(format!("GET {target} HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes()).await;
    while host.fake.0.requests.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    client
}

#[tokio::test]
async fn a_stopping_host_finishes_what_is_under_way() {
    let host = Host::start().await;
    let mut idle = host.connect().await;
    assert_eq!(idle.ask(b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n").await.status, 200);
    let mut client = slow_request(&host).await;
    host.stop.cancel();
    assert!(!idle.more().await, "an idle connection is closed");
    while tokio::net::TcpStream::connect(host.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    host.fake.0.release.notify_one();
    assert_eq!(client.reply(false).await.status, 200);
    tokio::time::timeout(Duration::from_secs(5), host.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_stopping_host_does_not_wait_for_ever() {
    let host = Host::with(|options| options.stop_timeout = Duration::from_millis(100)).await;
    let mut client = slow_request(&host).await;
    let mut socket = host.connect().await;
    let target = "/gateway/slow/websocket/?rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default";
    let upgrade = format!(
        "GET {target} HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    assert_eq!(socket.ask(upgrade.as_bytes()).await.status, 101);
    // The actor never takes this frame, so the socket's task waits for it.
    socket.send(b"\x81\x80\0\0\0\0").await;
    host.fake.0.frames.subscribe().wait_for(|count| *count == 1).await.unwrap();
    host.stop.cancel();
    assert!(!client.more().await, "the request is dropped");
    tokio::time::timeout(Duration::from_secs(5), host.task).await.unwrap().unwrap().unwrap();
    assert_eq!(host.gateway.stats().sockets, 0);
}
