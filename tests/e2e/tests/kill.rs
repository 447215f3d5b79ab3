//! `kill -9` of the host at random moments, under load from the official client.
//!
//! What was acknowledged is there, once; events come without gap or repeat to a client that resumes.

use growqr_e2e::{Deployment, Host, Script, random};
use serde_json::{Value, json};
use std::time::Duration;

/// Rounds, unless `GROWQR_KILL_ROUNDS` says otherwise.
const ROUNDS: u64 = 50;
/// Actors under load; each has two writers and one consumer.
const ACTORS: u64 = 6;
/// After the first acknowledgement of a round the host lives for a random time up to this.
const LIFE_MAX: Duration = Duration::from_millis(250);

#[test]
fn nothing_acknowledged_is_lost_or_doubled_and_events_have_no_gap() {
    let rounds = match std::env::var("GROWQR_KILL_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("GROWQR_KILL_ROUNDS is a number"),
        Err(_) => ROUNDS,
    };
    let mut host = Host::start(&Deployment::of(&["ledger"]));
    let mut script = Script::start("ledger", &json!({ "url": host.url(), "actors": ACTORS }));
    let mut slowest_restart = Duration::ZERO;
    let mut acknowledged = 0;
    for round in 1..=rounds {
        // Each round has to get work done, or the test would show nothing.
        acknowledged = wait_for_more(&mut script, acknowledged);
        std::thread::sleep(LIFE_MAX.mul_f64((random() % 1000) as f64 / 1000.0));
        host.kill9();
        slowest_restart = slowest_restart.max(host.restart());
        if round % 10 == 0 {
            println!("round {round} of {rounds}: {acknowledged} acknowledged, slowest restart {slowest_restart:?}");
        }
    }
    script.send("end");
    let verdict = loop {
        let mut line = script.line().expect("a verdict");
        if let Some(verdict) = line.get_mut("verdict") {
            break verdict.take();
        }
    };
    check(&verdict, rounds);
}

fn wait_for_more(script: &mut Script, before: u64) -> u64 {
    let mut now = before;
    // What was printed during the last round is read as well; only more than all of that counts.
    while let Some(line) = script.waiting() {
        now = count(&line);
    }
    let reached = now;
    while now <= reached {
        now = count(&script.line().expect("the script goes on"));
    }
    now
}

fn count(line: &Value) -> u64 {
    line["acknowledged"].as_u64().unwrap_or_else(|| panic!("not a count: {line}"))
}

fn check(verdict: &Value, rounds: u64) {
    let actors = verdict.as_array().expect("one verdict per actor");
    assert_eq!(actors.len() as u64, ACTORS);
    let mut acknowledged = 0;
    for actor in actors {
        acknowledged += actor["acknowledged"].as_u64().expect("a count");
        let mut rest = actor.clone();
        let fields = rest.as_object_mut().expect("an object");
        fields.remove("acknowledged");
        assert!(fields.remove("events").and_then(|events| events.as_u64()) > Some(0), "no events were heard: {actor}");
        let expected = json!({
            "lost": [], "foreign": [], "total_is_the_sum": true, "events_not_one_per_entry": 0, "repeated": 0,
            "totals_in_events_wrong": 0, "wrong": []
        });
        assert_eq!(rest, expected);
    }
    assert!(acknowledged > rounds, "only {acknowledged} acknowledged in {rounds} rounds");
    println!(
        "{acknowledged} amounts acknowledged over {rounds} kills, none lost, none doubled, no event missed or repeated"
    );
}
