//! A user sees own things and nobody else's: every route as every kind of caller, and the rows themselves.

use crate::support::{Stage, now_ms};
use axum::body::Body;
use growqr_identity::Scope;
use growqr_identity::access::{RouteRule, Rule};
use growqr_identity::issuer::{Issuer, Wish};
use http::Request;
use serde_json::{Value, json};

/// What somebody is told who may not.
const REFUSALS: [&str; 3] = ["403 auth.forbidden", "404 actor.not_found", "404 thread.not_found"];

/// Asks as somebody with this token, or without one, for what belongs to ada.
async fn ask(stage: &Stage, route: &RouteRule, about: &str, token: Option<&str>) -> String {
    let id = match route.rule {
        Rule::Owner(Scope::Actors) => growqr_types::ActorId::from_bytes([1; 16]).to_string(),
        _ => "t".to_owned(),
    };
    // The stream ends by itself where the host stops, and here it must: its place is refused after the gate.
    let place = if route.path == "/api/events" { "&after=-1" } else { "" };
    let request =
        Request::builder().method(route.method).uri(format!("{}?{about}{place}", route.path.replace("{id}", &id)));
    let request = request.header("content-type", "application/json");
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    stage.send(request.body(Body::from(r#"{"title": "x"}"#)).unwrap()).await.shown()
}

#[tokio::test]
async fn every_route_lets_in_whom_its_rule_lets_in_and_nobody_else() {
    let stage = Stage::new().await;
    stage.actor(1, "growAgent", &["ada"], 0).await;
    stage.actor(2, "growAgent", &["bob"], 0).await;
    stage.thread("ada", "t", "t", 0).await;
    let wish = |user: &str| Wish { user: user.to_owned(), session: None, lifetime_seconds: Some(60) };
    let forged = Issuer::generate().unwrap().issue(&wish("ada"), now_ms()).unwrap().token;
    for route in growqr_api::rules() {
        let check = async |who: &str, token: Option<&str>, about: &str, expected: &[&str]| {
            let shown = ask(&stage, route, about, token).await;
            let passes = !shown.starts_with("401") && !REFUSALS.contains(&shown.as_str());
            match expected {
                [] => assert!(passes, "{who} at {route:?}: {shown}"),
                refusals => assert!(refusals.contains(&shown.as_str()), "{who} at {route:?}: {shown}"),
            }
        };
        if route.rule == Rule::Public {
            check("nobody", None, "", &[]).await;
            continue;
        }
        check("nobody", None, "", &["401 auth.token_missing"]).await;
        check("somebody with a forged token", Some(&forged), "", &["401 auth.token_invalid"]).await;
        check("ada", Some(&stage.token("ada")), "", &[]).await;
        let bob = stage.token("bob");
        match route.rule {
            Rule::SignedIn => check("bob", Some(&bob), "", &[]).await,
            Rule::Owner(_) if route.method != "PATCH" && route.method != "DELETE" => {
                check("bob", Some(&bob), "", &REFUSALS).await
            }
            Rule::Owner(Scope::Actors) => check("bob", Some(&bob), "", &REFUSALS).await,
            // These go to bob's own agent, which knows no such thread.
            Rule::Owner(_) => {
                *stage.actors.answer.lock().unwrap() = Some(growqr_types::Failure {
                    group: "user".into(),
                    code: "unknown_thread".into(),
                    message: String::new(),
                    metadata: None,
                });
                check("bob", Some(&bob), "", &REFUSALS).await;
            }
            other => panic!("the test does not know {other:?}"),
        }
        let is_actor = route.rule == Rule::Owner(Scope::Actors);
        // An actor's id says whose it is.
        let about = if is_actor { "" } else { "user=ada" };
        check("bob, about ada", Some(&bob), about, &REFUSALS).await;
        for scope in Scope::ALL {
            let needed = if is_actor { Scope::Actors } else { Scope::Users };
            let expected: &[&str] = if scope == needed { &[] } else { &REFUSALS };
            check(&format!("an operator with {scope}"), Some(&stage.operator(scope).await), about, expected).await;
        }
    }
}

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
