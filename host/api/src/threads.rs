//! Threads.

use crate::access::Subject;
use crate::cursor::Newest;
use crate::etag;
use crate::input::{self, Fields, Id, Parameters};
use crate::me::About;
use crate::page;
use crate::problem::Problem;
use crate::state::Shared;
use crate::views::{Thread, ThreadRow, thread_row};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use growqr_types::{ActorKey, Failure, codes};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::QueryBuilder;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// The actor that has a user's threads; its key is the user's id.
const GROW_AGENT: &str = "growAgent";
/// Characters of a text that titles are searched for.
const SEARCH_CHARACTERS_MAX: usize = 200;

/// Which threads.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParameters {
    /// The user who is meant, by default the caller. Operators have to say.
    #[serde(rename = "user")]
    _user: Option<String>,
    /// Where the page begins: the `next` of the page before.
    cursor: Option<String>,
    /// Threads of a page.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Only threads whose title has this text in it, whatever its case.
    #[param(max_length = 200)]
    search: Option<String>,
    /// Only archived threads, or only others; all of them without it.
    archived: Option<bool>,
}

/// A page of threads.
#[derive(Serialize, ToSchema)]
pub(crate) struct ThreadPage {
    threads: Vec<Thread>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// Threads, the one with the newest message first
///
/// A thread that gets a message while somebody turns pages moves to the front; none comes twice.
#[utoipa::path(get, path = "/api/threads", tag = "threads", operation_id = "listThreads", params(ListParameters), responses((status = 200, body = ThreadPage)))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Subject(user): Subject,
    Parameters(parameters): Parameters<ListParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = input::limit(parameters.limit)?;
    let cursor = parameters.cursor.as_deref().map(Newest::read).transpose()?;
    let mut query = QueryBuilder::new(format!("SELECT {} FROM threads WHERE user_id = ", ThreadRow::COLUMNS));
    query.push_bind(&*user).push(" AND deleted IS NULL");
    if let Some(archived) = parameters.archived {
        query.push(" AND archived = ").push_bind(archived);
    }
    if let Some(search) = &parameters.search {
        if search.chars().count() > SEARCH_CHARACTERS_MAX {
            return Err(codes::VALIDATION.with("search is too long.").into());
        }
        query.push(" AND position(").push_bind(search.to_lowercase()).push(" in title_words) > 0");
    }
    if let Some(Newest { time, id }) = cursor {
        query.push(" AND (updated, id) < (").push_bind(time).push(", ").push_bind(id).push(")");
    }
    query.push(" ORDER BY updated DESC, id DESC LIMIT ").push_bind(i64::from(limit) + 1);
    let rows = query.build_query_as::<ThreadRow>();
    let page = page::take(rows.fetch(shared.pool()?), limit, |_| 0).await?;
    let last = page.rows.last().filter(|_| page.more);
    let next = last.map(|row| Newest { time: row.updated, id: row.id.clone() }.write());
    etag::tagged(&headers, &ThreadPage { threads: page.rows.into_iter().map(Thread::from).collect(), next })
}

/// One thread
#[utoipa::path(get, path = "/api/threads/{id}", tag = "threads", operation_id = "getThread", params(("id" = String, Path), About), responses((status = 200, body = Thread)))]
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Subject(user): Subject,
    Id(id): Id,
    Parameters(About { .. }): Parameters<About>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let thread = thread_row(shared.pool()?, &user, &id).await?;
    etag::tagged(&headers, &Thread::from(thread))
}

/// What of a thread is to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThreadChange {
    /// Its new title.
    #[schema(min_length = 1, max_length = 200)]
    title: Option<String>,
    /// Whether it is put aside.
    archived: Option<bool>,
}

/// Renames a thread, archives it, or brings it back
///
/// The Grow Agent does it, and it is durable when this is answered. Lists show it a moment later.
#[utoipa::path(patch, path = "/api/threads/{id}", tag = "threads", operation_id = "changeThread", params(("id" = String, Path), About), request_body = ThreadChange, responses((status = 200, body = Thread)))]
pub(crate) async fn patch(
    State(shared): State<Arc<Shared>>,
    Subject(user): Subject,
    Id(id): Id,
    Parameters(About { .. }): Parameters<About>,
    Fields(change): Fields<ThreadChange>,
) -> Result<Json<Thread>, Problem> {
    let mut argument = json!({"thread": id});
    match (change.title, change.archived) {
        (None, None) => return Err(codes::VALIDATION.with("There is nothing to change: title or archived.").into()),
        (title, archived) => {
            // What is not given is not sent: null would be another value for an agent of somebody else.
            let fields = [("title", title.map(Value::from)), ("archived", archived.map(Value::from))];
            for (name, value) in fields {
                if let Some(value) = value {
                    argument[name] = value;
                }
            }
        }
    }
    let thread = ask(&shared, &user, "updateThread", argument).await?;
    Ok(Json(serde_json::from_value(thread).map_err(|_| codes::INVALID_OUTPUT.failure())?))
}

/// Deletes a thread with its messages
#[utoipa::path(delete, path = "/api/threads/{id}", tag = "threads", operation_id = "deleteThread", params(("id" = String, Path), About), responses((status = 204, description = "It is deleted.")))]
pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    Subject(user): Subject,
    Id(id): Id,
    Parameters(About { .. }): Parameters<About>,
) -> Result<StatusCode, Problem> {
    ask(&shared, &user, "deleteThread", json!({"thread": id})).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Calls an action of the user's Grow Agent. Without one there are no threads.
async fn ask(shared: &Shared, user: &str, action: &str, argument: Value) -> Result<Value, Problem> {
    let key = ActorKey(vec![user.to_owned()]);
    let found = shared.backend.find(&shared.settings.namespace, GROW_AGENT, &key).await?;
    let agent = found.ok_or_else(|| codes::THREAD_NOT_FOUND.failure())?;
    Ok(shared.backend.act(agent, action, argument).await.map_err(refusal)?)
}

/// What the agent refuses is the caller's mistake, and keeps its words.
fn refusal(failure: Failure) -> Failure {
    match (&*failure.group, &*failure.code) {
        ("user", "unknown_thread") => codes::THREAD_NOT_FOUND.failure(),
        ("user", _) | ("actor", "validation_error") => codes::VALIDATION.with(failure.message),
        _ => failure,
    }
}
