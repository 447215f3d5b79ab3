//! WebSockets over real TCP, with a real client, and with clients that break the rules.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use futures::{SinkExt, StreamExt};
use growqr_seam::SocketFrame;
use std::time::Duration;
use support::{Client, Host, KNOWN};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message, http};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const CREATE: &str = "rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=k";

async fn open(host: &Host, target: &str, protocols: Option<&str>) -> (Socket, http::Response<Option<Vec<u8>>>) {
    let mut request = format!("ws://{}{target}", host.address).into_client_request().unwrap();
    if let Some(protocols) = protocols {
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    }
    tokio_tungstenite::connect_async(request).await.unwrap()
}

async fn named(host: &Host, name: &str) -> Socket {
    open(host, &format!("/gateway/{name}/websocket/chat?z=1&{CREATE}"), Some("rivet, rivet_encoding.bare")).await.0
}

async fn receive(socket: &mut Socket) -> Message {
    tokio::time::timeout(Duration::from_secs(30), socket.next()).await.unwrap().unwrap().unwrap()
}

/// Code and reason of the close that comes next.
async fn closed(socket: &mut Socket) -> (u16, String) {
    match receive(socket).await {
        Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
        other => panic!("no close with a code but {other:?}"),
    }
}

async fn echoes(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    assert_eq!(receive(socket).await, Message::text(text));
}

#[tokio::test]
async fn a_subprotocol_is_selected_only_when_rivet_is_offered() {
    for (offered, selected) in [
        (Some("rivet, rivet_encoding.json"), Some("rivet")),
        (Some("rivet_encoding.cbor, rivet"), Some("rivet")),
        (None, None),
    ] {
        for prefix in ["", "/api/rivet"] {
            let host = Host::start().await;
            let (mut socket, response) = open(&host, &format!("{prefix}/gateway/{KNOWN}/connect"), offered).await;
            let found = response.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap());
            assert_eq!(found, selected, "{offered:?}");
            assert_eq!(response.headers().get("sec-websocket-extensions"), None);
            echoes(&mut socket, "hello").await;
        }
    }
}

#[tokio::test]
async fn text_stays_text_and_binary_stays_binary_in_order() {
    let host = Host::start().await;
    let mut socket = named(&host, "echo").await;
    let sent: Vec<Message> = (0..200u32)
        .map(|number| match number % 2 {
            0 => Message::text(format!("é {number}")),
            _ => Message::binary(number.to_le_bytes().to_vec()),
        })
        .collect();
    for message in &sent {
        socket.feed(message.clone()).await.unwrap();
    }
    socket.flush().await.unwrap();
    for message in sent {
        assert_eq!(receive(&mut socket).await, message);
    }
}

#[tokio::test]
async fn messages_of_every_length_arrive_whole() {
    let host = Host::start().await;
    let mut socket = named(&host, "echo").await;
    for len in [0, 1, 125, 126, 65_535, 65_536, 3 << 20] {
        let message = Message::binary(vec![7; len]);
        socket.send(message.clone()).await.unwrap();
        assert!(receive(&mut socket).await == message, "{len}");
    }
    assert_eq!(host.gateway.stats().incoming_bytes, 0);
}

#[tokio::test]
async fn what_the_actor_sends_while_it_is_opened_arrives() {
    let host = Host::start().await;
    let (mut socket, _) = open(
        &host,
        &format!("/gateway/greeter/websocket/chat?z=1&{CREATE}"),
        Some("rivet, rivet_encoding.bare, rivet_token.secret, rivet_conn_params.%7B%7D"),
    )
    .await;
    let greeting = "/websocket/chat?z=1 rivet, rivet_encoding.bare, rivet_conn_params.%7B%7D";
    assert_eq!(receive(&mut socket).await, Message::text(greeting));
}

