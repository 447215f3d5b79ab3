//! Actors: which there are, how they are, and starting them anew.

use crate::access::{Found, Subject};
use crate::backend::KnownActor;
use crate::cursor::Newest;
use crate::etag;
use crate::input::{self, Parameters};
use crate::page;
use crate::problem::Problem;
use crate::state::Shared;
use crate::views::{Actor, ActorRow, actor_row};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use growqr_types::{ActorId, Failure, codes};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, QueryBuilder};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Actors that stand for others: their keys begin with the key of the one that they work for.
const SUB_AGENT: &str = "subAgent";
/// Sub-agents that a tree shows.
const TREE_ACTORS_MAX: usize = 256;

/// Which actors.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct ListParameters {
    /// The user who is meant, by default the caller. Operators have to say.
    #[serde(rename = "user")]
    #[param(rename = "user")]
    _user: Option<String>,
    /// Where the page begins: the `next` of the page before.
    cursor: Option<String>,
    /// Actors of a page.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Only actors of this name.
    name: Option<String>,
    /// With those that were destroyed.
    include_destroyed: Option<bool>,
}

/// A page of actors.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActorPage {
    actors: Vec<Actor>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// An actor with the sub-agents that work for it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActorTree {
    #[serde(flatten)]
    actor: Actor,
    /// Sub-agents that exist, oldest first, each with its own.
    #[schema(no_recursion)]
    sub_agents: Vec<ActorTree>,
    /// There are more of them than are shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more_sub_agents: bool,
}

/// Nothing but the path.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct None {}

/// Actors of a user, newest first
#[utoipa::path(get, path = "/api/actors", tag = "actors", operation_id = "listActors", params(ListParameters), responses((status = 200, body = ActorPage)))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Subject(user): Subject,
    Parameters(parameters): Parameters<ListParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = input::limit(parameters.limit)?;
    let cursor = parameters.cursor.as_deref().map(Newest::read).transpose()?;
    let mut query = QueryBuilder::new(format!("SELECT {} FROM actors WHERE user_id = ", ActorRow::COLUMNS));
    query.push_bind(&*user);
    if !parameters.include_destroyed.unwrap_or(false) {
        query.push(" AND destroyed IS NULL");
    }
    if let Some(name) = parameters.name {
        query.push(" AND name = ").push_bind(name);
    }
    if let Some(Newest { time, id }) = cursor {
        query.push(" AND (created, id) < (").push_bind(time).push(", ").push_bind(id).push(")");
    }
    query.push(" ORDER BY created DESC, id DESC LIMIT ").push_bind(i64::from(limit) + 1);
    let rows = query.build_query_as::<ActorRow>();
    let page = page::take(rows.fetch(shared.pool()?), limit, |_| 0).await?;
    let last = page.rows.last().filter(|_| page.more);
    let next = last.map(|row| Newest { time: row.created, id: row.id.clone() }.write());
    let actors = page.rows.into_iter().map(|row| now(&shared, row)).collect::<Result<_, _>>()?;
    etag::tagged(&headers, &ActorPage { actors, next })
}

/// A row together with how its actor is at this moment.
fn now(shared: &Shared, row: ActorRow) -> Result<Actor, Failure> {
    let known = row.id.parse::<ActorId>().ok().map(|id| shared.backend.actor(id)).transpose()?.flatten();
    Ok(row.with(known.as_ref()))
}

/// One actor, with its sub-agents
#[utoipa::path(get, path = "/api/actors/{id}", tag = "actors", operation_id = "getActor", params(("id" = String, Path)), responses((status = 200, body = ActorTree)))]
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Found(known): Found,
    Parameters(None {}): Parameters<None>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let pool = shared.pool()?;
    let root = current(pool, &known).await?;
    let (below, more) = sub_agents(&shared, pool, &known).await?;
    let mut tree = ActorTree { actor: root, sub_agents: Vec::new(), more_sub_agents: more };
    plant(&mut tree, known.key.0.len(), below);
    etag::tagged(&headers, &tree)
}

