//! Who has news: one look at the database for all event streams together.
//!
//! The database tells when rows were inserted (`NOTIFY`, migration 0002); where it can't, it is asked once a second. Then one query finds
//! the users with newer rows, and only their streams read. A stream that was woken for nothing does no harm, and one that missed a
//! wake-up is found at the next look, because each look compares with the newest row that was seen.
//!
//! Invariant: what a stream sends comes from its own reads behind its own place; the hub only says when to read.

use crate::STREAMS_MAX;
use growqr_postgres::Database;
use growqr_types::{Failure, codes};
use parking_lot::Mutex;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// The channel on which the database tells of new rows.
const CHANNEL: &str = "growqr_events";
/// How often the database is asked although it said nothing.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Two looks are so far apart at least, however many rows come.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// After so long without a database it is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Users in one query.
const USERS_OF_QUERY_MAX: usize = 1000;

/// A user with open streams.
struct Watched {
    streams: usize,
    /// The newest row that was seen.
    newest: watch::Sender<i64>,
}

/// See the module's documentation.
pub(crate) struct Hub {
    database: Option<Database>,
    watched: Mutex<HashMap<Arc<str>, Watched>>,
    first: Notify,
}

/// A stream's place at the hub.
pub(crate) struct Subscription {
    hub: Arc<Hub>,
    user: Arc<str>,
    newest: watch::Receiver<i64>,
}

impl Subscription {
    /// Comes back when there may be newer rows than at the last call.
    pub async fn news(&mut self) {
        // The sender lives in the hub for as long as this subscription does.
        let _ = self.newest.changed().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut watched = self.hub.watched.lock();
        if let Some(entry) = watched.get_mut(&self.user) {
            entry.streams -= 1;
            if entry.streams == 0 {
                watched.remove(&self.user);
            }
        }
    }
}

impl Hub {
    pub fn new(database: Option<Database>) -> Arc<Self> {
        Arc::new(Self { database, watched: Mutex::default(), first: Notify::new() })
    }

    /// A place for one more stream of a user.
    pub fn subscribe(self: &Arc<Self>, user: &Arc<str>, streams_max: usize) -> Result<Subscription, Failure> {
        let mut watched = self.watched.lock();
        let all: usize = watched.values().map(|watched| watched.streams).sum();
        if all >= STREAMS_MAX {
            return Err(codes::SERVICE_UNAVAILABLE.with("The host has too many event streams; try again."));
        }
        let entry =
            watched.entry(user.clone()).or_insert_with(|| Watched { streams: 0, newest: watch::Sender::new(0) });
        if entry.streams >= streams_max {
            return Err(codes::API_TOO_MANY_STREAMS.failure());
        }
        entry.streams += 1;
        let newest = entry.newest.subscribe();
        self.first.notify_one();
        Ok(Subscription { hub: self.clone(), user: user.clone(), newest })
    }

    /// Looks for news for as long as it is polled.
    pub async fn run(&self) {
        let Some(database) = &self.database else { return };
        loop {
            match database.pool() {
                Ok(pool) => self.listen(pool).await,
                Err(_) => {
                    // Streams that were opened before the database went away try again by themselves.
                    let mut readiness = database.readiness();
                    let _ = tokio::time::timeout(RETRY_PAUSE, readiness.changed()).await;
                }
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Until the connection breaks.
    async fn listen(&self, pool: &PgPool) {
        let listening = async {
            let mut listener = PgListener::connect_with(pool).await?;
            listener.listen(CHANNEL).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        let mut listener = match listening.await {
            Ok(listener) => Some(listener),
            Err(error) => {
                tracing::debug!(%error, "the database does not tell of new rows; it is asked instead");
                None
            }
        };
        loop {
            self.somebody().await;
            match &mut listener {
                Some(listener) => {
                    if let Ok(Err(error)) = tokio::time::timeout(POLL_INTERVAL, listener.recv()).await {
                        tracing::debug!(%error, "the connection that tells of new rows broke");
                        return;
                    }
                    // What was told meanwhile is found by the same look.
                    while listener.next_buffered().is_some() {}
                }
                None => tokio::time::sleep(POLL_INTERVAL).await,
            }
            if let Err(error) = self.look(pool).await {
                tracing::debug!(%error, "the database can't be asked for news");
                return;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Waits until there is a stream.
    async fn somebody(&self) {
        while self.watched.lock().is_empty() {
            self.first.notified().await;
        }
    }

    async fn look(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let (users, seen): (Vec<String>, Vec<i64>) =
            self.watched.lock().iter().map(|(user, watched)| (user.to_string(), *watched.newest.borrow())).unzip();
        for (users, seen) in users.chunks(USERS_OF_QUERY_MAX).zip(seen.chunks(USERS_OF_QUERY_MAX)) {
            let found: Vec<(String, i64)> = sqlx::query_as(
                "SELECT asked.user_id, newest.id FROM unnest($1::text[], $2::bigint[]) AS asked (user_id, seen)
                 CROSS JOIN LATERAL (
                     SELECT id FROM events WHERE events.user_id = asked.user_id AND events.id > asked.seen
                     ORDER BY id DESC LIMIT 1
                 ) AS newest",
            )
            .bind(users)
            .bind(seen)
            .fetch_all(pool)
            .await?;
            let watched = self.watched.lock();
            for (user, id) in found {
                if let Some(entry) = watched.get(user.as_str()) {
                    entry.newest.send_replace(id);
                }
            }
        }
        Ok(())
    }
}
