//! What a machine can do to a host (`docs/faults.md`): it runs out of file handles or memory mappings, its clock jumps, it is restarted.
//! Nothing acknowledged is lost, and the message says what to do.

use growqr_e2e::{Book, Deployment, Host, Machine, Plain, Surroundings, eventually};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Seconds by which the clock jumps: more than any wait, and more than events are kept.
const JUMP_SECONDS: i64 = 2 * 24 * 3600;
/// Actors of the host that is restarted as a whole, and the clients that use them.
const MANY: usize = 2000;
const CLIENTS: usize = 8;
/// A host that has many actors is ready again in this time; they are loaded only when they are asked for.
const READY_TIME_MAX: Duration = Duration::from_secs(5);

fn deployment() -> Deployment {
    Deployment::of(&["ledger", "counter", "everything"])
}

#[test]
fn a_crowd_of_clients_never_takes_the_file_handles_of_storage() {
    let limits = Some("ulimit -n 96".to_owned());
    let mut host = Host::start_in(&deployment(), Surroundings { limits, ..Surroundings::default() });
    let mut book = Book::of(&host);
    book.add_some("before");
    let address = host.url().trim_start_matches("http://").to_owned();
    let crowd: Vec<_> = (0..200).map(|_| TcpStream::connect(&address).expect("a connection")).collect();
    host.wait_for_log(&["all connections are in use", "raise the limit of open files"]);
    // Who is there already is served, and there are handles left for files.
    book.add_some("crowded");
    drop(crowd);
    let mut late = Book::of(&host);
    late.add_some("late");
    late.acknowledged.append(&mut book.acknowledged);
    late.check();
    host.kill9();
    host.restart();
    late.check();
}

fn open_files(host: &Host) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", host.pid())).expect("the process can be seen").count()
}

#[test]
fn without_any_file_handle_new_clients_wait_and_those_that_are_there_are_served() {
    let host = Host::start(&deployment());
    let mut book = Book::of(&host);
    book.add_some("before");
    // Not one more than there are now.
    host.limit(&format!("--nofile={}:", open_files(&host)));
    let address = host.url().trim_start_matches("http://").to_owned();
    let mut waiting: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).expect("a connection");
            stream.write_all(b"GET /health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").expect("a request");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a bound");
            stream
        })
        .collect();
    host.wait_for_log(&["can't accept connections", "os error 24", "raise the limit of open files"]);
    book.add_some("without handles");
    host.limit("--nofile=1024:");
    for stream in &mut waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    book.add_some("after");
    book.check();
}

#[test]
fn out_of_instances_actors_are_put_to_sleep_or_refused_and_none_is_lost() {
    let deployment = deployment().setting("instances", json!(4));
    let host = Host::start(&deployment);
    let mut client = Plain::to(&host);
    for round in 1..=3 {
        for number in 0..24 {
            let key = format!("crowd-{number}");
            let count =
                eventually("a place for an actor", || match client.call("counter", &key, "increment", json!([1])) {
                    Ok(count) => Some(count),
                    Err(refusal) => {
                        assert_eq!(refusal.code, "actor.overloaded", "{refusal:?}");
                        assert!(refusal.message.contains("try again"), "{refusal:?}");
                        None
                    }
                });
            assert_eq!(count, json!(round), "{key}");
        }
    }
    // The others were put to sleep, which is the only way to have a place for each.
    eventually("no more actors awake than there are places", || {
        let list = client.get("/actors?namespace=default&name=counter&limit=100");
        let actors = list["actors"].as_array().expect("a list");
        assert_eq!(actors.len(), 24);
        (actors.iter().filter(|actor| actor["sleep_ts"].is_null()).count() <= 4).then_some(())
    });
}

#[test]
fn out_of_memory_mappings_new_instances_are_refused_and_all_others_go_on() {
    let machine = Machine::new();
    let mut host = Host::start_in(&deployment(), machine.surroundings());
    let mut book = Book::of(&host);
    book.add_some("before");
    let (taken, error) = machine.take_mappings(2);
    assert!(taken > 0 && error.kind() == ErrorKind::OutOfMemory, "{taken} mappings were taken: {error}");
    // Each new actor waits for a moment whether there will be room after all.
    let refused = std::thread::scope(|scope| {
        let client = |number: usize| {
            let mut client = Plain::to(&host);
            move || client.call("counter", &format!("new-{number}"), "increment", json!([1]))
        };
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(client(number))).collect();
        book.add_some("without mappings");
        clients.into_iter().filter_map(|client| client.join().expect("a client").err()).collect::<Vec<_>>()
    });
    assert!(!refused.is_empty(), "every instance found mappings");
    for refusal in refused {
        assert_eq!(refusal.code, "actor.overloaded", "{refusal:?}");
        assert!(refusal.message.contains("no memory mappings left"), "{refusal:?}");
    }
    host.wait_for_log(&["no memory mappings", "raise vm.max_map_count", "instances"]);
    book.add_some("still without mappings");
    machine.give_mappings();
    let mut client = Plain::to(&host);
    for number in 0..CLIENTS {
        let call = || client.call("counter", &format!("new-{number}"), "increment", json!([1])).ok();
        eventually("an instance for a new actor", call);
    }
    book.add_some("after");
    book.check();
    host.kill9();
    host.restart();
    book.check();
}

#[test]
fn more_instances_than_the_machine_has_mappings_for_are_warned_of() {
    let most: u64 =
        std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("the setting").trim().parse().expect("it");
    let instances = 10_000;
    let host = Host::start(&deployment().setting("instances", json!(instances)));
    let log = host.log().join("\n");
    // An instance costs six mappings; components with a language runtime, and everything else, need some thousands.
    assert_eq!(log.contains("raise vm.max_map_count"), most < instances * 6 + 12_168, "{most} mappings: {log}");
}

