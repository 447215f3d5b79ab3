//! A fake backend, and a client that sends exactly the bytes of a test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use bytes::Bytes;
use growqr_engine::{ActorPage, ActorRecord};
use growqr_gateway::{Backend, Gateway, GatewayOptions, Session};
use growqr_seam::{Resolved, Socket, SocketFrame, SocketOpen};
use growqr_types::{ActorId, ActorKey, Failure, codes};
use serde_json::json;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// The actor that every test may address by id.
pub const KNOWN: ActorId = ActorId::from_bytes([7; 16]);

/// What the actors of the fake do follows from their name: `echo` answers what it got, `failing` fails, `slow` waits until it is
/// released, `closer` closes its socket, `flooder` sends more than anybody can read, `greeter` sends while it is opened.
#[derive(Clone)]
pub struct Fake(pub Arc<FakeState>);

pub struct FakeState {
    pub actors: Mutex<HashMap<(String, ActorKey), ActorRecord>>,
    pub inputs: Mutex<Vec<Option<Bytes>>>,
    pub requests: Mutex<Vec<String>>,
    pub release: Notify,
    pub closes: watch::Sender<Vec<(u16, String)>>,
    pub frames: watch::Sender<usize>,
    pub outboxes: Mutex<Vec<Arc<dyn Socket>>>,
}

impl Fake {
    pub fn new() -> Self {
        let fake = Self(Arc::new(FakeState {
            actors: Mutex::default(),
            inputs: Mutex::default(),
            requests: Mutex::default(),
            release: Notify::new(),
            closes: watch::Sender::default(),
            frames: watch::Sender::default(),
            outboxes: Mutex::default(),
        }));
        fake.add(KNOWN, "echo", ActorKey(vec!["known".into(), "a/b".into()]));
        fake
    }

    fn add(&self, id: ActorId, name: &str, key: ActorKey) -> ActorRecord {
        let record = ActorRecord {
            id,
            name: name.into(),
            key: key.clone(),
            namespace: "default".into(),
            create_ts: 1_000,
            start_ts: None,
            sleep_ts: None,
            destroy_ts: None,
        };
        self.0.actors.lock().unwrap().insert((name.into(), key), record.clone());
        record
    }

    fn find(&self, id: ActorId) -> Option<ActorRecord> {
        self.0.actors.lock().unwrap().values().find(|record| record.id == id).cloned()
    }

    /// Waits until this many sockets were reported closed, and gives codes and reasons.
    #[allow(dead_code, reason = "not every test file has sockets")]
    pub async fn closes(&self, count: usize) -> Vec<(u16, String)> {
        let mut closes = self.0.closes.subscribe();
        let waiting = closes.wait_for(|closes| closes.len() >= count);
        tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap().clone()
    }
}

fn answer(record: &ActorRecord, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    let headers: HashMap<String, String> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let response = http::Response::builder().header("x-rivet-actor-generation", "3");
    let built = match request.uri().path() {
        "/request/empty" => response.status(204).body(Bytes::new()),
        "/request/wordy-204" => response.status(204).body("must not appear".into()),
        "/request/informational" => response.status(103).body(Bytes::new()),
        "/request/switching" => response.status(101).body(Bytes::new()),
        "/request/hop" => response
            .header("transfer-encoding", "chunked")
            .header("connection", "close, x-mine")
            .header("x-mine", "1")
            .header("keep-alive", "timeout=1")
            .header("host", "elsewhere")
            .header("content-length", "9999")
            .header("upgrade", "h2c")
            .header("x-kept", "yes")
            .body("hop".into()),
        "/request/spoof" => response
            .header("x-rivet-actor", "somebody")
            .header("access-control-allow-origin", "https://evil.test")
            .header("vary", "Accept")
            .body("spoof".into()),
        "/request/length" => response.header("content-length", "1234").body(Bytes::new()),
        "/request/huge" => response.body(vec![b'x'; 21 << 20].into()),
        _ => {
            let seen = json!({
                "actor": record.name,
                "key": record.key.to_rest(),
                "method": request.method().as_str(),
                "path": request.uri().to_string(),
                "headers": headers,
                "body_len": request.body().len(),
                "body": String::from_utf8_lossy(&request.body()[..request.body().len().min(64)]),
            });
            response.header("content-type", "application/json").body(seen.to_string().into())
        }
    };
    built.unwrap()
}

