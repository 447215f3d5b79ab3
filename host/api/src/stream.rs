//! Events of a user as a stream (server-sent events), for those who do not speak Rivet.
//!
//! Invariant: a stream has one place, the id of the last event that it sent, and reads only behind it. So a client that comes back with
//! `Last-Event-ID` gets what it missed, without gap or repeat; if that is not kept any more, it hears `resync` first.

use crate::KEEP_ALIVE;
use crate::access::{Caller, Subject};
use crate::hub::Subscription;
use crate::input::Parameters;
use crate::page;
use crate::problem::Problem;
use crate::state::Shared;
use crate::views::{Event, EventRow};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use growqr_identity::sessions::{Admission, Closable};
use growqr_types::{Code, Failure, codes};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use sqlx::{PgPool, QueryBuilder};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

/// Events of one read.
const READ_EVENTS_MAX: u32 = 100;
/// After a read that failed it is tried again so much later.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Where a client that comes back says what it has.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Where a stream begins.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamParameters {
    /// The user who is meant, by default the caller. Operators have to say.
    #[serde(rename = "user")]
    _user: Option<String>,
    /// Begins behind the event with this id, as the header `Last-Event-ID` does, which wins; 0 means everything that is kept. Without
    /// either the stream begins now.
    #[param(minimum = 0)]
    after: Option<i64>,
}

/// Events of all actors of a user, as they come
///
/// Server-sent events: the id of each goes into `Last-Event-ID` when the client comes back. The first frame is `ready`, with the place
/// where the stream begins. `resync` says that what follows the client's last event is not kept any more, and `closing` why the host
/// ends the stream.
#[utoipa::path(get, path = "/api/events", tag = "events", operation_id = "streamEvents", params(StreamParameters, ("Last-Event-ID" = Option<i64>, Header, description = "Id of the last event that the client has.")), responses((status = 200, content_type = "text/event-stream", body = Event)))]
pub(crate) async fn stream(
    State(shared): State<Arc<Shared>>,
    Subject(user): Subject,
    Caller(caller): Caller,
    Parameters(parameters): Parameters<StreamParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = match headers.get(&LAST_EVENT_ID) {
        Some(value) => Some(place(value)?),
        None => parameters.after,
    };
    if after.is_some_and(|after| after < 0) {
        return Err(codes::VALIDATION.with("after is the id of an event.").into());
    }
    let subscription = shared.hub.subscribe(&user, shared.settings.streams_max as usize)?;
    let closer = Arc::new(Closer { ended: shared.stop.child_token(), code: Mutex::new(None) });
    let admission = match shared.identity() {
        Some(identity) => {
            let closable: Arc<dyn Closable> = closer.clone();
            identity.admit(&caller, Arc::downgrade(&closable))?
        }
        None => None,
    };
    let pool = shared.pool()?.clone();
    let (last, known) = begin(&pool, &user, after).await?;
    let mut first = Vec::new();
    if !known {
        frame(&mut first, None, "resync", "{}");
    }
    frame(&mut first, Some(last), "ready", &json!({"id": last}).to_string());
    let state = Streaming {
        pool,
        user,
        last,
        subscription,
        closer,
        _admission: admission,
        waiting: vec![Bytes::from(first)],
        alive_at: Instant::now() + KEEP_ALIVE,
        over: false,
    };
    let frames = stream::unfold(state, |mut state| async move {
        let bytes = state.next().await?;
        Some((Ok::<_, Infallible>(bytes), state))
    });
    let kind = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Proxies that collect answers would hold the events back.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((kind, Body::from_stream(frames)).into_response())
}

fn place(value: &HeaderValue) -> Result<i64, Failure> {
    let place = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    place.ok_or_else(|| codes::VALIDATION.with("Last-Event-ID is the id of an event."))
}

