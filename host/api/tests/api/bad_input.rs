//! Bad requests: a status of 4xx with a code, and nothing is stored or asked of an actor.

use crate::support::Stage;
use axum::body::Body;
use serde_json::{Value, json};

#[tokio::test]
async fn bad_queries_are_refused_with_a_code() {
    let stage = Stage::new().await;
    stage.thread("ada", "t", "t", 0).await;
    let long = "x".repeat(300);
    let pages = ["/api/threads", "/api/threads/t/messages", "/api/threads/t/events", "/api/actors"];
    let queries = [
        ("limit=0", "validation.invalid_input"),
        ("limit=101", "validation.invalid_input"),
        ("limit=999999999999999999999", "validation.invalid_input"),
        ("limit=-1", "validation.invalid_input"),
        ("limit=ten", "validation.invalid_input"),
        ("limit=1.5", "validation.invalid_input"),
        ("limit=1&limit=2", "validation.invalid_input"),
        ("limit=", "validation.invalid_input"),
        ("colour=red", "validation.invalid_input"),
        ("cursor=", "api.bad_cursor"),
        ("cursor=x", "api.bad_cursor"),
        ("cursor=!!!!", "api.bad_cursor"),
        ("cursor=%27%20OR%201%3D1", "api.bad_cursor"),
        ("cursor=AAAAAAAA", "api.bad_cursor"),
        (&format!("cursor={}", "A".repeat(2000)), "api.bad_cursor"),
        ("cursor=%00", "validation.invalid_input"),
        ("cursor=%ff", "api.bad_request"),
        ("cursor=%", "api.bad_request"),
        ("%00=1", "validation.invalid_input"),
        ("user=%00", "validation.invalid_input"),
        ("user=", "validation.invalid_input"),
        (&format!("user={long}"), "validation.invalid_input"),
        ("user=';DROP%20TABLE%20users;--", "auth.forbidden"),
        (&format!("cursor={}", "A".repeat(5000)), "api.bad_request"),
    ];
    for page in pages {
        for (query, code) in queries {
            let reply = stage.get("ada", &format!("{page}?{query}")).await;
            let status = if code == "auth.forbidden" { 403 } else { 400 };
            assert_eq!(reply.shown(), format!("{status} {code}"), "{page}?{query}");
        }
    }
    for (path, code) in [
        (format!("/api/threads?search={long}"), "400 validation.invalid_input"),
        ("/api/threads?archived=yes".to_owned(), "400 validation.invalid_input"),
        ("/api/threads?search=%c3%28".to_owned(), "400 api.bad_request"),
        ("/api/actors?includeDestroyed=1".to_owned(), "400 validation.invalid_input"),
        ("/api/events?after=-1".to_owned(), "400 validation.invalid_input"),
        ("/api/events?after=x".to_owned(), "400 validation.invalid_input"),
        ("/api/me?limit=1".to_owned(), "400 validation.invalid_input"),
        ("/api/threads/t?limit=1".to_owned(), "400 validation.invalid_input"),
        ("/api/threads/%00".to_owned(), "400 api.bad_request"),
        ("/api/threads/%ff".to_owned(), "400 api.bad_request"),
        (format!("/api/threads/{long}"), "400 api.bad_request"),
        ("/api/threads/';DROP%20TABLE%20threads;--".to_owned(), "404 thread.not_found"),
        ("/api/threads/unknown/messages".to_owned(), "404 thread.not_found"),
        ("/api/actors/unknown".to_owned(), "400 api.bad_request"),
        ("/api/actors/%ff".to_owned(), "400 api.bad_request"),
        ("/api/nowhere".to_owned(), "404 api.not_found"),
        ("/api/threads/".to_owned(), "404 api.not_found"),
        ("/api/threads/a/b/c".to_owned(), "404 api.not_found"),
    ] {
        assert_eq!(stage.get("ada", &path).await.shown(), code, "{path}");
    }
    assert_eq!(stage.json("ada", "POST", "/api/threads", json!({})).await.shown(), "405 actor.method_not_allowed");
    let threads: i64 =
        sqlx::query_scalar("SELECT count(*) FROM threads").fetch_one(stage.database.pool()).await.unwrap();
    assert_eq!(threads, 1, "the table is still there");
}

#[tokio::test]
async fn bad_bodies_are_refused_with_a_code_and_reach_no_actor() {
    let stage = Stage::new().await;
    stage.actor(1, "growAgent", &["ada"], 0).await;
    let body = |text: &str| text.as_bytes().to_vec();
    let many = format!("{{\"title\": \"{}\"}}", "x".repeat(20_000));
    let deep = "[".repeat(5000);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (body(""), "400 validation.invalid_input"),
        (body("{}"), "400 validation.invalid_input"),
        (body("[]"), "400 validation.invalid_input"),
        (body("null"), "400 validation.invalid_input"),
        (body("{\"title\": 1}"), "400 validation.invalid_input"),
        (body("{\"archived\": \"yes\"}"), "400 validation.invalid_input"),
        (body("{\"title\": \"a\", \"title\": \"b\"}"), "400 validation.invalid_input"),
        (body("{\"title\": \"a\", \"colour\": 1}"), "400 validation.invalid_input"),
        (body("{\"title\": \"a\"} x"), "400 api.bad_request"),
        (body("{\"title\": \"\\ud800\"}"), "400 validation.invalid_input"),
        (b"{\"title\": \"\xff\"}".to_vec(), "400 validation.invalid_input"),
        (body("{\"title\":"), "400 validation.invalid_input"),
        (body(&deep), "400 validation.invalid_input"),
        (body(&many), "413 guard.invalid_request_body"),
    ];
    for (bytes, code) in cases {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        let request = stage.request("ada", "PATCH", "/api/threads/t").header("content-type", "application/json");
        assert_eq!(stage.send(request.body(Body::from(bytes)).unwrap()).await.shown(), code, "{shown}");
    }
    for kind in ["text/plain", "application/xml", ""] {
        let request = stage.request("ada", "PATCH", "/api/threads/t").header("content-type", kind);
        let reply = stage.send(request.body(Body::from("{\"title\": \"a\"}")).unwrap()).await;
        assert_eq!(reply.shown(), "400 api.bad_request", "{kind}");
    }
    assert_eq!(
        stage.json("ada", "PATCH", "/api/threads/%00", json!({"title": "a"})).await.shown(),
        "400 api.bad_request"
    );
    let refused = stage.json("ada", "PATCH", "/api/threads/t?force=1", json!({"title": "a"})).await;
    assert_eq!(refused.shown(), "400 validation.invalid_input");
    assert_eq!(
        stage.json("ada", "DELETE", "/api/threads/t?x=1", Value::Null).await.shown(),
        "400 validation.invalid_input"
    );
    assert!(stage.actors.asked.lock().unwrap().is_empty());
}
