//! What an actor's state machine takes for one turn, without guest and storage: `cargo xtask bench --micro`.

#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use growqr_runtime::core::{Caller, Connections, Core, CoreInput, Loaded, Mail, Next, Offer, Release, TurnEnd};
use growqr_runtime::options::{ActorLimits, ActorOptions};
use growqr_turn::{Answer, Effects, Outcome, Outgoing};
use std::hint::black_box;
use std::sync::Arc;

/// The time in here never passes.
const NOW: u64 = 1;

/// What the guest does in each turn.
#[derive(Clone, Copy)]
enum Does {
    Nothing,
    Write,
    Broadcast,
}

fn core() -> Core<u64> {
    let mut offer = Offer::default();
    offer.actions.insert("do".to_owned(), false);
    let input = CoreInput {
        options: Arc::new(ActorOptions::default()),
        limits: Arc::new(ActorLimits::default()),
        offer: Arc::new(offer),
        generation: 1,
        connections: Arc::new(Connections::default()),
        loaded: Loaded::default(),
        mirror: false,
    };
    Core::new(input, NOW)
}

fn effects(does: Does) -> Effects {
    let mut effects = Effects::default();
    match does {
        Does::Nothing => {}
        Does::Write => drop(effects.state.insert("count".to_owned(), Some("42".into()))),
        Does::Broadcast => effects.outgoing.push(Outgoing::Broadcast { name: "news".into(), args: "[1]".into() }),
    }
    effects
}

/// One action from the mailbox to its release. Gives how many things were released.
fn turn(core: &mut Core<u64>, does: Does) -> usize {
    let mail = Mail::Action { name: "do".to_owned(), args: "[1]".to_owned(), caller: Caller::Host, reply: 7 };
    core.deliver(mail, NOW);
    let mut released = 0;
    loop {
        let expired: Vec<Release<u64>> = core.expire(NOW);
        released += expired.len();
        let step = core.next(NOW);
        let finish = match step.next {
            Next::Turn(turn) => {
                black_box(&turn);
                for key in core.unknown_state_sizes(&effects(does)) {
                    core.note_state_size(key, None);
                }
                let answer = Answer::Outcome(Outcome::Reply("42".to_owned()));
                Some(core.finish(TurnEnd::Done { answer, effects: effects(does), next_id: core.next_id() }, NOW))
            }
            Next::Wait(_) | Next::WaitCommit => return released,
            _ => step.finish,
        };
        if let Some(finish) = finish {
            released += finish.releases.len();
            if let Some((ticket, batch)) = finish.commit {
                black_box(&batch);
                released += core.committed(ticket, true).len();
            }
        }
    }
}

fn turns(criterion: &mut Criterion) {
    for (name, does, releases) in [
        ("core turn that changes nothing", Does::Nothing, 1),
        ("core turn that writes one key", Does::Write, 1),
        ("core turn that sends one event to all", Does::Broadcast, 2),
    ] {
        let mut core = core();
        turn(&mut core, does);
        criterion.bench_function(name, |bench| {
            bench.iter(|| assert_eq!(turn(&mut core, does), releases));
        });
    }
}

criterion_group!(benches, turns);
criterion_main!(benches);
