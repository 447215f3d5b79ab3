//! Rows as callers see them.

use crate::backend::KnownActor;
use crate::problem::Problem;
use chrono::{DateTime, Utc};
use growqr_types::{ActorId, ActorKey, Failure, TimestampMs};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;

/// JSON of the database, passed on as it is.
pub(crate) fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn ms(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

/// A thread.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Thread {
    /// Its id.
    pub thread: String,
    pub title: String,
    pub archived: bool,
    /// Messages that it has.
    pub messages: i64,
    pub created_at: i64,
    /// When its newest message came.
    pub updated_at: i64,
}

#[derive(FromRow)]
pub(crate) struct ThreadRow {
    pub id: String,
    title: String,
    archived: bool,
    messages: i64,
    created: DateTime<Utc>,
    pub updated: DateTime<Utc>,
}

impl ThreadRow {
    pub const COLUMNS: &str = "id, title, archived, messages, created, updated";
}

impl From<ThreadRow> for Thread {
    fn from(row: ThreadRow) -> Self {
        Self {
            thread: row.id,
            title: row.title,
            archived: row.archived,
            messages: row.messages,
            created_at: ms(row.created),
            updated_at: ms(row.updated),
        }
    }
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    /// Its id.
    message: String,
    thread: String,
    /// `user` or `assistant`.
    role: String,
    /// How far it is: `streaming`, `completed`, `failed`, `interrupted`.
    status: String,
    text: String,
    /// Calls of tools that belong to it.
    #[schema(value_type = Vec<serde_json::Value>)]
    tools: Box<RawValue>,
    /// Why it failed.
    #[schema(value_type = Option<serde_json::Value>)]
    error: Option<Box<RawValue>>,
    /// What else the agent said of it.
    #[schema(value_type = serde_json::Value)]
    details: Box<RawValue>,
    created_at: i64,
    updated_at: i64,
    completed_at: Option<i64>,
}

#[derive(FromRow)]
pub(crate) struct MessageRow {
    id: String,
    thread: String,
    pub position: i64,
    role: String,
    status: String,
    text: String,
    tools: String,
    error: Option<String>,
    details: String,
    created: DateTime<Utc>,
    updated: DateTime<Utc>,
    completed: Option<DateTime<Utc>>,
}

impl MessageRow {
    pub const COLUMNS: &str = "id, thread, position, role, status, text, tools::text AS tools, error::text AS error, \
                               details::text AS details, created, updated, completed";

    pub fn size(&self) -> usize {
        self.text.len() + self.tools.len() + self.details.len() + self.error.as_ref().map_or(0, String::len)
    }
}

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Self {
        Self {
            message: row.id,
            thread: row.thread,
            role: row.role,
            status: row.status,
            text: row.text,
            tools: raw(row.tools),
            error: row.error.map(raw),
            details: raw(row.details),
            created_at: ms(row.created),
            updated_at: ms(row.updated),
            completed_at: row.completed.map(ms),
        }
    }
}

/// Something that an actor told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    /// Ascends over all actors; a stream resumes behind it.
    id: i64,
    actor: String,
    /// Number of the row at its actor.
    seq: i64,
    /// Number of the event as a Rivet client that resumes sees it; none for what happened to the actor itself.
    event_seq: Option<i64>,
    ts: i64,
    name: String,
    thread: Option<String>,
    /// What the actor said.
    #[schema(value_type = serde_json::Value)]
    payload: Box<RawValue>,
}

#[derive(FromRow)]
pub(crate) struct EventRow {
    pub id: i64,
    actor_id: String,
    seq: i64,
    event_seq: Option<i64>,
    ts: DateTime<Utc>,
    pub name: String,
    thread: Option<String>,
    payload: String,
}

impl EventRow {
    pub const COLUMNS: &str = "id, actor_id, seq, event_seq, ts, name, thread, payload::text AS payload";

    pub fn size(&self) -> usize {
        self.payload.len()
    }
}

impl From<EventRow> for Event {
    fn from(row: EventRow) -> Self {
        Self {
            id: row.id,
            actor: row.actor_id,
            seq: row.seq,
            event_seq: row.event_seq,
            ts: ms(row.ts),
            name: row.name,
            thread: row.thread,
            payload: raw(row.payload),
        }
    }
}

/// How an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ActorState {
    /// It is in memory.
    Running,
    /// It is stored, and starts when something comes for it.
    Sleeping,
    /// It is gone.
    Destroyed,
}

