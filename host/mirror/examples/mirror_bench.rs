//! How many rows a second the mirror carries from the store on disk into a real Postgres, and what actors notice of it.
//!
//! `cargo run --release -p growqr-mirror --example mirror_bench -- [rows] [seconds of outage]`. Postgres is the private server in a temporary
//! folder, with its usual settings: every commit is flushed. The store is the one of the host, in a temporary folder as well.

use bytes::Bytes;
use futures::future::BoxFuture;
use growqr_engine::{Engine, EngineOptions};
use growqr_mirror::{Mirror, MirrorOptions};
use growqr_postgres::{Database, DatabaseOptions, Readiness, Server, ServerOptions};
use growqr_seam::{
    ActorStart, Batch, CommitError, CommitSink, Delivered, EngineHost, Envelope, EventRecord, MirrorRow, MirrorSource,
    NotRunning, RuntimeHost, SocketHandler, SocketOpen, StopReason,
};
use growqr_storage::{FjallOptions, FjallStorage, Storage};
use growqr_types::{ActorId, ActorKey, Failure, Generation};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Actors that write.
const ACTORS: usize = 64;
/// Events of one turn in the flood.
const EVENTS_PER_TURN: u64 = 10;
/// Commits of one actor that are under way.
const UNDER_WAY_MAX: usize = 16;
/// Time between two turns of an actor while latency is measured.
const BEAT: Duration = Duration::from_millis(5);

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Actors that run and do nothing by themselves: the bench commits for them.
#[derive(Default)]
struct Idle {
    started: Mutex<std::collections::HashMap<ActorId, Generation>>,
}

impl RuntimeHost for Idle {
    fn serves(&self, _: &str) -> std::result::Result<(), Failure> {
        Ok(())
    }

    fn runs(&self, actor: ActorId) -> bool {
        self.started.lock().is_ok_and(|started| started.contains_key(&actor))
    }

    fn start(&self, start: ActorStart) -> BoxFuture<'_, std::result::Result<(), Failure>> {
        if let Ok(mut started) = self.started.lock() {
            started.insert(start.actor, start.generation);
        }
        Box::pin(async { Ok(()) })
    }

    fn stop(&self, _: ActorId, _: Generation, _: StopReason) -> BoxFuture<'_, bool> {
        Box::pin(async { true })
    }

    fn http(
        &self,
        actor: ActorId,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, std::result::Result<http::Response<Bytes>, Box<http::Request<Bytes>>>> {
        let runs = self.runs(actor);
        Box::pin(async move { if runs { Ok(http::Response::new(Bytes::new())) } else { Err(Box::new(request)) } })
    }

    fn websocket(
        &self,
        _: ActorId,
        open: Box<SocketOpen>,
    ) -> std::result::Result<Arc<dyn SocketHandler>, Box<SocketOpen>> {
        Err(open)
    }

    fn message(&self, _: ActorId, _: Envelope) -> BoxFuture<'_, std::result::Result<Delivered, NotRunning>> {
        Box::pin(async { Err(NotRunning) })
    }
}

struct Sink(mpsc::UnboundedSender<std::result::Result<(), CommitError>>);

impl CommitSink for Sink {
    fn committed(&self, _: u64, result: std::result::Result<(), CommitError>) {
        let _ = self.0.send(result);
    }
}

/// One actor whose turns the bench makes.
struct Writer {
    host: Arc<dyn EngineHost>,
    actor: ActorId,
    sink: Arc<dyn CommitSink>,
    ends: mpsc::UnboundedReceiver<std::result::Result<(), CommitError>>,
    event: u64,
    under_way: usize,
}

impl Writer {
    /// About 200 bytes of JSON, as in the measurements that the mirror was designed by.
    fn turn(&mut self, events: u64) {
        let mut batch = Batch::default();
        for _ in 0..events {
            self.event += 1;
            let args = format!(
                r#"[{{"thread":"t{}","number":{},"output":"{}"}}]"#,
                self.event % 50,
                self.event,
                "x".repeat(150)
            );
            let record = EventRecord::encode(now(), "tool.updated", &args);
            let mut key = vec![b'e'];
            key.extend_from_slice(&self.event.to_be_bytes());
            batch.writes.push((key.into(), Some(record.clone())));
            batch.mirror.push(MirrorRow { event: Some(self.event), record });
        }
        self.under_way += 1;
        self.host.commit(self.actor, 1, batch, &self.sink, self.event);
    }

    async fn end(&mut self) -> Result<()> {
        self.under_way -= 1;
        self.ends.recv().await.ok_or("the engine is gone")??;
        Ok(())
    }

    async fn flood(&mut self, rows: u64) -> Result<()> {
        for _ in 0..rows / EVENTS_PER_TURN {
            self.turn(EVENTS_PER_TURN);
            if self.under_way >= UNDER_WAY_MAX {
                self.end().await?;
            }
        }
        while self.under_way > 0 {
            self.end().await?;
        }
        Ok(())
    }

    async fn beats(&mut self, time: Duration) -> Result<Vec<Duration>> {
        let (end, mut times) = (Instant::now() + time, Vec::new());
        while Instant::now() < end {
            let began = Instant::now();
            self.turn(1);
            self.end().await?;
            times.push(began.elapsed());
            tokio::time::sleep(BEAT).await;
        }
        Ok(times)
    }
}

