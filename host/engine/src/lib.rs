//! The embedded engine: directory, generations, alarms, storage.
//!
//! It decides which actor exists, starts actors when somebody asks for them or their alarm is due, keeps their keys in one ordered
//! store, and groups the commits of all of them into one fsync.
//!
//! Invariant: at most one generation of an actor runs, and only its commits are taken.
//! Deliberately absent: turns and components (the runtime's), HTTP routes and client addresses (the gateway's).

mod alarms;
mod directory;
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod live;
mod mirror;
mod record;
mod socket;
mod spool;
mod store;

pub use directory::{ActorPage, ActorRecord};
pub use socket::SocketSession;
pub use store::{CommitterStart, Opener};

use bytes::Bytes;
use dashmap::DashMap;
use growqr_seam::{Clock, Randomness, RuntimeHost, SocketOpen};
use growqr_storage::{CommitStats, StorageError};
use growqr_types::{ActorId, ConnectionId, Failure, TimestampMs, codes};
use live::Slot;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, OnceLock};
use store::Store;
use tokio::sync::Notify;

/// Destroyed actors that are remembered, so that who asks hears when it was.
const DESTROYED_REMEMBERED_MAX: usize = 4096;
/// Sleeping actors of which is remembered since when they sleep.
const ASLEEP_REMEMBERED_MAX: usize = 65_536;

/// What an engine is made of.
pub struct EngineOptions {
    /// Opens storage.
    pub opener: Opener,
    /// The time.
    pub clock: Clock,
    /// Random bytes.
    pub randomness: Randomness,
    /// Namespaces that exist.
    pub namespaces: Vec<String>,
    /// Namespaces are created when somebody asks for them.
    pub namespaces_on_request: bool,
    /// Names of the actors of this deployment.
    pub names: Vec<String>,
    /// The region that actors are told.
    pub region: String,
}

/// The embedded engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    store: Arc<Store>,
    clock: Clock,
    randomness: Randomness,
    runtime: OnceLock<Arc<dyn RuntimeHost>>,
    region: String,
    names: Vec<String>,
    namespaces: Mutex<HashSet<String>>,
    namespaces_on_request: bool,
    slots: DashMap<ActorId, Arc<Slot>>,
    /// Held by whoever makes an actor.
    creating: Mutex<()>,
    /// Actors whose creation is submitted and not durable yet, by their place in the directory and by id.
    fresh_keys: DashMap<Bytes, ActorId>,
    fresh: DashMap<ActorId, Arc<directory::Fresh>>,
    sockets: DashMap<ActorId, HashSet<ConnectionId>>,
    destroyed: Mutex<VecDeque<ActorRecord>>,
    asleep: Mutex<HashMap<ActorId, TimestampMs>>,
    alarm_set: Notify,
    alarms: Mutex<alarms::Position>,
    storage_failed: Notify,
    stopping: std::sync::atomic::AtomicBool,
    /// Where rows for the database wait; nothing when there is none.
    spool: OnceLock<Arc<spool::Spool>>,
}

/// Counts for metrics.
#[derive(Debug, Clone, Copy, Default)]
pub struct EngineStats {
    /// Actors that run.
    pub awake: usize,
    /// Sockets that are open.
    pub sockets: usize,
    /// The committer's counts.
    pub commits: CommitStats,
    /// Commits that were submitted and are not durable yet.
    pub commits_waiting: usize,
}

impl Engine {
    /// Opens storage and makes an engine. Nothing runs before [`Engine::attach`].
    pub fn new(options: EngineOptions) -> Result<Self, StorageError> {
        Self::with_committer(options, Box::new(growqr_storage::Committer::start))
    }

