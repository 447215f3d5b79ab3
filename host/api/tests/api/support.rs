//! A stage: the interface, a database of its own, actors that only remember, and tokens of the development issuer.

use axum::body::Body;
use futures::future::BoxFuture;
use growqr_api::{Api, ApiInput, ApiSettings, Backend, KnownActor};
use growqr_identity::issuer::{Issuer, Wish};
use growqr_identity::operators::{self, MemoryOperators, OperatorStore};
use growqr_identity::{Identity, IdentityInput, Scope, Verifier};
use growqr_postgres::Database;
use growqr_postgres::testing::TestDatabase;
use growqr_types::{ActorId, ActorKey, Failure, codes};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// How long anything may take.
pub const WAIT_MAX: Duration = Duration::from_secs(20);
/// When the fixtures happened, in milliseconds.
pub const THEN: i64 = 1_700_000_000_000;

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Actors that only remember what they were asked.
#[derive(Default)]
pub struct Actors {
    pub known: Mutex<HashMap<ActorId, KnownActor>>,
    pub asked: Mutex<Vec<(String, Value)>>,
    /// What the next action answers, if not a thread.
    pub answer: Mutex<Option<Failure>>,
}

impl Backend for Actors {
    fn actor(&self, id: ActorId) -> Result<Option<KnownActor>, Failure> {
        Ok(self.known.lock().unwrap().get(&id).cloned())
    }

    fn find<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        key: &'a ActorKey,
    ) -> BoxFuture<'a, Result<Option<ActorId>, Failure>> {
        let known = self.known.lock().unwrap();
        let found = known.values().find(|one| one.namespace == namespace && one.name == name && one.key == *key);
        let id = found.map(|one| one.id);
        Box::pin(async move { Ok(id) })
    }

    fn act<'a>(&'a self, _: ActorId, action: &'a str, argument: Value) -> BoxFuture<'a, Result<Value, Failure>> {
        self.asked.lock().unwrap().push((action.to_owned(), argument.clone()));
        let answer = self.answer.lock().unwrap().take();
        Box::pin(async move {
            match answer {
                Some(failure) => Err(failure),
                None => Ok(json!({
                    "thread": argument["thread"], "title": argument["title"].as_str().unwrap_or("same"),
                    "archived": argument["archived"].as_bool().unwrap_or(false), "messages": 2, "createdAt": 1, "updatedAt": 2
                })),
            }
        })
    }

    fn restart(&self, id: ActorId) -> BoxFuture<'_, Result<(), Failure>> {
        self.asked.lock().unwrap().push(("restart".to_owned(), json!(id)));
        Box::pin(async move {
            let mut known = self.known.lock().unwrap();
            known.get_mut(&id).ok_or_else(|| codes::ACTOR_NOT_FOUND.failure())?.started = Some(5);
            Ok(())
        })
    }

    fn destroy(&self, id: ActorId) -> BoxFuture<'_, Result<(), Failure>> {
        self.asked.lock().unwrap().push(("destroy".to_owned(), json!(id)));
        Box::pin(async { Ok(()) })
    }
}

