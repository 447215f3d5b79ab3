//! The REST interface, except the actors' part: what the official client asks before it does anything else.
//!
//! Unknown fields are refused, as the original does, so that a misspelt one is not silently without effect.

use crate::backend::Backend;
use crate::entry;
use crate::query;
use crate::reply::{self, ReplyBody};
use crate::serve::Shared;
use crate::{rest_actors, rest_identity};
use growqr_identity::access::{self, Resource, RouteRule, Rule};
use growqr_identity::{Principal, Scope};
use growqr_types::{ActorId, Failure, codes};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The one place where everything runs.
pub(crate) const DATACENTER: &str = "default";
/// Letters of a namespace's name.
const NAMESPACE_NAME_LEN_MAX: usize = 128;

/// What a route does.
#[derive(Debug, Clone, Copy)]
enum Call {
    Health,
    Ready,
    Metadata,
    Datacenters,
    Namespaces,
    CreateNamespace,
    ActorNames,
    Actors,
    CreateActor,
    GetOrCreateActor,
    DestroyActor,
    SleepActor,
    KeySet,
    DevelopmentToken,
    RevokeSessions,
}

/// All routes. There is no other way to one, so that none can be without a rule. A path that is spelled out stands before one with a
/// variable part.
const ROUTES: [(&str, &str, Rule, Call); 16] = [
    ("GET", "/health", Rule::Public, Call::Health),
    ("GET", "/ready", Rule::Public, Call::Ready),
    ("GET", "/metadata", Rule::Public, Call::Metadata),
    ("GET", "/datacenters", Rule::Public, Call::Datacenters),
    ("GET", "/namespaces", Rule::SignedIn, Call::Namespaces),
    ("POST", "/namespaces", Rule::Operator(Scope::Operation), Call::CreateNamespace),
    ("GET", "/actors/names", Rule::SignedIn, Call::ActorNames),
    ("GET", "/actors", Rule::SignedIn, Call::Actors),
    ("POST", "/actors", Rule::Owner(Scope::Actors), Call::CreateActor),
    ("PUT", "/actors", Rule::Owner(Scope::Actors), Call::GetOrCreateActor),
    ("DELETE", "/actors/{id}", Rule::Owner(Scope::Actors), Call::DestroyActor),
    ("POST", "/actors/{id}/sleep", Rule::Owner(Scope::Actors), Call::SleepActor),
    ("POST", "/actors/{id}/reschedule", Rule::Owner(Scope::Actors), Call::SleepActor),
    ("GET", "/.well-known/jwks.json", Rule::Public, Call::KeySet),
    ("POST", "/development/token", Rule::Development, Call::DevelopmentToken),
    ("POST", "/sessions/revoke", Rule::Operator(Scope::Sessions), Call::RevokeSessions),
];

/// Who may call which route.
pub fn rules() -> impl Iterator<Item = RouteRule> {
    ROUTES.iter().map(|(method, path, rule, _)| RouteRule { method, path, rule: *rule })
}

/// A route that somebody may call.
pub(crate) struct Called<'a> {
    call: Call,
    /// The variable part of the path.
    id: &'a str,
    /// Who calls. Nobody looks who calls a public route.
    principal: Option<Principal>,
}

impl Called<'_> {
    fn principal(&self) -> Result<&Principal, Failure> {
        self.principal.as_ref().ok_or_else(|| codes::TOKEN_MISSING.failure())
    }
}

/// Finds the route that is meant, and finds out whether the caller may call it. Whether an actor that the caller names may be reached is
/// for the route to ask.
pub(crate) async fn find<'a, B: Backend>(
    shared: &Shared<B>,
    head: &Parts,
    path: &'a str,
) -> Result<Called<'a>, Failure> {
    let (rule, call, id) = route(&head.method, path)?;
    let identity = shared.options.identity.as_ref();
    let principal = match rule {
        Rule::Public | Rule::Development => None,
        Rule::SignedIn | Rule::Owner(_) => Some(entry::identify(identity, &head.headers).await?),
        Rule::Operator(scope) => {
            let principal = entry::identify(identity, &head.headers).await?;
            access::allow(&principal, &Resource::Operator(scope))?;
            Some(principal)
        }
    };
    Ok(Called { call, id, principal })
}

fn route<'a>(method: &Method, path: &'a str) -> Result<(Rule, Call, &'a str), Failure> {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let mut is_there = false;
    for (of_route, of_path, rule, call) in &ROUTES {
        let Some(id) = matches(of_path, path) else { continue };
        if *of_route == method {
            return Ok((*rule, *call, id));
        }
        is_there = true;
    }
    Err(if is_there { codes::METHOD_NOT_ALLOWED.failure() } else { codes::API_NOT_FOUND.failure() })
}