#[tokio::test]
async fn a_socket_can_be_addressed_by_subprotocols() {
    let host = Host::start().await;
    let protocols = format!("rivet, rivet_encoding.json, rivet_target.actor, rivet_actor.{KNOWN}, rivet_token.t");
    let (mut socket, _) = open(&host, "/connect", Some(&protocols)).await;
    echoes(&mut socket, "hello").await;
}

#[tokio::test]
async fn failures_are_told_by_closing() {
    let cases = [
        (
            "a_missing_actor",
            "/gateway/echo/connect?rvt-namespace=default&rvt-method=get&rvt-key=none",
            "actor.not_found",
        ),
        ("a_malformed_id", "/gateway/nope/connect", "actor.not_found"),
        ("a_bad_query", "/gateway/echo/connect?rvt-namespace=default", "guard.query_invalid_params"),
        ("an_actor_that_fails", &format!("/gateway/failing/connect?{CREATE}"), "actor.start_failed"),
        ("an_unknown_namespace", "/gateway/echo/connect?rvt-namespace=nowhere&rvt-method=get", "namespace.not_found"),
    ];
    for (name, target, expected) in cases {
        let host = Host::start().await;
        let (mut socket, response) = open(&host, target, Some("rivet")).await;
        let ray = response.headers()["x-rivet-ray-id"].to_str().unwrap().to_owned();
        assert_eq!(closed(&mut socket).await, (1011, format!("{expected}#{ray}")), "{name}");
    }
}

#[tokio::test]
async fn an_unknown_encoding_is_accepted_and_closed() {
    let host = Host::start().await;
    let (mut socket, _) = open(&host, &format!("/gateway/{KNOWN}/connect"), Some("rivet, rivet_encoding.xml")).await;
    assert_eq!(closed(&mut socket).await, (1003, "actor.unsupported_websocket_encoding".into()));
}

#[tokio::test]
async fn a_close_is_echoed_with_code_and_reason_and_told_to_the_actor() {
    let cases = [(Some((1000, "Disposed")), (1000, "Disposed")), (Some((4321, "")), (4321, "")), (None, (1005, ""))];
    for (sent, told) in cases {
        let host = Host::start().await;
        let mut socket = named(&host, "echo").await;
        echoes(&mut socket, "hello").await;
        let frame = sent.map(|(code, reason): (u16, &str)| CloseFrame { code: code.into(), reason: reason.into() });
        socket.close(frame.clone()).await.unwrap();
        assert_eq!(receive(&mut socket).await, Message::Close(frame));
        assert!(socket.next().await.is_none());
        assert_eq!(host.fake.closes(1).await, [(told.0, told.1.to_owned())]);
    }
}

#[tokio::test]
async fn an_actor_closes_its_socket_after_what_it_sent() {
    let host = Host::start().await;
    let mut socket = named(&host, "closer").await;
    socket.send(Message::text("go")).await.unwrap();
    assert_eq!(closed(&mut socket).await, (4001, "enough".into()));
    assert!(socket.next().await.is_none());
    assert_eq!(host.fake.closes(1).await, [(4001, "enough".to_owned())]);
}

#[tokio::test]
async fn a_client_that_vanishes_is_told_to_the_actor() {
    let host = Host::start().await;
    let mut socket = named(&host, "echo").await;
    echoes(&mut socket, "hello").await;
    drop(socket);
    assert_eq!(host.fake.closes(1).await, [(1006, String::new())]);
}

#[tokio::test]
async fn pings_are_answered() {
    let host = Host::start().await;
    let mut socket = named(&host, "echo").await;
    socket.send(Message::Ping("abc".into())).await.unwrap();
    assert_eq!(receive(&mut socket).await, Message::Pong("abc".into()));
}

