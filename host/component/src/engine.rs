//! The engine: compiles, checks, links and places components.

use crate::accept::{self, ComponentLimits};
use crate::bindings::Agent;
use crate::compile::{Compiler, CompilerCommand};
use crate::component::Component;
use crate::computing::Computing;
use crate::store::StoreData;
use crate::ticker::Ticker;
use crate::tier::Tier;
use anyhow::Context;
use bytes::Bytes;
use growqr_types::{Failure, codes};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{HasSelf, Linker};

/// How an engine is made.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Live instances of the standard tier. None: as many as the machine's mappings allow, [`SLOTS_MAX`] at most.
    pub slots: Option<usize>,
    /// Live instances of the runtime tier. None: a sixteenth of the standard tier's, [`RUNTIME_SLOTS_MAX`] at most.
    pub runtime_slots: Option<usize>,
    /// Where native code is kept. Only the host may write there.
    pub cache_dir: PathBuf,
    /// The child that compiles.
    pub compiler: CompilerCommand,
}

/// Live instances of the standard tier, whatever the machine allows: each reserves 4 GiB of a 47-bit address space.
pub const SLOTS_MAX: usize = 10_000;
/// Live instances of the runtime tier.
pub const RUNTIME_SLOTS_MAX: usize = 512;
/// Standard slots for each runtime slot.
const STANDARD_PER_RUNTIME: usize = 16;
/// Instances beside the slots, for `describe`.
const SCRATCH_SLOTS: usize = 4;
/// Memory mappings that one live instance of the standard tier costs, its stack included.
const MAPPINGS_PER_SLOT: usize = 6;
/// Memory mappings that one live instance of the runtime tier costs.
const MAPPINGS_PER_RUNTIME_SLOT: usize = 14;
/// Memory mappings for everything else in the process.
const MAPPINGS_RESERVED: usize = 5_000;
/// How long the log is silent about missing mappings after it told of them.
const MAPPINGS_SILENCE: Duration = Duration::from_secs(60);
/// What Linux allows unless it was told otherwise; taken when the setting can't be read.
const MAPPINGS_DEFAULT: usize = 65_530;

/// The place where engines and stores are made. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    tiers: [TierEngine; 2],
    compiler: Compiler,
    scratch: Arc<Semaphore>,
    pub(crate) computing: Computing,
    pub(crate) ticker: Ticker,
    told_of_mappings: Mutex<Option<Instant>>,
}

pub(crate) struct TierEngine {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) linker: Linker<StoreData>,
    slots: usize,
    free: Arc<Semaphore>,
}

impl TierEngine {
    fn new(tier: Tier, slots: usize) -> anyhow::Result<Self> {
        let pool = u32::try_from(slots + SCRATCH_SLOTS).context("too many slots")?;
        let engine = tier.engine(pool).map_err(anyhow::Error::from).with_context(|| {
            format!("the pool of {slots} {tier:?} slots can't be reserved; use fewer slots, or raise the address space limit")
        })?;
        let mut linker = Linker::new(&engine);
        Agent::add_to_linker::<_, HasSelf<_>>(&mut linker, |data| data).map_err(anyhow::Error::from)?;
        Ok(Self { engine, linker, slots, free: Arc::new(Semaphore::new(slots)) })
    }

    /// Takes a slot for a live instance, if one is free.
    pub(crate) fn slot(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.free.clone().try_acquire_owned().map_err(|_| {
            codes::OVERLOADED
                .with(format!("all {} instance slots of this host are in use; try again later", self.slots))
        })
    }
}

impl Engine {
    /// Makes an engine and starts its ticker, which ends when the engine and everything made by it is dropped.
    pub fn new(options: EngineOptions) -> anyhow::Result<Self> {
        let advised = default_slots(mappings_max());
        let slots = options.slots.unwrap_or(advised).clamp(1, SLOTS_MAX);
        if slots > advised {
            tracing::warn!(
                slots,
                advised,
                "more `instances` are configured than the machine has memory mappings for; raise vm.max_map_count, or set fewer"
            );
        }
        let runtime = options.runtime_slots.unwrap_or(slots / STANDARD_PER_RUNTIME).clamp(1, RUNTIME_SLOTS_MAX);
        let tiers = [TierEngine::new(Tier::Standard, slots)?, TierEngine::new(Tier::Runtime, runtime)?];
        let engines = [tiers[0].engine.clone(), tiers[1].engine.clone()];
        let ticker = Ticker::start(move || engines.iter().for_each(wasmtime::Engine::increment_epoch))?;
        let compiler = Compiler::new(options.cache_dir, options.compiler)?;
        let scratch = Arc::new(Semaphore::new(SCRATCH_SLOTS));
        let computing = Computing::new()?;
        Ok(Self {
            inner: Arc::new(Inner { tiers, compiler, scratch, computing, ticker, told_of_mappings: Mutex::default() }),
        })
    }

