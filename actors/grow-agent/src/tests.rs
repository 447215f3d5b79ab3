//! The agent in a world of its own, natively.

use crate::chat::{Accepted, Request, chat};
use crate::messages::{self, MESSAGES_PER_THREAD_MAX};
use crate::world::World;
use crate::{GrowAgent, ids, input, sent, threads};
use growqr_actor_sdk::prelude::*;
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;

#[derive(Default)]
struct Fake {
    now: u64,
    random: Cell<u64>,
    state: BTreeMap<String, Vec<u8>>,
    events: Vec<(String, Value)>,
}

impl World for Fake {
    fn now(&self) -> u64 {
        self.now
    }
    fn random(&self) -> u64 {
        self.random.set(self.random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        self.random.get()
    }
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.state.get(key).cloned()
    }
    fn set(&mut self, key: &str, value: &[u8]) {
        self.state.insert(key.to_owned(), value.to_vec());
    }
    fn delete(&mut self, key: &str) {
        self.state.remove(key);
    }
    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Vec<(String, Vec<u8>)> {
        let behind = |key: &&String| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after);
        let keys = self.state.keys().filter(behind).take(limit as usize);
        keys.map(|key| (key.clone(), self.state[key].clone())).collect()
    }
    fn emit(&mut self, name: &str, payload: &impl Serialize) {
        self.events.push((name.to_owned(), serde_json::to_value(payload).unwrap()));
    }
    fn sandbox(&self) -> Result<()> {
        Err(Fail::of("sandbox", "not_available", "there is none"))
    }
}

/// An agent and its world.
#[derive(Default)]
struct Stage {
    agent: GrowAgent,
    world: Fake,
}

impl Stage {
    fn call<T: Serialize>(&mut self, run: impl FnOnce(&mut GrowAgent, &mut Fake) -> Result<T>) -> Value {
        self.world.now += 1;
        match run(&mut self.agent, &mut self.world) {
            Ok(value) => serde_json::to_value(&value).unwrap(),
            Err(fail) => json!(format!("{}.{}", fail.group, fail.code)),
        }
    }

    /// Calls an action by its name, as a client does.
    fn act(&mut self, action: &str, request: Value) -> Value {
        let text = request.to_string();
        self.call(|agent, world| {
            Ok(match action {
                "chat" => serde_json::to_value(chat(agent, world, serde_json::from_str(&text).unwrap())?),
                "threads" => serde_json::to_value(threads::list(world, &serde_json::from_str(&text).unwrap())?),
                "messages" => serde_json::to_value(messages::page(world, &serde_json::from_str(&text).unwrap())?),
                "rename" => serde_json::to_value(threads::rename(world, serde_json::from_str(&text).unwrap())?),
                "archive" => serde_json::to_value(threads::archive(world, serde_json::from_str(&text).unwrap())?),
                "update" => serde_json::to_value(threads::update(world, &serde_json::from_str(&text).unwrap())?),
                "delete" => serde_json::to_value(threads::delete(agent, world, &serde_json::from_str(&text).unwrap())?),
                other => panic!("no action {other}"),
            }
            .unwrap())
        })
    }

    fn say(&mut self, thread: Option<&str>, id: &str, text: &str) -> Accepted {
        self.world.now += 1;
        let request =
            Request { text: text.to_owned(), thread: thread.map(str::to_owned), client_message_id: id.to_owned() };
        chat(&mut self.agent, &mut self.world, request).unwrap()
    }

    fn titles(&mut self, request: Value) -> Vec<String> {
        let page = self.act("threads", request);
        page["threads"].as_array().unwrap().iter().map(|thread| thread["title"].as_str().unwrap().to_owned()).collect()
    }

    fn events(&mut self) -> Vec<String> {
        self.world.events.drain(..).map(|(name, _)| name).collect()
    }
}