#[tokio::test]
async fn a_message_over_the_limit_closes() {
    let host = Host::with(|options| options.raw_frame_bytes_max = 100_000).await;
    for (target, fits, too_long) in [("websocket", 100_000, 100_001), ("connect", 1 << 20, (1 << 20) + 1)] {
        let (mut socket, _) = open(&host, &format!("/gateway/{KNOWN}/{target}"), Some("rivet")).await;
        let message = Message::binary(vec![1; fits]);
        socket.send(message.clone()).await.unwrap();
        assert!(receive(&mut socket).await == message);
        // The host stops reading, so the client may or may not get rid of all of it.
        let _ = socket.send(Message::binary(vec![1; too_long])).await;
        assert_eq!(closed(&mut socket).await, (1011, "message.incoming_too_long".into()), "{target}");
    }
}

/// A client that opens a socket by hand and then sends what it likes.
async fn by_hand(host: &Host) -> Client {
    let mut client = host.connect().await;
    let reply = client.ask(&upgrade(&format!("/gateway/{KNOWN}/websocket/x"), "13", "dGhlIHNhbXBsZSBub25jZQ==")).await;
    assert_eq!(reply.status, 101);
    assert_eq!(reply.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    client
}

fn upgrade(target: &str, version: &str, key: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nhost: h\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\
         sec-websocket-version: {version}\r\nsec-websocket-key: {key}\r\n\r\n"
    )
    .into_bytes()
}

/// A frame with a mask of zeros, so that the payload is readable.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Everything that the host sends until it closes the stream.
async fn rest(client: &mut Client) -> Vec<u8> {
    while client.more().await {}
    client.rest().to_vec()
}

#[tokio::test]
async fn broken_rules_are_answered_with_a_close() {
    let cases: &[(&str, Vec<u8>, u16)] = &[
        ("text_that_is_not_utf_8", frame(0x81, b"\xff\xfe"), 1007),
        ("fragmented_text_that_is_not_utf_8", [frame(0x01, b"\xc3"), frame(0x80, b"\x28")].concat(), 1007),
        ("an_unmasked_frame", b"\x81\x02hi".to_vec(), 1002),
        ("a_reserved_bit", frame(0xc1, b"hi"), 1002),
        ("an_unknown_opcode", frame(0x83, b"hi"), 1002),
        ("a_continuation_of_nothing", frame(0x80, b"hi"), 1002),
        ("a_new_message_within_another", [frame(0x01, b"a"), frame(0x81, b"b")].concat(), 1002),
        ("a_fragmented_ping", frame(0x09, b"hi"), 1002),
        ("a_long_ping", frame(0x89, &[b'x'; 126]), 1002),
        ("a_close_of_one_byte", frame(0x88, b"x"), 1002),
        ("a_close_with_a_reserved_code", frame(0x88, &1005u16.to_be_bytes()), 1002),
        ("a_length_beyond_the_limit", [vec![0x82, 0xff], vec![0x7f; 8], vec![0; 4]].concat(), 1011),
    ];
    for (name, bytes, code) in cases {
        let host = Host::start().await;
        let mut client = by_hand(&host).await;
        client.send(bytes).await;
        let rest = rest(&mut client).await;
        assert_eq!(rest.first(), Some(&0x88), "{name}: {rest:?}");
        assert_eq!(u16::from_be_bytes([rest[2], rest[3]]), *code, "{name}: {rest:?}");
        assert_eq!(rest.len(), 2 + usize::from(rest[1]), "{name}: {rest:?}");
        assert_eq!(host.fake.closes(1).await[0].0, *code, "{name}");
    }
}

#[tokio::test]
async fn fragments_are_put_together_around_control_frames() {
    let host = Host::start().await;
    let mut client = by_hand(&host).await;
    let fragments = [frame(0x01, b"one "), frame(0x89, b"p"), frame(0x00, b"two "), frame(0x80, b"three")].concat();
    // One byte at a time, so that every boundary is met.
    for byte in &fragments {
        client.send(std::slice::from_ref(byte)).await;
    }
    client.send(&frame(0x88, &1000u16.to_be_bytes())).await;
    let expected = [b"\x8a\x01p".as_slice(), b"\x81\x0done two three", b"\x88\x02\x03\xe8"].concat();
    assert_eq!(rest(&mut client).await, expected);
}

