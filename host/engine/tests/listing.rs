//! The actors of one owner: all of them, none of anybody else, page by page.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use futures::future::BoxFuture;
use growqr_engine::{Engine, EngineOptions};
use growqr_seam::{ActorStart, Delivered, Envelope, NotRunning, RuntimeHost, SocketHandler, SocketOpen, StopReason};
use growqr_storage::{MemoryStorage, Storage};
use growqr_types::{ActorId, ActorKey, Failure, Generation, codes};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Actors exist and never run.
struct Nothing;

impl RuntimeHost for Nothing {
    fn serves(&self, _: &str) -> Result<(), Failure> {
        Ok(())
    }
    fn runs(&self, _: ActorId) -> bool {
        false
    }
    fn start(&self, _: ActorStart) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(std::future::ready(Err(codes::START_FAILED.failure())))
    }
    fn stop(&self, _: ActorId, _: Generation, _: StopReason) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(true))
    }
    fn http(
        &self,
        _: ActorId,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, Box<http::Request<Bytes>>>> {
        Box::pin(std::future::ready(Err(Box::new(request))))
    }
    fn websocket(&self, _: ActorId, open: Box<SocketOpen>) -> Result<Arc<dyn SocketHandler>, Box<SocketOpen>> {
        Err(open)
    }
    fn message(&self, _: ActorId, _: Envelope) -> BoxFuture<'_, Result<Delivered, NotRunning>> {
        Box::pin(std::future::ready(Err(NotRunning)))
    }
}

fn key(parts: &[&str]) -> ActorKey {
    ActorKey(parts.iter().map(|part| (*part).to_owned()).collect())
}

async fn engine_with(keys: &[&[&str]]) -> Engine {
    let storage = MemoryStorage::new();
    let last = AtomicU64::new(0);
    let engine = Engine::new(EngineOptions {
        opener: Box::new(move || Ok(Arc::new(storage.reopen()) as Arc<dyn Storage>)),
        clock: Arc::new(|| 1_000),
        randomness: Arc::new(move || u128::from(last.fetch_add(1, Ordering::Relaxed)).to_be_bytes()),
        namespaces: vec!["default".to_owned(), "other".to_owned()],
        namespaces_on_request: false,
        names: vec!["agent".to_owned(), "agents".to_owned()],
        region: "here".to_owned(),
    })
    .unwrap();
    engine.attach(Arc::new(Nothing));
    for parts in keys {
        engine.create("default", "agent", key(parts), None).await.unwrap();
    }
    engine
}

fn listed(engine: &Engine, owner: &str, limit: usize) -> Vec<ActorKey> {
    let (mut keys, mut cursor) = (Vec::new(), None);
    for _ in 0..100 {
        let page = engine.list_of("default", "agent", owner, false, cursor.as_deref(), limit).unwrap();
        assert!(page.actors.len() <= limit);
        keys.extend(page.actors.into_iter().map(|actor| actor.key));
        cursor = page.cursor;
        if cursor.is_none() {
            return keys;
        }
    }
    panic!("the pages have no end");
}

#[tokio::test]
async fn an_owner_finds_all_own_actors_and_no_other_on_pages_of_any_size() {
    let own: [&[&str]; 8] = [
        &["ada"],
        &["ada", ""],
        &["ada", "a"],
        &["ada", "a", "b"],
        &["ada", "b"],
        &["ada", "/"],
        &["ada", "ü"],
        &["ada", "z"],
    ];
    let others: [&[&str]; 12] = [
        &[],
        &[""],
        &["ad"],
        &["adam"],
        &["ada-x"],
        &["ada.x"],
        &["ada/x"],
        &["ada\\"],
        &["ada0"],
        &["ada ", "x"],
        &["bob", "ada"],
        &["ADA"],
    ];
    let engine = engine_with(&[&own[..], &others[..]].concat()).await;
    engine.create("other", "agent", key(&["ada", "x"]), None).await.unwrap();
    engine.create("default", "agents", key(&["ada", "x"]), None).await.unwrap();
    for limit in 1..=10 {
        let mut found = listed(&engine, "ada", limit);
        found.sort();
        let mut expected: Vec<ActorKey> = own.iter().map(|parts| key(parts)).collect();
        expected.sort();
        assert_eq!(found, expected, "{limit}");
    }
    for (owner, count) in [("ada/x", 1), ("ada\\", 1), ("", 1), ("nobody", 0), ("ada-", 0), ("ada/", 0)] {
        assert_eq!(listed(&engine, owner, 3).len(), count, "{owner:?}");
    }
}

#[tokio::test]
async fn an_owner_without_an_actor_of_just_that_key_pages_as_well() {
    let engine = engine_with(&[&["ada", "a"], &["ada", "b"], &["ada", "c"]]).await;
    for limit in 1..=4 {
        assert_eq!(listed(&engine, "ada", limit).len(), 3, "{limit}");
    }
}

#[tokio::test]
async fn a_cursor_of_somebody_else_is_refused() {
    let engine = engine_with(&[&["ada"], &["bob", "x"]]).await;
    for cursor in ["", "bob", "bob/x", "adam/x", "1000-x"] {
        let refused = engine.list_of("default", "agent", "ada", false, Some(cursor), 10).unwrap_err();
        assert!(refused.is(&codes::VALIDATION), "{cursor}");
    }
}