impl Backend for Fake {
    type Session = FakeSession;

    async fn namespace(&self, name: &str) -> Result<(), Failure> {
        if name == "nowhere" { Err(codes::NAMESPACE_NOT_FOUND.failure()) } else { Ok(()) }
    }

    fn namespaces(&self) -> Vec<String> {
        vec!["default".into()]
    }

    async fn get(&self, _namespace: &str, name: &str, key: &ActorKey) -> Result<Option<ActorId>, Failure> {
        Ok(self.0.actors.lock().unwrap().get(&(name.into(), key.clone())).map(|record| record.id))
    }

    async fn get_or_create(
        &self,
        namespace: &str,
        name: &str,
        key: ActorKey,
        input: Option<Bytes>,
    ) -> Result<Resolved, Failure> {
        if let Some(actor) = self.get(namespace, name, &key).await? {
            return Ok(Resolved { actor, created: false });
        }
        Ok(Resolved { actor: self.create(namespace, name, key, input).await?.id, created: true })
    }

    async fn created(&self, _: ActorId) -> Result<(), Failure> {
        Ok(())
    }

    async fn create(
        &self,
        namespace: &str,
        name: &str,
        key: ActorKey,
        input: Option<Bytes>,
    ) -> Result<ActorRecord, Failure> {
        if let Some(id) = self.get(namespace, name, &key).await? {
            return Err(codes::DUPLICATE_KEY.failure().metadata(json!({"existing_actor_id": id}).to_string()));
        }
        self.0.inputs.lock().unwrap().push(input);
        Ok(self.add(ActorId::from_bytes(uuid::Uuid::new_v4().into_bytes()), name, key))
    }

    fn actor(&self, id: ActorId) -> Result<Option<ActorRecord>, Failure> {
        Ok(self.find(id))
    }

