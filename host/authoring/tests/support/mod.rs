//! A stage for one actor: it keeps state and timers between turns as a host does, and drops the instance after a failed turn.

#![allow(clippy::unwrap_used, dead_code)]

use bytes::Bytes;
use growqr_authoring::{BuildOptions, build};
use growqr_component::{
    CompilerCommand, Component, ComponentLimits, Description, Engine, EngineOptions, Instance, InstanceLimits,
};
use growqr_turn::*;
use growqr_types::{ActorId, ActorKey, ConnectionId, Failure, Json, ReplyHandle};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Long enough for any good turn on a loaded machine.
const LONG: Duration = Duration::from_secs(20);

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The component of an actor crate of this repository.
pub fn built(folder: &str) -> Vec<u8> {
    let output = tempfile::tempdir().unwrap();
    let output = output.path().join("actor.wasm");
    let options = BuildOptions { output: Some(output.clone()), offline: true, ..BuildOptions::default() };
    build(&repository().join(folder), &options).unwrap();
    std::fs::read(output).unwrap()
}

#[derive(Default, Clone)]
struct Stored(BTreeMap<String, Bytes>);

impl StateReader for Stored {
    fn get(&self, key: &str) -> Read<'_, Result<Option<Bytes>, Failure>> {
        Read::Ready(Ok(self.0.get(key).cloned()))
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Read<'_, Result<StateEntries, Failure>> {
        let found =
            self.0.iter().filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
        Read::Ready(Ok(found.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect()))
    }
}

#[derive(Default, Clone)]
struct Connections(Vec<Connection>);

impl ConnectionsView for Connections {
    fn list(&self) -> Vec<Connection> {
        self.0.clone()
    }

    fn get(&self, id: ConnectionId) -> Option<Connection> {
        self.0.iter().find(|connection| connection.id == id).cloned()
    }
}

/// One turn, as a test looks at it.
pub struct Turn {
    pub result: Result<Answer, Failure>,
    /// Empty after a failed turn.
    pub effects: Effects,
    pub log: Vec<String>,
}

pub struct Stage {
    component: Arc<Component>,
    instance: Option<Instance>,
    pub description: Description,
    stored: Stored,
    connections: Connections,
    timers: BTreeMap<u64, TimerRecord>,
    pub config: BTreeMap<String, Json>,
    pub limits: InstanceLimits,
    next_id: u64,
    next_reply: ReplyHandle,
    _engine: Engine,
    _cache: tempfile::TempDir,
}

impl Stage {
    /// An actor of this name of a component.
    pub async fn of(wasm: Vec<u8>, actor: &str) -> Self {
        let cache = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_growqr-authoring-test-compiler").into();
        let compiler = CompilerCommand { program, args: Vec::new() };
        let cache_dir = cache.path().to_owned();
        let engine =
            Engine::new(EngineOptions { slots: Some(2), runtime_slots: Some(2), cache_dir, compiler }).unwrap();
        let component = engine.load(wasm.into(), &ComponentLimits::default()).await.unwrap();
        let description = component.describe(actor, Arc::default()).await.unwrap();
        Self {
            component,
            instance: None,
            description,
            stored: Stored::default(),
            connections: Connections::default(),
            timers: BTreeMap::new(),
            config: BTreeMap::new(),
            limits: InstanceLimits::default(),
            next_id: 1,
            next_reply: 1,
            _engine: engine,
            _cache: cache,
        }
    }

    /// The same with everything that it needs, from a folder of this repository.
    pub async fn built(folder: &str) -> Self {
        let name = folder.rsplit('/').next().unwrap();
        Self::of(built(folder), name).await
    }

    pub fn connect(&mut self, number: u8, kind: ConnectionKind) -> ConnectionId {
        let id = ConnectionId::from_bytes([number; 16]);
        self.connections.0.push(Connection { id, kind, params: "null".into(), state: None, hibernatable: true });
        id
    }