/// What ran of the timers of an actor, by label.
fn ran(client: &mut Plain, key: &str) -> Vec<String> {
    let ran = client.call("everything", key, "ran", json!([])).expect("what ran");
    let ran = ran.as_array().expect("a list").iter();
    ran.map(|ran| ran["label"].as_str().expect("a label").to_owned()).collect()
}

fn set_timer(client: &mut Plain, key: &str, milliseconds: i64, label: &str) {
    let set = client.call("everything", key, "timerAfter", json!([milliseconds, label]));
    assert!(set.is_ok(), "{set:?}");
}

#[test]
fn a_clock_that_jumps_forward_makes_what_is_due_happen_once_and_loses_nothing() {
    let machine = Machine::new();
    let mut host = Host::start_in(&deployment(), machine.surroundings());
    let mut book = Book::of(&host);
    book.add_some("before");
    let mut client = Plain::to(&host);
    let before = client.call("everything", "awake", "clock", json!([])).expect("a time").as_i64().expect("a number");
    let within = JUMP_SECONDS * 1000 - 3_600_000;
    set_timer(&mut client, "awake", within, "within the jump");
    set_timer(&mut client, "awake", JUMP_SECONDS * 1000 + 3_600_000, "after the jump");
    set_timer(&mut client, "asleep", within, "within the jump");
    client.call("everything", "asleep", "sleepNow", json!([])).expect("it goes to sleep");
    machine.set_clock(JUMP_SECONDS);
    let after = client.call("everything", "awake", "clock", json!([])).expect("a time").as_i64().expect("a number");
    assert!(after - before >= JUMP_SECONDS * 1000, "the clock did not jump: {before} {after}");
    for key in ["awake", "asleep"] {
        eventually("the timer that the jump made due", || {
            let ran = ran(&mut client, key);
            (!ran.is_empty()).then(|| assert_eq!(ran, ["within the jump"], "{key}"))
        });
    }
    book.add_some("after");
    book.check();
    host.kill9();
    host.restart();
    book.check();
    assert_eq!(ran(&mut Plain::to(&host), "awake"), ["within the jump"], "a timer ran twice or too early");
}

#[test]
fn a_clock_that_jumps_back_stops_no_wait_and_loses_nothing() {
    let machine = Machine::new();
    let mut host = Host::start_in(&deployment(), machine.surroundings());
    let mut book = Book::of(&host);
    book.add_some("before");
    let mut client = Plain::to(&host);
    let before = client.call("everything", "back", "clock", json!([])).expect("a time").as_i64().expect("a number");
    set_timer(&mut client, "back", 500, "set before the jump");
    machine.set_clock(-JUMP_SECONDS);
    let after = client.call("everything", "back", "clock", json!([])).expect("a time").as_i64().expect("a number");
    assert!(before - after > JUMP_SECONDS * 1000 - 60_000, "the clock did not jump: {before} {after}");
    book.add_some("after");
    // Lengths of time go on as if nothing had happened: a timer, an answer that is waited for, the way to sleep.
    set_timer(&mut client, "back", 50, "set after the jump");
    assert_eq!(client.call("everything", "back", "waitFor", json!([50])), Ok(json!("waited")));
    eventually("the timer that was set after the jump", || {
        let ran = ran(&mut client, "back");
        (!ran.is_empty()).then(|| assert_eq!(ran, ["set after the jump"]))
    });
    let refusal = client.call("everything", "back", "waitForever", json!([])).expect_err("the deadline comes");
    assert_eq!(refusal.code, "actor.action_timed_out");
    book.check();
    host.kill9();
    host.restart();
    book.check();
    // A timer's time is a time of day: it comes when the clock is there.
    assert_eq!(ran(&mut Plain::to(&host), "back"), ["set after the jump"]);
    machine.set_clock(0);
    eventually("the timer that was set before the jump", || {
        let ran = ran(&mut Plain::to(&host), "back");
        (ran.len() > 1).then(|| assert_eq!(ran, ["set after the jump", "set before the jump"]))
    });
}

/// Each of several clients does something with its share of many actors.
fn with_many(host: &Host, act: impl Fn(&mut Plain, usize) -> Value + Sync) -> BTreeMap<usize, Value> {
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let act = &act;
                scope.spawn(move || {
                    let mut plain = Plain::to(host);
                    (client..MANY).step_by(CLIENTS).map(|number| (number, act(&mut plain, number))).collect::<Vec<_>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    })
}

#[test]
fn a_whole_host_with_many_actors_is_back_at_once_with_all_that_was_acknowledged() {
    let mut host = Host::start(&deployment());
    let count = |plain: &mut Plain, number: usize, action: &str, args: Value| {
        plain.call("counter", &format!("many-{number}"), action, args).expect("a count")
    };
    let acknowledged = with_many(&host, |plain, number| count(plain, number, "increment", json!([number + 1])));
    assert_eq!(acknowledged.len(), MANY);
    for crash in [true, false] {
        if crash {
            host.kill9();
        } else {
            assert!(host.stop().success());
        }
        let began = Instant::now();
        host.restart();
        let ready = began.elapsed();
        let found = with_many(&host, |plain, number| count(plain, number, "getCount", json!([])));
        assert_eq!(found, acknowledged, "crash: {crash}");
        println!("ready {ready:?} after a restart with {MANY} actors, all asked within {:?}", began.elapsed());
        assert!(ready < READY_TIME_MAX, "ready only after {ready:?}");
    }
}
