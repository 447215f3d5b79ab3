//! A hundred actors that misbehave beside a few that do not, on one host: what the good ones feel of it.
//!
//! Quiet and loud windows come in turns, and what is compared is the best window of each kind, because this machine may be busy with
//! other work. The exact figure belongs to `cargo xtask bench`; here the bound is wide, and far below what it was when guests that compute
//! without end could fill all threads (two hundred times).

use growqr_e2e::{Deployment, Host, Plain};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Actors that behave.
const GOOD: usize = 8;
/// Actors of each way to misbehave.
const BAD_OF_EACH: usize = 25;
/// How long one window takes.
const WINDOW: Duration = Duration::from_millis(1500);
/// Windows of each kind.
const ROUNDS: usize = 3;
/// A good client rests so long after an answer, and a bad one after its own.
const PAUSE: Duration = Duration::from_millis(10);
/// The interval of the timers of actors that misbehave.
const TICK_MS: u64 = 10;
/// What the median answer may become beside the bad ones, as a multiple of what it was without them, plus [`SLACK`]: all clients of the bad
/// ones are on this machine too.
const RATIO_MAX: f64 = 20.0;
/// See [`RATIO_MAX`].
const SLACK: Duration = Duration::from_millis(10);

/// What the bad actors do over and over: the action, its arguments, and what must come of it at least once.
fn misdeeds() -> [(&'static str, Value, &'static str); 4] {
    [
        ("spin", json!([]), "actor.action_timed_out"),
        ("allocate", json!([]), "limit.memory"),
        ("eventFlood", json!([]), "limit.events"),
        ("tickEvery", json!([TICK_MS]), "done"),
    ]
}

/// How often each action came to each end.
type Outcomes = Mutex<BTreeMap<(&'static str, String), usize>>;

/// The median time of the good ones' answers in one window.
fn window(host: &Host) -> Duration {
    let one = |number: usize| {
        let mut client = Plain::to(host);
        let mut taken = Vec::new();
        let end = Instant::now() + WINDOW;
        while Instant::now() < end {
            let start = Instant::now();
            let count = client.call("counter", &format!("good-{number}"), "increment", json!([1]));
            taken.push(start.elapsed());
            assert!(count.is_ok(), "a good actor was refused: {count:?}");
            std::thread::sleep(PAUSE);
        }
        taken
    };
    let all = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..GOOD).map(|number| scope.spawn(move || one(number))).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a good client")).collect()
    });
    median(all)
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

fn best(windows: &[Duration]) -> Duration {
    windows.iter().copied().min().unwrap_or_default()
}

/// The same while the bad ones are at it.
fn loud_window(host: &Host, outcomes: &Outcomes) -> Duration {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (action, args, _) in misdeeds() {
            for number in 0..BAD_OF_EACH {
                let (stop, args) = (&stop, args.clone());
                scope.spawn(move || misbehave(host, outcomes, stop, (action, args, number)));
            }
        }
        let measured = window(host);
        stop.store(true, Ordering::Relaxed);
        measured
    })
}

fn misbehave(host: &Host, outcomes: &Outcomes, stop: &AtomicBool, deed: (&'static str, Value, usize)) {
    let (action, args, number) = deed;
    let mut client = Plain::to(host);
    let key = format!("bad-{action}-{number}");
    while !stop.load(Ordering::Relaxed) {
        let answer = client.call("misbehaving", &key, action, args.clone());
        let outcome = answer.map_or_else(|refusal| refusal.code, |_| "done".to_owned());
        *outcomes.lock().expect("the outcomes' lock").entry((action, outcome)).or_default() += 1;
        std::thread::sleep(PAUSE);
    }
    if action == "tickEvery" {
        // The next window is to be quiet.
        let ticks = client.call("misbehaving", &key, action, json!([0])).expect("an end of ticks");
        assert!(ticks.as_u64() > Some(0), "the timer never came");
    }
}

#[test]
fn a_hundred_actors_that_misbehave_do_not_take_the_machine_from_the_others() {
    let fields = json!({ "options": { "turnTimeout": "1s" }, "limits": { "memoryBytes": 8 << 20 } });
    let mut host = Host::start(&Deployment::of(&["counter", "misbehaving"]).with("misbehaving", fields));
    host.announce("misbehaving");
    let outcomes = Outcomes::default();
    window(&host);
    let (mut quiet, mut loud) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        quiet.push(window(&host));
        loud.push(loud_window(&host, &outcomes));
    }
    let outcomes = outcomes.into_inner().expect("the outcomes' lock");
    println!("median without the bad ones {quiet:?}, beside them {loud:?}; what these did: {outcomes:?}");
    for (action, _, outcome) in misdeeds() {
        let count = outcomes.get(&(action, outcome.to_owned()));
        assert!(count > Some(&0), "{action} never ended with {outcome}: {outcomes:?}");
    }
    let (quiet, loud) = (best(&quiet), best(&loud));
    assert!(loud < quiet.mul_f64(RATIO_MAX) + SLACK, "the median answer went from {quiet:?} to {loud:?}");
}
