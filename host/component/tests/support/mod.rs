//! What the tests and the bench share: the guest, an engine, scopes and messages.

#![allow(dead_code, clippy::unwrap_used)]

use bytes::Bytes;
use growqr_component::{
    CallReport, CompilerCommand, Component, ComponentLimits, Engine, EngineOptions, Instance, InstanceLimits,
};
use growqr_turn::*;
use growqr_types::{ActorId, ActorKey, ConnectionId, Failure};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Long enough for any good call on a loaded machine.
pub const LONG: Duration = Duration::from_secs(20);

/// The guest as a component. Built once in a process; cargo does nothing when it is up to date.
pub fn guest() -> Bytes {
    static GUEST: OnceLock<Bytes> = OnceLock::new();
    GUEST.get_or_init(|| wit_component_of(&build_guest())).clone()
}

/// The guest as a core module.
pub fn build_guest() -> Vec<u8> {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guest");
    let target = std::env::current_exe().unwrap().parent().unwrap().join("component-guest");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--locked", "--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(&target)
        .current_dir(&source)
        .status()
        .unwrap();
    assert!(status.success(), "the guest can't be built");
    std::fs::read(target.join("wasm32-unknown-unknown/release/growqr_component_guest.wasm")).unwrap()
}

fn wit_component_of(module: &[u8]) -> Bytes {
    wit_component::ComponentEncoder::default().validate(true).module(module).unwrap().encode().unwrap().into()
}

/// An engine with few slots and a cache of its own.
pub struct Bench {
    pub engine: Engine,
    pub cache: tempfile::TempDir,
}

pub fn bench(slots: usize, compiler: CompilerCommand) -> Bench {
    let cache = tempfile::tempdir().unwrap();
    let options =
        EngineOptions { slots: Some(slots), runtime_slots: Some(1), cache_dir: cache.path().to_owned(), compiler };
    Bench { engine: Engine::new(options).unwrap(), cache }
}

impl Bench {
    pub async fn guest(&self) -> Arc<Component> {
        self.engine.load(guest(), &ComponentLimits::default()).await.unwrap()
    }
}

/// State in a map; the key `slow` is never read to the end.
#[derive(Default)]
pub struct Stored(pub BTreeMap<String, Bytes>);

impl StateReader for Stored {
    fn get(&self, key: &str) -> Read<'_, Result<Option<Bytes>, Failure>> {
        if key == "slow" {
            return Read::Pending(Box::pin(std::future::pending()));
        }
        Read::Ready(Ok(self.0.get(key).cloned()))
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Read<'_, Result<StateEntries, Failure>> {
        let found =
            self.0.iter().filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
        Read::Ready(Ok(found.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect()))
    }
}

pub struct NoConnections;

impl ConnectionsView for NoConnections {
    fn list(&self) -> Vec<Connection> {
        Vec::new()
    }

    fn get(&self, _: ConnectionId) -> Option<Connection> {
        None
    }
}

/// What scopes of one actor have in common.
pub struct World {
    pub identity: Arc<Identity>,
    pub config: Arc<BTreeMap<String, String>>,
    pub limits: Arc<TurnLimits>,
    pub state: Arc<dyn StateReader>,
    pub connections: Arc<dyn ConnectionsView>,
    pub timers: Arc<BTreeMap<u64, TimerRecord>>,
    pub memory: Arc<dyn MemoryReader>,
    pub sandbox: Arc<dyn SandboxReader>,
    pub seed: [u8; 32],
}

impl World {
    pub fn new() -> Self {
        let stored = BTreeMap::from([
            ("a/stored".to_owned(), Bytes::from_static(b"stored")),
            ("count".to_owned(), Bytes::from_static(b"41")),
        ]);
        Self {
            identity: Arc::new(Identity {
                id: ActorId::from_bytes([1; 16]),
                name: "counter".into(),
                key: ActorKey(vec!["a".into()]),
                namespace: "default".into(),
                region: "local".into(),
                generation: 1,
                created: 1,
            }),
            config: Arc::default(),
            limits: Arc::default(),
            state: Arc::new(Stored(stored)),
            connections: Arc::new(NoConnections),
            timers: Arc::default(),
            memory: Arc::new(NoMemory),
            sandbox: Arc::new(NoSandbox),
            seed: [7; 32],
        }
    }

    pub fn scope(&self) -> Scope {
        Scope::new(ScopeInput {
            now: 1_700_000_000_000,
            seed: self.seed,
            identity: self.identity.clone(),
            config: self.config.clone(),
            limits: self.limits.clone(),
            state: self.state.clone(),
            connections: self.connections.clone(),
            timers: self.timers.clone(),
            memory: self.memory.clone(),
            sandbox: self.sandbox.clone(),
            next_id: 1,
            read_only: false,
        })
    }
}

pub fn action(name: &str, args: &str) -> Message {
    Message::Action(ActionCall { name: name.into(), args: args.into(), connection: None, caller: None, reply: 1 })
}

pub fn timer(name: &str) -> Message {
    Message::Timer(TimerEvent { id: 1, name: name.into(), payload: "null".into(), due: 1 })
}

/// One call on a new instance.
pub async fn call_once(component: &Arc<Component>, message: Message, deadline: Duration) -> (CallReport, Instance) {
    let mut instance = component.instantiate(&InstanceLimits::default()).await.unwrap();
    let report = instance.call(World::new().scope(), message, deadline).await;
    (report, instance)
}

/// The reply of an action that must work.
pub fn reply(report: &CallReport) -> &str {
    match &report.result {
        Ok(Answer::Outcome(Outcome::Reply(value))) => value,
        other => panic!("{other:?}; {:?}", report.detail),
    }
}
