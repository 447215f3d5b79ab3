//! How long the reads of the REST interface take on a database with a million events.
//!
//! `cargo run --package growqr-api --example read_bench` starts a private Postgres, fills it, and prints a table. Everything is measured
//! from the request to the last byte of the answer, in this process: rule, rate, queries, JSON and tag, but no network.

#![allow(clippy::unwrap_used)]

use axum::body::Body;
use futures::future::BoxFuture;
use growqr_api::{Api, ApiInput, ApiSettings, Backend, KnownActor};
use growqr_postgres::testing::TestDatabase;
use growqr_types::{ActorId, ActorKey, Failure};
use http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Users; each has as many threads and messages as the others, but for the first, who has a hundred times as many.
const USERS: u32 = 1000;
/// Events altogether.
const EVENTS: u32 = 1_000_000;
/// Days over which they are spread.
const DAYS: u32 = 28;
/// Reads of each kind.
const READS: usize = 400;
/// Reads before those, which are not counted.
const WARM_UP_READS: usize = 20;
/// What 95 of 100 reads may take.
const GOAL: Duration = Duration::from_millis(20);

/// No actors: reads ask the database.
struct Nobody;

impl Backend for Nobody {
    fn actor(&self, _: ActorId) -> Result<Option<KnownActor>, Failure> {
        Ok(None)
    }
    fn find<'a>(&'a self, _: &'a str, _: &'a str, _: &'a ActorKey) -> BoxFuture<'a, Result<Option<ActorId>, Failure>> {
        Box::pin(async { Ok(None) })
    }
    fn act<'a>(&'a self, _: ActorId, _: &'a str, _: Value) -> BoxFuture<'a, Result<Value, Failure>> {
        Box::pin(async { Ok(Value::Null) })
    }
    fn restart(&self, _: ActorId) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }
    fn destroy(&self, _: ActorId) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }
}

async fn run(pool: &PgPool, statement: String) {
    let mut connection = pool.acquire().await.unwrap();
    sqlx::raw_sql("SET statement_timeout = 0").execute(&mut *connection).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await.unwrap();
}

/// Half of everything belongs to the first user, and half of that to one thread.
async fn fill(pool: &PgPool) {
    for day in 0..DAYS {
        let create = format!(
            "CREATE TABLE IF NOT EXISTS bench_events_{day} PARTITION OF events
             FOR VALUES FROM ('2026-01-01'::timestamptz + interval '{day} days') TO ('2026-01-01'::timestamptz + interval '{} days')",
            day + 1
        );
        run(pool, create).await;
    }
    let user = "CASE WHEN n % 2 = 0 THEN 'user-0' ELSE 'user-' || (n / 2) % 1000 END";
    let thread = "CASE WHEN n % 4 = 0 THEN 'thread-0' ELSE 'thread-' || (n / 4) % 1000 END";
    let time = format!("'2026-01-01'::timestamptz + interval '1 second' * (n::bigint * {} / {EVENTS})", DAYS * 86_400);
    let statements = [
        format!(
            "INSERT INTO events (actor_id, seq, ts, name, event_seq, user_id, thread, payload)
             SELECT 'actor of ' || {user}, n + 1, {time}, 'message.completed', n + 1, {user}, {thread},
                    jsonb_build_array(jsonb_build_object('message', n, 'text', repeat('word ', 40)))
             FROM generate_series(0, {EVENTS} - 1) AS n"
        ),
        format!(
            "INSERT INTO threads (user_id, id, actor_id, title, title_words, created, updated, seq)
             SELECT DISTINCT {user}, {thread}, 'actor of ' || {user}, 'Title of ' || {thread}, 'title of ' || {thread},
                    '2026-01-01'::timestamptz, '2026-01-01'::timestamptz + interval '1 second' * (n % 1000), 1
             FROM generate_series(0, 100000) AS n ON CONFLICT DO NOTHING"
        ),
        format!(
            "INSERT INTO messages (user_id, id, thread, actor_id, position, role, status, text, created, updated, completed, seq)
             SELECT {user}, 'message-' || n, {thread}, 'actor of ' || {user}, n, 'assistant', 'completed', repeat('word ', 100),
                    {time}, {time}, {time}, n
             FROM generate_series(1, {EVENTS} / 2) AS n"
        ),
        format!(
            "INSERT INTO actors (id, namespace, name, key, user_id, created, seq)
             SELECT 'actor-' || n, 'default', CASE WHEN n < {USERS} THEN 'growAgent' ELSE 'subAgent' END, ARRAY[{user}, n::text], {user},
                    '2026-01-01'::timestamptz + interval '1 second' * n, 1
             FROM generate_series(0, {USERS} * 5) AS n"
        ),
        "ANALYZE".to_owned(),
    ];
    for statement in statements {
        run(pool, statement).await;
    }
}

