//! Tags, rates, request ids, and a database that is away.

use crate::support::{Stage, answer, settings};
use axum::body::Body;
use growqr_api::ApiSettings;
use growqr_postgres::{Database, DatabaseOptions};
use serde_json::json;

#[tokio::test]
async fn a_poller_hears_that_nothing_changed() {
    let stage = Stage::new().await;
    stage.actor(1, "growAgent", &["ada"], 0).await;
    stage.thread("ada", "t", "t", 0).await;
    let id = growqr_types::ActorId::from_bytes([1; 16]);
    let paths = [
        "/api/me",
        "/api/threads",
        "/api/threads/t",
        "/api/threads/t/messages",
        "/api/threads/t/events",
        "/api/actors",
        &format!("/api/actors/{id}"),
        "/api/openapi.json",
    ];
    for path in paths {
        let first = stage.get("ada", path).await;
        let tag = first.header("etag").unwrap_or_else(|| panic!("{path} has no tag")).to_owned();
        let asked = async |tags: &str| {
            let request = stage.request("ada", "GET", path).header("if-none-match", tags);
            stage.send(request.body(Body::empty()).unwrap()).await.status.as_u16()
        };
        assert_eq!(asked(&tag).await, 304, "{path}");
        assert_eq!(asked(&format!("\"other\", W/{tag}")).await, 304, "{path}");
        assert_eq!(asked("\"other\"").await, 200, "{path}");
    }
    let tag = stage.get("ada", "/api/threads/t/messages").await.header("etag").unwrap().to_owned();
    stage.message("ada", "t", 1).await;
    assert_ne!(stage.get("ada", "/api/threads/t/messages").await.header("etag").unwrap(), tag);
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back_and_others_are_not_held_up() {
    let stage = Stage::with(ApiSettings { requests_per_second: 1, requests_burst: 3, ..settings() }).await;
    for _ in 0..3 {
        assert_eq!(stage.get("ada", "/api/threads").await.shown(), "200");
    }
    let refused = stage.get("ada", "/api/threads").await;
    assert_eq!(refused.shown(), "429 api.rate_limited");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&seconds));
    assert_eq!(stage.get("bob", "/api/threads").await.shown(), "200");
}

#[tokio::test]
async fn a_request_has_an_id_and_browsers_may_ask() {
    let stage = Stage::new().await;
    let made = stage.get("ada", "/api/threads").await;
    assert_eq!(made.header("x-request-id").unwrap().len(), 36);
    assert_eq!(made.header("access-control-allow-origin"), Some("*"));
    for (brought, kept) in [("abc-1", true), ("with space", false), (&"x".repeat(65), false)] {
        let request = stage.request("ada", "GET", "/api/threads").header("x-request-id", brought);
        let reply = stage.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.header("x-request-id") == Some(brought), kept, "{brought}");
    }
    let request = stage.request("", "OPTIONS", "/api/threads").header("access-control-request-method", "PATCH");
    let request =
        request.header("origin", "https://app.example.com").header("access-control-request-headers", "authorization");
    let preflight = stage.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(preflight.shown(), "204");
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("authorization"));
}

#[tokio::test]
async fn without_a_database_reads_are_refused_and_actors_go_on() {
    let stage = Stage::new().await;
    stage.actor(1, "growAgent", &["ada"], 0).await;
    let away = Database::new(DatabaseOptions::from_url("postgres://nobody@127.0.0.1:1/none").unwrap());
    for (database, code) in [(Some(away), "database.unavailable"), (None, "database.not_available")] {
        let api = stage.without_database(database);
        for path in
            ["/api/me", "/api/threads", "/api/threads/t", "/api/threads/t/messages", "/api/actors", "/api/events"]
        {
            let reply = answer(&api, stage.request("ada", "GET", path).body(Body::empty()).unwrap()).await;
            assert_eq!(reply.shown(), format!("503 {code}"), "{path}");
            assert_eq!(reply.header("retry-after"), Some("1"), "{path}");
        }
        let request = stage.request("ada", "PATCH", "/api/threads/t").header("content-type", "application/json");
        let request = request.body(Body::from(json!({"title": "still works"}).to_string())).unwrap();
        assert_eq!(answer(&api, request).await.shown(), "200");
        let id = growqr_types::ActorId::from_bytes([1; 16]);
        let request = stage.request("ada", "POST", &format!("/api/actors/{id}/restart")).body(Body::empty()).unwrap();
        assert_eq!(answer(&api, request).await.body["state"], "running");
    }
}
