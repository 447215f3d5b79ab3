//! The actors' part of the REST interface.

use crate::backend::Backend;
use crate::query::key_failure;
use crate::rest::{DATACENTER, Parameters, fields, namespace_id};
use crate::serve::Shared;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use growqr_engine::ActorRecord;
use growqr_identity::access::{self, Resource};
use growqr_identity::{Principal, Scope};
use growqr_types::{ActorId, ActorKey, Failure, codes, limits};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Actors of a page, unless the client says otherwise.
const PAGE_ACTORS: usize = 100;
/// Actors of a page at most.
const PAGE_ACTORS_MAX: usize = 1000;
/// Ids in one question.
const IDS_MAX: usize = 32;

/// Parameters of a question for actors.
pub(crate) const LIST_PARAMETERS: [&str; 8] =
    ["namespace", "actor_ids", "actor_id", "name", "key", "include_destroyed", "limit", "cursor"];

/// An actor that a client wants made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    name: String,
    key: Option<String>,
    input: Option<String>,
    // Any pool and any place are this host.
    #[serde(rename = "runner_name_selector")]
    _pool: Option<String>,
    #[serde(rename = "datacenter")]
    _datacenter: Option<String>,
    #[serde(rename = "crash_policy")]
    _crash_policy: Option<CrashPolicy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum CrashPolicy {
    Sleep,
    Restart,
    Destroy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl New {
    pub(crate) fn read(body: &[u8]) -> Result<(String, Option<ActorKey>, Option<Bytes>), Failure> {
        let new: Self = fields(body)?;
        if new.name.is_empty() {
            return Err(codes::VALIDATION.with("name is empty."));
        }
        let key = new.key.as_deref().map(ActorKey::from_rest).transpose().map_err(|error| key_failure(&error))?;
        let input = new.input.map(|text| STANDARD.decode(text)).transpose();
        let input = input.map_err(|_| codes::VALIDATION.with("input is not base64."))?;
        if input.as_ref().is_some_and(|input| input.len() > limits::INPUT_BYTES_MAX) {
            return Err(codes::INPUT_TOO_LARGE.failure());
        }
        if input.as_ref().is_some_and(|input| growqr_wire::input_to_json(input).is_err()) {
            return Err(codes::VALIDATION.with("input is not CBOR."));
        }
        Ok((new.name, key, input.map(Bytes::from)))
    }
}

/// `POST /actors`.
pub(crate) async fn create<B: Backend>(
    shared: &Shared<B>,
    principal: &Principal,
    query: &str,
    body: &[u8],
) -> Result<Value, Failure> {
    let (name, key, input) = New::read(body)?;
    let key = key.unwrap_or_default();
    access::allow(principal, &Resource::Actor(&key))?;
    let namespace = only_namespace(shared, query).await?;
    let record = shared.backend.create(&namespace, &name, key, input).await?;
    Ok(json!({"actor": actor(&record)}))
}

/// `PUT /actors`.
pub(crate) async fn get_or_create<B: Backend>(
    shared: &Shared<B>,
    principal: &Principal,
    query: &str,
    body: &[u8],
) -> Result<Value, Failure> {
    let (name, key, input) = New::read(body)?;
    let key = key.ok_or_else(|| codes::VALIDATION.with("key is missing."))?;
    access::allow(principal, &Resource::Actor(&key))?;
    let namespace = only_namespace(shared, query).await?;
    let resolved = shared.backend.get_or_create(&namespace, &name, key, input).await?;
    shared.backend.created(resolved.actor).await?;
    let record = shared.backend.actor(resolved.actor)?.ok_or_else(|| codes::ACTOR_NOT_FOUND.failure())?;
    Ok(json!({"actor": actor(&record), "created": resolved.created}))
}

/// `GET /actors`: of those that are asked for, the ones that the caller may reach.
pub(crate) async fn list<B: Backend>(shared: &Shared<B>, principal: &Principal, query: &str) -> Result<Value, Failure> {
    let parameters = Parameters::read(query, &LIST_PARAMETERS)?;
    let namespace = checked_namespace(shared, &parameters).await?;
    let destroyed = match parameters.one("include_destroyed")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(codes::API_BAD_REQUEST.with("include_destroyed is true or false.")),
    };
    let limit = limit(&parameters)?;
    let ids = ids(&parameters)?;
    let name = parameters.one("name")?;
    let key = parameters.one("key")?;
    let page = match (ids.is_empty(), name, key) {
        (false, None, None) => {
            let records: Result<Vec<_>, Failure> = ids.into_iter().map(|id| shared.backend.actor(id)).collect();
            let visible = |record: &ActorRecord| {
                record.namespace == namespace
                    && (destroyed || record.destroy_ts.is_none())
                    && is_reachable(principal, &record.key)
            };
            page(records?.iter().flatten().filter(|record| visible(record)), None)
        }
        (true, Some(name), Some(key)) => {
            let key = ActorKey::from_rest(key).map_err(|error| key_failure(&error))?;
            let id = match is_reachable(principal, &key) {
                true => shared.backend.get(&namespace, name, &key).await?,
                false => None,
            };
            let record = id.map(|id| shared.backend.actor(id)).transpose()?.flatten();
            page(record.iter(), None)
        }
        (true, Some(name), None) => {
            let cursor = parameters.one("cursor")?;
            let found = match principal {
                Principal::User(session) => {
                    shared.backend.list_of(&namespace, name, &session.user, destroyed, cursor, limit)?
                }
                Principal::Operator(operator) if !operator.has(Scope::Actors) => {
                    return Err(codes::FORBIDDEN.failure());
                }
                Principal::Operator(_) | Principal::Open => {
                    shared.backend.list(&namespace, name, destroyed, cursor, limit)?
                }
            };
            page(found.actors.iter(), found.cursor)
        }
        _ => return Err(codes::VALIDATION.with("Either actor_ids or name must be given, and key only with name.")),
    };
    Ok(page)
}

