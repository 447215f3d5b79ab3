//! Changes go to the actors.

use crate::support::Stage;
use growqr_types::{ActorId, Failure};
use serde_json::{Value, json};

fn failure(group: &'static str, code: &'static str) -> Failure {
    Failure { group: group.into(), code: code.into(), message: "as the agent says".into(), metadata: None }
}

#[tokio::test]
async fn a_change_of_a_thread_is_an_action_of_the_users_agent() {
    let stage = Stage::new().await;
    stage.actor(1, "growAgent", &["ada"], 0).await;
    let reply = stage.json("ada", "PATCH", "/api/threads/t", json!({"title": "New", "archived": true})).await;
    assert_eq!(reply.shown(), "200");
    let expected =
        json!({"thread": "t", "title": "New", "archived": true, "messages": 2, "createdAt": 1, "updatedAt": 2});
    assert_eq!(reply.body, expected);
    assert_eq!(stage.json("ada", "PATCH", "/api/threads/t", json!({"archived": false})).await.shown(), "200");
    assert_eq!(stage.json("ada", "DELETE", "/api/threads/t", Value::Null).await.shown(), "204");
    let asked = std::mem::take(&mut *stage.actors.asked.lock().unwrap());
    let expected = [
        ("updateThread".to_owned(), json!({"thread": "t", "title": "New", "archived": true})),
        ("updateThread".to_owned(), json!({"thread": "t", "archived": false})),
        ("deleteThread".to_owned(), json!({"thread": "t"})),
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn what_the_agent_refuses_keeps_its_meaning() {
    let stage = Stage::new().await;
    let patch = async || stage.json("ada", "PATCH", "/api/threads/t", json!({"title": "x"})).await;
    assert_eq!(patch().await.shown(), "404 thread.not_found", "no agent, no threads");
    stage.actor(1, "growAgent", &["ada"], 0).await;
    for (said, expected) in [
        (failure("user", "unknown_thread"), "404 thread.not_found"),
        (failure("user", "title_too_long"), "400 validation.invalid_input"),
        (failure("actor", "crashed"), "500 actor.crashed"),
        (failure("actor", "overloaded"), "503 actor.overloaded"),
        (failure("mirror", "full"), "503 mirror.full"),
    ] {
        *stage.actors.answer.lock().unwrap() = Some(said);
        let reply = patch().await;
        assert_eq!(reply.shown(), expected);
        assert_eq!(reply.header("retry-after").is_some(), expected.starts_with("503"), "{expected}");
    }
    assert_eq!(
        stage.json("bob", "PATCH", "/api/threads/t", json!({"title": "x"})).await.shown(),
        "404 thread.not_found"
    );
}

#[tokio::test]
async fn an_actor_is_restarted_and_destroyed() {
    let stage = Stage::new().await;
    let id = stage.actor(1, "growAgent", &["ada"], 0).await;
    let reply = stage.json("ada", "POST", &format!("/api/actors/{id}/restart"), Value::Null).await;
    assert_eq!((reply.shown().as_str(), &reply.body["state"]), ("200", &json!("running")));
    assert_eq!(stage.json("ada", "DELETE", &format!("/api/actors/{id}"), Value::Null).await.shown(), "204");
    assert_eq!(stage.actors.asked.lock().unwrap().len(), 2);
    let unknown = ActorId::from_bytes([9; 16]);
    assert_eq!(
        stage.json("ada", "DELETE", &format!("/api/actors/{unknown}"), Value::Null).await.shown(),
        "404 actor.not_found"
    );
}