/// An answer.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    /// `status group.code`, or only the status where nothing failed.
    pub fn shown(&self) -> String {
        let text = |field: &str| self.body[field].as_str().map(str::to_owned);
        match (text("group"), text("code")) {
            (Some(group), Some(code)) => format!("{} {group}.{code}", self.status.as_u16()),
            _ => self.status.as_u16().to_string(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub struct Stage {
    pub api: Api,
    pub actors: Arc<Actors>,
    pub identity: Arc<Identity>,
    pub operators: Arc<MemoryOperators>,
    pub database: TestDatabase,
    pub stop: CancellationToken,
}

pub fn settings() -> ApiSettings {
    ApiSettings { requests_per_second: 10_000, requests_burst: 10_000, streams_max: 3, namespace: "default".to_owned() }
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(settings()).await
    }

    pub async fn with(settings: ApiSettings) -> Self {
        let database = TestDatabase::create().await;
        sqlx::query("CREATE TABLE IF NOT EXISTS events_of_tests PARTITION OF events DEFAULT")
            .execute(database.pool())
            .await
            .unwrap();
        let issuer = Issuer::generate().unwrap();
        let operators = Arc::new(MemoryOperators::default());
        let identity = Identity::new(IdentityInput {
            verifier: Verifier::new(issuer.settings(&[]), issuer.keys()),
            issuer: Some(issuer),
            operators: Some(operators.clone()),
            users: None,
            refresh_within: Duration::from_secs(60),
            clock: Arc::new(now_ms),
        });
        let (actors, stop) = (Arc::new(Actors::default()), CancellationToken::new());
        let api = Api::new(ApiInput {
            identity: Some(identity.clone()),
            database: Some(database.database.clone()),
            backend: actors.clone(),
            settings,
            stop: stop.clone(),
        });
        tokio::spawn({
            let api = api.clone();
            async move { api.run().await }
        });
        Self { api, actors, identity, operators, database, stop }
    }

    /// The same with another database, or none.
    pub fn without_database(&self, database: Option<Database>) -> Api {
        Api::new(ApiInput {
            identity: Some(self.identity.clone()),
            database,
            backend: self.actors.clone(),
            settings: settings(),
            stop: self.stop.clone(),
        })
    }

    pub fn token(&self, user: &str) -> String {
        let wish = Wish { user: user.to_owned(), session: None, lifetime_seconds: None };
        self.identity.issue(&wish).unwrap().token
    }

    /// A token of an operator.
    pub async fn operator(&self, scope: Scope) -> String {
        let made = operators::make("test", &[scope], None, now_ms()).unwrap();
        self.operators.insert(made.hash, made.record).await.unwrap();
        made.token
    }

    /// A request of a user, or of nobody (`""`).
    pub fn request(&self, user: &str, method: &str, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        match user {
            "" => request,
            user => request.header("authorization", format!("Bearer {}", self.token(user))),
        }
    }

    pub async fn get(&self, user: &str, path: &str) -> Reply {
        self.send(self.request(user, "GET", path).body(Body::empty()).unwrap()).await
    }

    pub async fn json(&self, user: &str, method: &str, path: &str, body: Value) -> Reply {
        let request = self.request(user, method, path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        answer(&self.api, request).await
    }

    pub async fn thread(&self, user: &str, id: &str, title: &str, updated: i64) {
        sqlx::query(
            "INSERT INTO threads (user_id, id, actor_id, title, title_words, created, updated, seq)
             VALUES ($1, $2, 'a', $3, $4, to_timestamp($5), to_timestamp($5 + $6 / 1000.0), 1)
             ON CONFLICT (user_id, id) DO UPDATE SET updated = excluded.updated",
        )
        .bind(user)
        .bind(id)
        .bind(title)
        .bind(title.to_lowercase())
        .bind(THEN as f64 / 1000.0)
        .bind(updated as f64)
        .execute(self.database.pool())
        .await
        .unwrap();
    }

    pub async fn message(&self, user: &str, thread: &str, position: i64) {
        sqlx::query(
            r#"INSERT INTO messages (user_id, id, thread, actor_id, position, role, status, text, tools, created, updated, completed, seq)
               VALUES ($1, $2, $3, 'a', $4, 'assistant', 'completed', $5, '[{"name": "bash"}]', to_timestamp(1), to_timestamp(2), to_timestamp(2), $4)"#,
        )
        .bind(user)
        .bind(format!("{thread}-{position}"))
        .bind(thread)
        .bind(position)
        .bind(format!("text {position}"))
        .execute(self.database.pool())
        .await
        .unwrap();
    }

    /// Events of one actor, with these numbers; gives their ids.
    pub async fn events(&self, user: &str, thread: Option<&str>, seqs: std::ops::Range<i64>) -> Vec<i64> {
        sqlx::query_scalar(
            r#"INSERT INTO events (actor_id, seq, ts, name, event_seq, user_id, thread, payload)
               SELECT $1, seq, to_timestamp(5), 'message.completed', seq, $2, $3, jsonb_build_object('number', seq)
               FROM generate_series($4::bigint, $5::bigint) AS seq RETURNING id"#,
        )
        .bind(format!("actor of {user}"))
        .bind(user)
        .bind(thread)
        .bind(seqs.start)
        .bind(seqs.end - 1)
        .fetch_all(self.database.pool())
        .await
        .unwrap()
    }

    /// An actor that the database and the engine know.
    pub async fn actor(&self, number: u8, name: &str, key: &[&str], created: i64) -> ActorId {
        let id = ActorId::from_bytes([number; 16]);
        let key: Vec<String> = key.iter().map(|part| (*part).to_owned()).collect();
        let known = KnownActor {
            id,
            name: name.to_owned(),
            key: ActorKey(key.clone()),
            namespace: "default".to_owned(),
            created: (THEN + created) as u64,
            started: None,
            slept: Some(7),
            destroyed: None,
        };
        self.actors.known.lock().unwrap().insert(id, known);
        sqlx::query(
            "INSERT INTO actors (id, namespace, name, key, user_id, created, seq) VALUES ($1, 'default', $2, $3, $4, to_timestamp($5), 1)",
        )
        .bind(id.to_string())
        .bind(name)
        .bind(&key)
        .bind(key.first())
        .bind((THEN + created) as f64 / 1000.0)
        .execute(self.database.pool())
        .await
        .unwrap();
        id
    }
}

pub async fn answer(api: &Api, request: Request<Body>) -> Reply {
    let response = tokio::time::timeout(WAIT_MAX, api.answer(request)).await.expect("an answer in time");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = match bytes.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("not JSON: {bytes:?}")),
    };
    Reply { status: parts.status, headers: parts.headers, body }
}

/// One field of every entry of a list.
pub fn column<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|entry| entry[field].as_str().unwrap()).collect()
}
