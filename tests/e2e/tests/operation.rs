//! What an operator sees: numbers, health, readiness, the log, and how the host stops.

use growqr_e2e::{Deployment, Host, Script, get, repository, request, staged};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long something that must happen may take.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// How long a private database may take to be made, and a row to arrive in it.
const DATABASE_WAIT_MAX: Duration = Duration::from_secs(60);
/// Clean stops under load.
const STOPS: u64 = 5;
/// Actors under load.
const ACTORS: u64 = 4;

fn observed(deployment: Deployment) -> Host {
    Host::start(&deployment.setting("metrics", json!({ "listen": "127.0.0.1:0" })))
}

fn read(path: &str) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all metrics of a host, as a reader knows them: without the parts of a histogram.
fn names(numbers: &str) -> BTreeSet<String> {
    let name = |line: &str| line.strip_prefix("# TYPE ").and_then(|rest| rest.split(' ').next()).map(str::to_owned);
    numbers.lines().filter_map(name).collect()
}

/// The value of a series, or the sum over its labels.
fn value(numbers: &str, name: &str) -> f64 {
    let is_of = |line: &&str| line.starts_with(&format!("{name} ")) || line.starts_with(&format!("{name}{{"));
    let number = |line: &str| line.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok());
    numbers.lines().filter(is_of).filter_map(number).sum()
}

/// Names of metrics in a text: words that begin with `growqr_`, histograms without their parts.
fn mentioned(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
    words
        .filter(|word| word.starts_with("growqr_"))
        .map(|word| {
            let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| word.strip_suffix(part));
            part.unwrap_or(word).to_owned()
        })
        .collect()
}

/// The metrics that the page lists: all, and those among them that are there only with a database or with identity.
fn documented() -> (BTreeSet<String>, BTreeSet<String>) {
    let page = read("docs/operation.md");
    let (always, rest) = page.split_once("### Only with a database").expect("the page has both parts");
    let rows = |text: &str| -> BTreeSet<String> {
        text.lines()
            .filter_map(|line| line.strip_prefix("| `growqr_")?.split('`').next())
            .map(|name| format!("growqr_{name}"))
            .collect()
    };
    (rows(always), rows(rest))
}

