//! One user's actors, threads and messages, by the official client and by `curl`, from a real Postgres; and nothing for a second user.

use growqr_e2e::{Deployment, Host, Script, component, node_eval, repository, staged};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long the mirror, or a Postgres that starts, may take.
const WAIT_MAX: Duration = Duration::from_secs(60);

fn host() -> Host {
    let deployment = Deployment::of(&[]).file("growAgent", &component("grow-agent"));
    Host::start(&deployment.setting("identity", json!({"provider": "development"})).setting("database", json!({})))
}

/// A token of the development issuer, as a developer gets one.
fn token(host: &Host, user: &str) -> String {
    let output = Command::new(staged("GROWQR_BINARY", "growqr"))
        .args(["token", "--user", user, "--data-dir"])
        .arg(host.data_dir())
        .output()
        .expect("growqr can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Somebody with `curl`.
struct Curl<'a> {
    host: &'a Host,
    token: String,
}

impl<'a> Curl<'a> {
    fn of(host: &'a Host, user: &str) -> Self {
        Self { host, token: token(host, user) }
    }

    fn run(&self, arguments: &[&str], path: &str) -> (u16, Value) {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}"])
            .args(["--header", &format!("authorization: Bearer {}", self.token)])
            .args(arguments)
            .arg(format!("{}{path}", self.host.url()))
            .output()
            .expect("curl can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').expect("a status");
        (status.parse().expect("a status"), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.run(&[], path);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Asks until the answer is the expected one: rows come a moment after what they tell of.
    fn until(&self, path: &str, what: &str, is_right: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + WAIT_MAX;
        loop {
            let (status, body) = self.run(&[], path);
            if status == 200 && is_right(&body) {
                return body;
            }
            assert!(Instant::now() < end, "{what} did not come: {status} {body}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn say(host: &Host, user: &str, other: &str, token: &str, text: &str) -> Value {
    let arguments = json!({"url": host.url(), "user": user, "other": other, "token": token, "text": text});
    Script::start("rest", &arguments).expect("said")
}

#[test]
fn one_users_actors_threads_and_messages_are_shown_and_a_second_user_sees_none() {
    let host = host();
    let (ada, bob) = (Curl::of(&host, "ada"), Curl::of(&host, "bob"));
    let said = say(&host, "ada", "bob", &ada.token, "What did I plan for today?");
    assert_eq!(said["refused"], json!({"error": "auth.forbidden"}));
    assert_eq!(said["heard"], json!([["message.completed", "What did I plan for today?"], ["message.failed", ""]]));
    let (thread, message) = (said["thread"].as_str().expect("a thread"), said["message"].as_str().expect("a message"));
    let of_thread = format!("/api/threads/{thread}");

    let page = ada.until(&format!("{of_thread}/messages"), "the messages", |page| page["messages"][1].is_object());
    let messages = page["messages"].as_array().expect("messages");
    assert_eq!((&messages[0]["message"], &messages[0]["role"]), (&json!(message), &json!("user")));
    assert_eq!(
        (&messages[0]["text"], &messages[0]["status"]),
        (&json!("What did I plan for today?"), &json!("completed"))
    );
    assert_eq!((&messages[1]["role"], &messages[1]["status"]), (&json!("assistant"), &json!("failed")));
    assert_eq!(messages[1]["error"]["code"], "not_available");
    let threads = ada.get("/api/threads?search=PLAN");
    assert_eq!(threads["threads"][0]["thread"], thread);
    assert_eq!((&threads["threads"][0]["messages"], &threads["next"]), (&json!(2), &Value::Null));
    let events = ada.get(&format!("{of_thread}/events"));
    let names: Vec<&Value> = events["events"].as_array().expect("events").iter().map(|event| &event["name"]).collect();
    assert_eq!(names, ["thread.created", "message.completed", "message.failed"]);
    let actors = ada.get("/api/actors");
    assert_eq!((&actors["actors"][0]["name"], &actors["actors"][0]["key"]), (&json!("growAgent"), &json!(["ada"])));
    assert_eq!(actors["actors"][0]["state"], "running");
    assert!(actors["actors"][0]["version"].is_string());
    let actor = format!("/api/actors/{}", actors["actors"][0]["actor"].as_str().expect("an id"));
    assert_eq!(ada.get(&actor)["subAgents"], json!([]));
    assert_eq!(ada.get("/api/me")["user"], "ada");

    assert_eq!(bob.get("/api/threads")["threads"], json!([]));
    assert_eq!(bob.get("/api/actors")["actors"], json!([]));
    for path in [&of_thread, &format!("{of_thread}/messages"), &format!("{of_thread}/events"), &actor] {
        assert_eq!(bob.run(&[], path).0, 404, "{path}");
    }
    for path in [&of_thread, &actor] {
        assert_eq!(bob.run(&["--request", "DELETE"], path).0, 404, "{path}");
    }
    assert_eq!(bob.run(&[], "/api/threads?user=ada").0, 403);
    bad_requests(&ada, &of_thread);
    changes(&ada, &of_thread);
}

/// What no client of good will sends: refused with a status of 4xx and a code, and nothing is changed.
fn bad_requests(ada: &Curl<'_>, of_thread: &str) {
    let before = ada.get(of_thread);
    let long = "x".repeat(20_000);
    let cases: &[(&[&str], &str)] = &[
        (&[], "/api/threads?limit=100000"),
        (&[], "/api/threads?cursor=%27%3B%20DROP%20TABLE%20threads%3B--"),
        (&[], "/api/threads?search=%00"),
        (&[], "/api/threads?search=%ff%fe"),
        (&[], "/api/threads/%00"),
        (&[], "/api/threads/..%2f..%2fetc"),
        (&[], "/api/actors/not-an-id"),
        (&[], "/api/events?after=yesterday"),
        (&["--request", "PUT"], of_thread),
        (&["--request", "PATCH", "--data", "title=x"], of_thread),
        (
            &[
                "--request",
                "PATCH",
                "--header",
                "content-type: application/json",
                "--data",
                "{\"title\": \"a\\u0000b\"}",
            ],
            of_thread,
        ),
        (
            &["--request", "PATCH", "--header", "content-type: application/json", "--data", "{\"title\": [1]}"],
            of_thread,
        ),
        (&["--request", "PATCH", "--header", "content-type: application/json", "--data", &long], of_thread),
    ];
    for (arguments, path) in cases {
        let (status, body) = ada.run(arguments, path);
        assert!((400..500).contains(&status) && body["code"].is_string(), "{path}: {status} {body}");
    }
    assert_eq!(ada.get(of_thread), before);
}

/// What is changed over REST is done by the actor, and comes back as a row.
fn changes(ada: &Curl<'_>, of_thread: &str) {
    let json = ["--header", "content-type: application/json", "--request", "PATCH", "--data"];
    let change = [&json[..], &[r#"{"title": "Plans", "archived": true}"#]].concat();
    let (status, thread) = ada.run(&change, of_thread);
    assert_eq!((status, &thread["title"], &thread["archived"]), (200, &json!("Plans"), &json!(true)));
    ada.until(of_thread, "the new title", |row| row["title"] == "Plans" && row["archived"] == true);
    let empty = [&json[..], &[r#"{"title": ""}"#]].concat();
    let (status, refusal) = ada.run(&empty, of_thread);
    assert_eq!((status, &refusal["code"]), (400, &json!("invalid_input")));
    assert_eq!(ada.run(&["--request", "DELETE"], of_thread).0, 204);
    assert_eq!(ada.run(&["--request", "DELETE"], of_thread).0, 404, "it is gone at once");
    ada.until("/api/threads", "the deletion", |page| page["threads"] == json!([]));
}

/// So many events of a stream that begins behind this one.
fn events(ada: &Curl<'_>, after: &str, count: usize) -> Vec<Value> {
    let mut curl = Command::new("curl")
        .args(["--silent", "--no-buffer", "--max-time", "60", "--header", &format!("last-event-id: {after}")])
        .args(["--header", &format!("authorization: Bearer {}", ada.token)])
        .arg(format!("{}/api/events", ada.host.url()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl can be started");
    let lines = BufReader::new(curl.stdout.take().expect("piped")).lines().map_while(Result::ok);
    // What has a `seq` is an event of an actor; the first frame says where the stream begins.
    let data = lines.filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let events = data.filter(|event| event["seq"].is_u64()).take(count).collect();
    curl.kill().expect("curl can be ended");
    curl.wait().expect("curl can be waited for");
    events
}

#[test]
fn a_stream_of_events_goes_on_where_it_was_also_after_a_restart() {
    let mut host = host();
    let first = {
        let ada = Curl::of(&host, "ada");
        ada.until("/api/threads", "the database", |_| true);
        say(&host, "ada", "bob", &ada.token, "one");
        events(&ada, "0", 2)
    };
    assert!(host.stop().success());
    host.restart();
    let ada = Curl::of(&host, "ada");
    ada.until("/api/threads", "the database", |_| true);
    let rest = events(&ada, &first[1]["id"].to_string(), 2);
    let seqs: Vec<&Value> = first.iter().chain(&rest).map(|event| &event["seq"]).collect();
    assert_eq!(seqs, [1, 2, 3, 4], "{first:?} {rest:?}");
}

#[test]
fn the_session_in_the_readme_prints_what_it_says() {
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("the README");
    let block = |start: &str| {
        let (_, rest) = readme.split_once(start).unwrap_or_else(|| panic!("no {start:?} in the README"));
        rest.split_once("```").expect("the block ends").0.to_owned()
    };
    // The thread has another id each time.
    let spoken = |text: &str| {
        let (said, id) = text.trim_end().rsplit_once(' ').expect("the last line ends with an id");
        (said.to_owned(), id.len(), id.matches('-').count())
    };
    let host = host();
    let token = serde_json::to_string(&token(&host, "ada")).expect("a token is text");
    let code = block("```js\n").replace("http://127.0.0.1:6420", host.url()).replace("process.env.TOKEN", &token);
    assert!(code.contains(host.url()) && code.contains(&token) && code.lines().count() == 8, "{code}");
    assert_eq!(spoken(&node_eval(&code)), spoken(&block("$ node try.mjs\n")));
}