#[test]
fn a_message_begins_a_thread_and_is_answered_by_a_failure_that_says_why() {
    let mut stage = Stage::default();
    let accepted = stage.say(None, "a", "  Hello,   Grow\nmore");
    let events = std::mem::take(&mut stage.world.events);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["thread.created", "message.completed", "message.failed"]);
    assert_eq!(events[0].1["title"], "Hello, Grow");
    assert_eq!(events[0].1["thread"], accepted.thread);
    let (own, answer) = (&events[1].1, &events[2].1);
    assert_eq!(own["message"], accepted.message);
    assert_eq!(
        (&own["role"], &own["number"], &own["text"]),
        (&json!("user"), &json!(1), &json!("  Hello,   Grow\nmore"))
    );
    assert_eq!((&own["status"], &own["clientMessageId"]), (&json!("completed"), &json!("a")));
    assert_eq!((&answer["role"], &answer["status"]), (&json!("assistant"), &json!("failed")));
    assert_eq!(answer["error"], json!({"group": "sandbox", "code": "not_available", "message": "there is none"}));
    let page = stage.act("messages", json!({"thread": accepted.thread}));
    assert_eq!(page, json!({"messages": [own, answer], "more": false}), "what is kept is what the events said");
}

#[test]
fn a_message_is_kept_once_per_client_message_id() {
    let mut stage = Stage::default();
    let first = stage.say(None, "a", "hello");
    let before = stage.world.state.clone();
    stage.events();
    assert_eq!(stage.say(None, "a", "hello"), first);
    assert_eq!(stage.say(Some(&first.thread), "a", "hello"), first);
    assert_eq!(stage.events(), [""; 0], "the second call tells nothing");
    assert_eq!(stage.world.state, before, "and changes nothing");
    let other = json!({"text": "other", "clientMessageId": "a"});
    assert_eq!(stage.act("chat", other), "user.client_message_id_reused");
    stage.act("delete", json!({"thread": first.thread}));
    assert_eq!(stage.say(None, "a", "hello"), first, "also when the thread is gone");
}

#[test]
fn the_memory_of_client_message_ids_is_bounded() {
    let mut stage = Stage::default();
    let thread = stage.say(None, "first", "hello").thread;
    for count in 0..sent::IDS_MAX {
        stage.say(Some(&thread), &format!("id-{count}"), "hello");
    }
    assert_eq!(stage.world.state.keys().filter(|key| key.starts_with("c/")).count() as u64, sent::IDS_MAX);
    assert_eq!(sent::find(&stage.world, "first").unwrap(), None);
    assert!(sent::find(&stage.world, "id-0").unwrap().is_some());
}

#[test]
fn threads_come_with_the_newest_message_first_and_in_pages() {
    let mut stage = Stage::default();
    let one = stage.say(None, "1", "one").thread;
    let two = stage.say(None, "2", "two").thread;
    let three = stage.say(None, "3", "three").thread;
    assert_eq!(stage.titles(json!({})), ["three", "two", "one"]);
    stage.say(Some(&one), "4", "again");
    assert_eq!(stage.titles(json!({})), ["one", "three", "two"]);
    let page = stage.act("threads", json!({"limit": 2}));
    assert_eq!(page["more"], true);
    assert_eq!(page["threads"][1]["thread"], three);
    let rest = stage.act("threads", json!({"limit": 2, "before": three}));
    assert_eq!((&rest["threads"][0]["thread"], &rest["more"]), (&json!(two), &json!(false)));
}

#[test]
fn threads_are_renamed_archived_and_deleted() {
    let mut stage = Stage::default();
    let one = stage.say(None, "1", "one").thread;
    stage.say(None, "2", "two");
    stage.events();
    assert_eq!(stage.act("rename", json!({"thread": one, "title": " Uno "}))["title"], "Uno");
    assert_eq!(stage.act("rename", json!({"thread": one, "title": "Uno"}))["title"], "Uno");
    assert_eq!(stage.events(), ["thread.updated"], "a title that is the same is no change");
    assert_eq!(stage.titles(json!({})), ["two", "Uno"], "renaming is no message");
    assert_eq!(stage.act("archive", json!({"thread": one}))["archived"], true);
    assert_eq!(stage.titles(json!({})), ["two"]);
    assert_eq!(stage.titles(json!({"archived": true})), ["Uno"]);
    stage.say(Some(&one), "3", "still here?");
    assert_eq!(stage.titles(json!({})), ["Uno", "two"], "a message brings a thread back");
    stage.events();
    assert_eq!(stage.act("delete", json!({"thread": one})), json!({"thread": one}));
    assert_eq!(stage.events(), ["thread.deleted"]);
    assert_eq!(stage.titles(json!({})), ["two"]);
    assert_eq!((stage.agent.threads, stage.agent.kept.messages), (1, 2));
    assert!(!stage.world.state.keys().any(|key| key.contains(&one) && !key.starts_with("c/")), "nothing of it is left");
    for action in ["messages", "delete", "archive"] {
        assert_eq!(stage.act(action, json!({"thread": one})), "user.unknown_thread", "{action}");
    }
}