fn act(host: &Host, headers: &[(&str, &str)]) {
    let path =
        "/gateway/counter/action/increment?rvt-namespace=default&rvt-runner=default&rvt-method=getOrCreate&rvt-key=ada";
    let answer = request("POST", host.url(), path, headers, r#"{"args":[1]}"#);
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Waits until the load has more than so many acknowledgements; gives how many it has.
fn wait_for_more(script: &mut Script, least: u64) -> u64 {
    loop {
        let acknowledged = script.line().expect("the load goes on")["acknowledged"].as_u64().expect("a count");
        if acknowledged > least {
            return acknowledged;
        }
    }
}

#[test]
fn every_number_of_a_busy_host_is_documented_and_every_drawn_one_is_there() {
    let host = observed(Deployment::of(&["ledger", "counter"]));
    let mut script = Script::start("ledger", &json!({ "url": host.url(), "actors": 2 }));
    wait_for_more(&mut script, 10);
    for _ in 0..3 {
        act(&host, &[]);
    }
    let numbers = get(host.operator(), "/metrics").body;
    let real = names(&numbers);
    let (always, conditional) = documented();
    let missing: Vec<_> = real.iter().filter(|name| !always.contains(*name) && !conditional.contains(*name)).collect();
    assert!(missing.is_empty(), "docs/operation.md does not explain {missing:?}");
    let gone: Vec<_> = always.iter().filter(|name| !real.contains(*name)).collect();
    assert!(gone.is_empty(), "docs/operation.md explains {gone:?}, which a host does not have");
    let drawn = mentioned(&read("docs/dashboard.json"));
    assert!(drawn.len() > 10, "the dashboard was not read: {drawn:?}");
    let unknown: Vec<_> = drawn.iter().filter(|name| !real.contains(*name) && !conditional.contains(*name)).collect();
    assert!(unknown.is_empty(), "docs/dashboard.json draws {unknown:?}, which a host does not have");
    for (name, least) in [
        ("growqr_turns_total", 4.0),
        ("growqr_turn_seconds_count", 4.0),
        ("growqr_turn_durable_seconds_count", 4.0),
        ("growqr_commits_total", 1.0),
        ("growqr_commit_turns_sum", 4.0),
        ("growqr_requests_total", 4.0),
        ("growqr_actors_awake", 3.0),
        ("growqr_instances", 3.0),
        ("growqr_sockets", 1.0),
        ("growqr_ready", 1.0),
        ("growqr_process_resident_bytes", 1e6),
    ] {
        assert!(value(&numbers, name) >= least, "{name} is {}, not {least}\n{numbers}", value(&numbers, name));
    }
}

#[test]
fn a_host_with_a_database_lists_it_and_its_numbers_are_documented() {
    let host = observed(Deployment::of(&["counter"]).setting("database", json!({})));
    // Actors do not wait for the database.
    act(&host, &[]);
    assert_eq!(get(host.url(), "/ready").status, 200);
    let end = Instant::now() + DATABASE_WAIT_MAX;
    while value(&get(host.operator(), "/metrics").body, "growqr_mirror_rows_total") < 1.0 {
        assert!(Instant::now() < end, "no row arrives: {}", get(host.operator(), "/ready").body);
        std::thread::sleep(Duration::from_millis(50));
    }
    let ready: Value = serde_json::from_str(&get(host.operator(), "/ready").body).expect("JSON");
    assert_eq!(ready["parts"]["database"]["state"], "ready", "{ready}");
    let (always, conditional) = documented();
    let real = names(&get(host.operator(), "/metrics").body);
    let missing: Vec<_> = real.iter().filter(|name| !always.contains(*name) && !conditional.contains(*name)).collect();
    assert!(missing.is_empty(), "docs/operation.md does not explain {missing:?}");
    assert!(real.intersection(&conditional).count() >= 5, "{real:?}");
}

#[test]
fn a_host_lives_and_is_ready_on_both_listeners() {
    let host = observed(Deployment::of(&["counter"]));
    for address in [host.url(), host.operator()] {
        let ready = get(address, "/ready");
        assert_eq!(ready.status, 200, "{}", ready.body);
        let ready: Value = serde_json::from_str(&ready.body).expect("JSON");
        assert_eq!(ready["status"], "ready");
        for part in ["storage", "components"] {
            assert_eq!(ready["parts"][part]["state"], "ready", "{ready}");
        }
        let health = get(address, "/health");
        assert_eq!(health.status, 200);
        assert!(health.body.contains(r#""status":"ok""#), "{}", health.body);
    }
    assert_eq!(get(host.url(), "/metrics").status, 404, "numbers are not for clients");
    assert_eq!(get(host.operator(), "/elsewhere").status, 404);
}

#[test]
fn a_component_that_cannot_be_loaded_makes_the_host_live_but_not_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut host = observed(Deployment::of(&["counter"]).file("absent", &folder.path().join("absent.wasm")));
    host.announce("absent");
    act(&host, &[]);
    assert_eq!(get(host.url(), "/health").status, 200);
    let told = get(host.operator(), "/ready");
    assert_eq!(told.status, 503);
    assert!(told.body.contains("absent.wasm"), "{}", told.body);
    let public = get(host.url(), "/ready");
    assert_eq!(public.status, 503);
    assert!(public.body.contains("failed") && !public.body.contains("absent"), "{}", public.body);
}

#[test]
fn stopping_under_load_loses_nothing_and_clients_go_on_at_the_next_host() {
    let mut host = observed(Deployment::of(&["ledger"]));
    let mut script = Script::start("ledger", &json!({ "url": host.url(), "actors": ACTORS }));
    let mut acknowledged = 0;
    for round in 1..=STOPS {
        // Each round has to get work done, or the test would show nothing.
        acknowledged = wait_for_more(&mut script, acknowledged + 20);
        let start = Instant::now();
        let status = host.stop();
        assert!(status.success(), "stop {round} ended with {status}");
        assert!(start.elapsed() < WAIT_MAX / 4, "stop {round} took {:?}", start.elapsed());
        host.restart();
    }
    script.send("end");
    let verdict = loop {
        let mut line = script.line().expect("a verdict");
        if let Some(verdict) = line.get_mut("verdict") {
            break verdict.take();
        }
    };
    for actor in verdict.as_array().expect("one verdict per actor") {
        for field in ["lost", "foreign", "wrong"] {
            assert_eq!(actor[field], json!([]), "{actor}");
        }
        for field in ["events_not_one_per_entry", "repeated", "totals_in_events_wrong"] {
            assert_eq!(actor[field], 0, "{actor}");
        }
        assert_eq!(actor["total_is_the_sum"], true, "{actor}");
    }
}

#[test]
fn every_line_in_a_turn_says_actor_user_and_turn() {
    for form in ["json", "text"] {
        let deployment = Deployment::of(&["misbehaving"])
            .setting("logs", json!({ "format": form, "filter": "info" }))
            .setting("identity", json!({ "provider": "development" }));
        let host = Host::start(&deployment);
        let token = Command::new(staged("GROWQR_BINARY", "growqr"))
            .args(["token", "--user", "ada", "--data-dir"])
            .arg(host.data_dir())
            .output()
            .expect("growqr can be started");
        let token = format!("Bearer {}", String::from_utf8_lossy(&token.stdout).trim());
        let path = "/gateway/misbehaving/action/logFlood?rvt-namespace=default&rvt-runner=default&rvt-method=getOrCreate&rvt-key=ada";
        let answer = request("POST", host.url(), path, &[("authorization", &token)], r#"{"args":[3]}"#);
        assert_eq!(answer.status, 200, "{}", answer.body);
        if form == "text" {
            host.wait_for_log(&["turn{", "actor=", "actor_name=misbehaving", "user=\"ada\"", "turn=1.", " 2"]);
            continue;
        }
        let line = host.wait_for_log(&[r#""message":"2""#]);
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let span = &line["span"];
        assert_eq!((&span["actor_name"], &span["user"]), (&json!("misbehaving"), &json!("ada")), "{line}");
        assert!(span["actor"].as_str().is_some_and(|id| id.len() > 20), "{line}");
        assert!(span["turn"].as_str().is_some_and(|turn| turn.starts_with("1.")), "{line}");
    }
}
