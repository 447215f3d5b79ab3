//! The stream of events.

use crate::support::{Stage, WAIT_MAX, answer};
use axum::body::{Body, BodyDataStream};
use futures::StreamExt;
use growqr_identity::Revocation;
use serde_json::Value;

/// One frame.
#[derive(Debug, PartialEq)]
struct Frame {
    id: Option<i64>,
    name: String,
    data: Value,
}

struct Reader {
    bytes: BodyDataStream,
    text: String,
}

impl Reader {
    async fn open(stage: &Stage, user: &str, last: Option<i64>) -> Self {
        let mut request = stage.request(user, "GET", "/api/events");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = stage.api.answer(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { bytes: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next frame; none at the end.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let frame = frame.to_owned();
                self.text = rest.to_owned();
                let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
                let Some(name) = field("event: ") else { continue };
                let id = field("id: ").map(|id| id.parse().unwrap());
                return Some(Frame { id, name, data: serde_json::from_str(&field("data: ").unwrap()).unwrap() });
            }
            let bytes = tokio::time::timeout(WAIT_MAX, self.bytes.next()).await.expect("a frame in time")?;
            self.text.push_str(std::str::from_utf8(&bytes.unwrap()).unwrap());
        }
    }

    async fn expect(&mut self, name: &str) -> Frame {
        let frame = self.next().await.unwrap_or_else(|| panic!("the stream ended before {name}"));
        assert_eq!(frame.name, name, "{frame:?}");
        frame
    }

    /// Numbers of so many events.
    async fn numbers(&mut self, count: usize) -> Vec<i64> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(self.expect("message.completed").await.data["seq"].as_i64().unwrap());
        }
        numbers
    }
}

#[tokio::test]
async fn a_stream_gives_events_of_the_user_as_they_come() {
    let stage = Stage::new().await;
    let before = stage.events("ada", None, 1..3).await;
    let mut ada = Reader::open(&stage, "ada", None).await;
    assert_eq!(ada.expect("ready").await.id, Some(before[1]));
    let mut bob = Reader::open(&stage, "bob", None).await;
    assert_eq!(bob.expect("ready").await.id, Some(0));
    let ids = stage.events("ada", Some("t"), 3..5).await;
    let event = ada.expect("message.completed").await;
    assert_eq!(
        (event.id, &event.data["seq"], &event.data["thread"]),
        (Some(ids[0]), &Value::from(3), &Value::from("t"))
    );
    assert_eq!(ada.numbers(1).await, [4]);
    stage.events("bob", None, 1..2).await;
    assert_eq!(bob.numbers(1).await, [1], "nothing of another user came before");
}

#[tokio::test]
async fn a_client_that_comes_back_misses_nothing_and_hears_nothing_twice() {
    let stage = Stage::new().await;
    stage.events("ada", None, 1..251).await;
    let mut reader = Reader::open(&stage, "ada", Some(0)).await;
    reader.expect("ready").await;
    assert_eq!(reader.numbers(99).await, (1..100).collect::<Vec<_>>());
    let last = reader.expect("message.completed").await.id;
    drop(reader);
    let writer = async {
        for seq in 251..300 {
            stage.events("ada", None, seq..seq + 1).await;
        }
    };
    let reading = async {
        let mut reader = Reader::open(&stage, "ada", last).await;
        reader.expect("ready").await;
        reader.numbers(199).await
    };
    let ((), numbers) = tokio::join!(writer, reading);
    assert_eq!(numbers, (101..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_place_that_is_not_kept_any_more_is_said() {
    let stage = Stage::new().await;
    let ids = stage.events("ada", None, 1..5).await;
    sqlx::query("DELETE FROM events WHERE seq < 3").execute(stage.database.pool()).await.unwrap();
    let mut reader = Reader::open(&stage, "ada", Some(ids[0])).await;
    reader.expect("resync").await;
    reader.expect("ready").await;
    assert_eq!(reader.numbers(2).await, [3, 4], "what is left follows");
    let mut reader = Reader::open(&stage, "ada", Some(ids[2])).await;
    reader.expect("ready").await;
    assert_eq!(reader.numbers(1).await, [4]);
}

#[tokio::test]
async fn a_user_has_so_many_streams_and_no_more() {
    let stage = Stage::new().await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(Reader::open(&stage, "ada", None).await);
    }
    assert_eq!(stage.get("ada", "/api/events").await.shown(), "429 api.too_many_streams");
    drop(Reader::open(&stage, "bob", None).await);
    open.pop();
    drop(Reader::open(&stage, "ada", None).await);
}

#[tokio::test]
async fn a_stream_ends_with_its_session_and_with_the_host() {
    let stage = Stage::new().await;
    let mut ada = Reader::open(&stage, "ada", None).await;
    let mut bob = Reader::open(&stage, "bob", None).await;
    ada.expect("ready").await;
    bob.expect("ready").await;
    assert_eq!(stage.identity.revoke(&Revocation::User("ada".to_owned())), 1);
    assert_eq!(ada.expect("closing").await.data["code"], "session_revoked");
    assert_eq!(ada.next().await, None);
    stage.stop.cancel();
    assert_eq!(bob.expect("closing").await.data["code"], "going_away");
    assert_eq!(bob.next().await, None);
}

#[tokio::test]
async fn names_of_events_can_not_break_out_of_their_line() {
    let stage = Stage::new().await;
    sqlx::query("INSERT INTO events (actor_id, seq, ts, name, user_id, payload) VALUES ('a', 1, now(), E'x\\ndata: forged\\r\\n\\n', 'ada', '{}')")
        .execute(stage.database.pool())
        .await
        .unwrap();
    let mut reader = Reader::open(&stage, "ada", Some(0)).await;
    reader.expect("ready").await;
    assert_eq!(reader.expect("xdata: forged").await.data["name"], "x\ndata: forged\r\n\n");
}

#[tokio::test]
async fn a_bad_place_is_refused() {
    let stage = Stage::new().await;
    for bad in ["x", "-1", "1.5", "99999999999999999999"] {
        let request = stage.request("ada", "GET", "/api/events").header("last-event-id", bad);
        let reply = answer(&stage.api, request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.shown(), "400 validation.invalid_input", "{bad}");
    }
}

#[tokio::test]
async fn the_database_tells_of_new_rows() {
    let stage = Stage::new().await;
    let mut listener = sqlx::postgres::PgListener::connect_with(stage.database.pool()).await.unwrap();
    listener.listen("growqr_events").await.unwrap();
    stage.events("ada", None, 1..100).await;
    tokio::time::timeout(WAIT_MAX, listener.recv()).await.expect("told in time").unwrap();
    assert!(listener.next_buffered().is_none(), "once for all rows of a statement");
}