async fn read(api: &Api, path: &str) -> Value {
    let response = api.answer(Request::get(path).body(Body::empty()).unwrap()).await;
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&bytes));
    serde_json::from_slice(&bytes).unwrap()
}

/// Whether 95 of 100 reads of these paths, taken in turns, are within the goal.
async fn measure(api: &Api, name: &str, paths: &[String]) -> bool {
    let mut times = Vec::with_capacity(READS);
    for count in 0..WARM_UP_READS + READS {
        let started = Instant::now();
        read(api, &paths[count % paths.len()]).await;
        if count >= WARM_UP_READS {
            times.push(started.elapsed());
        }
    }
    times.sort_unstable();
    let [p50, p95, worst] = [READS / 2, READS * 95 / 100, READS - 1].map(|index| times[index].as_secs_f64() * 1000.0);
    println!("| {name} | {p50:.2} | {p95:.2} | {worst:.2} |");
    times[READS * 95 / 100] <= GOAL
}

async fn cursor(api: &Api, path: &str, field: &str, pages: usize) -> String {
    let mut cursor = String::new();
    for _ in 0..pages {
        let joint = if cursor.is_empty() { String::new() } else { format!("&cursor={cursor}") };
        let page = read(api, &format!("{path}{joint}")).await;
        page[field].as_str().unwrap_or_else(|| panic!("{path} has no further page")).clone_into(&mut cursor);
    }
    format!("{path}&cursor={cursor}")
}

#[tokio::main]
async fn main() {
    let database = TestDatabase::create().await;
    let started = Instant::now();
    fill(database.pool()).await;
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(database.pool()).await.unwrap();
    eprintln!("{events} events in {DAYS} partitions, made in {:.0} s", started.elapsed().as_secs_f64());
    let api = Api::new(ApiInput {
        identity: None,
        database: Some(database.database.clone()),
        backend: Arc::new(Nobody),
        settings: ApiSettings {
            requests_per_second: u32::MAX,
            requests_burst: u32::MAX,
            streams_max: 1,
            namespace: "default".to_owned(),
        },
        stop: CancellationToken::new(),
    });
    let of_users =
        |path: &str| -> Vec<String> { (0..USERS).map(|user| path.replace("USER", &format!("user-{user}"))).collect() };
    let heavy = "user=user-0";
    let messages = format!("/api/threads/thread-0/messages?{heavy}");
    let thread_events = format!("/api/threads/thread-0/events?{heavy}");
    let threads = format!("/api/threads?{heavy}");
    println!("| read | p50 ms | p95 ms | worst ms |\n|---|---:|---:|---:|");
    let kinds = [
        ("threads, any user", of_users("/api/threads?user=USER")),
        ("threads of the heaviest user", vec![threads.clone()]),
        ("threads of the heaviest user, tenth page", vec![cursor(&api, &threads, "next", 9).await]),
        ("threads of the heaviest user, searched by title", vec![format!("{threads}&search=thread-99")]),
        ("threads of the heaviest user, search without a hit", vec![format!("{threads}&search=nothing")]),
        ("messages of the longest thread, newest page", vec![messages.clone()]),
        ("messages of the longest thread, twentieth page", vec![cursor(&api, &messages, "older", 19).await]),
        ("messages, any thread", (1..400).map(|n| format!("/api/threads/thread-{n}/messages?{heavy}")).collect()),
        ("events of the longest thread, newest page", vec![thread_events.clone()]),
        ("events of the longest thread, twentieth page", vec![cursor(&api, &thread_events, "older", 19).await]),
        ("actors, any user", of_users("/api/actors?user=USER")),
        ("the user", of_users("/api/me?user=USER")),
    ];
    let mut missed = 0;
    for (name, paths) in kinds {
        missed += usize::from(!measure(&api, name, &paths).await);
    }
    assert_eq!(missed, 0, "so many kinds of reads are over {GOAL:?} at p95");
}