#[tokio::test]
async fn frames_that_come_with_the_request_are_not_lost() {
    let host = Host::start().await;
    let mut client = host.connect().await;
    let mut bytes = upgrade(&format!("/gateway/{KNOWN}/websocket/x"), "13", "dGhlIHNhbXBsZSBub25jZQ==");
    bytes.extend(frame(0x81, b"early"));
    bytes.extend(frame(0x88, &1000u16.to_be_bytes()));
    assert_eq!(client.ask(&bytes).await.status, 101);
    assert_eq!(rest(&mut client).await, b"\x81\x05early\x88\x02\x03\xe8");
}

#[tokio::test]
async fn a_bad_handshake_is_refused() {
    let host = Host::start().await;
    let target = format!("/gateway/{KNOWN}/connect");
    let old = host.connect().await.ask(&upgrade(&target, "8", "dGhlIHNhbXBsZSBub25jZQ==")).await;
    assert_eq!((old.status, old.header("sec-websocket-version")), (426, Some("13")));
    let keyless = host.connect().await.ask(&upgrade(&target, "13", "short")).await;
    assert_eq!((keyless.status, keyless.header("x-rivet-error")), (400, Some("api.bad_request")));
    let elsewhere = host.connect().await.ask(&upgrade("/nothing", "13", "dGhlIHNhbXBsZSBub25jZQ==")).await;
    assert_eq!(elsewhere.status, 404);
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_closed_and_costs_nothing() {
    let host = Host::with(|options| options.close_timeout = Duration::from_millis(300)).await;
    let mut socket = named(&host, "flooder").await;
    socket.send(Message::text("go")).await.unwrap();
    // It does not read, so not even the close gets through, and the host gives up.
    assert_eq!(host.fake.closes(1).await, [(1006, String::new())]);
    let outbox = host.fake.0.outboxes.lock().unwrap()[0].clone();
    outbox.send(SocketFrame::Binary(vec![0; 1000].into()));
    tokio::time::timeout(Duration::from_secs(30), outbox.ready()).await.unwrap();
}

#[tokio::test]
async fn a_slow_reader_that_reads_on_learns_why_it_is_closed() {
    let host = Host::start().await;
    let mut socket = named(&host, "flooder").await;
    socket.send(Message::text("go")).await.unwrap();
    let closed = loop {
        match receive(&mut socket).await {
            Message::Binary(_) => {}
            Message::Close(Some(frame)) => break frame,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((u16::from(closed.code), closed.reason.as_str()), (1011, "message.slow_reader"));
}

#[tokio::test]
async fn a_client_that_pings_and_does_not_read_is_not_collected_for() {
    let host = Host::with(|options| options.silence_max = Duration::from_millis(500)).await;
    let mut client = by_hand(&host).await;
    let pings = frame(0x89, &[b'p'; 125]).repeat(1000);
    let flooding = async {
        loop {
            use tokio::io::AsyncWriteExt;
            if client.stream.write_all(&pings).await.is_err() {
                break;
            }
        }
    };
    // The host stops reading when its pongs are stuck, then finds the client silent.
    tokio::time::timeout(Duration::from_secs(30), flooding).await.unwrap();
    assert_eq!(host.fake.closes(1).await.len(), 1);
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_then_dropped() {
    let host = Host::with(|options| {
        options.ping_interval = Duration::from_millis(100);
        options.silence_max = Duration::from_millis(300);
    })
    .await;
    let mut client = by_hand(&host).await;
    assert_eq!(rest(&mut client).await, b"\x89\x00");
    assert_eq!(host.fake.closes(1).await, [(1006, String::new())]);
}

#[tokio::test]
async fn a_client_that_answers_pings_stays() {
    let host = Host::with(|options| {
        options.ping_interval = Duration::from_millis(50);
        options.silence_max = Duration::from_millis(400);
    })
    .await;
    let mut socket = named(&host, "echo").await;
    let mut pings = 0;
    while pings < 20 {
        // The client library answers by itself.
        if matches!(receive(&mut socket).await, Message::Ping(_)) {
            pings += 1;
        }
    }
    echoes(&mut socket, "still here").await;
}

#[tokio::test]
async fn a_busy_actor_slows_its_client_down_and_still_sends() {
    let host = Host::start().await;
    let mut socket = named(&host, "slow").await;
    for _ in 0..3 {
        socket.send(Message::text("wait")).await.unwrap();
    }
    let mut frames = host.fake.0.frames.subscribe();
    frames.wait_for(|count| *count == 1).await.unwrap();
    let outbox = host.fake.0.outboxes.lock().unwrap()[0].clone();
    outbox.send(SocketFrame::Text("meanwhile".into()));
    assert_eq!(receive(&mut socket).await, Message::text("meanwhile"));
    assert_eq!(*host.fake.0.frames.borrow(), 1, "the second frame waits for the first");
    for count in 2..=3 {
        host.fake.0.release.notify_one();
        frames.wait_for(|seen| *seen == count).await.unwrap();
    }
}

#[tokio::test]
async fn sockets_over_the_limit_are_refused() {
    let host = Host::with(|options| options.sockets_max = 1).await;
    let mut first = named(&host, "echo").await;
    echoes(&mut first, "hello").await;
    let request = format!("ws://{}/gateway/{KNOWN}/connect", host.address).into_client_request().unwrap();
    match tokio_tungstenite::connect_async(request).await {
        Err(Error::Http(response)) => {
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()["x-rivet-error"], "guard.service_unavailable");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn incomplete_messages_of_all_clients_are_bounded() {
    let host = Host::with(|options| options.incoming_bytes_max = 100_000).await;
    let mut first = by_hand(&host).await;
    let mut second = by_hand(&host).await;
    let announced = [vec![0x82, 0x80 | 127], 1_000_000u64.to_be_bytes().to_vec(), vec![0; 4]].concat();
    first.send(&[announced.clone(), vec![0; 80_000]].concat()).await;
    while host.gateway.stats().incoming_bytes < 80_000 {
        tokio::task::yield_now().await;
    }
    second.send(&[announced, vec![0; 80_000]].concat()).await;
    let rest = rest(&mut second).await;
    assert_eq!(&rest[..4], b"\x88\x1b\x03\xf3");
    assert_eq!(&rest[4..], b"guard.service_unavailable");
    drop(first);
    host.fake.closes(2).await;
    while host.gateway.stats().incoming_bytes > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stopping_host_asks_its_clients_to_come_back() {
    let host = Host::start().await;
    let mut socket = named(&host, "echo").await;
    echoes(&mut socket, "hello").await;
    host.stop.cancel();
    assert_eq!(closed(&mut socket).await, (1001, "ws.going_away".into()));
    assert!(socket.next().await.is_none());
    tokio::time::timeout(Duration::from_secs(5), host.task).await.unwrap().unwrap().unwrap();
    assert_eq!(host.gateway.stats().sockets, 0);
    assert_eq!(host.fake.closes(1).await, [(1001, "ws.going_away".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sockets_each_get_their_own_messages() {
    let host = Host::start().await;
    let mut sockets = Vec::new();
    for _ in 0..1000 {
        sockets.push(named(&host, "echo").await);
    }
    for (number, socket) in sockets.iter_mut().enumerate() {
        socket.send(Message::text(number.to_string())).await.unwrap();
    }
    for (number, socket) in sockets.iter_mut().enumerate() {
        assert_eq!(receive(socket).await, Message::text(number.to_string()));
    }
    assert_eq!(host.gateway.stats().sockets, 1000);
    drop(sockets);
    assert_eq!(host.fake.closes(1000).await.len(), 1000);
}