    pub fn stored(&self, key: &str) -> Option<String> {
        self.stored.0.get(key).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    pub fn store(&mut self, key: &str, value: &str) {
        self.stored.0.insert(key.to_owned(), Bytes::copy_from_slice(value.as_bytes()));
    }

    /// Drops the instance, as a sleep does.
    pub fn forget(&mut self) {
        self.instance = None;
    }

    fn scope(&self, read_only: bool) -> Scope {
        Scope::new(ScopeInput {
            now: 1_700_000_000_000,
            seed: [7; 32],
            identity: Arc::new(Identity {
                id: ActorId::from_bytes([1; 16]),
                name: "actor".into(),
                key: ActorKey(vec!["a".into()]),
                namespace: "default".into(),
                region: "local".into(),
                generation: 1,
                created: 1,
            }),
            config: Arc::new(self.config.clone()),
            limits: Arc::default(),
            state: Arc::new(self.stored.clone()),
            connections: Arc::new(self.connections.clone()),
            timers: Arc::new(self.timers.clone()),
            memory: Arc::new(NoMemory),
            sandbox: Arc::new(NoSandbox),
            next_id: self.next_id,
            read_only,
        })
    }

    pub async fn turn(&mut self, message: Message) -> Turn {
        self.turn_within(message, LONG).await
    }

    pub async fn turn_within(&mut self, message: Message, deadline: Duration) -> Turn {
        let read_only = match &message {
            Message::Action(call) => {
                self.description.actions.iter().any(|action| action.name == call.name && action.read_only)
            }
            _ => false,
        };
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => self.component.instantiate(&self.limits).await.unwrap(),
        };
        let report = instance.call(self.scope(read_only), message, deadline).await;
        let (finished, log) = report.scope.finish();
        let log = log.into_iter().map(|line| line.message).collect();
        let answer = match report.result {
            Ok(answer) => answer,
            Err(failure) => return Turn { result: Err(failure.0), effects: Effects::default(), log },
        };
        self.instance = Some(instance);
        self.keep(&finished);
        Turn { result: Ok(answer), effects: finished.effects, log }
    }

    fn keep(&mut self, finished: &Finished) {
        self.next_id = finished.next_id;
        for (key, write) in &finished.effects.state {
            match write {
                Some(value) => self.stored.0.insert(key.clone(), value.clone()),
                None => self.stored.0.remove(key),
            };
        }
        for (id, write) in &finished.effects.timers {
            match write {
                Some(timer) => self.timers.insert(*id, timer.clone()),
                None => self.timers.remove(id),
            };
        }
        for (id, state) in &finished.effects.connection_state {
            for connection in self.connections.0.iter_mut().filter(|connection| connection.id == *id) {
                connection.state = Some(state.clone());
            }
        }
    }

    pub async fn action(&mut self, name: &str, args: &str) -> Turn {
        self.action_of(name, args, None).await
    }

    pub async fn action_of(&mut self, name: &str, args: &str, connection: Option<ConnectionId>) -> Turn {
        let reply = self.next_reply;
        self.next_reply += 1;
        let call = ActionCall { name: name.into(), args: args.into(), connection, caller: None, reply };
        self.turn(Message::Action(call)).await
    }

    /// Runs all timers, and gives the turns.
    pub async fn fire(&mut self) -> Vec<Turn> {
        let mut turns = Vec::new();
        for (id, timer) in std::mem::take(&mut self.timers) {
            let TimerRecord { name, payload, due, .. } = timer;
            turns.push(self.turn(Message::Timer(TimerEvent { id, name, payload, due })).await);
        }
        turns
    }

    /// Calls an action and compares: JSON of the reply, `done`, `deferred`, or the failure's group, code and message.
    #[track_caller]
    pub fn check(&mut self, name: &str, args: &str, expected: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let turn = self.action(name, args).await;
            assert_eq!(said(&turn.result), expected, "{name}{args} at {caller}; it logged {:?}", turn.log);
        }
    }
}

/// A result in few words.
pub fn said(result: &Result<Answer, Failure>) -> String {
    match result {
        Ok(Answer::Outcome(Outcome::Reply(json))) => json.to_string(),
        Ok(Answer::Outcome(Outcome::Done)) | Ok(Answer::None) => "done".into(),
        Ok(Answer::Outcome(Outcome::Deferred)) => "deferred".into(),
        Ok(other) => format!("{other:?}"),
        Err(failure) => failure.to_string(),
    }
}