#[test]
fn title_and_place_of_a_thread_change_together_or_not_at_all() {
    let mut stage = Stage::default();
    let one = stage.say(None, "1", "one").thread;
    stage.events();
    assert_eq!(stage.act("update", json!({"thread": one, "title": " ", "archived": true})), "user.title_empty");
    assert_eq!(stage.titles(json!({})), ["one"]);
    let view = stage.act("update", json!({"thread": one, "title": "Uno", "archived": true}));
    assert_eq!((&view["title"], &view["archived"], &view["messages"]), (&json!("Uno"), &json!(true), &json!(2)));
    assert_eq!(stage.act("update", json!({"thread": one})), view);
    assert_eq!(stage.events(), ["thread.updated"]);
}

#[test]
fn messages_come_in_pages_back_from_the_newest() {
    let mut stage = Stage::default();
    let thread = stage.say(None, "0", "0").thread;
    for count in 1..5 {
        stage.say(Some(&thread), &count.to_string(), &count.to_string());
    }
    let mut numbers = |request: Value| -> (Vec<u64>, bool) {
        let page = stage.act("messages", request);
        let of = |message: &Value| message["number"].as_u64().unwrap();
        (page["messages"].as_array().unwrap().iter().map(of).collect(), page["more"].as_bool().unwrap())
    };
    assert_eq!(numbers(json!({"thread": thread, "limit": 4})), (vec![7, 8, 9, 10], true));
    assert_eq!(numbers(json!({"thread": thread, "limit": 4, "before": 7})), (vec![3, 4, 5, 6], true));
    assert_eq!(numbers(json!({"thread": thread, "limit": 4, "before": 3})), (vec![1, 2], false));
    assert_eq!(numbers(json!({"thread": thread, "before": 1})), (vec![], false));
    assert_eq!(numbers(json!({"thread": thread, "before": 0})), (vec![], false));
    assert_eq!(numbers(json!({"thread": thread, "limit": 2, "before": u64::MAX})), (vec![9, 10], true));
}

#[test]
fn a_page_of_long_messages_stays_small() {
    let mut stage = Stage::default();
    let long = "x".repeat(input::TEXT_BYTES_MAX);
    let thread = stage.say(None, "0", &long).thread;
    for count in 1..40 {
        stage.say(Some(&thread), &count.to_string(), &long);
    }
    let page = stage.act("messages", json!({"thread": thread, "limit": 80}));
    assert_eq!(page["more"], true);
    assert!((400 << 10..600 << 10).contains(&page.to_string().len()));
}

#[test]
fn the_oldest_messages_of_a_long_thread_are_forgotten() {
    let mut stage = Stage::default();
    let thread = stage.say(None, "0", "0").thread;
    for count in 1..=MESSAGES_PER_THREAD_MAX {
        stage.say(Some(&thread), &count.to_string(), "x");
    }
    assert_eq!(u64::from(stage.agent.kept.messages), MESSAGES_PER_THREAD_MAX);
    let stored: Vec<&Vec<u8>> =
        stage.world.state.iter().filter(|(key, _)| key.starts_with("m/")).map(|(_, value)| value).collect();
    assert_eq!(stored.len() as u64, MESSAGES_PER_THREAD_MAX);
    assert_eq!(stored.iter().map(|value| value.len() as u64).sum::<u64>(), stage.agent.kept.bytes);
}

