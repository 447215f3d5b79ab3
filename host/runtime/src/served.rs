//! What a name of the deployment means: a component with its description, options, limits and settings.

use crate::core::Offer;
use crate::guest::{Code, NativeGuest};
use crate::meters::ActorMeters;
use crate::options::{self, ActorLimits, ActorOptions};
use futures::future::BoxFuture;
use growqr_component::{Component, Description, InstanceLimits};
use growqr_turn::{Identity, MemoryReader, NoMemory, NoSandbox, SandboxReader, TurnLimits};
use growqr_types::{Failure, Json, OperationId, codes};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How one actor of a deployment is set up.
#[derive(Debug, Clone, Default)]
pub struct ActorSettings {
    /// Options that override the component's own.
    pub options: serde_json::Value,
    /// Limits.
    pub limits: ActorLimits,
    /// What the guest's `config.get` answers.
    pub config: Arc<BTreeMap<String, Json>>,
}

/// An actor that can be started.
pub struct Served {
    /// Actor name.
    pub name: String,
    /// Its code.
    pub code: Code,
    /// What the code says about itself.
    pub description: Description,
    pub(crate) options: Arc<ActorOptions>,
    pub(crate) limits: Arc<ActorLimits>,
    pub(crate) turn_limits: Arc<TurnLimits>,
    pub(crate) instance_limits: InstanceLimits,
    pub(crate) config: Arc<BTreeMap<String, Json>>,
    pub(crate) offer: Arc<Offer>,
    pub(crate) meters: ActorMeters,
}

impl Served {
    /// Asks the component about the actor and puts the settings over it.
    pub async fn new(name: &str, component: Arc<Component>, settings: ActorSettings) -> Result<Self, Failure> {
        let description = component.describe(name, settings.config.clone()).await?;
        Self::with_code(name, Code::Component(component), description, settings)
    }

    /// An actor whose code is a program of the host.
    pub fn native(
        name: &str,
        native: Arc<dyn NativeGuest>,
        description: Description,
        settings: ActorSettings,
    ) -> Result<Self, Failure> {
        Self::with_code(name, Code::Native(native), description, settings)
    }

    fn with_code(name: &str, code: Code, description: Description, settings: ActorSettings) -> Result<Self, Failure> {
        let options = options::merge(&description.options, &settings.options).map_err(|error| {
            codes::COMPONENT_DESCRIBE.with(format!("the options of actor {name:?} are not valid: {error}"))
        })?;
        let offer = Offer {
            actions: description.actions.iter().map(|action| (action.name.clone(), action.read_only)).collect(),
            queues: description.queues.iter().cloned().collect(),
            hooks: description.hooks,
            state_version: description.state_version,
            migrates_from: description.migrates_from,
        };
        let instance_limits =
            InstanceLimits { memory_bytes_max: settings.limits.memory_bytes, ..InstanceLimits::default() };
        Ok(Self {
            name: name.to_owned(),
            code,
            turn_limits: Arc::new(settings.limits.turn(&options)),
            options: Arc::new(options),
            limits: Arc::new(settings.limits),
            instance_limits,
            config: settings.config,
            offer: Arc::new(offer),
            meters: ActorMeters::new(name),
            description,
        })
    }
}

/// Carries out the effects of one host capability. The operation id is the same when an effect is run again after a crash.
pub trait EffectService: Send + Sync {
    /// Runs an effect to its end.
    fn execute<'a>(
        &'a self,
        actor: &'a Identity,
        operation: OperationId,
        effect: &'a str,
    ) -> BoxFuture<'a, Result<Json, Failure>>;
}

/// The host capabilities that stand behind traits: what reads during a turn, and what carries out effects after it.
#[derive(Clone)]
pub struct Capabilities {
    /// Long-term memory.
    pub memory: Arc<dyn MemoryReader>,
    /// Carries out its commits.
    pub memory_effects: Arc<dyn EffectService>,
    /// The sandbox.
    pub sandbox: Arc<dyn SandboxReader>,
    /// Carries out its calls.
    pub sandbox_effects: Arc<dyn EffectService>,
}

struct NotAvailable(growqr_types::Code);

impl EffectService for NotAvailable {
    fn execute<'a>(&'a self, _: &'a Identity, _: OperationId, _: &'a str) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async { Err(self.0.failure()) })
    }
}

impl Default for Capabilities {
    /// A deployment without memory and sandbox.
    fn default() -> Self {
        Self {
            memory: Arc::new(NoMemory),
            memory_effects: Arc::new(NotAvailable(codes::MEMORY_NOT_AVAILABLE)),
            sandbox: Arc::new(NoSandbox),
            sandbox_effects: Arc::new(NotAvailable(codes::SANDBOX_NOT_AVAILABLE)),
        }
    }
}
