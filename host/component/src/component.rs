//! A component that was checked, compiled and linked.

use crate::bindings::AgentPre;
use crate::computing::Unfinished;
use crate::describe::{self, Description};
use crate::engine::Inner;
use crate::instance::{Instance, detail};
use crate::store::{InstanceLimits, StoreData, new_store};
use crate::tier::Tier;
use growqr_types::{Failure, Json, codes};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Instant;
use wasmtime::component::Component as Compiled;

/// A component, ready to be instantiated. It keeps its engine alive.
pub struct Component {
    pub(crate) agent: AgentPre<StoreData>,
    pub(crate) engine: Arc<Inner>,
    hash: String,
    size: usize,
    tier: Tier,
}

impl std::fmt::Debug for Component {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Component").field("hash", &self.hash).field("tier", &self.tier).finish_non_exhaustive()
    }
}

impl Component {
    /// Maps native code of this host's own cache and links it in the first tier that admits it.
    pub(crate) fn link(
        engine: Arc<Inner>,
        file: &Path,
        hash: String,
        size: usize,
        wanted: Tier,
    ) -> Result<Self, Failure> {
        let mut refused = None;
        for tier in Tier::ALL.into_iter().skip_while(|tier| *tier != wanted) {
            // SAFETY: the file is in the host's own cache directory, was written by this host from the output of its own compiler child,
            // and its digest was compared just before. `a_damaged_cache_file_is_compiled_anew` tests that nothing else gets here.
            #[allow(unsafe_code)]
            let compiled = unsafe { Compiled::deserialize_file(&engine.tier(tier).engine, file) };
            match compiled {
                Ok(compiled) => {
                    let agent = bind(&engine, tier, &compiled)?;
                    return Ok(Self { agent, engine, hash, size, tier });
                }
                Err(error) => refused = Some(error),
            }
        }
        let error = refused.map(|error| format!("{error:#}")).unwrap_or_default();
        Err(codes::COMPONENT_STRUCTURE.with(format!("the component does not fit into an instance slot: {error}")))
    }

    /// SHA-256 of the component's bytes, as hexadecimal digits.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Bytes of the component.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The pool that its instances come from.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Asks the component in a scratch instance what it says about an actor.
    pub async fn describe(
        self: &Arc<Self>,
        actor: &str,
        config: Arc<BTreeMap<String, Json>>,
    ) -> Result<Description, Failure> {
        let place = self.engine.scratch().await?;
        let (component, actor) = (self.clone(), actor.to_owned());
        let work = Box::pin(async move {
            let _place = place;
            describe::run(&component, &actor, config).await
        });
        let until = Instant::now() + describe::DESCRIBE_TIMEOUT;
        self.engine.computing.run(work, until).await.unwrap_or_else(|_| Err(describe::late()))
    }

    /// Makes an instance. Fails with `actor.overloaded` when no slot is free.
    pub async fn instantiate(self: &Arc<Self>, limits: &InstanceLimits) -> Result<Instance, Failure> {
        let (component, limits) = (self.clone(), limits.clone());
        let until = Instant::now() + limits.instantiate_timeout;
        let work = Box::pin(async move { component.instantiate_here(&limits).await });
        match self.engine.computing.run(work, until).await {
            Ok(made) => made,
            Err(Unfinished::Late) => Err(codes::START_FAILED.with("the instance took too long to start")),
            Err(Unfinished::Stopped) => Err(codes::RESTARTING.failure()),
        }
    }

    async fn instantiate_here(self: &Arc<Self>, limits: &InstanceLimits) -> Result<Instance, Failure> {
        let _running = self.engine.ticker.running();
        let tier = self.engine.tier(self.tier);
        let slot = tier.slot()?;
        let mut store = new_store(&tier.engine, limits).map_err(|error| self.not_made(&error))?;
        match self.agent.instantiate_async(&mut store).await {
            Ok(agent) => Ok(Instance::new(store, agent, limits.clone(), self.clone(), slot)),
            Err(error) if store.data().limiter.refused => {
                tracing::debug!(component = self.hash, error = detail(&error), "an instance needs too much memory");
                Err(codes::LIMIT_MEMORY.failure())
            }
            Err(error) => Err(self.not_made(&error)),
        }
    }

    fn not_made(&self, error: &wasmtime::Error) -> Failure {
        if !error.root_cause().to_string().contains(&*OUT_OF_MEMORY) {
            tracing::warn!(error = detail(error), "an instance can't be made");
            return codes::START_FAILED.failure();
        }
        if self.engine.may_tell_of_mappings() {
            tracing::warn!(
                error = detail(error),
                "the system has no memory or no memory mappings for another instance; raise vm.max_map_count, or set fewer `instances`"
            );
        }
        codes::OVERLOADED.with("The machine has no memory mappings left for another instance; try again later.")
    }
}
/// How the system's refusal of memory ends, in every library's words for it.
static OUT_OF_MEMORY: LazyLock<String> = LazyLock::new(|| format!("(os error {})", libc::ENOMEM));

/// Links a component and compares the types of its imports and exports with the contract.
fn bind(engine: &Inner, tier: Tier, compiled: &Compiled) -> Result<AgentPre<StoreData>, Failure> {
    let linked = engine.tier(tier).linker.instantiate_pre(compiled).map_err(|error| {
        codes::COMPONENT_IMPORT.with(format!("an import does not have the type that the contract gives it: {error:#}"))
    })?;
    AgentPre::new(linked).map_err(|error| {
        codes::COMPONENT_EXPORT.with(format!("an export does not have the type that the contract gives it: {error:#}"))
    })
}
