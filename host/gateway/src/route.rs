//! Finds out what a request means: an actor and a path at it, or a path of the REST interface.
//!
//! Pure: method, path, query and headers in, a [`Route`] out.
//!
//! Invariant: whether a gateway path names an actor by id or by name is decided only by the presence of `rvt-` parameters, so a
//! name and an id can't be taken for one another.

use crate::query::{self, Named};
use growqr_types::{ActorId, ActorKey, Failure, codes};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The prefix below which everything is served once more.
const PREFIX: &str = "/api/rivet";
/// Says that the request is meant for an actor, whatever the path.
const TARGET: HeaderName = HeaderName::from_static("x-rivet-target");
/// Which actor.
const ACTOR: HeaderName = HeaderName::from_static("x-rivet-actor");
/// The client's token.
pub(crate) const TOKEN: HeaderName = HeaderName::from_static("x-rivet-token");
/// The subprotocol that carries the token.
const TOKEN_PROTOCOL: &str = "rivet_token.";

/// A short address: requests and WebSockets at `{prefix}/{key}` go to the raw handlers of an actor, which is made if needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortcut {
    /// Where it begins, for example `/p`.
    pub prefix: String,
    /// Namespace of the actor.
    pub namespace: String,
    /// Name of the actor.
    pub actor: String,
}

/// How a request names its actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `/gateway/{id}/...`
    Id,
    /// `/gateway/{name}/...?rvt-...`
    Query,
    /// The headers `x-rivet-target` and `x-rivet-actor`.
    Header,
    /// The subprotocols of a WebSocket that say the same.
    Protocol,
    /// A short address.
    Shortcut,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Id, Self::Query, Self::Header, Self::Protocol, Self::Shortcut];
}

/// Which actor a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// By id.
    Id(ActorId),
    /// By name and key.
    Named(Named),
}

/// What a request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// It is for an actor. The path is the one at the actor, with its query, as it came.
    Actor { form: Form, target: Result<Target, Failure>, path: String },
    /// It is for the REST interface.
    Rest { path: String },
    /// It is for somebody else's routes below `/api`.
    Extra,
}

/// Everything of a request that says what it means.
pub(crate) struct Head<'a> {
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) is_upgrade: bool,
    pub(crate) shortcuts: &'a [Shortcut],
}

/// Finds the route of a request.
pub(crate) fn find(head: &Head<'_>) -> Route {
    let path = match head.path.strip_prefix(PREFIX) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ if head.path.starts_with("/api/") => return Route::Extra,
        _ => head.path,
    };
    if let Some(route) = by_path(path, head.query) {
        return route;
    }
    by_header(path, head).or_else(|| by_shortcut(path, head)).unwrap_or_else(|| Route::Rest { path: path.to_owned() })
}

/// `/{prefix}/{key}/{rest}`, for plain HTTP and WebSocket clients that know nothing of Rivet.
fn by_shortcut(path: &str, head: &Head<'_>) -> Option<Route> {
    let (shortcut, rest) = head.shortcuts.iter().find_map(|shortcut| {
        let rest = path.strip_prefix(shortcut.prefix.as_str())?.strip_prefix('/')?;
        Some((shortcut, rest))
    })?;
    let (key, rest) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if key.is_empty() || path.contains("//") {
        return None;
    }
    let key = query::percent_decode(key).ok_or_else(|| codes::QUERY_INVALID_PERCENT.failure());
    let target =
        key.and_then(|key| ActorKey(vec![key]).checked().map_err(|error| codes::KEY_TOO_LARGE.with(error.to_string())));
    let target = target.map(|key| {
        Target::Named(Named {
            namespace: shortcut.namespace.clone(),
            name: shortcut.actor.clone(),
            key,
            method: query::Method::GetOrCreate(None),
        })
    });
    let root = if head.is_upgrade { "/websocket" } else { "/request" };
    Some(Route::Actor { form: Form::Shortcut, target, path: with_query(&format!("{root}{rest}"), head.query) })
}

fn with_query(path: &str, query: &str) -> String {
    let path = if path.is_empty() { "/" } else { path };
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// `/gateway/{actor}/{rest}`.
fn by_path(path: &str, raw_query: &str) -> Option<Route> {
    let rest = path.strip_prefix("/gateway")?;
    if path.contains("//") || !(rest.is_empty() || rest.starts_with('/')) {
        return None;
    }
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let (segment, rest) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if query::is_query_form(raw_query) {
        let target = query::named(segment, raw_query).map(Target::Named);
        let path = with_query(rest, &query::without_gateway_parameters(raw_query));
        return Some(Route::Actor { form: Form::Query, target, path });
    }
    let id = match segment.split_once('@') {
        Some((_, "")) => return None,
        Some((id, _token)) => id,
        None => segment,
    };
    if id.is_empty() {
        return None;
    }
    let target = query::percent_decode(id).map_or_else(|| Err(codes::ACTOR_NOT_FOUND.failure()), |id| by_id(&id));
    Some(Route::Actor { form: Form::Id, target, path: with_query(rest, raw_query) })
}

/// A text that is no id can't be the id of an actor; saying so is kinder than the original's internal error.
fn by_id(text: &str) -> Result<Target, Failure> {
    text.parse().map(Target::Id).map_err(|_| codes::ACTOR_NOT_FOUND.failure())
}

/// Header form, or its spelling as subprotocols.
fn by_header(path: &str, head: &Head<'_>) -> Option<Route> {
    let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let (form, target, actor) = match text(TARGET) {
        Some(target) => (Form::Header, target, text(ACTOR)),
        None if head.is_upgrade => {
            let target = protocol_value(head.headers, "rivet_target.")?;
            (Form::Protocol, target, protocol_value(head.headers, "rivet_actor."))
        }
        None => return None,
    };
    let below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let served = target == "actor" && !path.contains("//") && (head.is_upgrade || below("/request"));
    let target = match actor {
        _ if !served => Err(codes::NO_ROUTE.failure()),
        Some(actor) => by_id(&query::percent_decode(actor).unwrap_or_default()),
        None => Err(codes::API_BAD_REQUEST.with("The header x-rivet-actor is missing.")),
    };
    Some(Route::Actor { form, target, path: with_query(path, head.query) })
}

/// The subprotocols that a client offers.
pub(crate) fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|protocol| !protocol.is_empty())
}

/// The rest of the first offered subprotocol that starts with `prefix`.
pub(crate) fn protocol_value<'a>(headers: &'a HeaderMap, prefix: &str) -> Option<&'a str> {
    protocols(headers).find_map(|protocol| protocol.strip_prefix(prefix))
}

/// Takes the client's token out of what an actor sees.
pub(crate) fn strip_tokens(headers: &mut HeaderMap) {
    headers.remove(TOKEN);
    if protocol_value(headers, TOKEN_PROTOCOL).is_none() {
        return;
    }
    let kept: Vec<&str> = protocols(headers).filter(|protocol| !protocol.starts_with(TOKEN_PROTOCOL)).collect();
    let kept = HeaderValue::from_str(&kept.join(", "));
    headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
    if let Ok(kept) = kept
        && !kept.is_empty()
    {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, kept);
    }
}
