//! Whether the host lives, and whether it is ready.
//!
//! It **lives** when it can answer at all: an orchestrator restarts a process that does not. It is **ready** when every part that
//! actors need is there and it is not stopping: a load balancer sends no clients before, and none after. A part that actors can do
//! without is listed and decides nothing.

use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How a part of the host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartState {
    /// It does its work.
    Ready,
    /// Not yet, or not at the moment.
    Waiting(String),
    /// It can't, and somebody should look.
    Failed(String),
    /// Switched off.
    Off,
}

impl PartState {
    fn is_ready(&self) -> bool {
        matches!(self, Self::Ready | Self::Off)
    }

    fn shown(&self, with_reason: bool) -> Value {
        let (state, reason) = match self {
            Self::Ready => ("ready", None),
            Self::Waiting(reason) => ("waiting", Some(reason)),
            Self::Failed(reason) => ("failed", Some(reason)),
            Self::Off => ("off", None),
        };
        match reason.filter(|_| with_reason) {
            Some(reason) => json!({ "state": state, "reason": reason }),
            None => json!({ "state": state }),
        }
    }
}

type Look = Box<dyn Fn() -> PartState + Send + Sync>;

struct Part {
    name: &'static str,
    needed: bool,
    look: Look,
}

/// See the module's documentation. Cheap to clone.
#[derive(Clone, Default)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    parts: Mutex<Vec<Part>>,
    started: AtomicBool,
    stopping: AtomicBool,
}

impl Health {
    /// A part without which the host is not ready. It is looked at whenever somebody asks, and must answer at once.
    pub fn need(&self, name: &'static str, look: impl Fn() -> PartState + Send + Sync + 'static) {
        self.add(name, true, Box::new(look));
    }

    /// A part that is only listed.
    pub fn list(&self, name: &'static str, look: impl Fn() -> PartState + Send + Sync + 'static) {
        self.add(name, false, Box::new(look));
    }

    fn add(&self, name: &'static str, needed: bool, look: Look) {
        self.inner.parts.lock().unwrap_or_else(PoisonError::into_inner).push(Part { name, needed, look });
    }

    /// All parts are there, and clients are served from now on.
    pub fn started(&self) {
        self.inner.started.store(true, Ordering::Release);
    }

    /// The host stops: from now on it is not ready, whatever its parts say.
    pub fn stopping(&self) {
        self.inner.stopping.store(true, Ordering::Release);
    }

    /// Whether the host is ready, and the body that says why. Reasons are for the operator only: they may name files and addresses.
    pub fn ready(&self, with_reasons: bool) -> (bool, Value) {
        let mut parts = Map::new();
        let started = self.inner.started.load(Ordering::Acquire);
        let stopping = self.inner.stopping.load(Ordering::Acquire);
        let mut ready = started && !stopping;
        for part in self.inner.parts.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let state = (part.look)();
            ready &= state.is_ready() || !part.needed;
            parts.insert(part.name.to_owned(), state.shown(with_reasons));
        }
        let status = match (stopping, started, ready) {
            (true, ..) => "stopping",
            (_, false, _) => "starting",
            (.., true) => "ready",
            (.., false) => "not ready",
        };
        (ready, json!({ "status": status, "parts": parts }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a host with these parts is ready, and what it says.
    fn check(needed: PartState, listed: PartState, prepare: impl Fn(&Health)) -> (bool, String) {
        let health = Health::default();
        health.need("storage", move || needed.clone());
        health.list("database", move || listed.clone());
        prepare(&health);
        let (ready, body) = health.ready(false);
        assert!(!body.to_string().contains("secret"), "{body}");
        (ready, body["status"].as_str().unwrap().to_owned())
    }

    fn failed() -> PartState {
        PartState::Failed("secret".to_owned())
    }

    #[test]
    fn a_host_is_ready_when_it_has_started_and_every_needed_part_is() {
        let ready = check(PartState::Ready, PartState::Ready, Health::started);
        assert_eq!(ready, (true, "ready".to_owned()));
        assert_eq!(check(PartState::Ready, PartState::Ready, |_| {}), (false, "starting".to_owned()));
        assert_eq!(check(failed(), PartState::Ready, Health::started), (false, "not ready".to_owned()));
    }

    #[test]
    fn a_part_that_actors_can_do_without_decides_nothing() {
        for listed in [failed(), PartState::Waiting("secret".to_owned()), PartState::Off] {
            assert!(check(PartState::Ready, listed, Health::started).0);
        }
    }

    #[test]
    fn a_host_that_stops_is_not_ready() {
        let stopping = |health: &Health| {
            health.started();
            health.stopping();
        };
        assert_eq!(check(PartState::Ready, PartState::Ready, stopping), (false, "stopping".to_owned()));
    }

    #[test]
    fn reasons_are_told_to_the_operator() {
        let health = Health::default();
        health.need("storage", failed);
        assert_eq!(health.ready(true).1["parts"]["storage"], json!({ "state": "failed", "reason": "secret" }));
    }
}