/// Where the stream begins, and whether everything behind that is kept.
async fn begin(pool: &PgPool, user: &str, after: Option<i64>) -> Result<(i64, bool), sqlx::Error> {
    match after {
        Some(0) => Ok((0, true)),
        Some(after) => {
            let kept = sqlx::query_scalar("SELECT EXISTS (SELECT FROM events WHERE user_id = $1 AND id = $2)");
            Ok((after, kept.bind(user).bind(after).fetch_one(pool).await?))
        }
        None => {
            let newest = sqlx::query_scalar("SELECT id FROM events WHERE user_id = $1 ORDER BY id DESC LIMIT 1");
            Ok((newest.bind(user).fetch_optional(pool).await?.unwrap_or(0), true))
        }
    }
}

/// Ends a stream when its session does, or the host.
struct Closer {
    ended: CancellationToken,
    code: Mutex<Option<Code>>,
}

impl Closable for Closer {
    fn close(&self, code: &Code) {
        self.code.lock().get_or_insert(*code);
        self.ended.cancel();
    }
}

struct Streaming {
    pool: PgPool,
    user: Arc<str>,
    /// The id of the last event that was sent.
    last: i64,
    subscription: Subscription,
    closer: Arc<Closer>,
    _admission: Option<Admission>,
    /// Frames that are ready.
    waiting: Vec<Bytes>,
    alive_at: Instant,
    over: bool,
}

impl Streaming {
    /// The next bytes; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.waiting.pop() {
                self.alive_at = Instant::now() + KEEP_ALIVE;
                return Some(bytes);
            }
            if self.over {
                return None;
            }
            let ended = self.closer.ended.clone();
            let alive_at = self.alive_at;
            tokio::select! {
                biased;
                () = ended.cancelled() => self.end(),
                () = tokio::time::sleep_until(alive_at) => self.waiting.push(Bytes::from_static(b": alive\n\n")),
                () = self.read() => {}
            }
        }
    }

    fn end(&mut self) {
        self.over = true;
        let code = self.closer.code.lock().unwrap_or(codes::GOING_AWAY);
        let mut bytes = Vec::new();
        let body = json!({"group": code.group, "code": code.code, "message": code.message});
        frame(&mut bytes, None, "closing", &body.to_string());
        self.waiting.push(Bytes::from(bytes));
    }

    /// Reads what is behind the last event; waits when there is nothing. May be dropped at any moment: the place moves together with
    /// the frames.
    async fn read(&mut self) {
        match self.newer().await {
            Ok(events) if events.is_empty() => self.subscription.news().await,
            Ok(events) => {
                let mut bytes = Vec::new();
                for event in events {
                    self.last = event.id;
                    write(&mut bytes, event);
                }
                self.waiting.push(Bytes::from(bytes));
            }
            Err(error) => {
                // The events are still there when the database is; the client need not know.
                tracing::debug!(%error, "an event stream can't read");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    async fn newer(&self) -> Result<Vec<EventRow>, sqlx::Error> {
        let mut query = QueryBuilder::new(format!("SELECT {} FROM events WHERE user_id = ", EventRow::COLUMNS));
        query.push_bind(&*self.user).push(" AND id > ").push_bind(self.last);
        query.push(" ORDER BY id LIMIT ").push_bind(i64::from(READ_EVENTS_MAX) + 1);
        let rows = query.build_query_as::<EventRow>();
        Ok(page::take(rows.fetch(&self.pool), READ_EVENTS_MAX, EventRow::size).await?.rows)
    }
}

fn write(out: &mut Vec<u8>, event: EventRow) {
    let (id, name) = (event.id, event.name.clone());
    // What an event holds is JSON of the database, so this can't fail.
    let data = serde_json::to_string(&Event::from(event)).unwrap_or_else(|_| "{}".to_owned());
    frame(out, Some(id), &name, &data);
}

/// One frame. The name is an actor's choice: what would end its line is left out. The data is JSON on one line.
fn frame(out: &mut Vec<u8>, id: Option<i64>, name: &str, data: &str) {
    let name: String = name.chars().filter(|char| !char.is_control()).collect();
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    out.extend_from_slice(format!("{id}event: {name}\ndata: {data}\n\n").as_bytes());
}
