//! One action for each way in which a guest can behave or misbehave. It uses the contract without the SDK.

mod bindings {
    wit_bindgen::generate!({ path: "../../../../wit", world: "agent" });
}

use bindings::exports::growqr::actor::handlers::Guest;
use bindings::growqr::actor::types::*;
use bindings::growqr::actor::{clock, config, events, log, memory, random, state};

struct Actor;

fn done() -> Result<Outcome, Failure> {
    Ok(Outcome::Done)
}

fn text(value: &str) -> Result<Outcome, Failure> {
    Ok(Outcome::Reply(format!("\"{value}\"")))
}

fn own(code: &str) -> Failure {
    Failure { group: String::new(), code: code.into(), message: "the guest said no".into(), metadata: None }
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if std::hint::black_box(depth) == u64::MAX { 0 } else { recurse(depth + 1).wrapping_add(std::hint::black_box(depth)) }
}

#[inline(never)]
fn panics_by_name() {
    panic!("the guest panics on purpose");
}

fn spin() -> ! {
    let mut count = 0u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}

fn bump(key: &str) -> u64 {
    let old = state::get(key).map_or(0, |bytes| String::from_utf8_lossy(&bytes).parse().unwrap_or(0));
    state::set(key, (old + 1).to_string().as_bytes());
    old + 1
}

fn overlay() -> Result<Outcome, Failure> {
    state::set("a/1", b"one");
    state::set("a/2", b"two");
    state::delete("a/stored");
    let seen: Vec<String> = state::scan("a/", None, 10)
        .into_iter()
        .map(|(key, value)| format!("{key}={}", String::from_utf8_lossy(&value)))
        .collect();
    text(&format!("{};{}", seen.join(","), state::get("a/stored").is_none()))
}

fn act(call: &ActionCall) -> Result<Outcome, Failure> {
    match call.name.as_str() {
        "nothing" => done(),
        "echo" => Ok(Outcome::Reply(call.args.clone())),
        "bump" => Ok(Outcome::Reply(bump("count").to_string())),
        "overlay" => overlay(),
        "random" => text(&format!("{}-{:?}", random::number(), random::bytes(4))),
        "clock" => Ok(Outcome::Reply(clock::now().to_string())),
        "log" => {
            log::write(log::Level::Warn, "a line from the guest");
            done()
        }
        "broadcast" => {
            events::broadcast("news", &call.args);
            done()
        }
        "defer" => Ok(Outcome::Deferred),
        "loop" => spin(),
        "recurse" => Ok(Outcome::Reply(recurse(0).to_string())),
        "grow" => {
            let mut kept: Vec<Vec<u8>> = Vec::new();
            loop {
                kept.push(std::hint::black_box(vec![1; 1 << 20]));
            }
        }
        "panic" => {
            panics_by_name();
            done()
        }
        "not-json" => Ok(Outcome::Reply("{\"a\":".into())),
        "long" => text(&"x".repeat(2 << 20)),
        "fail" => Err(own("no")),
        "fail-guard" => Err(Failure { group: "guard".into(), ..own("actor_ready_timeout") }),
        "memory" => match memory::read(memory::Layer::Repository, "a.md", None) {
            Ok(_) => done(),
            Err(failure) => Err(failure),
        },
        "bad-event" => {
            events::broadcast("news", "not an array");
            done()
        }
        "slow" => {
            state::get("slow");
            done()
        }
        other => Err(own(other)),
    }
}

impl Guest for Actor {
    fn describe(actor: String) -> Description {
        match actor.as_str() {
            "spins" => spin(),
            "panics" => panics_by_name(),
            "reads-state" => {
                state::get("x");
            }
            _ => {}
        }
        let twice = actor == "twice";
        let action = |name: &str| ActionInfo { name: name.into(), read_only: name == "echo" };
        let mut actions = vec![action("bump"), action("echo")];
        if twice {
            actions.push(action("echo"));
        }
        Description {
            actions,
            events: vec!["news".into()],
            queues: vec!["jobs".into()],
            hooks: Hooks::CREATE | Hooks::CHECK | Hooks::REQUEST,
            state_version: 2,
            migrates_from: 1,
            migrates_back_to: 2,
            requires: Vec::new(),
            options: if actor == "bad-options" { "[]".into() } else { config::get("options").unwrap_or_else(|| "{}".into()) },
        }
    }

    fn on_create(input: Option<String>) -> Result<(), Failure> {
        state::set("input", input.unwrap_or_default().as_bytes());
        Ok(())
    }
    fn on_wake(_: WakeReason) -> Result<(), Failure> {
        Ok(())
    }
    fn on_before_connect(request: ConnectionRequest) -> Result<Verdict, Failure> {
        Ok(Verdict::Accept(Some(request.params)))
    }
    fn on_connect(_: Connection) -> Result<(), Failure> {
        Ok(())
    }
    fn on_disconnect(_: Connection) -> Result<(), Failure> {
        Ok(())
    }
    fn on_subscribe(_: String, event: String) -> Result<(), Failure> {
        if event == "secret" { Err(own("secret")) } else { Ok(()) }
    }
    fn on_action(call: ActionCall) -> Result<Outcome, Failure> {
        act(&call)
    }
    fn on_queue_message(message: QueueMessage) -> Result<Outcome, Failure> {
        Ok(Outcome::Reply(message.body))
    }
    fn on_request(_: String, request: HttpRequest, _: u64) -> Result<RequestOutcome, Failure> {
        let headers = vec![Header { name: "X-Url".into(), value: request.url.clone() }];
        let status = if request.url.ends_with("/bad") { 42 } else { 200 };
        Ok(RequestOutcome::Response(HttpResponse { status, headers, body: request.body }))
    }
    fn on_socket(_: String, _: SocketEvent) -> Result<(), Failure> {
        Ok(())
    }
    fn on_message(_: ActorMessage) -> Result<(), Failure> {
        Ok(())
    }
    fn on_timer(timer: TimerEvent) -> Result<(), Failure> {
        if timer.name == "loop" { spin() } else { Ok(()) }
    }
    fn on_sandbox_event(_: SandboxEvent) -> Result<(), Failure> {
        Ok(())
    }
    fn on_effect_result(result: EffectResult) -> Result<(), Failure> {
        result.outcome.map(|_| ())
    }
    fn migrate(stored: u32, target: u32) -> Result<(), Failure> {
        if stored < target { Ok(()) } else { Err(own("backwards")) }
    }
    fn check() -> Result<(), Failure> {
        Ok(())
    }
    fn on_sleep() -> Result<(), Failure> {
        Ok(())
    }
    fn on_destroy() -> Result<(), Failure> {
        Ok(())
    }
}

bindings::export!(Actor with_types_in bindings);