    fn list(
        &self,
        _namespace: &str,
        name: &str,
        _include_destroyed: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<ActorPage, Failure> {
        let skipped = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        let mut all: Vec<_> =
            self.0.actors.lock().unwrap().values().filter(|record| record.name == name).cloned().collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        let more = all.len() > skipped + limit;
        let actors = all.into_iter().skip(skipped).take(limit).collect();
        Ok(ActorPage { actors, cursor: more.then(|| (skipped + limit).to_string()) })
    }

    fn list_of(
        &self,
        namespace: &str,
        name: &str,
        owner: &str,
        include_destroyed: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<ActorPage, Failure> {
        let mut page = self.list(namespace, name, include_destroyed, cursor, limit)?;
        page.actors.retain(|record| record.key.0.first().is_some_and(|first| first == owner));
        Ok(page)
    }

    fn names(&self) -> Vec<String> {
        vec!["echo".into(), "slow".into()]
    }

    async fn destroy(&self, id: ActorId) -> Result<(), Failure> {
        let mut actors = self.0.actors.lock().unwrap();
        actors.values_mut().filter(|record| record.id == id).for_each(|record| record.destroy_ts = Some(2_000));
        Ok(())
    }

    async fn sleep(&self, _id: ActorId) -> Result<(), Failure> {
        Ok(())
    }

    async fn http(&self, id: ActorId, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Failure> {
        let record = self.find(id).ok_or_else(|| codes::ACTOR_NOT_FOUND.failure())?;
        self.0.requests.lock().unwrap().push(request.uri().to_string());
        match record.name.as_str() {
            "failing" => Err(codes::CRASHED.failure().metadata(r#"{"because":"test"}"#)),
            "slow" => {
                self.0.release.notified().await;
                Ok(answer(&record, &request))
            }
            _ => Ok(answer(&record, &request)),
        }
    }

    async fn websocket(&self, id: ActorId, open: SocketOpen) -> Result<FakeSession, Failure> {
        let record = self.find(id).ok_or_else(|| codes::ACTOR_NOT_FOUND.failure())?;
        if record.name == "failing" {
            return Err(codes::START_FAILED.failure());
        }
        if record.name == "greeter" {
            let protocols = open.request.headers().get("sec-websocket-protocol");
            let protocols = protocols.map_or("-", |value| value.to_str().unwrap());
            let greeting = format!("{} {protocols}", open.request.uri());
            open.socket.send(SocketFrame::Text(greeting.into()));
            tokio::task::yield_now().await;
        }
        self.0.outboxes.lock().unwrap().push(open.socket.clone());
        Ok(FakeSession { fake: self.clone(), name: record.name, socket: open.socket })
    }
}

pub struct FakeSession {
    fake: Fake,
    name: String,
    socket: Arc<dyn Socket>,
}

impl Session for FakeSession {
    async fn message(&self, frame: SocketFrame) {
        self.fake.0.frames.send_modify(|count| *count += 1);
        match self.name.as_str() {
            "slow" => self.fake.0.release.notified().await,
            "closer" => self.socket.close(4001, "enough"),
            "flooder" => {
                // More than the queue and every buffer of the network on the way can hold.
                for _ in 0..64 {
                    self.socket.send(SocketFrame::Binary(Bytes::from_static(&[7; 1 << 20])));
                }
            }
            _ => self.socket.send(frame),
        }
    }

    async fn closed(&self, code: u16, reason: &str) {
        self.fake.0.closes.send_modify(|closes| closes.push((code, reason.into())));
    }
}

/// A gateway that runs for one test.
#[allow(dead_code, reason = "not every test file needs all of it")]
pub struct Host {
    pub fake: Fake,
    pub gateway: Gateway<Fake>,
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Host {
    #[allow(dead_code, reason = "not every test file starts with default options")]
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut GatewayOptions)) -> Self {
        let mut options = GatewayOptions { version: "9.9.9".into(), ..GatewayOptions::default() };
        change(&mut options);
        let fake = Fake::new();
        let gateway = Gateway::new(fake.clone(), options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = {
            let (gateway, stop) = (gateway.clone(), stop.clone());
            tokio::spawn(async move { gateway.serve(listener, stop).await })
        };
        Self { fake, gateway, address, stop, task }
    }

    pub async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), rest: Vec::new() }
    }

    /// Sends one request on a connection of its own.
    #[allow(dead_code, reason = "not every test file has plain requests")]
    pub async fn ask(&self, request: &str) -> Reply {
        self.connect().await.ask(request.as_bytes()).await
    }
}

/// An answer, as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A connection on which a test says what it wants.
pub struct Client {
    pub stream: TcpStream,
    rest: Vec<u8>,
}

#[allow(dead_code, reason = "not every test file needs all of it")]
impl Client {
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub async fn ask(&mut self, request: &[u8]) -> Reply {
        self.send(request).await;
        let is_head = request.starts_with(b"HEAD ");
        self.reply(is_head).await
    }

    pub async fn reply(&mut self, is_head: bool) -> Reply {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.more().await, "the connection ended before the answer: {:?}", self.rest);
        };
        let head = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest.drain(..end);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut reply = Reply { status, head, body: String::new() };
        let bodiless = is_head || matches!(status, 101 | 204 | 304);
        let len = reply.header("content-length").map_or(0, |len| len.parse().unwrap());
        if !bodiless {
            while self.rest.len() < len {
                assert!(self.more().await, "the connection ended within the body");
            }
            reply.body = String::from_utf8_lossy(&self.rest[..len]).into_owned();
            self.rest.drain(..len);
        }
        reply
    }

    /// Reads some bytes; false at the end.
    pub async fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let reading = self.stream.read(&mut buffer);
        let len = tokio::time::timeout(Duration::from_secs(30), reading).await.expect("an answer in time").unwrap_or(0);
        self.rest.extend_from_slice(&buffer[..len]);
        len > 0
    }

    /// Forgets what was read.
    pub fn skip(&mut self) {
        self.rest.clear();
    }

    /// What was read and not used.
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }
}
