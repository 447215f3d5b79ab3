//! A user sees own things and nobody else's. (The walk over all routes and kinds of callers is the identity's test.)

use crate::support::Stage;
use serde_json::{Value, json};

#[tokio::test]
async fn a_second_user_sees_nothing_of_the_first() {
    let stage = Stage::new().await;
    let agent = stage.actor(1, "growAgent", &["ada"], 0).await;
    stage.thread("ada", "t", "private", 0).await;
    stage.message("ada", "t", 1).await;
    stage.events("ada", Some("t"), 1..3).await;
    for (path, field) in
        [("/api/threads", "threads"), ("/api/threads?search=private", "threads"), ("/api/actors", "actors")]
    {
        assert_eq!(stage.get("ada", path).await.body[field].as_array().unwrap().len(), 1, "{path}");
        assert_eq!(stage.get("bob", path).await.body[field], json!([]), "{path}");
    }
    for path in ["/api/threads/t", "/api/threads/t/messages", "/api/threads/t/events"] {
        assert_eq!(stage.get("ada", path).await.shown(), "200", "{path}");
        assert_eq!(stage.get("bob", path).await.shown(), "404 thread.not_found", "{path}");
    }
    for method in ["GET", "DELETE"] {
        let reply = stage.json("bob", method, &format!("/api/actors/{agent}"), Value::Null).await;
        assert_eq!(reply.shown(), "404 actor.not_found", "{method}");
    }
    let restart = stage.json("bob", "POST", &format!("/api/actors/{agent}/restart"), Value::Null).await;
    assert_eq!(restart.shown(), "404 actor.not_found");
    assert!(stage.actors.asked.lock().unwrap().is_empty());
    for path in ["/api/me", "/api/threads", "/api/threads/t", "/api/threads/t/messages", "/api/actors", "/api/events"] {
        assert_eq!(stage.get("bob", &format!("{path}?user=ada")).await.shown(), "403 auth.forbidden", "{path}");
    }
    assert_eq!(stage.get("ada", "/api/threads?user=ada").await.shown(), "200");
    // The same id is another thing of another user.
    stage.thread("bob", "t", "mine", 0).await;
    assert_eq!(stage.get("bob", "/api/threads/t").await.body["title"], "mine");
    assert_eq!(stage.get("bob", "/api/threads/t/messages").await.body["messages"], json!([]));
}

#[tokio::test]
async fn nobody_gets_in_without_a_token() {
    let stage = Stage::new().await;
    for route in growqr_api::rules().iter().filter(|route| route.path != "/api/openapi.json") {
        let path = route.path.replace("{id}", "x");
        let reply = stage.json("", route.method, &path, json!({})).await;
        assert_eq!(reply.shown(), "401 auth.token_missing", "{route:?}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{route:?}");
    }
    assert_eq!(stage.get("", "/api/openapi.json").await.body["openapi"], "3.1.0");
}
