//! The task: takes rows, writes them, removes them, and starts anew when anything fails.

use crate::outage::Backoff;
use crate::status::{MirrorStatus, Phase, write_status};
use crate::write::{Written, write};
use chrono::{DateTime, TimeDelta, Utc};
use growqr_postgres::partitions::{self, Week};
use growqr_postgres::{Database, Readiness};
use growqr_seam::{Clock, EventRecord, MirrorSource, SpoolRow, TracedRows};
use parking_lot::Mutex;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Bytes of one batch, about. Three of them are in memory at a time: one that is written, one that was, and the next.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// When so many batches wait, they are made larger,
const CATCH_UP_BATCHES: u64 = 8;
/// by this.
const CATCH_UP_FACTOR: usize = 4;
/// Time between two looks at parts of the table that are to be made or dropped.
const MAINTENANCE_PAUSE: Duration = Duration::from_secs(3600);
/// Time between two writes of the status file, when something has changed.
const STATUS_PAUSE: Duration = Duration::from_secs(1);
/// How long a batch may take, commit included, before the connection is given up.
const BATCH_TIME_MAX: Duration = Duration::from_secs(60);

/// How the mirror works.
#[derive(Debug, Clone)]
pub struct MirrorOptions {
    /// Rows of one batch.
    pub batch_rows_max: usize,
    /// How long rows are collected for a batch.
    pub batch_delay: Duration,
    /// How long events are kept in the database.
    pub retention: Duration,
    /// Where the status file is written; none to write none.
    pub status_folder: Option<PathBuf>,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self {
            batch_rows_max: 500,
            batch_delay: Duration::from_millis(20),
            retention: Duration::from_secs(90 * 86_400),
            status_folder: None,
        }
    }
}

/// Carries rows into the database. Cheap to clone.
#[derive(Clone)]
pub struct Mirror {
    shared: Arc<Shared>,
}