    /// Live instances of the standard tier at the most.
    pub fn slots(&self) -> usize {
        self.inner.tier(Tier::Standard).slots
    }

    /// Live instances of a tier at the most.
    pub fn tier_slots(&self, tier: Tier) -> usize {
        self.inner.tier(tier).slots
    }

    /// Instances that could be made now in a tier.
    pub fn free_slots(&self, tier: Tier) -> usize {
        self.inner.tier(tier).free.available_permits()
    }

    /// Guests that can compute beyond a tick at a time; the others wait for their turn.
    pub fn computing_places(&self) -> usize {
        self.inner.computing.places()
    }

    /// Turns, and other work of guests, that computed beyond a tick so far.
    pub fn long_computations(&self) -> u64 {
        self.inner.computing.moved()
    }

    /// Checks a component, compiles it in a limited child or takes it from the cache, links it, and gives it ready to be instantiated.
    pub async fn load(&self, wasm: Bytes, limits: &ComponentLimits) -> Result<Arc<Component>, Failure> {
        let (checked, limits) = (wasm.clone(), limits.clone());
        let bounds = limits.clone();
        let accepted = blocking(move || accept::check(&checked, &bounds)).await??;
        let size = wasm.len();
        let hash = accepted.hash;
        let file =
            self.inner.compiler.compiled(&self.inner.tiers[0].engine, wasm, &hash, accepted.tier, &limits).await?;
        let inner = self.inner.clone();
        blocking(move || Component::link(inner, &file, hash, size, accepted.tier)).await?.map(Arc::new)
    }
}

impl Inner {
    /// Whether the operator should hear that mappings are missing: every waiting actor meets it a hundred times a second.
    pub(crate) fn may_tell_of_mappings(&self) -> bool {
        let mut told = self.told_of_mappings.lock().unwrap_or_else(PoisonError::into_inner);
        let may = told.is_none_or(|told| told.elapsed() >= MAPPINGS_SILENCE);
        if may {
            *told = Some(Instant::now());
        }
        may
    }

    pub(crate) fn tier(&self, tier: Tier) -> &TierEngine {
        match tier {
            Tier::Standard => &self.tiers[0],
            Tier::Runtime => &self.tiers[1],
        }
    }

    /// Waits for a place to run `describe`.
    pub(crate) async fn scratch(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.scratch.clone().acquire_owned().await.map_err(|_| codes::INTERNAL.failure())
    }
}

/// To be called at the start of each thread on which guests will run. What a thread needs for that is a memory mapping; one that asks for
/// it only when its first guest runs, and the machine has none left, would panic in that guest's turn.
pub fn prepare_thread() {
    // A thread that is started when there are no mappings can do other work, and tries again when a guest runs on it.
    if std::panic::catch_unwind(wasmtime::Engine::tls_eager_initialize).is_err() {
        tracing::warn!("a thread was started without what it needs to run guests, because memory mappings are missing");
    }
}

/// Runs work that takes a while off the asynchronous threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a blocking task of the component engine failed");
        codes::INTERNAL.failure()
    })
}

fn mappings_max() -> usize {
    let setting = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    setting.trim().parse().unwrap_or(MAPPINGS_DEFAULT)
}

/// As many slots as leave mappings for the runtime tier and for everything else. Who runs out of mappings refuses
/// every actor that needs a new instance.
fn default_slots(mappings_max: usize) -> usize {
    let free = mappings_max.saturating_sub(MAPPINGS_RESERVED);
    let with_share =
        free * STANDARD_PER_RUNTIME / (MAPPINGS_PER_SLOT * STANDARD_PER_RUNTIME + MAPPINGS_PER_RUNTIME_SLOT);
    let with_all_runtime = free.saturating_sub(RUNTIME_SLOTS_MAX * MAPPINGS_PER_RUNTIME_SLOT) / MAPPINGS_PER_SLOT;
    with_share.max(with_all_runtime).clamp(1, SLOTS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_stay_within_the_mappings_of_the_machine() {
        for mappings in [0, 5_000, 6_000, 65_530, 262_144, 1_048_576] {
            let slots = default_slots(mappings);
            let runtime = (slots / STANDARD_PER_RUNTIME).clamp(1, RUNTIME_SLOTS_MAX);
            let used = slots * MAPPINGS_PER_SLOT + runtime * MAPPINGS_PER_RUNTIME_SLOT + MAPPINGS_RESERVED;
            assert!(used <= mappings || slots == 1, "{mappings}: {slots} slots use {used}");
        }
        assert_eq!(default_slots(1_048_576), SLOTS_MAX);
        assert!(default_slots(65_530) > 8_000);
    }
}
