//! Clients that break rules, stop reading, or come in crowds, against the whole product. The gateway's own tests have each bound
//! alone; here the host must stay up, serve the others, and give back what the crowd took.

use growqr_e2e::{Deployment, Host, Plain, Raw, eventually, frame};
use serde_json::json;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// The crowd.
const SOCKETS: usize = 10_000;
/// Actors that the crowd is connected to.
const ACTORS: usize = 100;
/// Handshakes under way at a time.
const AT_ONCE: usize = 256;
/// Sockets of one storm, and how often they come.
const STORM: usize = 1000;
const STORMS: usize = 4;
/// What the host may keep of a storm that is over: allocators do not give everything back.
const KEPT_KIB_MAX: u64 = 32 << 10;
/// Clients that are slow, and as many that are half open.
const SLOW: usize = 100;
/// The head of a request has 15 seconds; with some more for a busy machine.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// What the host may hold for a client that does not read, and for events that can be resumed.
const COLLECTED_KIB_MAX: u64 = 128 << 10;
const JSON: &str = "rivet, rivet_encoding.json";

fn deployment() -> Deployment {
    Deployment::of(&["counter", "everything", "misbehaving"])
}

fn increment(id: u64) -> String {
    json!({ "body": { "tag": "ActionRequest", "val": { "id": id, "name": "increment", "args": [1] } } }).to_string()
}

/// One host for the tests that only break rules. It stops with the last test that uses it.
fn host() -> Arc<Host> {
    static HOST: Mutex<Weak<Host>> = Mutex::new(Weak::new());
    let mut shared = HOST.lock().expect("no test fails while it starts the host");
    shared.upgrade().unwrap_or_else(|| {
        let host = Arc::new(Host::start(&deployment()));
        *shared = Arc::downgrade(&host);
        host
    })
}

/// The host still serves.
fn check_alive(host: &Host) {
    let count = Plain::to(host).call("counter", "alive", "increment", json!([1]));
    assert!(count.is_ok(), "{count:?}");
}

async fn connected(host: &Host, number: usize, key: &str) -> Raw {
    let (mut raw, status) = Raw::upgrade(host, number, key, JSON).await.expect("a socket");
    assert!(status.contains("101"), "{status}");
    let (_, init) = raw.frame().await.expect("the first message");
    assert!(String::from_utf8_lossy(&init).contains("Init"), "{init:?}");
    raw
}