#[test]
fn silent_threads_are_forgotten_first_when_there_are_too_many_bytes() {
    let mut stage = Stage::default();
    let long = "x".repeat(input::TEXT_BYTES_MAX);
    let silent = stage.say(None, "silent", &long).thread;
    let thread = stage.say(None, "busy", &long).thread;
    for count in 0..400 {
        stage.say(Some(&thread), &count.to_string(), &long);
        assert!(stage.agent.kept.bytes <= messages::BYTES_MAX);
    }
    let gone = stage.act("messages", json!({"thread": silent}));
    assert_eq!(gone, json!({"messages": [], "more": false}));
    assert!(stage.agent.kept.bytes > messages::BYTES_MAX / 2);
    let page = stage.act("messages", json!({"thread": thread, "limit": 1}));
    assert_eq!(page["messages"][0]["number"], 802);
}

#[test]
fn bad_input_has_a_stable_code_and_keeps_nothing() {
    let mut stage = Stage::default();
    let chat = |text: &str, id: &str| json!({"text": text, "clientMessageId": id});
    let long = "x".repeat(input::TEXT_BYTES_MAX + 1);
    let id = "x".repeat(129);
    let title = "ü".repeat(201);
    let cases = [
        ("chat", chat("", "a"), "text_empty"),
        ("chat", chat(" \n\t", "a"), "text_empty"),
        ("chat", chat(&long, "a"), "text_too_long"),
        ("chat", chat("a\u{0}b", "a"), "text_control_characters"),
        ("chat", chat("\u{1b}[2J", "a"), "text_control_characters"),
        ("chat", chat("hello", ""), "client_message_id_invalid"),
        ("chat", chat("hello", "a b"), "client_message_id_invalid"),
        ("chat", chat("hello", &id), "client_message_id_invalid"),
        ("chat", json!({"text": "a", "clientMessageId": "b", "thread": "nowhere"}), "unknown_thread"),
        ("chat", json!({"text": "a", "clientMessageId": "b", "thread": long}), "unknown_thread"),
        ("messages", json!({"thread": "../m"}), "unknown_thread"),
        ("rename", json!({"thread": "x", "title": " "}), "title_empty"),
        ("rename", json!({"thread": "x", "title": title}), "title_too_long"),
        ("rename", json!({"thread": "x", "title": "a\nb"}), "title_control_characters"),
        ("threads", json!({"limit": 0}), "limit_invalid"),
        ("threads", json!({"limit": 101}), "limit_invalid"),
        ("threads", json!({"before": "nowhere"}), "unknown_thread"),
        ("messages", json!({"thread": "x", "limit": 201}), "limit_invalid"),
    ];
    for (action, request, code) in cases {
        assert_eq!(stage.act(action, request.clone()), json!(format!("user.{code}")), "{action} {request}");
    }
    assert!(stage.world.state.is_empty() && stage.world.events.is_empty());
}

#[test]
fn the_number_of_threads_is_bounded() {
    let mut stage = Stage::default();
    for count in 0..threads::THREADS_MAX {
        stage.say(None, &count.to_string(), "hello");
    }
    assert_eq!(stage.act("chat", json!({"text": "one more", "clientMessageId": "x"})), "user.too_many_threads");
}

#[test]
fn ids_ascend_even_when_the_clock_goes_back() {
    let mut world = Fake { now: 1_700_000_000_000, ..Fake::default() };
    let mut clock = ids::Clock::default();
    let mut last = String::new();
    for count in 0..10_000 {
        if count == 5000 {
            world.now -= 60_000;
        }
        let id = clock.next(&world);
        assert!(ids::is_id(&id) && id > last, "{id} after {last}");
        assert_eq!(&id[14..15], "7");
        last = id;
    }
    for bad in ["", "x", &last[1..], &last.to_uppercase(), &last.replace('-', "0")] {
        assert!(!ids::is_id(bad), "{bad}");
    }
}

#[test]
fn a_title_is_the_first_line_shortened() {
    assert_eq!(input::title_of("\n  hello \t world \nmore"), "hello world");
    let title = input::title_of(&"wort ".repeat(40));
    assert_eq!(title.chars().count(), 80);
    assert!(title.ends_with('…'));
}