struct Shared {
    source: Arc<dyn MirrorSource>,
    database: Database,
    clock: Clock,
    options: MirrorOptions,
    status: Mutex<MirrorStatus>,
    traced: OnceLock<Arc<TracedRows>>,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    #[error("{0}")]
    Read(#[from] growqr_seam::ReadError),
    #[error("{0}")]
    Remove(#[from] growqr_seam::CommitError),
    #[error("the database can't be used: {0}")]
    Unusable(String),
    #[error("a batch took longer than {} s", BATCH_TIME_MAX.as_secs())]
    Slow,
    #[error("reading what waits was cut off")]
    CutOff,
}

impl Mirror {
    /// A mirror that does nothing until [`Mirror::run`].
    pub fn new(source: Arc<dyn MirrorSource>, database: Database, clock: Clock, options: MirrorOptions) -> Self {
        let status = Mutex::new(MirrorStatus { process: std::process::id(), ..MirrorStatus::default() });
        Self { shared: Arc::new(Shared { source, database, clock, options, status, traced: OnceLock::new() }) }
    }

    /// Says when the rows of traced actions are stored. Once only; what is told later is not taken.
    pub fn trace(&self, rows: Arc<TracedRows>) {
        if self.shared.traced.set(rows).is_err() {
            tracing::error!("the mirror follows rows already");
        }
    }

    /// What it does and how far it is behind.
    pub fn status(&self) -> MirrorStatus {
        self.shared.status.lock().clone()
    }

    /// Carries rows until it is told to stop. What waits then is carried by the next host.
    pub async fn run(&self, stop: CancellationToken) {
        let shared = &self.shared;
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = shared.work() => {}
            () = shared.report() => {}
        }
        shared.status.lock().phase = Phase::Stopped;
        shared.tell();
    }
}

impl Shared {
    async fn work(self: &Arc<Self>) {
        let mut backoff = Backoff::default();
        loop {
            let before = self.status.lock().batches;
            let Err(ended) = self.session().await;
            let wait = {
                let mut status = self.status.lock();
                if status.batches > before {
                    backoff.reset();
                }
                status.phase = Phase::Waiting;
                status.failures += 1;
                status.problem = Some(ended.to_string());
                backoff.next()
            };
            metrics::counter!("growqr_mirror_failures_total").increment(1);
            tracing::warn!(problem = %ended, wait_ms = wait.as_millis(), "the mirror was interrupted; rows wait and are tried again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Works until something fails.
    async fn session(self: &Arc<Self>) -> Result<std::convert::Infallible, Ended> {
        self.wait_for_database().await?;
        let counter = self.clone();
        tokio::task::spawn_blocking(move || counter.source.count()).await.map_err(|_| Ended::CutOff)??;
        let mut connection = self.database.connect().await?;
        let mut weeks = BTreeSet::new();
        let mut maintained: Option<Instant> = None;
        let mut after = None;
        let mut rows: Vec<SpoolRow> = Vec::new();
        // Written, and not removed yet.
        let mut done: Vec<SpoolRow> = Vec::new();
        loop {
            if maintained.is_none_or(|at| at.elapsed() >= MAINTENANCE_PAUSE) {
                self.maintain(&mut connection, &mut weeks).await?;
                maintained = Some(Instant::now());
                self.status.lock().phase = Phase::Running;
                tracing::info!("the mirror is running");
            }
            if after.is_none() && rows.is_empty() {
                rows = self.read(after).await?;
            }
            if rows.is_empty() {
                self.remove(&done).await?;
                done.clear();
                self.status.lock().problem = None;
                // A look at the parts of the table is due some time, also when nothing comes.
                let _ = tokio::time::timeout(MAINTENANCE_PAUSE, self.source.added()).await;
                tokio::time::sleep(self.options.batch_delay).await;
                rows = self.read(after).await?;
                continue;
            }
            after = rows.last().map(|row| row.number);
            // While Postgres works, what it has already is removed, and what comes next is read.
            let batch = tokio::time::timeout(BATCH_TIME_MAX, self.batch(&mut connection, &rows, &mut weeks));
            let (written, removed, next) = tokio::join!(batch, self.remove(&done), self.read(after));
            written.map_err(|_| Ended::Slow)??;
            if let Some(traced) = self.traced.get() {
                traced.stored(&rows);
            }
            removed?;
            done = std::mem::replace(&mut rows, next?);
            if rows.len() < self.options.batch_rows_max {
                // Not a whole batch: some more are waited for, and those that were read are read again with them.
                rows.clear();
                self.remove(&done).await?;
                done.clear();
                tokio::time::sleep(self.options.batch_delay).await;
                rows = self.read(after).await?;
            }
        }
    }

    async fn remove(&self, done: &[SpoolRow]) -> Result<(), Ended> {
        if !done.is_empty() {
            self.source.remove(done).await?;
        }
        Ok(())
    }

    async fn wait_for_database(&self) -> Result<(), Ended> {
        let mut readiness = self.database.readiness();
        let ready = readiness.wait_for(|readiness| *readiness != Readiness::Preparing).await;
        match ready.as_deref() {
            Ok(Readiness::Ready) => Ok(()),
            Ok(Readiness::Unusable(problem)) => Err(Ended::Unusable(problem.clone())),
            _ => Err(Ended::Unusable("it was closed".to_owned())),
        }
    }

    async fn read(self: &Arc<Self>, after: Option<u64>) -> Result<Vec<SpoolRow>, Ended> {
        let shared = self.clone();
        let read = move || {
            let usual = shared.options.batch_rows_max;
            let far_behind = shared.source.level().rows > CATCH_UP_BATCHES * usual as u64;
            let rows_max = if far_behind { usual.saturating_mul(CATCH_UP_FACTOR) } else { usual };
            shared.source.read(after, rows_max, BATCH_BYTES_MAX)
        };
        Ok(tokio::task::spawn_blocking(read).await.map_err(|_| Ended::CutOff)??)
    }

    fn now(&self) -> DateTime<Utc> {
        i64::try_from((self.clock)()).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
    }

    /// Events before this moment are not kept.
    fn oldest(&self) -> DateTime<Utc> {
        let retention = TimeDelta::from_std(self.options.retention).unwrap_or(TimeDelta::MAX);
        self.now().checked_sub_signed(retention).unwrap_or(DateTime::UNIX_EPOCH).max(DateTime::UNIX_EPOCH)
    }

    /// Makes the parts of the table for this week and the next ones, and drops those that are too old.
    async fn maintain(&self, connection: &mut PgConnection, weeks: &mut BTreeSet<Week>) -> Result<(), Ended> {
        weeks.clear();
        let mut week = Week::of(self.now());
        for _ in 0..WEEKS_AHEAD {
            let Some(this) = week else { break };
            self.ensure(connection, weeks, this).await?;
            week = Some(this.next());
        }
        match partitions::drop_before(connection, self.oldest()).await {
            Ok(dropped) if dropped.is_empty() => {}
            Ok(dropped) => tracing::info!(?dropped, "events that were too old were dropped"),
            // Somebody reads there just now; the next look tries again.
            Err(error) => tracing::warn!(%error, "events that are too old could not be dropped"),
        }
        Ok(())
    }

    async fn ensure(&self, connection: &mut PgConnection, weeks: &mut BTreeSet<Week>, week: Week) -> Result<(), Ended> {
        if !weeks.contains(&week) {
            partitions::ensure(connection, week).await?;
            weeks.insert(week);
        }
        Ok(())
    }

    async fn batch(
        &self,
        connection: &mut PgConnection,
        rows: &[SpoolRow],
        weeks: &mut BTreeSet<Week>,
    ) -> Result<(), Ended> {
        let began = Instant::now();
        let oldest = self.oldest();
        let times = rows.iter().filter_map(|row| EventRecord::time(&row.record).ok());
        let times = times.filter_map(|ts| i64::try_from(ts).ok().and_then(DateTime::from_timestamp_millis));
        let wanted: BTreeSet<Week> = times.filter(|time| *time >= oldest).filter_map(Week::of).collect();
        for week in wanted {
            self.ensure(connection, weeks, week).await?;
        }
        let Written { rows, expired, parked } = write(connection, rows, oldest).await?;
        metrics::counter!("growqr_mirror_rows_total").increment(rows);
        metrics::counter!("growqr_mirror_batches_total").increment(1);
        metrics::counter!("growqr_mirror_parked_total").increment(parked);
        metrics::counter!("growqr_mirror_expired_total").increment(expired);
        metrics::histogram!("growqr_mirror_batch_seconds").record(began.elapsed().as_secs_f64());
        let mut status = self.status.lock();
        status.rows += rows;
        status.batches += 1;
        status.parked += parked;
        status.expired += expired;
        status.problem = None;
        Ok(())
    }

    /// Looks at what waits, for metrics and the status file, as long as it runs.
    async fn report(self: &Arc<Self>) {
        let mut written = None;
        loop {
            self.look().await;
            let status = self.status.lock().clone();
            // A file that says the same but for the time is not written again.
            let same = MirrorStatus { updated: 0, ..status };
            if written.as_ref() != Some(&same) {
                self.tell();
                written = Some(same);
            }
            tokio::time::sleep(STATUS_PAUSE).await;
        }
    }

    async fn look(self: &Arc<Self>) {
        let level = self.source.level();
        let mut oldest = None;
        if level.rows > 0 {
            let shared = self.clone();
            let first = tokio::task::spawn_blocking(move || shared.source.read(None, 1, 1)).await;
            let first = first.ok().and_then(Result::ok).and_then(|rows| rows.into_iter().next());
            oldest = first.and_then(|row| EventRecord::time(&row.record).ok());
        }
        let now = (self.clock)();
        self.status.lock().level(level, oldest, now);
    }

    fn tell(&self) {
        let Some(folder) = &self.options.status_folder else { return };
        let status = {
            let mut status = self.status.lock();
            status.updated = (self.clock)();
            status.clone()
        };
        if let Err(error) = write_status(folder, &status) {
            tracing::warn!(%error, "the mirror's status file can't be written");
        }
    }
}

/// Weeks for which parts of the table are made ahead, this one included.
const WEEKS_AHEAD: usize = 3;