async fn current(pool: &PgPool, known: &KnownActor) -> Result<Actor, Problem> {
    // The row of a new actor may still be on its way.
    let row = actor_row(pool, known.id).await?.unwrap_or_else(|| ActorRow::of(known));
    Ok(row.with(Some(known)))
}

/// The sub-agents below an actor, those with the shortest keys first.
async fn sub_agents(
    shared: &Shared,
    pool: &PgPool,
    known: &KnownActor,
) -> Result<(Vec<(Vec<String>, Actor)>, bool), Problem> {
    let Some(user) = known.key.0.first() else { return Ok((Vec::new(), false)) };
    let parts = i32::try_from(known.key.0.len()).unwrap_or(i32::MAX);
    let mut query = QueryBuilder::new(format!("SELECT {} FROM actors WHERE user_id = ", ActorRow::COLUMNS));
    query.push_bind(user).push(" AND destroyed IS NULL AND name = ").push_bind(SUB_AGENT);
    query.push(" AND cardinality(key) > ").push_bind(parts);
    query.push(" AND key[1:").push_bind(parts).push("] = ").push_bind(&known.key.0);
    query.push(" ORDER BY cardinality(key), created, id LIMIT ").push_bind(TREE_ACTORS_MAX as i64 + 1);
    let mut rows: Vec<ActorRow> = query.build_query_as().fetch_all(pool).await?;
    let more = rows.len() > TREE_ACTORS_MAX;
    rows.truncate(TREE_ACTORS_MAX);
    let with_key = |row: ActorRow| Ok((row.key.clone(), now(shared, row)?));
    Ok((rows.into_iter().map(with_key).collect::<Result<_, Failure>>()?, more))
}

/// Puts each sub-agent below the one whose key its own key continues.
fn plant(tree: &mut ActorTree, depth: usize, below: Vec<(Vec<String>, Actor)>) {
    for (key, actor) in below {
        let mut place = &mut *tree;
        let mut depth = depth;
        // The nearest of those that are there already: shorter keys came first.
        while let Some(index) = place.sub_agents.iter().position(|child| is_below(&key, child, depth)) {
            place = &mut place.sub_agents[index];
            depth = place.actor.key().len();
        }
        place.sub_agents.push(ActorTree { actor, sub_agents: Vec::new(), more_sub_agents: false });
    }
}

fn is_below(key: &[String], child: &ActorTree, depth: usize) -> bool {
    let of_child = child.actor.key();
    key.len() > of_child.len() && key[depth..].starts_with(&of_child[depth..])
}

/// Stops an actor and starts it from what is stored
///
/// Nothing that it had acknowledged is lost; calls under way are finished first.
#[utoipa::path(post, path = "/api/actors/{id}/restart", tag = "actors", operation_id = "restartActor", params(("id" = String, Path)), responses((status = 200, body = Actor)))]
pub(crate) async fn restart(
    State(shared): State<Arc<Shared>>,
    Found(known): Found,
    Parameters(None {}): Parameters<None>,
) -> Result<Json<Actor>, Problem> {
    if known.destroyed.is_some() {
        return Err(codes::ACTOR_NOT_FOUND.failure().into());
    }
    shared.backend.restart(known.id).await?;
    let known = shared.backend.actor(known.id)?.ok_or_else(|| codes::ACTOR_NOT_FOUND.failure())?;
    // It is done, whether the database can be asked about the rest or not.
    let shown = match shared.pool() {
        Ok(pool) => current(pool, &known).await.ok(),
        Err(_) => None,
    };
    Ok(Json(shown.unwrap_or_else(|| ActorRow::of(&known).with(Some(&known)))))
}

/// Destroys an actor with all that it keeps
#[utoipa::path(delete, path = "/api/actors/{id}", tag = "actors", operation_id = "destroyActor", params(("id" = String, Path)), responses((status = 204, description = "It is destroyed.")))]
pub(crate) async fn destroy(
    State(shared): State<Arc<Shared>>,
    Found(known): Found,
    Parameters(None {}): Parameters<None>,
) -> Result<StatusCode, Problem> {
    shared.backend.destroy(known.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
