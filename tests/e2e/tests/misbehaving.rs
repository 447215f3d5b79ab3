//! Guests that misbehave: the actor fails alone, with the documented code, and its neighbours answer meanwhile and after.

use growqr_e2e::{Deployment, Host, Script, component};
use serde_json::{Value, json};

/// How long a turn may take in these tests.
const TURN_TIMEOUT: &str = "500ms";
/// The hooks in which the component panics when it is told to, one actor name for each.
const HOOKS: [&str; 15] = [
    "describe",
    "on-create",
    "on-wake",
    "on-before-connect",
    "on-connect",
    "on-disconnect",
    "on-subscribe",
    "on-queue-message",
    "on-request",
    "on-socket",
    "on-message",
    "on-timer",
    "on-effect-result",
    "on-sleep",
    "on-destroy",
];

fn start() -> (Host, Script) {
    let file = component("misbehaving");
    let options = json!({ "turnTimeout": TURN_TIMEOUT });
    let mut deployment = Deployment::of(&["counter", "misbehaving"]).with("misbehaving", json!({ "options": options }));
    for hook in HOOKS {
        let fields = json!({ "component": file, "options": options, "config": { "panicIn": hook } });
        deployment = deployment.with(&panics_in(hook), fields);
    }
    let mut host = Host::start(&deployment);
    // The operator hears of everything that these actors do; nothing else may be an error.
    host.announce("misbehaving");
    host.announce("panics-in-");
    let arguments = json!({ "url": host.url(), "neighbour": "counter", "misbehaving": "misbehaving" });
    let mut script = Script::start("misbehaving", &arguments);
    assert_eq!(script.expect("ready"), json!([0, "ok"]));
    (host, script)
}

fn panics_in(hook: &str) -> String {
    format!("panics-in-{hook}")
}

/// Has the script do something, and gives what came of it.
fn ask(script: &mut Script, command: &Value) -> Value {
    script.send(&command.to_string());
    let line = script.line().expect("an answer");
    assert!(line["neighbours"].as_u64() > Some(0), "the neighbours did not answer during {command}");
    line["result"].clone()
}

fn action(script: &mut Script, actor: &str, key: &str, action: &str, args: Value) -> Value {
    ask(script, &json!({ "actor": actor, "key": key, "action": action, "args": args }))
}

fn failure(code: &str) -> Value {
    json!({ "error": code })
}

#[test]
fn each_misbehaviour_has_its_code_and_leaves_nothing() {
    let (host, mut script) = start();
    let cases = [
        ("spin", json!([]), failure("actor.action_timed_out")),
        ("recurse", json!([]), failure("limit.stack")),
        ("allocate", json!([]), failure("limit.memory")),
        ("hugeState", json!([]), failure("limit.state_value")),
        ("manyWrites", json!([]), failure("limit.writes")),
        ("eventFlood", json!([]), failure("limit.events")),
        ("timerFlood", json!([]), failure("limit.timers")),
        ("sendFlood", json!([]), failure("limit.effects")),
        ("panic", json!([]), failure("actor.crashed")),
        ("hugeAnswer", json!([]), failure("limit.transfer")),
        ("badJson", json!([]), failure("actor.invalid_output")),
        ("writeInReadOnly", json!([]), failure("actor.read_only")),
        ("fail", json!(["my_code"]), failure("user.my_code")),
    ];
    for (index, (name, args, expected)) in cases.into_iter().enumerate() {
        let key = format!("{index} {name}");
        assert_eq!(action(&mut script, "misbehaving", &key, "calls", json!([])), json!(1), "{key}, before");
        assert_eq!(action(&mut script, "misbehaving", &key, name, args), expected, "{key}");
        assert_eq!(action(&mut script, "misbehaving", &key, "calls", json!([])), json!(2), "{key}, after");
    }
    drop(script);
    drop(host);
}

#[test]
fn a_capability_that_is_not_configured_says_so() {
    let (_host, mut script) = start();
    for (name, expected) in [("useMemory", "memory.not_available"), ("useSandbox", "sandbox.not_available")] {
        assert_eq!(action(&mut script, "misbehaving", "capability", name, json!([])), json!(expected));
    }
}

#[test]
fn a_flood_of_log_lines_is_cut_and_is_no_error() {
    let (_host, mut script) = start();
    assert_eq!(action(&mut script, "misbehaving", "log", "logFlood", json!([])), Value::Null);
    assert_eq!(action(&mut script, "misbehaving", "log", "ok", json!([])), json!("ok"));
}

#[test]
fn an_actor_that_crashes_again_and_again_is_paused_and_comes_back() {
    let (_host, mut script) = start();
    let results: Vec<Value> =
        (0..20).map(|_| action(&mut script, "misbehaving", "again", "panic", json!([]))).collect();
    assert_eq!(results[0], failure("actor.crashed"));
    assert!(results.iter().any(|result| result["error"] == "actor.crash_backoff"), "never paused: {results:?}");
    let end = std::time::Instant::now() + std::time::Duration::from_secs(40);
    while action(&mut script, "misbehaving", "again", "ok", json!([])) != json!("ok") {
        assert!(std::time::Instant::now() < end, "the actor did not come back");
    }
}

#[test]
fn a_panic_in_any_hook_fails_alone() {
    let (host, mut script) = start();
    let ok = json!("ok");
    let crashed = failure("actor.crashed");
    // Hook, what is done, what comes of it.
    let cases = [
        ("describe", json!({ "action": "ok" }), failure("component.describe")),
        ("on-create", json!({ "action": "ok" }), failure("actor.start_failed")),
        ("on-wake", json!({ "action": "ok" }), failure("actor.start_failed")),
        ("on-before-connect", json!({ "do": "connect" }), crashed.clone()),
        ("on-connect", json!({ "do": "connect" }), crashed.clone()),
        ("on-disconnect", json!({ "do": "connect" }), json!("connected")),
        ("on-subscribe", json!({ "do": "subscribe" }), crashed.clone()),
        ("on-queue-message", json!({ "do": "queue" }), crashed.clone()),
        ("on-request", json!({ "do": "request" }), Value::Null),
        ("on-socket", json!({ "do": "socket" }), json!([1011, "actor.crashed"])),
        ("on-message", json!({ "action": "sendToSelf" }), Value::Null),
        ("on-timer", json!({ "action": "setTimer", "args": [1] }), Value::Null),
        ("on-effect-result", json!({ "action": "callSelf" }), Value::Null),
        ("on-sleep", json!({ "action": "sleepNow" }), Value::Null),
        ("on-destroy", json!({ "action": "destroyMe" }), Value::Null),
    ];
    assert_eq!(cases.len(), HOOKS.len());
    for (hook, mut command, expected) in cases {
        let actor = panics_in(hook);
        command["actor"] = json!(actor);
        command["key"] = json!("x");
        let result = ask(&mut script, &command);
        let is_number = expected.is_null() && result.is_number();
        let is_refused_request = hook == "on-request" && result[0] == json!(500);
        assert!(result == expected || is_number || is_refused_request, "{hook}: {result}");
        // What the component does elsewhere still works, where it can start at all.
        if !matches!(hook, "describe" | "on-create" | "on-wake" | "on-before-connect" | "on-connect") {
            assert_eq!(
                action(&mut script, &actor, "another", "ok", json!([])),
                ok,
                "{hook}, another actor of that name"
            );
        }
        if !matches!(hook, "on-disconnect" | "on-subscribe") || host.log().iter().any(|line| line.contains(&actor)) {
            host.wait_for_log(&[&actor, "told to panic"]);
        }
    }
}