    /// An engine whose commits are made by a committer of the caller's choice, as in a simulator.
    pub fn with_committer(options: EngineOptions, committer: CommitterStart) -> Result<Self, StorageError> {
        let store = Arc::new(Store::open(options.opener, committer)?);
        let inner = Inner {
            store,
            clock: options.clock,
            randomness: options.randomness,
            runtime: OnceLock::new(),
            region: options.region,
            names: options.names,
            namespaces: Mutex::new(options.namespaces.into_iter().collect()),
            namespaces_on_request: options.namespaces_on_request,
            slots: DashMap::new(),
            creating: Mutex::new(()),
            fresh_keys: DashMap::new(),
            fresh: DashMap::new(),
            sockets: DashMap::new(),
            destroyed: Mutex::new(VecDeque::new()),
            asleep: Mutex::new(HashMap::new()),
            alarm_set: Notify::new(),
            alarms: Mutex::new(alarms::Position::default()),
            storage_failed: Notify::new(),
            stopping: std::sync::atomic::AtomicBool::new(false),
            spool: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The engine as the runtime sees it.
    pub fn host(&self) -> Arc<dyn growqr_seam::EngineHost> {
        Arc::new(host::HostHandle(Arc::downgrade(&self.inner)))
    }

    /// Gives the engine its runtime; from then on it takes requests. Once only.
    pub fn attach(&self, runtime: Arc<dyn RuntimeHost>) {
        if self.inner.runtime.set(runtime).is_err() {
            tracing::error!("the engine has a runtime already");
        }
    }

    /// Runs alarms, and recovery after storage has failed, until the future is dropped.
    pub async fn run(&self) {
        tokio::join!(alarms::run(&self.inner), self.inner.recover_storage());
    }

    /// Stops every actor cleanly: turns end, are committed, and are answered. Requests are refused with a code that clients retry.
    pub async fn drain(&self) {
        self.inner.stopping.store(true, std::sync::atomic::Ordering::Release);
        self.inner.stop_all(growqr_seam::StopReason::Shutdown).await;
    }

    /// Stops every actor cleanly and closes storage.
    pub async fn shutdown(&self) {
        self.drain().await;
        self.inner.store.close();
    }

    /// Counts for metrics.
    pub fn stats(&self) -> EngineStats {
        EngineStats {
            awake: self.inner.slots.len(),
            sockets: self.inner.sockets.iter().map(|entry| entry.value().len()).sum(),
            commits: self.inner.store.stats(),
            commits_waiting: self.inner.store.unanswered(),
        }
    }

    /// Why nothing can be made durable at the moment, if so.
    pub fn storage_problem(&self) -> Option<StorageError> {
        self.inner.store.problem()
    }

    /// Names of the actors that this deployment serves.
    pub fn names(&self) -> Vec<String> {
        self.inner.names.clone()
    }

    /// Lets an actor sleep now; answers when it does.
    pub async fn sleep(&self, id: ActorId) -> Result<(), Failure> {
        if self.inner.stored(id)?.is_none_or(|actor| actor.destroying) {
            return Err(codes::ACTOR_NOT_FOUND.failure());
        }
        self.inner.stop(id, None, growqr_seam::StopReason::Sleep).await;
        Ok(())
    }

    /// Destroys an actor: `on-destroy` runs, then its state is removed. Destroying a destroyed one is no error.
    pub async fn destroy(&self, id: ActorId) -> Result<(), Failure> {
        self.inner.destroy_actor(id).await
    }

    /// Carries a request to an actor, starting it if it sleeps. The path is the one after the gateway (`/action/increment`).
    ///
    /// A failure means that no actor answered (`actor.not_found`, `actor.restarting`, ...). An actor's own errors are responses.
    pub async fn http(&self, id: ActorId, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Failure> {
        let mut request = request;
        for _ in 0..live::STARTS_MAX {
            match self.inner.runtime()?.http(id, request).await {
                Ok(response) => {
                    self.inner.durable(id).await?;
                    return Ok(response);
                }
                Err(back) => request = *back,
            }
            self.inner.ensure_started(id).await?;
        }
        Err(codes::RESTARTING.failure())
    }

    /// Opens a WebSocket at an actor, starting it if it sleeps.
    pub async fn websocket(&self, id: ActorId, open: SocketOpen) -> Result<SocketSession, Failure> {
        socket::open(&self.inner, id, open).await
    }
}
