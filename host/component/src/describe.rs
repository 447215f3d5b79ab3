//! What a component says about an actor.

use crate::bindings::growqr::actor::types as wit;
use crate::component::Component;
use crate::instance::detail;
use crate::output::bounded;
use crate::store::{EPOCH_TICKS, InstanceLimits, new_store};
use growqr_turn::{
    Connection, ConnectionsView, Identity, NoMemory, NoSandbox, Read, Scope, ScopeInput, StateEntries, StateReader,
    TurnFailure, TurnLimits,
};
use growqr_types::{ActorId, ActorKey, ConnectionId, Failure, Json, codes};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::Trap;

/// How long `describe` may take.
pub(crate) const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Actions, events, queues or required features of one actor.
const DESCRIPTION_NAMES_MAX: usize = 1024;
/// Bytes of the name of an action, an event, a queue or a feature.
const NAME_BYTES_MAX: usize = 256;
/// Bytes of the options of one actor.
const OPTIONS_BYTES_MAX: usize = 256 << 10;
/// Bytes of what a failed `describe` had logged that its author is shown.
const LOG_SHOWN_BYTES_MAX: usize = 2 << 10;

/// An action as a component offers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionInfo {
    /// Name.
    pub name: String,
    /// Changes nothing.
    pub read_only: bool,
}

/// The hooks that a component wants called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools)]
pub struct Hooks {
    /// `on-create`
    pub create: bool,
    /// `on-wake`
    pub wake: bool,
    /// `on-before-connect`
    pub before_connect: bool,
    /// `on-connect`
    pub connect: bool,
    /// `on-disconnect`
    pub disconnect: bool,
    /// `on-subscribe`
    pub subscribe: bool,
    /// `on-request`
    pub request: bool,
    /// `on-socket`
    pub socket: bool,
    /// `on-message`
    pub message: bool,
    /// `on-sandbox-event`
    pub sandbox_event: bool,
    /// `on-effect-result`
    pub effect_result: bool,
    /// `check`
    pub check: bool,
    /// `on-sleep`
    pub sleep: bool,
    /// `on-destroy`
    pub destroy: bool,
}

impl From<wit::Hooks> for Hooks {
    fn from(hooks: wit::Hooks) -> Self {
        Self {
            create: hooks.contains(wit::Hooks::CREATE),
            wake: hooks.contains(wit::Hooks::WAKE),
            before_connect: hooks.contains(wit::Hooks::BEFORE_CONNECT),
            connect: hooks.contains(wit::Hooks::CONNECT),
            disconnect: hooks.contains(wit::Hooks::DISCONNECT),
            subscribe: hooks.contains(wit::Hooks::SUBSCRIBE),
            request: hooks.contains(wit::Hooks::REQUEST),
            socket: hooks.contains(wit::Hooks::SOCKET),
            message: hooks.contains(wit::Hooks::MESSAGE),
            sandbox_event: hooks.contains(wit::Hooks::SANDBOX_EVENT),
            effect_result: hooks.contains(wit::Hooks::EFFECT_RESULT),
            check: hooks.contains(wit::Hooks::CHECK),
            sleep: hooks.contains(wit::Hooks::SLEEP),
            destroy: hooks.contains(wit::Hooks::DESTROY),
        }
    }
}

/// What a component says about an actor that it implements, checked and bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Actions, each name once.
    pub actions: Vec<ActionInfo>,
    /// Event names, for tools.
    pub events: Vec<String>,
    /// Queue names.
    pub queues: Vec<String>,
    /// Hooks that are called.
    pub hooks: Hooks,
    /// Version of the persisted state's shape.
    pub state_version: u32,
    /// The oldest state version that `migrate` can start from.
    pub migrates_from: u32,
    /// The oldest state version that `migrate` can go back to.
    pub migrates_back_to: u32,
    /// Host features without which the actor makes no sense.
    pub requires: Vec<String>,
    /// Defaults for the actor's options: a JSON object.
    pub options: Json,
}

/// Runs `describe` in a scratch instance.
pub(crate) async fn run(
    component: &Component,
    actor: &str,
    config: Arc<BTreeMap<String, Json>>,
) -> Result<Description, Failure> {
    let _running = component.engine.ticker.running();
    let limits = InstanceLimits::default();
    let engine = &component.engine.tier(component.tier()).engine;
    let mut store = new_store(engine, &limits).map_err(|error| refused(&detail(&error)))?;
    let agent = component.agent.instantiate_async(&mut store).await.map_err(|error| refused(&cause(&error)))?;
    store.data_mut().begin_describe(no_actor(actor, config), Instant::now() + DESCRIBE_TIMEOUT);
    store.set_epoch_deadline(EPOCH_TICKS);
    let described = agent.growqr_actor_handlers().call_describe(&mut store, actor).await;
    let log = store.data_mut().end().map(|scope| scope.finish().1).unwrap_or_default();
    match described {
        Ok(description) => checked(description).map_err(|problem| refused(&problem)),
        Err(error) => {
            let lines: Vec<String> = log.into_iter().map(|line| line.message).collect();
            let said = bounded(lines.join("\n"), LOG_SHOWN_BYTES_MAX);
            let said = if said.is_empty() { said } else { format!("; it had logged: {said}") };
            Err(refused(&format!("{}{said}", cause(&error))))
        }
    }
}

