//! Compares WebSocket crates, and the gateway itself, as echo servers: latency, processor time, memory of idle sockets.
//!
//! `cargo run -p growqr-gateway --example ws_choice`. Each server runs in a process of its own, so that its memory and time are its
//! own. The client writes frames by hand and is the same for all. The figures are in the documentation of the module `link`.

#![allow(clippy::unwrap_used, reason = "a measurement may panic")]

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use growqr_engine::{ActorPage, ActorRecord};
use growqr_gateway::{Backend, Gateway, GatewayOptions, Session};
use growqr_seam::{Resolved, Socket, SocketFrame, SocketOpen};
use growqr_types::{ActorId, ActorKey, Failure, codes};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const SERVERS: [&str; 4] = ["tokio-websockets", "tokio-tungstenite", "fastwebsockets", "gateway"];
const IDLE_SOCKETS: usize = 5_000;
const BUSY_SOCKETS: usize = 16;
const MESSAGES: usize = 5_000;
const PAYLOAD_LEN: usize = 64;
/// Clock ticks of `/proc/{pid}/stat` in a second, on every Linux there is.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: f64 = 4096.0;

#[tokio::main]
async fn main() {
    match std::env::args().nth(1) {
        Some(server) => serve(&server).await,
        None => {
            println!(
                "{:<20} {:>10} {:>10} {:>14} {:>16}",
                "server", "p50 us", "p99 us", "cpu us/message", "KiB/idle socket"
            );
            for server in SERVERS {
                measure(server).await;
            }
        }
    }
}

struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(server: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new(program).arg(server).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { child, address: address.trim().to_owned() }
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    fn cpu_us(&self) -> f64 {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / TICKS_PER_SECOND * 1e6
    }

    fn resident_kib(&self) -> f64 {
        let pages: f64 = self.proc("statm").split(' ').nth(1).unwrap().parse().unwrap();
        pages * PAGE_BYTES / 1024.0
    }

    async fn open(&self) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let id = ActorId::from_bytes([1; 16]);
        let request = format!(
            "GET /gateway/{id}/websocket/ HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        read_head(&mut stream).await;
        stream
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads up to the empty line, byte by byte so that nothing after it is taken.
async fn read_head(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(stream.read_u8().await.unwrap());
    }
}

async fn measure(server: &str) {
    let running = Running::start(server);
    let mut busy = Vec::new();
    for _ in 0..BUSY_SOCKETS {
        busy.push(running.open().await);
    }
    // The first messages warm the server up: its threads' stacks and its allocator's arenas belong to no socket.
    let mut tasks = tokio::task::JoinSet::new();
    for mut stream in busy.drain(..) {
        tasks.spawn(async move {
            ping_pong(&mut stream, MESSAGES / 10).await;
            stream
        });
    }
    busy = tasks.join_all().await;

    let mut alone = busy.pop().unwrap();
    let mut times = ping_pong(&mut alone, MESSAGES).await;
    times.sort_unstable();
    busy.push(alone);

    let before_us = running.cpu_us();
    let mut tasks = tokio::task::JoinSet::new();
    for mut stream in busy {
        tasks.spawn(async move { ping_pong(&mut stream, MESSAGES).await });
    }
    tasks.join_all().await;
    let cpu_us = (running.cpu_us() - before_us) / (BUSY_SOCKETS * MESSAGES) as f64;

    let before_kib = running.resident_kib();
    let mut idle = Vec::new();
    for _ in 0..IDLE_SOCKETS {
        let mut stream = running.open().await;
        ping_pong(&mut stream, 1).await;
        idle.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let kib = (running.resident_kib() - before_kib) / IDLE_SOCKETS as f64;
    let micros = |share: usize| times[times.len() * share / 100].as_nanos() as f64 / 1000.0;
    println!("{server:<20} {:>10.1} {:>10.1} {cpu_us:>14.2} {kib:>16.2}", micros(50), micros(99));
}

async fn ping_pong(stream: &mut TcpStream, count: usize) -> Vec<Duration> {
    let mut message = vec![0x82, 0x80 | PAYLOAD_LEN as u8, 1, 2, 3, 4];
    message.extend_from_slice(&[9; PAYLOAD_LEN]);
    let mut answer = [0; 2 + PAYLOAD_LEN];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let started = Instant::now();
        stream.write_all(&message).await.unwrap();
        stream.read_exact(&mut answer).await.unwrap();
        times.push(started.elapsed());
    }
    times
}

async fn serve(server: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    if server == "gateway" {
        let options = GatewayOptions::default();
        Gateway::new(Echo, options).serve(listener, CancellationToken::new()).await.unwrap();
        return;
    }
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        match server {
            "tokio-websockets" => drop(tokio::spawn(by_tokio_websockets(stream))),
            "tokio-tungstenite" => drop(tokio::spawn(by_tungstenite(stream))),
            "fastwebsockets" => drop(tokio::spawn(by_fastwebsockets(stream))),
            other => panic!("no server {other}"),
        }
    }
}

