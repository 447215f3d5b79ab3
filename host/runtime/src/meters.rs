//! What the runtime counts for metrics. The handles are made once; without metrics they are empty.
//!
//! Labels are names of the deployment only. A client or a guest can't make new ones.

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use std::sync::LazyLock;

/// The handles of one actor name.
pub(crate) struct ActorMeters {
    /// Turns that ended well.
    pub(crate) turns_done: Counter,
    /// Turns that the actor ended with an error.
    pub(crate) turns_failed: Counter,
    /// Turns that trapped, took too long, or could not be run.
    pub(crate) turns_crashed: Counter,
    /// Time in the guest, host calls included.
    pub(crate) turn_seconds: Histogram,
    /// From the end of a turn until it is durable.
    pub(crate) durable_seconds: Histogram,
    /// Starts.
    pub(crate) starts: Counter,
    /// Starts that failed.
    pub(crate) start_failures: Counter,
    /// Events that were released.
    pub(crate) events: Counter,
}

impl ActorMeters {
    pub(crate) fn new(actor: &str) -> Self {
        LazyLock::force(&METERS);
        let turns =
            |result: &'static str| counter!("growqr_turns_total", "actor" => actor.to_owned(), "result" => result);
        Self {
            turns_done: turns("done"),
            turns_failed: turns("failed"),
            turns_crashed: turns("crashed"),
            turn_seconds: histogram!("growqr_turn_seconds", "actor" => actor.to_owned()),
            durable_seconds: histogram!("growqr_turn_durable_seconds", "actor" => actor.to_owned()),
            starts: counter!("growqr_actor_starts_total", "actor" => actor.to_owned()),
            start_failures: counter!("growqr_actor_start_failures_total", "actor" => actor.to_owned()),
            events: counter!("growqr_events_total", "actor" => actor.to_owned()),
        }
    }
}

/// The handles that all actors share.
pub(crate) struct Meters {
    /// Mail that was refused because a mailbox was full.
    pub(crate) refused: Counter,
    /// Effects that are under way or wait.
    pub(crate) effects: Gauge,
    /// Attempts at an effect that failed and are repeated.
    pub(crate) effect_retries: Counter,
    /// Actors that were put to sleep to make room.
    pub(crate) evictions: Counter,
}

/// Made at the first use, which is after the program has decided whether there are metrics.
pub(crate) static METERS: LazyLock<Meters> = LazyLock::new(|| {
    describe_counter!("growqr_turns_total", "Turns, by how they ended.");
    describe_histogram!("growqr_turn_seconds", "Time of one turn in the guest, host calls included.");
    describe_histogram!("growqr_turn_durable_seconds", "From the end of a turn until it is durable and released.");
    describe_counter!("growqr_actor_starts_total", "Starts of actors.");
    describe_counter!("growqr_actor_start_failures_total", "Starts of actors that failed.");
    describe_counter!("growqr_events_total", "Events that actors broadcast.");
    describe_counter!("growqr_mailbox_refused_total", "Messages that were refused because a mailbox was full.");
    describe_gauge!("growqr_outbox_effects", "Effects that wait or are under way, all actors that run.");
    describe_counter!("growqr_effect_retries_total", "Attempts at an effect that failed and are repeated.");
    describe_counter!("growqr_evictions_total", "Idle actors that were put to sleep to make room for others.");
    Meters {
        refused: counter!("growqr_mailbox_refused_total"),
        effects: gauge!("growqr_outbox_effects"),
        effect_retries: counter!("growqr_effect_retries_total"),
        evictions: counter!("growqr_evictions_total"),
    }
});

/// Counts an effect for as long as somebody holds this.
pub(crate) struct EffectUnderWay;

impl EffectUnderWay {
    pub(crate) fn new() -> Self {
        METERS.effects.increment(1.0);
        Self
    }
}

impl Drop for EffectUnderWay {
    fn drop(&mut self) {
        METERS.effects.decrement(1.0);
    }
}
