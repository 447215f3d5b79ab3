//! What the macro writes, natively: names, arguments, hooks, descriptions.

use crate::actor::Hooks;
use crate::prelude::*;
use crate::{Outcome, STATE_KEY};

#[derive(Default, Serialize, Deserialize)]
struct Sample {
    total: i64,
}

#[derive(Serialize, Event)]
#[event(name = "newTotal")]
struct NewTotal(i64);

#[derive(ActorError)]
enum Refused {
    OutOfCredit {
        need: i64,
    },
    #[fail(code = "gone", message = "it is gone")]
    NotThere,
}

#[derive(Default)]
struct Vars {
    seen: u32,
}

#[actor(
    vars = Vars, state_version = 3, migrates_from = 2, migrates_back_to = 2, events(NewTotal, "ping"), queues("extra"),
    requires("memory"), options(sleep_timeout = "1s", no_sleep = true, max_queue_size = 5, can_hibernate = false)
)]
impl Sample {
    #[action]
    fn add(&mut self, ctx: &mut Ctx<Vars>, by: i64, times: Option<i64>) -> i64 {
        ctx.vars.seen += 1;
        self.total += by * times.unwrap_or(1);
        self.total
    }

    #[action(name = "calculator.read", read_only)]
    fn read_total(&self) -> i64 {
        self.total
    }

    #[action(read_only)]
    fn greet(&self, name: &str, rest: &[i64]) -> String {
        format!("{name}{rest:?}")
    }

    #[action]
    fn spend(&self, need: i64) -> Result<(), Refused> {
        match need {
            0 => Err(Refused::NotThere),
            need => Err(Refused::OutOfCredit { need }),
        }
    }

    #[on_connect]
    fn connected(&mut self) {}

    #[on_queue]
    fn work_items(&mut self, count: i64) -> i64 {
        self.total += count;
        self.total
    }

    #[on_timer(name = "tick.tock")]
    fn tick(&mut self, by: Option<i64>) {
        self.total += by.unwrap_or(1);
    }

    #[migrate]
    fn migrate(old: Json, from: u32, _to: u32) -> Result<Json> {
        match from {
            2 => Json::from_text(old.text().replace("sum", "total")),
            _ => Err(Fail::new("too_old", "this version is too old")),
        }
    }
}

#[track_caller]
fn check(name: &str, args: &str, expected: &str) {
    let mut ctx = Ctx::new();
    let got = match (Sample { total: 1 }).action(&mut ctx, name, args) {
        Ok(Outcome::Reply(json)) => json,
        Ok(Outcome::Deferred) => "deferred".to_owned(),
        Err(fail) => fail.to_string(),
    };
    assert_eq!(got, expected, "{name}{args}");
}

#[test]
fn an_action_is_called_by_its_name_with_typed_arguments() {
    check("add", "[2]", "3");
    check("add", "[2,3]", "7");
    check("add", "[2,null,true]", "3");
    check("calculator.read", "[]", "1");
    check("greet", r#"["a",[1]]"#, r#""a[1]""#);
    check("readTotal", "[]", "actor.action_not_found: The action `readTotal` was not found.");
}

#[test]
fn a_wrong_argument_is_named() {
    check("add", "[]", "actor.validation_error: argument 1 (`by`) is missing");
    let wrong = "actor.validation_error: argument 2 (`times`) is not valid: invalid type: string \"x\", expected i64 at line 1 column 3";
    check("add", r#"[1,"x"]"#, wrong);
    check("add", "{}", "actor.validation_error: the arguments are not a JSON array");
}

#[test]
fn an_error_enum_gives_stable_codes() {
    check("spend", "[5]", "user.out_of_credit: out_of_credit");
    check("spend", "[0]", "user.gone: it is gone");
}

#[test]
fn a_description_declares_what_the_block_has_and_no_more() {
    let description = Sample::describe();
    let actions: Vec<_> = description.actions.iter().map(|action| (action.name.as_str(), action.read_only)).collect();
    assert_eq!(actions, [("add", false), ("calculator.read", true), ("greet", true), ("spend", false)]);
    assert_eq!(description.events, ["newTotal", "ping"]);
    assert_eq!(description.queues, ["extra", "workItems"]);
    assert_eq!(description.hooks, Hooks::CONNECT | Hooks::CHECK);
    let versions = (description.state_version, description.migrates_from, description.migrates_back_to);
    assert_eq!(versions, (3, 2, 2));
    assert_eq!(description.requires, ["memory"]);
    let options = r#"{"sleepTimeout":"1s","noSleep":true,"maxQueueSize":5,"hibernatableWebSockets":false}"#;
    assert_eq!(description.options, options);
    assert_eq!(Sample::NAME, "sample");
    assert_eq!(STATE_KEY, "$state", "stored states have this key");
}

#[test]
fn queues_timers_and_migrations_read_their_values() {
    let (mut sample, mut ctx) = (Sample { total: 1 }, Ctx::new());
    let message = |queue: &str, body: &str| QueueMessage {
        queue: queue.into(),
        body: body.into(),
        connection: None,
        waiting: true,
        reply: 1,
    };
    assert_eq!(sample.queue_message(&mut ctx, message("workItems", "4")).unwrap(), Outcome::Reply("5".into()));
    assert_eq!(sample.queue_message(&mut ctx, message("extra", "4")).unwrap(), Outcome::Reply("null".into()));
    assert!(sample.queue_message(&mut ctx, message("workItems", "{}")).unwrap_err().message.contains("`count`"));
    let timer = TimerEvent { id: 1, name: "tick.tock".into(), payload: "null".into(), due: 1 };
    sample.timer(&mut ctx, timer).unwrap();
    assert_eq!(sample.total, 6);
    assert_eq!(<Sample as Actor>::migrate(&mut ctx, r#"{"sum":1}"#, 2, 3).unwrap(), r#"{"total":1}"#);
    assert_eq!(<Sample as Actor>::migrate(&mut ctx, "{}", 1, 3).unwrap_err().code, "too_old");
}

/// A second actor of the same component.
#[derive(Default, Serialize, Deserialize)]
struct Other;

#[actor(name = "second")]
impl Other {}

// Several actors of one component compile; which one serves is decided by the actor's name.
export!(Sample, Other);

#[test]
fn an_actor_may_have_nothing_but_a_name() {
    assert_eq!(Other::NAME, "second");
    assert!(Other::describe().actions.is_empty());
    assert_eq!(Other::describe().hooks, Hooks::CHECK);
}
