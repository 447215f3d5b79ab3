//! What must hold in the end, whatever happened.

use crate::client::ACTORS;
use crate::drain::Database;
use crate::guest;
use crate::ledger::{Ended, Ledger};
use growqr_storage::{MemoryStorage, Space, Storage};
use growqr_types::ActorId;
use serde_json::Value;

/// Compares what clients know with what the actors' states say. Gives everything that is wrong, or not finished yet.
pub fn check(ledger: &Ledger, states: &[Value]) -> Vec<String> {
    let mut wrong = ledger.wrong.clone();
    let at = |actor: usize, key: String| states[actor].get(&key).and_then(Value::as_str);
    for (token, operation) in &ledger.operations {
        let actor = operation.actor;
        let mut must = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{} {token} at actor {actor}, {:?}: {what}", operation.kind, operation.ended));
            }
        };
        let (first, done) = match operation.kind {
            "add" | "late" => ("t", None),
            "timer" => ("s", Some("1")),
            "repeat" => ("c", Some("1")),
            "breed" => ("b", Some("1")),
            "frame" => ("w", Some("1")),
            "send" => ("o", Some("1")),
            _ => ("x", None),
        };
        let stored = at(actor, format!("{first}/{token}"));
        match &operation.ended {
            Ended::Done(value) => {
                must(stored == Some(done.unwrap_or(value)), &format!("acknowledged, and the state says {stored:?}"));
            }
            Ended::NotDone(_) => {
                must(stored.is_none(), &format!("it was not to be kept, and the state says {stored:?}"))
            }
            Ended::Unknown => {
                must(stored.is_none_or(|text| text.parse::<u64>().is_ok()), &format!("the state says {stored:?}"));
            }
        }
        let once = stored.map(|_| "1");
        let bad = at(actor, format!("bad/{token}"));
        must(bad.is_none(), &format!("something failed: {bad:?}"));
        match operation.kind {
            "repeat" => {
                let runs = at(actor, format!("k/{token}"));
                let expected = stored.map(|_| guest::REPEATS.to_string());
                must(runs == expected.as_deref(), &format!("the repeating timer ran {runs:?} times"));
            }
            "breed" => {
                must(at(actor, format!("dd/{token}")) == once, "the child was not destroyed exactly once");
                must(at(actor, format!("g/{token}")) == once, "the child's last hook did not run exactly once");
            }
            "frame" => must(stored == once, "a frame was taken twice"),
            "timer" => must(at(actor, format!("f/{token}")) == once, "the timer did not run exactly once"),
            "send" => {
                must(at(actor, format!("d/{token}")) == once, "the end of the call did not come exactly once");
                let taken: Vec<_> = (0..ACTORS).filter_map(|actor| at(actor, format!("r/{token}"))).collect();
                let operations: Vec<_> = states[actor]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(key, value)| key.starts_with("op/") && value.as_str() == Some(token))
                    .map(|(key, _)| key)
                    .collect();
                must(taken == Vec::from_iter(once), &format!("the call {operations:?} was taken {taken:?}"));
            }
            "fail" => must(stored.is_none(), "a failed turn left a write"),
            _ => {}
        }
    }
    for ((actor, key), value) in &ledger.read {
        if at(*actor, key.clone()) != Some(value) {
            wrong.push(format!("a read of actor {actor} showed {key} as {value}, and it is not so"));
        }
    }
    for ((actor, seq), token) in &ledger.events {
        if !["t", "f", "r"].iter().any(|first| at(*actor, format!("{first}/{token}")).is_some()) {
            wrong.push(format!("event {seq} of actor {actor} tells of {token}, which is not so"));
        }
    }
    for (actor, state) in states.iter().enumerate() {
        let added = state.as_object().map_or(0, |state| state.keys().filter(|key| key.starts_with("t/")).count());
        let counted = at(actor, "n".to_owned()).and_then(|text| text.parse().ok()).unwrap_or(0);
        if added != counted {
            wrong.push(format!("actor {actor} has {added} additions and counted {counted}"));
        }
        if at(actor, "created".to_owned()).is_some_and(|count| count != "1") {
            wrong.push(format!("actor {actor} was created more than once"));
        }
        let last = ledger.events.keys().filter(|(of, _)| *of == actor).map(|(_, seq)| *seq).max().unwrap_or(0);
        for ((client, of), seen) in &ledger.seen {
            if *of == actor && *seen < last {
                wrong.push(format!("client {client} of actor {actor} has seen {seen} of {last} events"));
            }
        }
    }
    wrong
}

/// Compares the rows that reached the database with what clients know.
pub fn check_rows(ledger: &Ledger, database: &Database) -> Vec<String> {
    let mut wrong = database.wrong.clone();
    let mut events = std::collections::BTreeMap::new();
    for ((_, seq), (row, name, args)) in &database.rows {
        // A child has no number; nobody listens to its events.
        let actor: usize = row.user.as_deref().and_then(|user| user.parse().ok()).unwrap_or(usize::MAX);
        if (*seq == 1) != (name == growqr_seam::ACTOR_CREATED) {
            wrong.push(format!("row {seq} of actor {actor} is {name}"));
        }
        if let Some(event) = row.event
            && actor < ACTORS
            && events.insert((actor, event), args.clone()).is_some()
        {
            wrong.push(format!("event {event} of actor {actor} is in two rows"));
        }
    }
    for ((actor, seq), token) in &ledger.events {
        let expected = serde_json::json!([token]).to_string();
        if events.get(&(*actor, *seq)) != Some(&expected) {
            wrong.push(format!(
                "event {seq} of actor {actor} was seen as {token}; its row is {:?}",
                events.get(&(*actor, *seq))
            ));
        }
    }
    for actor in 0..ACTORS {
        let numbers: Vec<u64> = events.keys().filter(|(of, _)| *of == actor).map(|(_, seq)| *seq).collect();
        if numbers.iter().zip(1..).any(|(found, expected)| *found != expected) {
            wrong.push(format!("the rows of actor {actor} have a gap: {numbers:?}"));
        }
    }
    wrong
}

/// What storage holds of actors that are none of these: nothing is left of those that were destroyed.
pub fn leftovers(disk: &MemoryStorage, actors: &[ActorId]) -> Vec<String> {
    let mut left = Vec::new();
    for space in [Space::Actors, Space::Directory, Space::Alarms] {
        let entries = disk.scan(space, &[], None, usize::MAX, false).expect("memory can be read");
        for (key, value) in entries {
            let id = match (space, key.first()) {
                (Space::Actors, _) => key.get(..16),
                (Space::Directory, Some(b'k')) => value.get(..16),
                (Space::Directory, Some(b'i' | b'x' | b'g' | b'a')) => key.get(1..17),
                _ => key.len().checked_sub(16).and_then(|at| key.get(at..)),
            };
            let id = id.and_then(|id| id.try_into().ok()).map(ActorId::from_bytes);
            if !id.is_some_and(|id| actors.contains(&id)) {
                left.push(format!("{space:?} still has {:?} of {id:?}", String::from_utf8_lossy(&key)));
            }
        }
    }
    left
}