/// Code of the close that ends the socket, after what may come before it.
async fn close_code(raw: &mut Raw) -> Option<u16> {
    loop {
        match raw.frame().await {
            Ok((0x88, payload)) => return payload.first_chunk().map(|code| u16::from_be_bytes(*code)),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

#[tokio::test]
async fn every_way_to_cut_a_frame_short_ends_only_that_socket() {
    let host = host();
    let whole = frame(0x81, increment(1).as_bytes());
    let mut witness = connected(&host, 0, "witness").await;
    for cut in (1..whole.len()).step_by(7) {
        let mut raw = connected(&host, cut, "cut").await;
        raw.send(&whole[..cut]).await.expect("the bytes are taken");
    }
    let mut reader = Plain::to(&host);
    assert_eq!(reader.call("counter", "cut", "getCount", json!([])).expect("a count"), json!(0), "a cut frame counted");
    witness.send_text(&increment(1)).await.expect("the message is taken");
    let (_, answer) = witness.frame().await.expect("an answer");
    assert!(String::from_utf8_lossy(&answer).contains("ActionResponse"), "{answer:?}");
}

#[tokio::test]
async fn nonsense_in_each_encoding_is_told_and_never_runs() {
    let host = host();
    let nonsense: [&[u8]; 7] = [
        b"",
        b"\x00",
        b"{}",
        b"\xff\xff\xff\xff",
        b"{\"body\":{\"tag\":\"Nothing\"}}",
        b"\x09\x00\x00\x00\x00",
        &[0x9b; 64],
    ];
    for encoding in ["json", "cbor", "bare"] {
        for (number, bytes) in nonsense.iter().enumerate() {
            let protocols = format!("rivet, rivet_encoding.{encoding}");
            let (mut raw, status) = Raw::upgrade(&host, number, "nonsense", &protocols).await.expect("a socket");
            assert!(status.contains("101"), "{encoding}: {status}");
            raw.frame().await.expect("the first message");
            let first = if encoding == "json" && std::str::from_utf8(bytes).is_ok() { 0x81 } else { 0x82 };
            raw.send(&frame(first, bytes)).await.expect("the bytes are taken");
            let (first, payload) = raw.frame().await.expect("the host says what was wrong");
            assert!([0x81, 0x82, 0x88].contains(&first), "{encoding} {bytes:?}: {first:x} {payload:?}");
            let text = String::from_utf8_lossy(&payload);
            assert!(!text.contains("ActionResponse"), "{encoding} {bytes:?}: {text}");
        }
    }
    check_alive(&host);
}

#[tokio::test]
async fn bad_subprotocols_and_versions_are_refused_or_closed() {
    let host = host();
    let long = "x".repeat(70_000);
    let protocols = [
        "rivet_encoding.json",
        "rivet, rivet_encoding.xml",
        "rivet, rivet_conn_params.%zz, rivet_encoding.json",
        "rivet, rivet_conn_params.%7Bnot%20json, rivet_encoding.json",
        ",,,",
        "rivet rivet",
        long.as_str(),
    ];
    for (number, protocols) in protocols.iter().enumerate() {
        let (mut raw, status) = Raw::upgrade(&host, number, "protocols", protocols).await.expect("an answer");
        let shown = &protocols[..protocols.len().min(60)];
        if status.contains("101") {
            let first = raw.frame().await.expect("a message or a close");
            assert!([0x81, 0x82, 0x88].contains(&first.0), "{shown}: {first:?}");
        } else {
            assert!(status.contains(" 4"), "{shown}: {status}");
        }
    }
    check_alive(&host);
}

#[tokio::test]
async fn versions_that_nobody_speaks_are_refused() {
    let host = host();
    for version in ["0", "7", "12", "14", "x", ""] {
        let mut raw = Raw::connect(&host, 1).await.expect("a connection");
        let request = format!(
            "GET /gateway/counter/connect?rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=version HTTP/1.1\r\n\
             host: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: {version}\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: {JSON}\r\n\r\n"
        );
        raw.send(request.as_bytes()).await.expect("the request is taken");
        let head = raw.head().await.expect("an answer");
        assert!(head.starts_with("HTTP/1.1 4"), "version {version:?}: {head}");
    }
    check_alive(&host);
}

#[tokio::test]
async fn oversized_messages_bodies_and_heads_are_refused() {
    let host = host();
    let mut raw = connected(&host, 1, "large").await;
    let large =
        json!({ "body": { "tag": "ActionRequest", "val": { "id": 1, "name": "echo", "args": ["x".repeat(70_000)] } } });
    raw.send_text(&large.to_string()).await.expect("the bytes are taken");
    let code = close_code(&mut raw).await;
    assert!(code.is_some(), "a message that is too large has to end the socket");

    let answer = Plain::to(&host).call("counter", "large", "echo", json!(["x".repeat(70_000)]));
    assert_eq!(answer.expect_err("too large").code, "message.incoming_too_long");

    let mut raw = Raw::connect(&host, 2).await.expect("a connection");
    let head = format!("GET /health HTTP/1.1\r\nhost: h\r\nx-long: {}\r\n\r\n", "x".repeat(100_000));
    // The host may have closed the connection before all of it was sent.
    let _ = raw.send(head.as_bytes()).await;
    let rest = raw.rest().await;
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&rest));
    check_alive(&host);
}

#[tokio::test]
async fn slow_and_half_open_clients_hold_nobody_up_and_are_let_go() {
    let host = host();
    let mut slow = Vec::new();
    for number in 0..SLOW {
        let mut raw = Raw::connect(&host, number).await.expect("a connection");
        raw.send(b"POST /gateway/counter/action/increment?rvt-namespace=default HTTP/1.1\r\nx")
            .await
            .expect("a beginning");
        slow.push(raw);
    }
    let mut half_open = Vec::new();
    for number in 0..SLOW {
        // Connected, and never heard of again. What becomes of them after a minute of silence is in the gateway's own tests.
        half_open.push(connected(&host, number, "half-open").await);
    }
    let began = Instant::now();
    for _ in 0..20 {
        check_alive(&host);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "20 calls took {:?}", began.elapsed());
    // A byte now and then is not enough: the head as a whole has its time.
    for raw in &mut slow {
        raw.send(b"-").await.expect("the client may still be there");
    }
    for raw in slow {
        let rest = raw.rest().await;
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
    }
    let waited = began.elapsed();
    assert!(waited < HEAD_TIME_MAX, "the last slow client was let go after {waited:?}");
    check_alive(&host);
}

/// An HTTP request that the actor answers much later.
fn late_request(target: &str) -> String {
    let join = if target.contains('?') { '&' } else { '?' };
    format!(
        "POST /gateway/everything/{target}{join}rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=given-up \
         HTTP/1.1\r\nhost: h\r\nx-rivet-encoding: json\r\ncontent-length: 11\r\n\r\n{{\"args\":[]}}"
    )
}

#[tokio::test]
async fn a_request_that_its_client_gives_up_leaves_its_actor() {
    let host = host();
    let mut watcher = Plain::to(&host);
    // Each call of the watcher is a connection of its own.
    let mut connections = || {
        let ids = watcher.call("everything", "given-up", "connectionIds", json!([])).expect("the connections");
        ids.as_array().expect("a list").len() - 1
    };
    for target in ["action/waitForever", "request/later?60000", "queue/slow"] {
        let mut raw = Raw::connect(&host, 1).await.expect("a connection");
        let request = match target {
            "queue/slow" => {
                late_request(target).replace("11\r\n\r\n{\"args\":[]}", "25\r\n\r\n{\"body\":1, \"wait\": true }")
            }
            _ => late_request(target),
        };
        raw.send(request.as_bytes()).await.expect("the request is taken");
        eventually("the connection of the request", || (connections() == 1).then_some(()));
        raw.reset();
        eventually("the end of the connection", || (connections() == 0).then_some(()));
    }
    eventually("the sleep of the actor", || {
        let list = Plain::to(&host).get("/actors?namespace=default&name=everything&key=given-up");
        list["actors"][0]["sleep_ts"].as_u64()
    });
}

#[tokio::test]
async fn a_reader_that_stops_does_not_slow_the_others_or_fill_memory() {
    let mut host = Host::start(&deployment());
    let stopped = connected(&host, 1, "reader").await;
    let subscribe =
        json!({ "body": { "tag": "SubscriptionRequest", "val": { "eventName": "ping", "subscribe": true } } });
    let mut stopped = stopped;
    stopped.send_text(&subscribe.to_string()).await.expect("the subscription is taken");
    let before = host.memory_kib();
    let payload = "x".repeat(50_000);
    let mut client = Plain::to(&host);
    let sent = 600;
    for _ in 0..sent {
        assert_eq!(client.call("counter", "reader", "broadcastPing", json!([payload])), Ok(json!(true)));
    }
    let after = host.memory_kib();
    let sent_kib = sent * 50;
    println!("memory before {before} KiB, after {sent_kib} KiB of events that nobody read {after} KiB");
    // What the host had sent before it closed the socket as too slow is a part of all.
    let rest = stopped.rest().await;
    let said = b"message.slow_reader";
    assert!(rest.windows(said.len()).any(|window| window == said), "the client was not told that it is too slow");
    assert!(rest.len() < sent as usize * 50_000, "everything was collected for a client that did not read");
    assert!(after < before + COLLECTED_KIB_MAX, "{before} KiB became {after} KiB for a client that did not read");
    check_alive(&host);
    assert!(host.stop().success());
}

/// Opens sockets, `AT_ONCE` handshakes at a time.
async fn crowd(host: &Host, count: usize) -> Vec<Raw> {
    use futures::StreamExt;
    let open = |number: usize| async move { connected(host, number, &format!("crowd-{}", number % ACTORS)).await };
    futures::stream::iter(0..count).map(open).buffer_unordered(AT_ONCE).collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_sockets_are_served_beside_others() {
    raise_open_files();
    let mut host = Host::start(&deployment());
    let empty = host.memory_kib();
    let began = Instant::now();
    let mut sockets = crowd(&host, SOCKETS).await;
    let opened = began.elapsed();
    let full = host.memory_kib();
    check_alive(&host);
    // Each hundredth does something, so that sockets of all actors and ages are tried.
    for socket in sockets.iter_mut().step_by(SOCKETS / ACTORS) {
        socket.send_text(&increment(7)).await.expect("the message is taken");
        let (_, answer) = socket.frame().await.expect("an answer");
        assert!(String::from_utf8_lossy(&answer).contains("ActionResponse"), "{answer:?}");
    }
    println!(
        "{SOCKETS} sockets of {ACTORS} actors in {opened:?}; {} KiB each; all in {:?}",
        (full - empty) / SOCKETS as u64,
        began.elapsed()
    );
    assert!((full - empty) / (SOCKETS as u64) < 64, "a socket costs {} KiB", (full - empty) / SOCKETS as u64);
    drop(sockets);
    check_alive(&host);
    assert!(host.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconnect_storms_leave_nothing_behind() {
    raise_open_files();
    let mut host = Host::start(&deployment());
    let mut memory = Vec::new();
    for _ in 0..STORMS {
        let began = Instant::now();
        drop(crowd(&host, STORM).await);
        check_alive(&host);
        memory.push(host.memory_kib());
        println!("a storm of {STORM} sockets took {:?}; memory {} KiB", began.elapsed(), memory[memory.len() - 1]);
    }
    let (first, last) = (memory[0], memory[memory.len() - 1]);
    assert!(last < first + KEPT_KIB_MAX, "memory grows with every storm: {memory:?}");
    assert!(host.stop().success());
}

/// The crowd needs a file handle each.
fn raise_open_files() {
    let allowed = rlimit::increase_nofile_limit(u64::MAX).expect("the limit can be raised to its maximum");
    assert!(
        allowed > SOCKETS as u64 + 500,
        "this test needs more than {SOCKETS} open files: `ulimit -Hn` says {allowed}"
    );
}
