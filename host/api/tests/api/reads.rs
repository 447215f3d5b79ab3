//! What lists and pages give.

use crate::support::{Stage, THEN, column};
use serde_json::{Value, json};

async fn titles(stage: &Stage, query: &str) -> (Vec<String>, Option<String>) {
    let page = stage.get("ada", &format!("/api/threads?{query}")).await;
    assert_eq!(page.shown(), "200", "{query}");
    let titles = column(&page.body["threads"], "title").into_iter().map(str::to_owned).collect();
    (titles, page.body["next"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn threads_come_newest_first_in_pages_and_can_be_searched() {
    let stage = Stage::new().await;
    for (number, title) in ["One", "Zwei Äpfel", "100% three_3", "Four"].iter().enumerate() {
        stage.thread("ada", &format!("t{number}"), title, number as i64 * 1000).await;
    }
    sqlx::query("UPDATE threads SET archived = true WHERE id = 't0'").execute(stage.database.pool()).await.unwrap();
    let all = ["Four", "100% three_3", "Zwei Äpfel", "One"];
    assert_eq!(titles(&stage, "").await, (all.map(str::to_owned).into(), None));
    let (first, next) = titles(&stage, "limit=3").await;
    assert_eq!(first, all[..3]);
    assert_eq!(titles(&stage, &format!("limit=3&cursor={}", next.unwrap())).await.0, all[3..]);
    for (query, expected) in [
        ("search=ZWEI", vec![all[2]]),
        ("search=%C3%A4PFEL", vec![all[2]]),
        ("search=%25", vec![all[1]]),
        ("search=_", vec![all[1]]),
        ("search=o", vec![all[0], all[3]]),
        ("search=';DROP TABLE threads;--".replace(' ', "%20").as_str(), vec![]),
        ("archived=true", vec![all[3]]),
        ("archived=false&search=o", vec![all[0]]),
    ] {
        assert_eq!(titles(&stage, query).await.0, expected, "{query}");
    }
    let one = stage.get("ada", "/api/threads/t1").await;
    let expected = json!({
        "thread": "t1", "title": "Zwei Äpfel", "archived": false, "messages": 0, "createdAt": THEN, "updatedAt": THEN + 1000
    });
    assert_eq!(one.body, expected);
    sqlx::query("UPDATE threads SET deleted = now() WHERE id = 't1'").execute(stage.database.pool()).await.unwrap();
    assert_eq!(stage.get("ada", "/api/threads/t1").await.shown(), "404 thread.not_found");
    assert_eq!(stage.get("ada", "/api/threads/t1/messages").await.shown(), "404 thread.not_found");
    assert_eq!(titles(&stage, "").await.0.len(), 3);
}

#[tokio::test]
async fn pages_stay_right_while_threads_come_and_move() {
    let stage = Stage::new().await;
    for number in 0..30 {
        stage.thread("ada", &format!("t{number:02}"), &format!("t{number:02}"), number / 3 * 1000).await;
    }
    let mut seen = Vec::new();
    let mut cursor = None::<String>;
    for round in 0.. {
        let query = cursor.map_or("limit=7".to_owned(), |cursor| format!("limit=7&cursor={cursor}"));
        let (page, next) = titles(&stage, &query).await;
        seen.extend(page);
        stage.thread("ada", &format!("new{round}"), "new", 100_000 + round).await;
        // One that was seen gets a message, and moves to the front.
        stage.thread("ada", &seen[0], &seen[0], 200_000 + round).await;
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..30).rev().map(|number| format!("t{number:02}")).collect();
    assert_eq!(seen, expected, "every thread once, those of the same moment as well");
}

async fn messages(stage: &Stage, query: &str) -> (Vec<String>, Value, Value) {
    let page = stage.get("ada", &format!("/api/threads/t/messages?{query}")).await;
    assert_eq!(page.shown(), "200", "{query}");
    let texts =
        column(&page.body["messages"], "text").into_iter().map(|text| text["text ".len()..].to_owned()).collect();
    (texts, page.body["older"].clone(), page.body["newer"].clone())
}

fn cursor(value: &Value) -> String {
    format!("limit=3&cursor={}", value.as_str().unwrap())
}

#[tokio::test]
async fn messages_come_in_pages_in_both_directions() {
    let stage = Stage::new().await;
    stage.thread("ada", "t", "t", 0).await;
    assert_eq!(messages(&stage, "").await.0, [""; 0]);
    let (_, older, newer) = messages(&stage, "").await;
    assert_eq!(older, Value::Null);
    for position in [10, 20, 30, 40, 50, 60, 70] {
        stage.message("ada", "t", position).await;
    }
    let (texts, older, _) = messages(&stage, &cursor(&newer)).await;
    assert_eq!(texts, ["10", "20", "30"], "from an empty thread on");
    assert!(older.is_string(), "who came with a cursor may go back to where it was");
    let (texts, older, newer) = messages(&stage, "limit=3").await;
    assert_eq!(texts, ["50", "60", "70"]);
    let (texts, oldest, back) = messages(&stage, &cursor(&older)).await;
    assert_eq!(texts, ["20", "30", "40"]);
    assert_eq!(messages(&stage, &cursor(&oldest)).await.0, ["10"]);
    assert_eq!(messages(&stage, &cursor(&oldest)).await.1, Value::Null);
    assert_eq!(messages(&stage, &cursor(&back)).await.0, ["50", "60", "70"]);
    let (texts, _, again) = messages(&stage, &cursor(&newer)).await;
    assert_eq!((texts, &again), (vec![], &newer), "nothing new yet");
    stage.message("ada", "t", 80).await;
    assert_eq!(messages(&stage, &cursor(&newer)).await.0, ["80"]);
    assert_eq!(messages(&stage, &cursor(&older)).await.0, ["20", "30", "40"], "what came since moves nothing");
}

#[tokio::test]
async fn a_message_shows_its_tools_status_and_times() {
    let stage = Stage::new().await;
    stage.thread("ada", "t", "t", 0).await;
    stage.message("ada", "t", 1).await;
    sqlx::query(r#"UPDATE messages SET status = 'failed', error = '{"code": "x"}', completed = NULL"#)
        .execute(stage.database.pool())
        .await
        .unwrap();
    let page = stage.get("ada", "/api/threads/t/messages").await;
    let expected = json!([{
        "message": "t-1", "thread": "t", "role": "assistant", "status": "failed", "text": "text 1", "tools": [{"name": "bash"}],
        "error": {"code": "x"}, "details": {}, "createdAt": 1000, "updatedAt": 2000, "completedAt": null
    }]);
    assert_eq!(page.body["messages"], expected);
}

#[tokio::test]
async fn a_page_of_huge_messages_is_cut() {
    let stage = Stage::new().await;
    stage.thread("ada", "t", "t", 0).await;
    for position in 1..=12 {
        stage.message("ada", "t", position).await;
    }
    let set = "UPDATE messages SET text = 'text ' || repeat('x', 1000000) || position";
    sqlx::query(set).execute(stage.database.pool()).await.unwrap();
    let (texts, older, _) = messages(&stage, "").await;
    assert_eq!(texts.len(), 4);
    assert!(texts[3].ends_with("12"));
    let page = stage.get("ada", &format!("/api/threads/t/messages?limit=1&cursor={}", older.as_str().unwrap())).await;
    assert_eq!(column(&page.body["messages"], "message"), ["t-8"]);
}

#[tokio::test]
async fn events_of_a_thread_come_in_pages() {
    let stage = Stage::new().await;
    stage.thread("ada", "t", "t", 0).await;
    let ids = stage.events("ada", Some("t"), 1..8).await;
    stage.events("ada", None, 8..10).await;
    stage.events("bob", Some("t"), 1..5).await;
    let page = stage.get("ada", "/api/threads/t/events?limit=3").await;
    let numbers = |page: &Value| -> Vec<i64> {
        page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect()
    };
    assert_eq!(numbers(&page.body), [5, 6, 7]);
    let expected = json!({
        "id": ids[4], "actor": "actor of ada", "seq": 5, "eventSeq": 5, "ts": 5000, "name": "message.completed", "thread": "t",
        "payload": {"number": 5}
    });
    assert_eq!(page.body["events"][0], expected);
    let older = page.body["older"].as_str().unwrap();
    let page = stage.get("ada", &format!("/api/threads/t/events?limit=9&cursor={older}")).await;
    assert_eq!(numbers(&page.body), [1, 2, 3, 4]);
    assert_eq!(page.body["older"], Value::Null);
}

#[tokio::test]
async fn actors_are_listed_with_their_state_and_sub_agents() {
    let stage = Stage::new().await;
    let agent = stage.actor(1, "growAgent", &["ada"], 0).await;
    let child = stage.actor(2, "subAgent", &["ada", "research"], 1).await;
    let grandchild = stage.actor(3, "subAgent", &["ada", "research", "web"], 2).await;
    let other = stage.actor(4, "subAgent", &["ada", "writing"], 3).await;
    stage.actor(5, "subAgent", &["bob", "research"], 4).await;
    let gone = stage.actor(6, "subAgent", &["ada", "gone"], 5).await;
    sqlx::query("UPDATE actors SET destroyed = to_timestamp(9) WHERE id = $1")
        .bind(gone.to_string())
        .execute(stage.database.pool())
        .await
        .unwrap();
    stage.actors.known.lock().unwrap().remove(&gone);
    stage.actors.known.lock().unwrap().get_mut(&agent).unwrap().started = Some(3);

    let page = stage.get("ada", "/api/actors").await;
    let ids = [other, grandchild, child, agent].map(|id| id.to_string());
    assert_eq!(column(&page.body["actors"], "actor"), ids);
    assert_eq!(column(&page.body["actors"], "state"), ["sleeping", "sleeping", "sleeping", "running"]);
    let page = stage.get("ada", "/api/actors?limit=3").await;
    let rest = stage.get("ada", &format!("/api/actors?cursor={}", page.body["next"].as_str().unwrap())).await;
    assert_eq!(column(&rest.body["actors"], "actor"), ids[3..]);
    let page = stage.get("ada", "/api/actors?includeDestroyed=true&name=subAgent").await;
    assert_eq!(column(&page.body["actors"], "state"), ["destroyed", "sleeping", "sleeping", "sleeping"]);

    let tree = stage.get("ada", &format!("/api/actors/{agent}")).await;
    assert_eq!((&tree.body["name"], &tree.body["key"]), (&json!("growAgent"), &json!(["ada"])));
    assert_eq!(column(&tree.body["subAgents"], "actor"), [child.to_string(), other.to_string()]);
    assert_eq!(column(&tree.body["subAgents"][0]["subAgents"], "actor"), [grandchild.to_string()]);
    let tree = stage.get("ada", &format!("/api/actors/{child}")).await;
    assert_eq!(column(&tree.body["subAgents"], "actor"), [grandchild.to_string()]);
    assert_eq!(stage.get("ada", &format!("/api/actors/{gone}")).await.body["state"], "destroyed");
}

#[tokio::test]
async fn the_caller_is_shown() {
    let stage = Stage::new().await;
    assert_eq!(stage.get("ada", "/api/me").await.body["firstSeenAt"], Value::Null);
    growqr_postgres::users::note_seen(stage.database.pool(), "ada").await.unwrap();
    let me = stage.get("ada", "/api/me").await;
    assert_eq!(me.body["user"], "ada");
    assert!(me.body["firstSeenAt"].as_i64().unwrap() > THEN);
}
