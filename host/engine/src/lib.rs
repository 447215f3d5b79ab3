//! The embedded engine: directory, generations, alarms, storage.
//!
//! It decides which actor exists, starts actors when somebody asks for them or their alarm is due, keeps their keys in one ordered
//! store, and groups the commits of all of them into one fsync.
//!
//! Invariant: at most one generation of an actor runs, and only its commits are taken.
//! Deliberately absent: turns and components (the runtime's), HTTP routes and client addresses (the gateway's).

use bytes::Bytes;
use growqr_seam::{Resolved, SocketFrame, SocketOpen};
use growqr_types::{ActorId, ActorKey, Failure, TimestampMs};
use std::sync::Arc;

/// What the directory knows about an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorRecord {
    /// Identity.
    pub id: ActorId,
    /// Actor name.
    pub name: String,
    /// Key.
    pub key: ActorKey,
    /// Namespace.
    pub namespace: String,
    /// When it was created.
    pub create_ts: TimestampMs,
    /// When it was started last, if it runs.
    pub start_ts: Option<TimestampMs>,
    /// When it went to sleep, if it sleeps.
    pub sleep_ts: Option<TimestampMs>,
    /// When it was destroyed, if it was.
    pub destroy_ts: Option<TimestampMs>,
}

/// Some of many actors.
#[derive(Debug, Clone, Default)]
pub struct ActorPage {
    /// Newest first.
    pub actors: Vec<ActorRecord>,
    /// Where the next page starts.
    pub cursor: Option<String>,
}

/// A client's socket at an actor; the gateway drives it with what the client sends. Survives sleep and wake of the actor.
pub struct SocketSession {
    _private: (),
}

impl SocketSession {
    /// Gives a frame to the actor, starting it if it sleeps. Frames must be given one after the other.
    pub async fn message(&self, frame: SocketFrame) {
        let _ = frame;
    }

    /// The client is gone. Must be called once.
    pub async fn closed(&self, code: u16, reason: &str) {
        let _ = (code, reason);
    }
}

/// The embedded engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    _private: Arc<()>,
}

#[expect(clippy::unused_async, reason = "filled by the engine")]
#[expect(unused_variables, reason = "filled by the engine")]
impl Engine {
    /// Whether a namespace exists. In development it is created on request.
    pub async fn namespace(&self, name: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// Finds an actor by name and key.
    pub async fn get(&self, namespace: &str, name: &str, key: &ActorKey) -> Result<Option<ActorId>, Failure> {
        Ok(None)
    }

    /// Finds an actor, or makes it. `input` is the CBOR that the client sent.
    pub async fn get_or_create(
        &self,
        namespace: &str,
        name: &str,
        key: ActorKey,
        input: Option<Bytes>,
    ) -> Result<Resolved, Failure> {
        Err(growqr_types::codes::INTERNAL.failure())
    }

    /// Makes an actor; a taken key is `actor.duplicate_key` with `existing_actor_id` in its metadata.
    pub async fn create(
        &self,
        namespace: &str,
        name: &str,
        key: ActorKey,
        input: Option<Bytes>,
    ) -> Result<ActorRecord, Failure> {
        Err(growqr_types::codes::INTERNAL.failure())
    }

    /// An actor by id, destroyed ones included for as long as they are remembered.
    pub fn actor(&self, id: ActorId) -> Result<Option<ActorRecord>, Failure> {
        Ok(None)
    }

    /// Actors of a name, newest first.
    pub fn list(
        &self,
        namespace: &str,
        name: &str,
        include_destroyed: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<ActorPage, Failure> {
        Ok(ActorPage::default())
    }

    /// Names of the actors that this deployment serves.
    pub fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Destroys an actor: `on-destroy` runs, then its state is removed. Destroying a destroyed one is no error.
    pub async fn destroy(&self, id: ActorId) -> Result<(), Failure> {
        Ok(())
    }

    /// Lets an actor sleep now; answers when it does.
    pub async fn sleep(&self, id: ActorId) -> Result<(), Failure> {
        Ok(())
    }

    /// Carries a request to an actor, starting it if it sleeps. The path is the one after the gateway (`/action/increment`).
    ///
    /// A failure means that no actor answered (`actor.not_found`, `actor.restarting`, ...). An actor's own errors are responses.
    pub async fn http(&self, id: ActorId, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Failure> {
        Err(growqr_types::codes::ACTOR_NOT_FOUND.failure())
    }

    /// Opens a WebSocket at an actor, starting it if it sleeps.
    pub async fn websocket(&self, id: ActorId, open: SocketOpen) -> Result<SocketSession, Failure> {
        Err(growqr_types::codes::ACTOR_NOT_FOUND.failure())
    }
}