async fn writers(engine: &Engine) -> Result<Vec<Writer>> {
    let mut all = Vec::new();
    for number in 0..ACTORS {
        let key = ActorKey(vec![format!("user-{number}")]);
        let made = engine.get_or_create("default", "growAgent", key, None).await?;
        // A request starts the actor, so that its commits are taken.
        engine.http(made.actor, http::Request::new(Bytes::new())).await?;
        let (tell, ends) = mpsc::unbounded_channel();
        let host = engine.host();
        all.push(Writer { host, actor: made.actor, sink: Arc::new(Sink(tell)), ends, event: 0, under_way: 0 });
    }
    Ok(all)
}

async fn drained(source: &dyn MirrorSource) {
    while source.level().rows > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default().as_secs_f64() * 1000.0;
    format!("p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms over {} turns", at(50), at(95), at(99), times.len())
}

async fn beat_all(writers: &mut [Writer], time: Duration) -> Result<String> {
    let all = futures::future::try_join_all(writers.iter_mut().map(|writer| writer.beats(time))).await?;
    Ok(percentiles(all.into_iter().flatten().collect()))
}

async fn flood_all(writers: &mut [Writer], rows: u64) -> Result<Duration> {
    let began = Instant::now();
    let each = rows / ACTORS as u64;
    futures::future::try_join_all(writers.iter_mut().map(|writer| writer.flood(each))).await?;
    Ok(began.elapsed())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let rows: u64 = arguments.next().map_or(Ok(500_000), |text| text.parse())?;
    let outage = Duration::from_secs(arguments.next().map_or(Ok(20), |text| text.parse())?);
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let server_options = ServerOptions::new(folder.path().join("postgres"));
    let mut server = Server::launch(server_options.clone())?;
    server.ready().await?;
    let database = Database::new(DatabaseOptions::new(server.connect_options()));
    if database.prepare().await != Readiness::Ready {
        return Err("the database is not ready".into());
    }
    let store = folder.path().join("data");
    let random = std::sync::atomic::AtomicU64::new(1);
    let engine = Engine::new(EngineOptions {
        opener: Box::new(move || {
            FjallStorage::open(&store, FjallOptions::default()).map(|store| Arc::new(store) as Arc<dyn Storage>)
        }),
        clock: Arc::new(now),
        randomness: Arc::new(move || {
            let number = random.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            (u128::from(number) << 64).to_be_bytes()
        }),
        namespaces: vec!["default".to_owned()],
        namespaces_on_request: false,
        names: vec!["growAgent".to_owned()],
        region: "here".to_owned(),
    })?;
    let source = engine.keep_rows(8 << 30);
    engine.attach(Arc::new(Idle::default()));
    let mut writers = writers(&engine).await?;
    let mirror = Mirror::new(source.clone(), database.clone(), Arc::new(now), MirrorOptions::default());
    let stop = CancellationToken::new();

    // Both at the same time: actors write as fast as the mirror carries.
    let running = tokio::spawn({
        let (mirror, stop) = (mirror.clone(), stop.clone());
        async move { mirror.run(stop).await }
    });
    let began = Instant::now();
    let written = flood_all(&mut writers, rows).await?;
    drained(&*source).await;
    let rate = |time: Duration| rows as f64 / time.as_secs_f64();
    println!(
        "sustained: {rows} rows in {:.1} s: {:.0} rows/s from commit to Postgres (actors alone: {:.0} rows/s)",
        began.elapsed().as_secs_f64(),
        rate(began.elapsed()),
        rate(written)
    );

    // Three stretches in one run: there, away, there again.
    let stretch = outage / 2;
    println!("latency of a turn, Postgres there:  {}", beat_all(&mut writers, stretch).await?);
    server.stop();
    println!("latency of a turn, Postgres away:   {}", beat_all(&mut writers, outage).await?);
    let waiting = source.level();
    server = Server::launch(server_options)?;
    server.ready().await?;
    let back = Instant::now();
    println!("latency of a turn, Postgres back:   {}", beat_all(&mut writers, stretch).await?);
    drained(&*source).await;
    println!(
        "{} rows ({} bytes) waited; all there {:.1} s after Postgres was",
        waiting.rows,
        waiting.bytes,
        back.elapsed().as_secs_f64()
    );
    stop.cancel();
    running.await?;
    let expected: u64 = writers.iter().map(|writer| writer.event + 1).sum();
    let (count, sum): (i64, String) = sqlx::query_as(
        "SELECT count(*), md5(string_agg(actor_id || ':' || seq, ',' ORDER BY actor_id, seq)) FROM events",
    )
    .fetch_one(database.pool()?)
    .await?;
    // Numbers of an actor begin with 1: where none is missing or doubled, the last one is how many there are.
    let whole: bool = sqlx::query_scalar(
        "SELECT bool_and(first = 1 AND last = rows) FROM \
         (SELECT min(seq) AS first, max(seq) AS last, count(*) AS rows FROM events GROUP BY actor_id) AS numbers",
    )
    .fetch_one(database.pool()?)
    .await?;
    println!("{count} rows of {expected} in Postgres, without gaps: {whole}; checksum of (actor, number) {sum}");
    engine.shutdown().await;
    drop(server);
    if whole && count as u64 == expected { Ok(()) } else { Err("rows are missing or doubled".into()) }
}
