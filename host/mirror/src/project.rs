//! What the rows of a batch mean for actors, threads and messages: for each of them one change, however many rows tell of it.
//!
//! Only what the host itself tells changes `actors`, and only actors of the two agent names change threads and messages. A payload that is not
//! as agreed changes nothing; the row itself is stored all the same.

use crate::rows::Row;
use chrono::{DateTime, Utc};
use growqr_seam::{ACTOR_CRASHED, ACTOR_CREATED, ACTOR_DESTROYED, ACTOR_VERSION};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Actors whose events tell of threads and messages.
const AGENTS: [&str; 2] = ["growAgent", "subAgent"];

/// What a batch changes.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    /// By actor, as text.
    pub actors: BTreeMap<String, ActorChange<'a>>,
    /// By user and thread.
    pub threads: BTreeMap<(&'a str, String), ThreadChange>,
    /// By user and message.
    pub messages: BTreeMap<(&'a str, String), MessageChange<'a>>,
}

/// A change of an actor.
#[derive(Debug, Default)]
pub struct ActorChange<'a> {
    /// The payload of its creation, and when that was.
    pub created: Option<(Created<'a>, DateTime<Utc>)>,
    /// The version of its code.
    pub version: Option<String>,
    /// When it was destroyed.
    pub destroyed: Option<DateTime<Utc>>,
    /// How often it has crashed in this batch.
    pub crashes: i64,
    /// The last of these: when, and how.
    pub crash: Option<(DateTime<Utc>, &'a str)>,
    /// The last row.
    pub seq: i64,
    /// The user.
    pub user: Option<&'a str>,
}

/// The payload of a creation.
#[derive(Debug, Deserialize)]
pub struct Created<'a> {
    /// Namespace.
    pub namespace: String,
    /// Actor name.
    pub name: String,
    /// The key, as JSON.
    #[serde(borrow)]
    pub key: &'a RawValue,
    /// The version of its code.
    pub version: Option<String>,
}

/// A change of a thread.
#[derive(Debug)]
pub struct ThreadChange {
    /// Whose rows tell of it.
    pub actor: String,
    /// A new title.
    pub title: Option<String>,
    /// Put away, or brought back.
    pub archived: Option<bool>,
    /// When it was begun, if it is not known yet.
    pub created: DateTime<Utc>,
    /// When its newest message came.
    pub updated: DateTime<Utc>,
    /// When it was deleted.
    pub deleted: Option<DateTime<Utc>>,
    /// The last row.
    pub seq: i64,
}

/// A change of a message.
#[derive(Debug)]
pub struct MessageChange<'a> {
    /// Its thread.
    pub thread: String,
    /// Whose rows tell of it.
    pub actor: String,
    /// The first row.
    pub position: i64,
    /// Who speaks.
    pub role: Option<String>,
    /// How far it is.
    pub status: String,
    /// The whole text.
    pub text: Option<String>,
    /// Tool calls, as JSON.
    pub tools: Option<&'a str>,
    /// Why it failed, as JSON.
    pub error: Option<&'a str>,
    /// The last payload, as JSON.
    pub payload: &'a str,
    /// When it was begun.
    pub created: DateTime<Utc>,
    /// The last row's time.
    pub updated: DateTime<Utc>,
    /// When it was over.
    pub completed: Option<DateTime<Utc>>,
    /// The last row.
    pub seq: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThreadPayload {
    thread: String,
    title: Option<String>,
    archived: Option<bool>,
    created_at: Option<serde_json::Number>,
    updated_at: Option<serde_json::Number>,
}

/// A time that an actor tells, in milliseconds; else that of its row.
fn told(number: Option<serde_json::Number>, otherwise: DateTime<Utc>) -> DateTime<Utc> {
    number.and_then(|number| number.as_i64()).and_then(DateTime::from_timestamp_millis).unwrap_or(otherwise)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessagePayload<'a> {
    message: String,
    thread: String,
    role: Option<String>,
    text: Option<String>,
    status: Option<String>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    created_at: Option<serde_json::Number>,
}

impl<'a> Changes<'a> {
    /// The changes of these rows, in their order.
    pub fn of(rows: &[Row<'a>]) -> Self {
        let mut changes = Self::default();
        for row in rows {
            if row.is_of_host() {
                changes.actor(row);
            } else if let Some(user) = &row.source.user
                && AGENTS.contains(&row.source.name.as_str())
            {
                match row.name.split_once('.') {
                    Some(("thread", what)) => changes.thread(row, user, what),
                    Some(("message", what)) => changes.message(row, user, what),
                    _ => {}
                }
            }
        }
        changes
    }

    fn actor(&mut self, row: &Row<'a>) {
        let change = self.actors.entry(row.source.actor.to_string()).or_default();
        change.seq = row.seq();
        change.user = row.source.user.as_deref();
        match row.name {
            ACTOR_CREATED => {
                if let Ok(created) = serde_json::from_str::<Created<'a>>(row.payload) {
                    change.version.clone_from(&created.version);
                    change.created = Some((created, row.ts));
                }
            }
            ACTOR_VERSION => {
                #[derive(Deserialize)]
                struct Version {
                    version: Option<String>,
                }
                if let Ok(Version { version: Some(version) }) = serde_json::from_str(row.payload) {
                    change.version = Some(version);
                }
            }
            ACTOR_DESTROYED => change.destroyed = Some(row.ts),
            ACTOR_CRASHED => {
                change.crashes += 1;
                change.crash = Some((row.ts, row.payload));
            }
            _ => {}
        }
    }

    fn touch_thread(
        &mut self,
        row: &Row<'a>,
        user: &'a str,
        thread: String,
        (created, updated): (DateTime<Utc>, DateTime<Utc>),
    ) -> &mut ThreadChange {
        let change = self.threads.entry((user, thread)).or_insert_with(|| ThreadChange {
            actor: row.source.actor.to_string(),
            title: None,
            archived: None,
            created,
            updated,
            deleted: None,
            seq: row.seq(),
        });
        change.updated = change.updated.max(updated);
        change.seq = row.seq();
        change
    }

    fn thread(&mut self, row: &Row<'a>, user: &'a str, what: &str) {
        if !matches!(what, "created" | "updated" | "deleted") {
            return;
        }
        let Ok(payload) = serde_json::from_str::<ThreadPayload>(row.payload) else { return };
        let times = (told(payload.created_at, row.ts), told(payload.updated_at, row.ts));
        let change = self.touch_thread(row, user, payload.thread, times);
        if what == "deleted" {
            change.deleted = Some(row.ts);
        }
        change.title = payload.title.or(change.title.take());
        change.archived = payload.archived.or(change.archived);
    }

    fn message(&mut self, row: &Row<'a>, user: &'a str, what: &str) {
        let usual = match what {
            "started" => "streaming",
            "completed" | "failed" | "interrupted" => what,
            _ => return,
        };
        let Ok(payload) = serde_json::from_str::<MessagePayload<'a>>(row.payload) else { return };
        let over = what != "started";
        let created = told(payload.created_at, row.ts);
        // A thread is as new as its newest message, whenever that is over.
        self.touch_thread(row, user, payload.thread.clone(), (created, created));
        let change = self.messages.entry((user, payload.message)).or_insert_with(|| MessageChange {
            thread: payload.thread,
            actor: row.source.actor.to_string(),
            position: row.seq(),
            role: None,
            status: String::new(),
            text: None,
            tools: None,
            error: None,
            payload: row.payload,
            created,
            updated: row.ts,
            completed: None,
            seq: row.seq(),
        });
        change.status = payload.status.unwrap_or_else(|| usual.to_owned());
        change.role = payload.role.or(change.role.take());
        change.text = payload.text.or(change.text.take());
        change.tools = payload.tools.map(RawValue::get).or(change.tools);
        change.error = payload.error.map(RawValue::get).or(change.error);
        change.payload = row.payload;
        change.updated = row.ts;
        change.completed = if over { Some(row.ts) } else { change.completed };
        change.seq = row.seq();
    }
}