/// A handshake without the checks: it is the same for all and not measured.
async fn accept(stream: &mut TcpStream) {
    read_head(stream).await;
    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(answer.as_bytes()).await.unwrap();
}

async fn by_tokio_websockets(mut stream: TcpStream) {
    accept(&mut stream).await;
    let mut socket = tokio_websockets::ServerBuilder::new().serve(stream);
    while let Some(Ok(message)) = socket.next().await {
        if message.is_binary() && socket.send(message).await.is_err() {
            break;
        }
    }
}

async fn by_tungstenite(mut stream: TcpStream) {
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
    accept(&mut stream).await;
    // Its default read buffer of 128 KiB for every socket would end the comparison early.
    let config = WebSocketConfig::default().read_buffer_size(8 << 10);
    let mut socket = tokio_tungstenite::WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    while let Some(Ok(message)) = socket.next().await {
        if message.is_binary() && socket.send(message).await.is_err() {
            break;
        }
    }
}

async fn by_fastwebsockets(mut stream: TcpStream) {
    use fastwebsockets::{OpCode, Role, WebSocket};
    accept(&mut stream).await;
    let mut socket = WebSocket::after_handshake(stream, Role::Server);
    while let Ok(frame) = socket.read_frame().await {
        match frame.opcode {
            OpCode::Binary if socket.write_frame(frame).await.is_ok() => {}
            _ => break,
        }
    }
}

/// An engine with one actor, which echoes.
#[derive(Clone)]
struct Echo;

struct EchoSession(Arc<dyn Socket>);

impl Session for EchoSession {
    async fn message(&self, frame: SocketFrame) {
        self.0.send(frame);
    }

    async fn closed(&self, _code: u16, _reason: &str) {}
}

impl Backend for Echo {
    type Session = EchoSession;

    async fn namespace(&self, _name: &str) -> Result<(), Failure> {
        Ok(())
    }

    fn namespaces(&self) -> Vec<String> {
        vec!["default".into()]
    }

    async fn get(&self, _namespace: &str, _name: &str, _key: &ActorKey) -> Result<Option<ActorId>, Failure> {
        Ok(None)
    }

    async fn get_or_create(
        &self,
        _namespace: &str,
        _name: &str,
        _key: ActorKey,
        _input: Option<Bytes>,
    ) -> Result<Resolved, Failure> {
        Err(codes::INTERNAL.failure())
    }

    async fn created(&self, _: ActorId) -> Result<(), Failure> {
        Ok(())
    }

    async fn create(
        &self,
        _namespace: &str,
        _name: &str,
        _key: ActorKey,
        _input: Option<Bytes>,
    ) -> Result<ActorRecord, Failure> {
        Err(codes::INTERNAL.failure())
    }

    fn actor(&self, id: ActorId) -> Result<Option<ActorRecord>, Failure> {
        Ok(Some(ActorRecord {
            id,
            name: "echo".into(),
            key: ActorKey::default(),
            namespace: "default".into(),
            create_ts: 0,
            start_ts: None,
            sleep_ts: None,
            destroy_ts: None,
        }))
    }

    fn list(
        &self,
        _namespace: &str,
        _name: &str,
        _include_destroyed: bool,
        _cursor: Option<&str>,
        _limit: usize,
    ) -> Result<ActorPage, Failure> {
        Ok(ActorPage::default())
    }

    fn list_of(
        &self,
        _namespace: &str,
        _name: &str,
        _owner: &str,
        _include_destroyed: bool,
        _cursor: Option<&str>,
        _limit: usize,
    ) -> Result<ActorPage, Failure> {
        Ok(ActorPage::default())
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    async fn destroy(&self, _id: ActorId) -> Result<(), Failure> {
        Ok(())
    }

    async fn sleep(&self, _id: ActorId) -> Result<(), Failure> {
        Ok(())
    }

    async fn http(&self, _id: ActorId, _request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Failure> {
        Ok(http::Response::new(Bytes::new()))
    }

    async fn websocket(&self, _id: ActorId, open: SocketOpen) -> Result<EchoSession, Failure> {
        Ok(EchoSession(open.socket))
    }
}
