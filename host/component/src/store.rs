//! The data of a store: the turn that runs in it, and the bounds of what the guest may take.

use crate::computing::note_tick;
use growqr_turn::{Scope, TurnFailure};
use growqr_types::codes;
use std::time::{Duration, Instant};
use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

/// Bounds of one live instance. They come from the actor's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceLimits {
    /// Bytes of linear memory, all memories of the component together. At most [`POOL_MEMORY_BYTES_MAX`] for one memory.
    pub memory_bytes_max: usize,
    /// Elements of all tables together.
    pub table_elements_max: usize,
    /// Bytes that the guest may pass in one call of an import, or give back from an export.
    pub transfer_bytes_max: usize,
    /// Resource handles that the guest may hold.
    pub handles_max: usize,
    /// Bytes of a JSON answer.
    pub json_answer_bytes_max: usize,
    /// Bytes of the body of an answer to a raw request.
    pub response_body_bytes_max: usize,
    /// How long instantiation may take.
    pub instantiate_timeout: Duration,
}

/// Bytes that one linear memory can have in the pool, whatever an actor's options say.
pub const POOL_MEMORY_BYTES_MAX: usize = 1 << 30;
/// Core instances that one component may have in a store; above the cap of every tier.
const CORE_INSTANCES_MAX: usize = 128;
/// Memories that one component may have in a store; above the cap of every tier.
const MEMORIES_MAX: usize = 16;
/// Tables that one component may have in a store; above the cap of every tier.
const TABLES_MAX: usize = 64;

impl Default for InstanceLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 64 << 20,
            table_elements_max: 20_000,
            // A raw body of 20 MiB and a frame of 32 MiB must get across.
            transfer_bytes_max: 40 << 20,
            handles_max: 1000,
            json_answer_bytes_max: growqr_types::limits::OUTGOING_MESSAGE_BYTES_MAX,
            response_body_bytes_max: growqr_types::limits::RAW_BODY_BYTES_MAX,
            instantiate_timeout: Duration::from_secs(1),
        }
    }
}

/// What every store of this crate holds.
pub(crate) struct StoreData {
    /// None while the instance is being built, or lies idle: then there is no import that works.
    scope: Option<Scope>,
    /// `describe` runs, without an actor: only `log` and `config` work.
    describing: bool,
    deadline: Instant,
    pub(crate) limiter: Limiter,
}

impl StoreData {
    /// Lets the guest act in a turn until the deadline.
    pub(crate) fn begin_turn(&mut self, scope: Scope, deadline: Instant) {
        self.begin(scope, false, deadline);
    }

    /// Lets the guest describe itself until the deadline.
    pub(crate) fn begin_describe(&mut self, scope: Scope, deadline: Instant) {
        self.begin(scope, true, deadline);
    }

    fn begin(&mut self, scope: Scope, describing: bool, deadline: Instant) {
        self.scope = Some(scope);
        self.describing = describing;
        self.deadline = deadline;
        self.limiter.refused = false;
    }

    /// Takes the scope back.
    pub(crate) fn end(&mut self) -> Option<Scope> {
        self.scope.take()
    }

    /// The turn's scope, for every import that needs an actor.
    pub(crate) fn turn(&mut self) -> Result<&mut Scope, TurnFailure> {
        if self.describing {
            return Err(outside("`describe` is called without an actor: only `log` and `config` work in it"));
        }
        self.scope()
    }

    /// The scope for the imports that `describe` may use.
    pub(crate) fn scope(&mut self) -> Result<&mut Scope, TurnFailure> {
        self.scope.as_mut().ok_or_else(|| outside("an import was called outside of a turn"))
    }
}

fn outside(message: &str) -> TurnFailure {
    TurnFailure(codes::CRASHED.with(message))
}

/// Bounds memory and tables, and remembers whether the guest hit a bound.
pub(crate) struct Limiter {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
    table_elements_max: usize,
    /// Whether the guest asked for more than it may have since the turn began.
    pub(crate) refused: bool,
}

impl Limiter {
    /// Bytes of linear memory that the guest has.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }
}

/// Grows `total` by the difference, if that keeps it within `max`.
fn grow(total: &mut usize, max: usize, current: usize, desired: usize) -> bool {
    match total.checked_add(desired.saturating_sub(current)) {
        Some(grown) if grown <= max => {
            *total = grown;
            true
        }
        _ => false,
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let granted = grow(&mut self.memory_bytes, self.memory_bytes_max, current, desired);
        self.refused |= !granted;
        Ok(granted)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused = true;
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let granted = grow(&mut self.table_elements, self.table_elements_max, current, desired);
        self.refused |= !granted;
        Ok(granted)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused = true;
        Ok(())
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

/// Makes a store. There is no other place that does, so no store is without bounds.
pub(crate) fn new_store(engine: &wasmtime::Engine, limits: &InstanceLimits) -> wasmtime::Result<Store<StoreData>> {
    let data = StoreData {
        scope: None,
        describing: false,
        deadline: Instant::now() + limits.instantiate_timeout,
        limiter: Limiter {
            memory_bytes: 0,
            memory_bytes_max: limits.memory_bytes_max.min(POOL_MEMORY_BYTES_MAX),
            table_elements: 0,
            table_elements_max: limits.table_elements_max,
            refused: false,
        },
    };
    let mut store = Store::try_new(engine, data)?;
    store.limiter(|data| &mut data.limiter);
    store.set_hostcall_fuel(limits.transfer_bytes_max);
    store.set_max_component_handles(limits.handles_max);
    store.set_epoch_deadline(EPOCH_TICKS);
    // A guest that computes gives its thread back every tick, so that it can't hold up others, and ends at its deadline. Tokio's own
    // yield lets the thread look at timers and sockets first; a plain wake would keep the queue from ever being empty.
    store.epoch_deadline_callback(|store| {
        note_tick();
        let over = Instant::now() >= store.data().deadline;
        Ok(if over {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::YieldCustom(EPOCH_TICKS, Box::pin(tokio::task::yield_now()))
        })
    });
    Ok(store)
}

/// Ticks of the epoch that a guest may compute before it yields.
pub(crate) const EPOCH_TICKS: u64 = 1;