/// The variable part of a path, if the path is the route's.
fn matches<'a>(route: &str, path: &'a str) -> Option<&'a str> {
    let Some((before, after)) = route.split_once("{id}") else { return (route == path).then_some("") };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    (!id.contains('/')).then_some(id)
}

/// Answers a request of the REST interface.
pub(crate) async fn answer<B: Backend>(
    shared: &Shared<B>,
    head: &Parts,
    called: &Called<'_>,
    body: &[u8],
) -> Result<Response<ReplyBody>, Failure> {
    let query = head.uri.query().unwrap_or_default();
    let value = match called.call {
        Call::Ready => return Ok(ready(shared)),
        Call::Health => json!({"runtime": "engine", "status": "ok", "version": shared.options.version}),
        Call::Metadata => json!({"runtime": "engine", "version": shared.options.version}),
        Call::Datacenters => datacenters(&head.headers),
        Call::Namespaces => namespaces(&shared.backend),
        Call::CreateNamespace => create_namespace(shared, body).await?,
        Call::ActorNames => rest_actors::names(shared, query).await?,
        Call::Actors => rest_actors::list(shared, called.principal()?, query).await?,
        Call::CreateActor => rest_actors::create(shared, called.principal()?, query, body).await?,
        Call::GetOrCreateActor => rest_actors::get_or_create(shared, called.principal()?, query, body).await?,
        Call::DestroyActor => rest_actors::destroy(shared, called.principal()?, query, called.id).await?,
        Call::SleepActor => rest_actors::sleep(shared, called.principal()?, query, called.id, body).await?,
        Call::KeySet => rest_identity::key_set(shared)?,
        Call::DevelopmentToken => rest_identity::token(shared, &head.headers, body)?,
        Call::RevokeSessions => rest_identity::revoke(shared, body)?,
    };
    Ok(reply::json(StatusCode::OK, &value))
}

fn ready<B: Backend>(shared: &Shared<B>) -> Response<ReplyBody> {
    let (is_ready, body) = match &shared.options.ready {
        Some(ready) => ready(),
        None => (true, json!({"status": "ready"})),
    };
    reply::json(if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
}

fn datacenters(headers: &HeaderMap) -> Value {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    json!({
        "datacenters": [{"label": 1, "name": DATACENTER, "url": format!("http://{host}/")}],
        "pagination": {"cursor": null},
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNamespace {
    name: String,
    display_name: Option<String>,
}

async fn create_namespace<B: Backend>(shared: &Shared<B>, body: &[u8]) -> Result<Value, Failure> {
    let new: NewNamespace = fields(body)?;
    if new.name.is_empty() || new.name.len() > NAMESPACE_NAME_LEN_MAX {
        return Err(codes::VALIDATION.with("name is empty or too long."));
    }
    shared.backend.namespace(&new.name).await?;
    let display_name = new.display_name.as_deref().unwrap_or(&new.name);
    Ok(json!({"namespace": namespace(&new.name, display_name)}))
}

fn namespaces<B: Backend>(backend: &B) -> Value {
    let namespaces: Vec<Value> = backend.namespaces().iter().map(|name| namespace(name, name)).collect();
    json!({"namespaces": namespaces, "pagination": {"cursor": null}})
}

/// When a namespace was made is not kept, because nothing depends on it.
fn namespace(name: &str, display_name: &str) -> Value {
    json!({"namespace_id": namespace_id(name), "name": name, "display_name": display_name, "create_ts": 0})
}

/// The id of a namespace. Clients only compare it, so it follows from the name.
pub(crate) fn namespace_id(name: &str) -> String {
    let hash = Sha256::digest(format!("namespace {name}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    ActorId::from_bytes(bytes).to_string()
}

/// Reads a JSON body; an empty one is an object without fields.
pub(crate) fn fields<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| codes::API_BAD_REQUEST.with(error.to_string()))
}

/// The parameters of a REST query, of which only these are known.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads them.
    pub(crate) fn read(query: &str, known: &[&str]) -> Result<Self, Failure> {
        let mut parameters = Vec::new();
        for (key, value) in query::pairs(query) {
            let (Some(key), Some(value)) = (query::form_decode(key), query::form_decode(value)) else {
                return Err(codes::API_BAD_REQUEST.with("The percent-encoding of a parameter is broken."));
            };
            if !known.contains(&key.as_str()) {
                return Err(codes::API_BAD_REQUEST.with("A parameter is not known."));
            }
            parameters.push((key, value));
        }
        Ok(Self(parameters))
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == key).map(|(_, value)| value.as_str())
    }

    /// The only value of a parameter.
    pub(crate) fn one<'a>(&'a self, key: &'a str) -> Result<Option<&'a str>, Failure> {
        let mut values = self.all(key);
        let first = values.next();
        if values.next().is_some() {
            return Err(codes::API_BAD_REQUEST.with(format!("{key} is given twice.")));
        }
        Ok(first)
    }
}
