//! What rows become in Postgres, and what happens to those that it refuses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::type_complexity, reason = "a row of a query is a tuple here")]

mod support;

use growqr_mirror::MirrorOptions;
use growqr_postgres::testing::TestDatabase;
use std::sync::Arc;
use std::time::Duration;
use support::{Rows, Running, actor, check_all_there, now};

const DAY_MS: u64 = 86_400_000;

async fn mirrored(test: &TestDatabase, rows: &Arc<Rows>, batch_rows_max: usize) -> Running {
    let options = MirrorOptions { batch_rows_max, batch_delay: Duration::from_millis(1), ..MirrorOptions::default() };
    let running = Running::start(rows.clone(), &test.database, options);
    running.drained().await;
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_becomes_a_row_with_its_user_thread_and_payload() {
    let test = TestDatabase::create().await;
    let rows = Arc::new(Rows::default());
    rows.add(1, "growAgent", "tool.started", r#"{"thread":"t1","tool":"bash"}"#);
    rows.add(1, "growAgent", "note", "[1,2]");
    rows.add(1, "growAgent", "note", r#""thread""#);
    mirrored(&test, &rows, 500).await;
    let found: Vec<(i64, String, Option<String>, Option<String>, serde_json::Value, Option<i64>)> =
        sqlx::query_as("SELECT seq, name, user_id, thread, payload, event_seq FROM events ORDER BY id")
            .fetch_all(test.pool())
            .await
            .unwrap();
    let user = Some("user-1".to_owned());
    let wanted = [
        (1, "tool.started", Some("t1"), serde_json::json!({"thread": "t1", "tool": "bash"})),
        (2, "note", None, serde_json::json!([1, 2])),
        (3, "note", None, serde_json::json!("thread")),
    ];
    let wanted = wanted.map(|(seq, name, thread, payload)| {
        (seq, name.to_owned(), user.clone(), thread.map(str::to_owned), payload, Some(seq))
    });
    assert_eq!(found, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_put_aside_with_its_reason_and_its_neighbours_arrive() {
    let test = TestDatabase::create().await;
    let rows = Arc::new(Rows::default());
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let poison = [
        (r#"{"text":"nul \u0000"}"#.to_owned(), "event"),
        (r#"{"text":"half \ud800"}"#.to_owned(), "event"),
        ("{}".to_owned(), "a name with \0"),
        ("not json".to_owned(), "event"),
        (deep, "event"),
        (format!(r#"{{"thread":"{}"}}"#, incompressible(20_000)), "event"),
    ];
    let mut refused = Vec::new();
    for number in 0..60 {
        rows.add(number % 5, "growAgent", "fine", r#"{"fine":true}"#);
        if let Some((payload, name)) = poison.get(number as usize / 10).filter(|_| number % 10 == 5) {
            refused.push((actor(number % 5).to_string(), rows.add(number % 5, "growAgent", name, payload) as i64));
        }
    }
    let running = mirrored(&test, &rows, 500).await;
    refused.sort();
    let parked: Vec<(String, i64, String, String)> = sqlx::query_as(
        "SELECT actor_id, seq, sqlstate, reason FROM mirror_parked ORDER BY actor_id COLLATE \"C\", seq",
    )
    .fetch_all(test.pool())
    .await
    .unwrap();
    let places: Vec<(String, i64)> = parked.iter().map(|(actor, seq, ..)| (actor.clone(), *seq)).collect();
    assert_eq!(places, refused, "{parked:?}");
    assert!(parked.iter().all(|(.., sqlstate, reason)| sqlstate.len() == 5 && !reason.is_empty()), "{parked:?}");
    assert_eq!(running.mirror.status().parked, refused.len() as u64);
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM events WHERE name = 'fine'").fetch_one(test.pool()).await.unwrap();
    assert_eq!(kept, 60);
    let payload: Vec<u8> = sqlx::query_scalar("SELECT payload FROM mirror_parked WHERE reason LIKE '%unicode%' OR reason LIKE '%Unicode%' OR sqlstate = '22P05' ORDER BY seq LIMIT 1")
        .fetch_one(test.pool())
        .await
        .unwrap();
    assert!(String::from_utf8(payload).unwrap().contains("text"), "what was refused is kept");
}

/// Text that Postgres can't make small enough for an index.
fn incompressible(bytes: usize) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    };
    std::iter::repeat_with(&mut next).filter(|char| !matches!(char, '"' | '\\')).take(bytes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn actors_follow_what_the_host_tells_and_not_what_a_guest_says() {
    for batch in [1, 500] {
        let test = TestDatabase::create().await;
        let rows = Arc::new(Rows::default());
        let created = r#"{"namespace":"default","name":"counter","key":["user-1","a"],"version":"v1"}"#;
        rows.tell(1, "counter", "actor.created", created);
        rows.add(1, "counter", "actor.destroyed", "{}");
        rows.tell(1, "counter", "actor.crashed", r#"{"group":"actor","code":"crashed","message":"one"}"#);
        rows.tell(1, "counter", "actor.crashed", r#"{"group":"actor","code":"crashed","message":"two"}"#);
        rows.tell(1, "counter", "actor.version", r#"{"version":"v2"}"#);
        rows.tell(2, "counter", "actor.created", created);
        rows.tell(2, "counter", "actor.destroyed", "{}");
        mirrored(&test, &rows, batch).await;
        let found: Vec<(String, Vec<String>, Option<String>, Option<String>, bool, i64, Option<serde_json::Value>)> =
            sqlx::query_as(
                "SELECT id, key, user_id, version, destroyed IS NOT NULL, crashes, last_failure FROM actors ORDER BY user_id",
            )
            .fetch_all(test.pool())
            .await
            .unwrap();
        let key = vec!["user-1".to_owned(), "a".to_owned()];
        let failure = serde_json::json!({"group": "actor", "code": "crashed", "message": "two"});
        let version = |text: &str| Some(text.to_owned());
        let wanted = [
            (actor(1).to_string(), key.clone(), version("user-1"), version("v2"), false, 2, Some(failure)),
            (actor(2).to_string(), key, version("user-2"), version("v1"), true, 0, None),
        ];
        assert_eq!(found, wanted, "batches of {batch}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_and_messages_follow_the_agents_events_in_batches_of_any_size() {
    for batch in [1, 3, 500] {
        let test = TestDatabase::create().await;
        let rows = Arc::new(Rows::default());
        let add = |name: &str, payload: &str| rows.add(1, "growAgent", name, payload);
        add("thread.created", r#"{"thread":"t1","title":"Ärger","createdAt":1000,"updatedAt":1000}"#);
        add("message.started", r#"{"message":"m1","thread":"t1","role":"assistant","createdAt":2000}"#);
        add(
            "message.completed",
            r#"{"message":"m2","thread":"t1","role":"user","text":"hi","createdAt":3000,"number":2}"#,
        );
        add("message.completed", r#"{"message":"m1","thread":"t1","text":"hello","tools":[{"tool":"bash"}]}"#);
        add("message.failed", r#"{"message":"m3","thread":"t1","role":"assistant","text":"","error":{"code":"x"}}"#);
        add("thread.updated", r#"{"thread":"t1","title":"Freude","archived":true,"updatedAt":4000}"#);
        add("thread.created", r#"{"thread":"t2","title":"gone"}"#);
        add("message.completed", r#"{"message":"m4","thread":"t2","role":"user","text":"secret"}"#);
        add("thread.deleted", r#"{"thread":"t2"}"#);
        add("message.completed", r#"{"message":"m5","thread":"t2","role":"user","text":"too late"}"#);
        add("thread.updated", r#"{"thread":7}"#);
        rows.add(2, "counter", "thread.created", r#"{"thread":"t3","title":"no agent"}"#);
        mirrored(&test, &rows, batch).await;
        let threads: Vec<(String, String, String, bool, i64, bool)> = sqlx::query_as(
            "SELECT id, title, title_words, archived, messages, deleted IS NOT NULL FROM threads ORDER BY id",
        )
        .fetch_all(test.pool())
        .await
        .unwrap();
        let text = str::to_owned;
        assert_eq!(threads[0], (text("t1"), text("Freude"), text("freude"), true, 3, false), "batches of {batch}");
        assert_eq!((threads[1].0.as_str(), threads[1].5, threads.len()), ("t2", true, 2), "batches of {batch}");
        let messages: Vec<(String, String, String, String, serde_json::Value, bool, serde_json::Value)> =
            sqlx::query_as(
                "SELECT id, role, status, text, tools, completed IS NOT NULL, details FROM messages ORDER BY position",
            )
            .fetch_all(test.pool())
            .await
            .unwrap();
        let empty = serde_json::json!({});
        let wanted = [
            (
                text("m1"),
                text("assistant"),
                text("completed"),
                text("hello"),
                serde_json::json!([{"tool": "bash"}]),
                true,
                empty.clone(),
            ),
            (
                text("m2"),
                text("user"),
                text("completed"),
                text("hi"),
                serde_json::json!([]),
                true,
                serde_json::json!({"number": 2}),
            ),
            (text("m3"), text("assistant"), text("failed"), text(""), serde_json::json!([]), true, empty),
        ];
        assert_eq!(messages, wanted, "batches of {batch}");
        check_all_there(test.pool(), &rows).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_are_dropped_and_new_weeks_have_their_part() {
    let test = TestDatabase::create().await;
    let rows = Arc::new(Rows::default());
    let at = |days_ago: u64| now() - days_ago * DAY_MS;
    rows.add_at(1, "growAgent", Some(1), at(400), "thread.created", r#"{"thread":"t1","title":"from long ago"}"#);
    for days_ago in [80, 60, 30, 0] {
        rows.add_at(1, "a", Some(1), at(days_ago), "counted", "{}");
    }
    rows.add_at(1, "a", Some(1), now() + 100 * DAY_MS, "counted", "{}");
    let running = mirrored(&test, &rows, 500).await;
    assert_eq!(running.mirror.status().expired, 1);
    let kept = || async {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(test.pool()).await.unwrap();
        count
    };
    assert_eq!(kept().await, 5, "clocks that were ahead have a part of the table too");
    let threads: i64 = sqlx::query_scalar("SELECT count(*) FROM threads").fetch_one(test.pool()).await.unwrap();
    assert_eq!(threads, 1, "a thread stays when its events are gone");
    running.stop().await;

    let shorter = MirrorOptions { retention: Duration::from_secs(40 * 86_400), ..MirrorOptions::default() };
    let running = Running::start(rows.clone(), &test.database, shorter);
    rows.add(1, "a", "counted", "{}");
    running.drained().await;
    assert_eq!(kept().await, 4, "30, 0 and -100 days, and the new one");
}