fn refused(problem: &str) -> Failure {
    codes::COMPONENT_DESCRIBE.with(format!("describe: {problem}"))
}

/// It did not come to its end.
pub(crate) fn late() -> Failure {
    refused(&too_long())
}

fn too_long() -> String {
    format!("it took longer than {} s", DESCRIBE_TIMEOUT.as_secs())
}

/// What went wrong, in words for the author.
fn cause(error: &wasmtime::Error) -> String {
    if let Some(TurnFailure(failure)) = error.downcast_ref::<TurnFailure>() {
        return failure.message.clone();
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => too_long(),
        _ => detail(error),
    }
}

fn names(what: &str, names: &[impl AsRef<str>]) -> Result<(), String> {
    if names.len() > DESCRIPTION_NAMES_MAX {
        return Err(format!("{} {what}, and at most {DESCRIPTION_NAMES_MAX} are allowed", names.len()));
    }
    let mut seen = BTreeSet::new();
    for name in names {
        let name = name.as_ref();
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(format!("a name in {what} is empty or has more than {NAME_BYTES_MAX} bytes"));
        }
        if !seen.insert(name) {
            return Err(format!("{name:?} is twice in {what}"));
        }
    }
    Ok(())
}

fn checked(described: wit::Description) -> Result<Description, String> {
    let wit::Description { state_version, migrates_from, migrates_back_to, options, .. } = described;
    let actions: Vec<_> = described
        .actions
        .into_iter()
        .map(|action| ActionInfo { name: action.name, read_only: action.read_only })
        .collect();
    names("actions", &actions.iter().map(|action| &action.name).collect::<Vec<_>>())?;
    names("events", &described.events)?;
    names("queues", &described.queues)?;
    names("requires", &described.requires)?;
    if migrates_from > state_version || migrates_back_to > state_version {
        return Err(format!(
            "migrates-from ({migrates_from}) and migrates-back-to ({migrates_back_to}) can't be after state-version ({state_version})"
        ));
    }
    if options.len() > OPTIONS_BYTES_MAX {
        return Err(format!("options has {} bytes, and at most {OPTIONS_BYTES_MAX} are allowed", options.len()));
    }
    let options = if options.trim().is_empty() { "{}".to_owned() } else { options };
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&options)
        .map_err(|error| format!("options is not a JSON object: {error}"))?;
    Ok(Description {
        actions,
        events: described.events,
        queues: described.queues,
        hooks: described.hooks.into(),
        state_version,
        migrates_from,
        migrates_back_to,
        requires: described.requires,
        options,
    })
}

/// The world without an actor: nothing is in it.
struct Nobody;

impl StateReader for Nobody {
    fn get(&self, _: &str) -> Read<'_, Result<Option<bytes::Bytes>, Failure>> {
        Read::Ready(Ok(None))
    }

    fn scan(&self, _: &str, _: Option<&str>, _: usize) -> Read<'_, Result<StateEntries, Failure>> {
        Read::Ready(Ok(Vec::new()))
    }
}

impl ConnectionsView for Nobody {
    fn list(&self) -> Vec<Connection> {
        Vec::new()
    }

    fn get(&self, _: ConnectionId) -> Option<Connection> {
        None
    }
}

/// A scope in which there is nothing but the configuration.
pub(crate) fn no_actor(name: &str, config: Arc<BTreeMap<String, Json>>) -> Scope {
    let nobody = Arc::new(Nobody);
    Scope::new(ScopeInput {
        now: 0,
        seed: [0; 32],
        identity: Arc::new(Identity {
            id: ActorId::from_bytes([0; 16]),
            name: name.to_owned(),
            key: ActorKey::default(),
            namespace: String::new(),
            region: String::new(),
            generation: 0,
            created: 0,
        }),
        config,
        limits: Arc::new(TurnLimits::default()),
        state: nobody.clone(),
        connections: nobody,
        timers: Arc::new(BTreeMap::new()),
        memory: Arc::new(NoMemory),
        sandbox: Arc::new(NoSandbox),
        next_id: 0,
        read_only: true,
    })
}
