//! Rows that wait in memory, and a mirror that carries them.
#![allow(dead_code, reason = "not every test needs all of it")]

pub mod proxy;

use futures::future::BoxFuture;
use growqr_mirror::{Mirror, MirrorOptions};
use growqr_postgres::Database;
use growqr_seam::{CommitError, EventRecord, MirrorSource, ReadError, SpoolLevel, SpoolRow};
use growqr_types::ActorId;
use parking_lot::Mutex;
use sqlx::PgPool;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long anything may take to come right.
pub const RIGHT_TIME_MAX: Duration = Duration::from_secs(60);

pub fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

pub fn actor(number: u32) -> ActorId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    ActorId::from_bytes(bytes)
}

/// Rows that wait in memory.
#[derive(Default)]
pub struct Rows {
    waiting: Mutex<BTreeMap<u64, SpoolRow>>,
    last: Mutex<HashMap<ActorId, u64>>,
    next: AtomicU64,
    added: Notify,
    /// So many removals fail, as on a full disk.
    pub removals_fail: AtomicU64,
    /// Removals that have failed.
    pub removals_failed: AtomicU64,
}

impl Rows {
    /// Adds a row of an actor of the user `user`; gives its number there.
    pub fn add(&self, number: u32, name: &str, event: &str, payload: &str) -> u64 {
        self.add_at(number, name, Some(1), now(), event, payload)
    }

    /// Adds a row that the host tells.
    pub fn tell(&self, number: u32, name: &str, event: &str, payload: &str) -> u64 {
        self.add_at(number, name, None, now(), event, payload)
    }

    pub fn add_at(&self, number: u32, name: &str, of: Option<u64>, ts: u64, event: &str, payload: &str) -> u64 {
        let mut waiting = self.waiting.lock();
        let seq = {
            let mut last = self.last.lock();
            let seq = last.entry(actor(number)).or_default();
            *seq += 1;
            *seq
        };
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        let row = SpoolRow {
            place: bytes::Bytes::copy_from_slice(&place.to_be_bytes()),
            number: place,
            actor: actor(number),
            seq,
            event: of.map(|_| seq),
            name: name.to_owned(),
            user: Some(format!("user-{number}")),
            record: EventRecord::encode(ts, event, &format!("[{payload}]")),
        };
        waiting.insert(place, row);
        self.added.notify_one();
        seq
    }

    /// What an actor of each number should have in the database, by actor and number.
    pub fn expected(&self) -> Vec<(String, i64)> {
        let last = self.last.lock();
        let mut all: Vec<(String, i64)> =
            last.iter().flat_map(|(actor, last)| (1..=*last as i64).map(|seq| (actor.to_string(), seq))).collect();
        all.sort();
        all
    }
}

impl MirrorSource for Rows {
    fn count(&self) -> Result<(), ReadError> {
        Ok(())
    }

    fn read(&self, after: Option<u64>, rows_max: usize, _: usize) -> Result<Vec<SpoolRow>, ReadError> {
        let start = after.map_or(0, |after| after + 1);
        Ok(self.waiting.lock().range(start..).take(rows_max).map(|(_, row)| row.clone()).collect())
    }

    fn remove<'a>(&'a self, rows: &'a [SpoolRow]) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move {
            let fails =
                self.removals_fail.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if fails.is_ok() {
                self.removals_failed.fetch_add(1, Ordering::Relaxed);
                return Err(CommitError::Storage("no space left on device".to_owned()));
            }
            let mut waiting = self.waiting.lock();
            rows.iter().for_each(|row| drop(waiting.remove(&row.number)));
            Ok(())
        })
    }

    fn added(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.added.notified())
    }

    fn level(&self) -> SpoolLevel {
        let waiting = self.waiting.lock();
        let bytes = waiting.values().map(|row| (row.place.len() + row.record.len()) as u64).sum();
        SpoolLevel { rows: waiting.len() as u64, bytes, bytes_max: 1 << 30 }
    }
}

/// A mirror that runs.
pub struct Running {
    pub mirror: Mirror,
    pub rows: Arc<Rows>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub fn start(rows: Arc<Rows>, database: &Database, options: MirrorOptions) -> Self {
        let mirror = Mirror::new(rows.clone(), database.clone(), Arc::new(now), options);
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let (mirror, stop) = (mirror.clone(), stop.clone());
            async move { mirror.run(stop).await }
        });
        Self { mirror, rows, stop, task }
    }

    /// Waits until nothing waits any more.
    pub async fn drained(&self) {
        let drained = async {
            while self.rows.level().rows > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let status = || format!("{:?}", self.mirror.status());
        tokio::time::timeout(RIGHT_TIME_MAX, drained).await.unwrap_or_else(|_| panic!("rows still wait: {}", status()));
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// Every row is there exactly once, and the numbers of events follow the numbers of each actor's rows.
pub async fn check_all_there(pool: &PgPool, rows: &Rows) {
    let found: Vec<(String, i64)> =
        sqlx::query_as("SELECT actor_id, seq FROM events ORDER BY actor_id COLLATE \"C\", seq")
            .fetch_all(pool)
            .await
            .unwrap();
    let expected = rows.expected();
    assert_eq!(found.len(), expected.len());
    assert!(found == expected, "other rows than those that were sent");
    let out_of_order: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT id, lag(id) OVER (PARTITION BY actor_id ORDER BY seq) AS before FROM events) AS pairs
         WHERE before > id",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(out_of_order, 0, "rows of one actor came out of their order");
}