/// `GET /actors/names`.
pub(crate) async fn names<B: Backend>(shared: &Shared<B>, query: &str) -> Result<Value, Failure> {
    let parameters = Parameters::read(query, &["namespace", "limit", "cursor"])?;
    checked_namespace(shared, &parameters).await?;
    limit(&parameters)?;
    let names: Map<String, Value> =
        shared.backend.names().into_iter().map(|name| (name, json!({"metadata": {}}))).collect();
    Ok(json!({"names": names, "pagination": {"cursor": null}}))
}

/// `DELETE /actors/{id}`.
pub(crate) async fn destroy<B: Backend>(
    shared: &Shared<B>,
    principal: &Principal,
    query: &str,
    id: &str,
) -> Result<Value, Failure> {
    let id = existing(shared, principal, query, id).await?;
    shared.backend.destroy(id).await?;
    Ok(json!({}))
}

/// `POST /actors/{id}/sleep`, and `/reschedule`, which on one machine is the same.
pub(crate) async fn sleep<B: Backend>(
    shared: &Shared<B>,
    principal: &Principal,
    query: &str,
    id: &str,
    body: &[u8],
) -> Result<Value, Failure> {
    let Nothing {} = fields(body)?;
    let id = existing(shared, principal, query, id).await?;
    shared.backend.sleep(id).await?;
    Ok(json!({}))
}

fn is_reachable(principal: &Principal, key: &ActorKey) -> bool {
    access::allow(principal, &Resource::Actor(key)).is_ok()
}

/// The actor of a path, which must be one of the namespace. One that the caller may not reach is not found either.
async fn existing<B: Backend>(
    shared: &Shared<B>,
    principal: &Principal,
    query: &str,
    id: &str,
) -> Result<ActorId, Failure> {
    let namespace = only_namespace(shared, query).await?;
    let id: ActorId = id.parse().map_err(|_| codes::API_BAD_REQUEST.with("The actor id is not valid."))?;
    match shared.backend.actor(id)? {
        Some(record) if record.namespace == namespace && is_reachable(principal, &record.key) => Ok(id),
        _ => Err(codes::ACTOR_NOT_FOUND.failure()),
    }
}

async fn only_namespace<B: Backend>(shared: &Shared<B>, query: &str) -> Result<String, Failure> {
    checked_namespace(shared, &Parameters::read(query, &["namespace"])?).await
}

async fn checked_namespace<B: Backend>(shared: &Shared<B>, parameters: &Parameters) -> Result<String, Failure> {
    let namespace = parameters.one("namespace")?;
    let namespace = namespace.ok_or_else(|| codes::API_BAD_REQUEST.with("namespace is missing."))?;
    shared.backend.namespace(namespace).await?;
    Ok(namespace.to_owned())
}

pub(crate) fn limit(parameters: &Parameters) -> Result<usize, Failure> {
    let Some(text) = parameters.one("limit")? else { return Ok(PAGE_ACTORS) };
    let limit = text.parse().ok().filter(|limit| (1..=PAGE_ACTORS_MAX).contains(limit));
    limit.ok_or_else(|| codes::VALIDATION.with(format!("limit is between 1 and {PAGE_ACTORS_MAX}.")))
}

pub(crate) fn ids(parameters: &Parameters) -> Result<Vec<ActorId>, Failure> {
    let joined = parameters.all("actor_ids").flat_map(|ids| ids.split(',')).filter(|id| !id.is_empty());
    let ids: Result<Vec<ActorId>, _> = joined.chain(parameters.all("actor_id")).map(str::parse).collect();
    let ids = ids.map_err(|_| codes::API_BAD_REQUEST.with("An actor id is not valid."))?;
    if ids.len() > IDS_MAX {
        return Err(codes::VALIDATION.with(format!("More than {IDS_MAX} actor ids.")));
    }
    Ok(ids)
}

fn page<'a>(records: impl Iterator<Item = &'a ActorRecord>, cursor: Option<String>) -> Value {
    let actors: Vec<Value> = records.map(actor).collect();
    json!({"actors": actors, "pagination": {"cursor": cursor}})
}

fn actor(record: &ActorRecord) -> Value {
    json!({
        "actor_id": record.id,
        "name": record.name,
        "key": record.key.to_rest(),
        "namespace_id": namespace_id(&record.namespace),
        "datacenter": DATACENTER,
        "runner_name_selector": "default",
        "crash_policy": "sleep",
        "create_ts": record.create_ts,
        "start_ts": record.start_ts,
        "pending_allocation_ts": null,
        "connectable_ts": record.start_ts,
        "sleep_ts": record.sleep_ts,
        "reschedule_ts": null,
        "destroy_ts": record.destroy_ts,
    })
}
