//! What the interface needs of an engine, as a trait, so that its tests can put a fake in the engine's place.
//!
//! Deliberately absent: any method of the engine that no route calls.

use bytes::Bytes;
use futures::future::BoxFuture;
use growqr_engine::{ActorRecord, Engine};
use growqr_types::{ActorId, ActorKey, Failure, TimestampMs, codes};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the engine knows about an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownActor {
    /// Identity.
    pub id: ActorId,
    /// Name.
    pub name: String,
    /// Key.
    pub key: ActorKey,
    /// Namespace.
    pub namespace: String,
    /// When it was created.
    pub created: TimestampMs,
    /// When it was started, if it runs.
    pub started: Option<TimestampMs>,
    /// When it fell asleep, if it sleeps and that is remembered.
    pub slept: Option<TimestampMs>,
    /// When it was destroyed, if it was.
    pub destroyed: Option<TimestampMs>,
}

/// The part of an engine that the interface uses.
pub trait Backend: Send + Sync + 'static {
    /// An actor by id.
    fn actor(&self, id: ActorId) -> Result<Option<KnownActor>, Failure>;
    /// An actor by name and key.
    fn find<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        key: &'a ActorKey,
    ) -> BoxFuture<'a, Result<Option<ActorId>, Failure>>;
    /// Calls an action with one argument; answers when what it did is durable.
    fn act<'a>(&'a self, id: ActorId, action: &'a str, argument: Value) -> BoxFuture<'a, Result<Value, Failure>>;
    /// Stops an actor and starts it from what is stored.
    fn restart(&self, id: ActorId) -> BoxFuture<'_, Result<(), Failure>>;
    /// Destroys an actor with all that it keeps.
    fn destroy(&self, id: ActorId) -> BoxFuture<'_, Result<(), Failure>>;
}

impl From<ActorRecord> for KnownActor {
    fn from(record: ActorRecord) -> Self {
        Self {
            id: record.id,
            name: record.name,
            key: record.key,
            namespace: record.namespace,
            created: record.create_ts,
            started: record.start_ts,
            slept: record.sleep_ts,
            destroyed: record.destroy_ts,
        }
    }
}

/// What an actor answers to an action over HTTP.
#[derive(Deserialize)]
struct Answer {
    output: Value,
}

/// And when the action failed.
#[derive(Deserialize)]
struct Refusal {
    group: String,
    code: String,
    message: String,
}

fn request(method: http::Method, path: &str, body: Vec<u8>) -> Result<http::Request<Bytes>, Failure> {
    let request = http::Request::builder().method(method).uri(path).header("x-rivet-encoding", "json");
    request.body(Bytes::from(body)).map_err(|_| codes::INTERNAL.failure())
}

async fn act(engine: &Engine, id: ActorId, action: &str, argument: &Value) -> Result<Value, Failure> {
    let body = json!({"args": [argument]}).to_string().into_bytes();
    let response = engine.http(id, request(http::Method::POST, &format!("/action/{action}"), body)?).await?;
    let invalid = |_| codes::INVALID_OUTPUT.failure();
    if response.status().is_success() {
        return serde_json::from_slice::<Answer>(response.body()).map(|answer| answer.output).map_err(invalid);
    }
    let Refusal { group, code, message } = serde_json::from_slice(response.body()).map_err(invalid)?;
    Err(Failure { group: group.into(), code: code.into(), message, metadata: None })
}

impl Backend for Engine {
    fn actor(&self, id: ActorId) -> Result<Option<KnownActor>, Failure> {
        Ok(Engine::actor(self, id)?.map(KnownActor::from))
    }

    fn find<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        key: &'a ActorKey,
    ) -> BoxFuture<'a, Result<Option<ActorId>, Failure>> {
        Box::pin(self.get(namespace, name, key))
    }

    fn act<'a>(&'a self, id: ActorId, action: &'a str, argument: Value) -> BoxFuture<'a, Result<Value, Failure>> {
        Box::pin(async move { act(self, id, action, &argument).await })
    }

    fn restart(&self, id: ActorId) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            self.sleep(id).await?;
            // Any request starts it; this one needs nothing of the component.
            self.http(id, request(http::Method::GET, "/health", Vec::new())?).await.map(drop)
        })
    }

    fn destroy(&self, id: ActorId) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(Engine::destroy(self, id))
    }
}