/// An actor.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Actor {
    /// Its id.
    actor: String,
    name: String,
    key: Vec<String>,
    namespace: String,
    state: ActorState,
    /// Which code it runs, if that is known.
    version: Option<String>,
    created_at: i64,
    /// When it was started, if it runs.
    #[schema(value_type = Option<i64>)]
    started_at: Option<TimestampMs>,
    /// When it fell asleep, if it sleeps and that is remembered.
    #[schema(value_type = Option<i64>)]
    slept_at: Option<TimestampMs>,
    destroyed_at: Option<i64>,
    /// How often it crashed.
    crashes: i64,
    last_crash_at: Option<i64>,
    /// Why it crashed last.
    #[schema(value_type = Option<serde_json::Value>)]
    last_failure: Option<Box<RawValue>>,
}

impl Actor {
    /// The parts of its key.
    pub fn key(&self) -> &[String] {
        &self.key
    }
}

#[derive(FromRow)]
pub(crate) struct ActorRow {
    pub id: String,
    namespace: String,
    pub name: String,
    pub key: Vec<String>,
    version: Option<String>,
    pub created: DateTime<Utc>,
    destroyed: Option<DateTime<Utc>>,
    crashes: i64,
    last_crash: Option<DateTime<Utc>>,
    last_failure: Option<String>,
}

impl ActorRow {
    pub const COLUMNS: &str = "id, namespace, name, key, version, created, destroyed, crashes, last_crash, last_failure::text AS last_failure";

    /// Together with what the engine knows, which is newer.
    pub fn with(self, known: Option<&KnownActor>) -> Actor {
        let destroyed_at = known.and_then(|known| known.destroyed).and_then(|at| i64::try_from(at).ok());
        let destroyed_at = destroyed_at.or(self.destroyed.map(ms));
        let started_at = known.and_then(|known| known.started);
        let state = match (destroyed_at, started_at) {
            (Some(_), _) => ActorState::Destroyed,
            (None, Some(_)) => ActorState::Running,
            (None, None) => ActorState::Sleeping,
        };
        Actor {
            actor: self.id,
            name: self.name,
            key: self.key,
            namespace: self.namespace,
            state,
            version: self.version,
            created_at: ms(self.created),
            started_at,
            slept_at: known.and_then(|known| known.slept),
            destroyed_at,
            crashes: self.crashes,
            last_crash_at: self.last_crash.map(ms),
            last_failure: self.last_failure.map(raw),
        }
    }

    /// The row that an actor will have, for one whose own has not arrived yet.
    pub fn of(known: &KnownActor) -> Self {
        Self {
            id: known.id.to_string(),
            namespace: known.namespace.clone(),
            name: known.name.clone(),
            key: known.key.0.clone(),
            version: None,
            created: time(known.created),
            destroyed: None,
            crashes: 0,
            last_crash: None,
            last_failure: None,
        }
    }
}

fn time(at: TimestampMs) -> DateTime<Utc> {
    i64::try_from(at).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
}

/// An actor that the engine does not know any more.
pub(crate) async fn destroyed_actor(pool: &PgPool, id: ActorId) -> Result<Option<KnownActor>, Failure> {
    let row = actor_row(pool, id).await.map_err(|error| growqr_postgres::failure(&error))?;
    let known = |row: ActorRow| KnownActor {
        id,
        name: row.name,
        key: ActorKey(row.key),
        namespace: row.namespace,
        created: u64::try_from(ms(row.created)).unwrap_or_default(),
        started: None,
        slept: None,
        destroyed: row.destroyed.and_then(|at| u64::try_from(ms(at)).ok()),
    };
    Ok(row.filter(|row| row.destroyed.is_some()).map(known))
}

/// The row of an actor.
pub(crate) async fn actor_row(pool: &PgPool, id: ActorId) -> Result<Option<ActorRow>, sqlx::Error> {
    let mut query = sqlx::QueryBuilder::new(format!("SELECT {} FROM actors WHERE id = ", ActorRow::COLUMNS));
    query.push_bind(id.to_string());
    query.build_query_as().fetch_optional(pool).await
}

/// A thread that the user has.
pub(crate) async fn thread_row(pool: &PgPool, user: &str, id: &str) -> Result<ThreadRow, Problem> {
    let mut query = sqlx::QueryBuilder::new(format!("SELECT {} FROM threads WHERE user_id = ", ThreadRow::COLUMNS));
    query.push_bind(user).push(" AND id = ").push_bind(id).push(" AND deleted IS NULL");
    let found = query.build_query_as().fetch_optional(pool).await?;
    found.ok_or_else(|| growqr_types::codes::THREAD_NOT_FOUND.failure().into())
}
