//! What the gateway needs of an engine, as a trait, so that its tests can put a fake in the engine's place.
//!
//! Deliberately absent: any method of the engine that the gateway does not call.

use bytes::Bytes;
use growqr_engine::{ActorPage, ActorRecord, Engine, SocketSession};
use growqr_seam::{Resolved, SocketFrame, SocketOpen};
use growqr_types::{ActorId, ActorKey, Failure};
use std::future::Future;

/// A client's socket at an actor.
pub trait Session: Send + Sync + 'static {
    /// Gives a frame to the actor. Frames are given one after the other.
    fn message(&self, frame: SocketFrame) -> impl Future<Output = ()> + Send;
    /// The client is gone. Called once.
    fn closed(&self, code: u16, reason: &str) -> impl Future<Output = ()> + Send;
}

/// The part of an engine that the gateway uses. [`Engine`] says what each method means.
pub trait Backend: Clone + Send + Sync + 'static {
    /// A client's socket at an actor.
    type Session: Session;

    /// Whether a namespace exists.
    fn namespace(&self, name: &str) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Namespaces that exist.
    fn namespaces(&self) -> Vec<String>;
    /// Finds an actor by name and key.
    fn get(
        &self,
        namespace: &str,
        name: &str,
        key: &ActorKey,
    ) -> impl Future<Output = Result<Option<ActorId>, Failure>> + Send;
    /// Finds an actor, or makes it.
    fn get_or_create(
        &self,
        namespace: &str,
        name: &str,
        key: ActorKey,
        input: Option<Bytes>,
    ) -> impl Future<Output = Result<Resolved, Failure>> + Send;
    /// Waits until the creation of an actor is durable.
    fn created(&self, id: ActorId) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Makes an actor.
    fn create(
        &self,
        namespace: &str,
        name: &str,
        key: ActorKey,
        input: Option<Bytes>,
    ) -> impl Future<Output = Result<ActorRecord, Failure>> + Send;
    /// An actor by id.
    fn actor(&self, id: ActorId) -> Result<Option<ActorRecord>, Failure>;
    /// Actors of a name, newest first.
    fn list(
        &self,
        namespace: &str,
        name: &str,
        include_destroyed: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<ActorPage, Failure>;
    /// Actors of a name that belong to a user, in the order of their keys.
    fn list_of(
        &self,
        namespace: &str,
        name: &str,
        owner: &str,
        include_destroyed: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<ActorPage, Failure>;
    /// Names of the actors that are served.
    fn names(&self) -> Vec<String>;
    /// Destroys an actor.
    fn destroy(&self, id: ActorId) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Lets an actor sleep now.
    fn sleep(&self, id: ActorId) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Carries a request to an actor.
    fn http(
        &self,
        id: ActorId,
        request: http::Request<Bytes>,
    ) -> impl Future<Output = Result<http::Response<Bytes>, Failure>> + Send;
    /// Opens a WebSocket at an actor.
    fn websocket(&self, id: ActorId, open: SocketOpen) -> impl Future<Output = Result<Self::Session, Failure>> + Send;
}

impl Session for SocketSession {
    async fn message(&self, frame: SocketFrame) {
        SocketSession::message(self, frame).await;
    }

    async fn closed(&self, code: u16, reason: &str) {
        SocketSession::closed(self, code, reason).await;
    }
}

impl Backend for Engine {
    type Session = SocketSession;

    async fn namespace(&self, name: &str) -> Result<(), Failure> {
        Engine::namespace(self, name).await
    }

    fn namespaces(&self) -> Vec<String> {
        Engine::namespaces(self)
    }

    async fn get(&self, namespace: &str, name: &str, key: &ActorKey) -> Result<Option<ActorId>, Failure> {
        Engine::get(self, namespace, name, key).await
    }

    async fn get_or_create(
        &self,
        namespace: &str,
        name: &str,
        key: ActorKey,
        input: Option<Bytes>,
    ) -> Result<Resolved, Failure> {
        Engine::get_or_create(self, namespace, name, key, input).await
    }

    async fn created(&self, id: ActorId) -> Result<(), Failure> {
        Engine::created(self, id).await
    }

    async fn create(
        &self,
        namespace: &str,
        name: &str,
        key: ActorKey,
        input: Option<Bytes>,
    ) -> Result<ActorRecord, Failure> {
        Engine::create(self, namespace, name, key, input).await
    }

    fn actor(&self, id: ActorId) -> Result<Option<ActorRecord>, Failure> {
        Engine::actor(self, id)
    }

    fn list(
        &self,
        namespace: &str,
        name: &str,
        include_destroyed: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<ActorPage, Failure> {
        Engine::list(self, namespace, name, include_destroyed, cursor, limit)
    }

    fn list_of(
        &self,
        namespace: &str,
        name: &str,
        owner: &str,
        include_destroyed: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<ActorPage, Failure> {
        Engine::list_of(self, namespace, name, owner, include_destroyed, cursor, limit)
    }

    fn names(&self) -> Vec<String> {
        Engine::names(self)
    }

    async fn destroy(&self, id: ActorId) -> Result<(), Failure> {
        Engine::destroy(self, id).await
    }

    async fn sleep(&self, id: ActorId) -> Result<(), Failure> {
        Engine::sleep(self, id).await
    }

    async fn http(&self, id: ActorId, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Failure> {
        Engine::http(self, id, request).await
    }

    async fn websocket(&self, id: ActorId, open: SocketOpen) -> Result<SocketSession, Failure> {
        Engine::websocket(self, id, open).await
    }
}
