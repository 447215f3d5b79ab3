//! The REST interface, except the actors' part: what the official client asks before it does anything else.
//!
//! Unknown fields are refused, as the original does, so that a misspelt one is not silently without effect.

use crate::backend::Backend;
use crate::query;
use crate::reply::{self, ReplyBody};
use crate::rest_actors;
use crate::serve::Shared;
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

/// Answers a request of the REST interface.
pub(crate) async fn answer<B: Backend>(
    shared: &Shared<B>,
    head: &Parts,
    path: &str,
    body: &[u8],
) -> Result<Response<ReplyBody>, Failure> {
    let method = if head.method == Method::HEAD { &Method::GET } else { &head.method };
    let query = head.uri.query().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let value = match (method.as_str(), segments.as_slice()) {
        ("GET", ["health"]) => json!({"runtime": "engine", "status": "ok", "version": shared.options.version}),
        ("GET", ["metadata"]) => json!({"runtime": "engine", "version": shared.options.version}),
        ("GET", ["datacenters"]) => datacenters(&head.headers),
        ("GET", ["namespaces"]) => namespaces(&shared.backend),
        ("POST", ["namespaces"]) => create_namespace(shared, body).await?,
        ("GET", ["actors", "names"]) => rest_actors::names(shared, query).await?,
        ("GET", ["actors"]) => rest_actors::list(shared, query).await?,
        ("POST", ["actors"]) => rest_actors::create(shared, query, body).await?,
        ("PUT", ["actors"]) => rest_actors::get_or_create(shared, query, body).await?,
        ("DELETE", ["actors", id]) => rest_actors::destroy(shared, query, id).await?,
        ("POST", ["actors", id, "sleep" | "reschedule"]) => rest_actors::sleep(shared, query, id, body).await?,
        (
            _,
            ["health" | "metadata" | "datacenters" | "namespaces" | "actors"]
            | ["actors", _]
            | ["actors", _, "sleep" | "reschedule"],
        ) => return Err(codes::METHOD_NOT_ALLOWED.failure()),
        _ => return Err(codes::API_NOT_FOUND.failure()),
    };
    Ok(reply::json(StatusCode::OK, &value))
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
