//! The two kinds of engine: the same native code, other pools.
//!
//! The **standard** tier holds most actors: one memory, few core instances, a small stack. The **runtime** tier admits components that
//! carry a language runtime (JavaScript, Python) and need more of everything; it has few slots. Code generation is the same for both and
//! for the compiler child, so that one cached file serves whichever tier takes the component.

use crate::store::POOL_MEMORY_BYTES_MAX;
use wasmtime::{Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

/// Which pool a component's instances come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// For components built from a compiled language.
    Standard,
    /// For components that carry a language runtime.
    Runtime,
}

/// What one component may need to be in a tier.
pub(crate) struct TierCaps {
    pub(crate) memories: u32,
    pub(crate) core_instances: u32,
    pub(crate) tables: u32,
    wasm_stack_bytes: usize,
    async_stack_bytes: usize,
    memory_resident_bytes: usize,
}

/// Elements of one table in the pool.
const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Bytes of a table that stay resident when its slot is free.
const TABLE_RESIDENT_BYTES: usize = 4 << 10;
/// Bytes of the host's own description of one core instance or component instance (imports, exports, globals).
const INSTANCE_DESCRIPTION_BYTES_MAX: usize = 1 << 20;

impl Tier {
    /// Both, the cheaper one first.
    pub(crate) const ALL: [Self; 2] = [Self::Standard, Self::Runtime];

    pub(crate) const fn caps(self) -> TierCaps {
        match self {
            Self::Standard => TierCaps {
                memories: 1,
                core_instances: 8,
                tables: 4,
                wasm_stack_bytes: 128 << 10,
                async_stack_bytes: 256 << 10,
                memory_resident_bytes: 64 << 10,
            },
            Self::Runtime => TierCaps {
                memories: 4,
                core_instances: 48,
                tables: 40,
                wasm_stack_bytes: 512 << 10,
                async_stack_bytes: 1 << 20,
                memory_resident_bytes: 256 << 10,
            },
        }
    }

    /// Makes the tier's engine with so many slots.
    pub(crate) fn engine(self, slots: u32) -> wasmtime::Result<wasmtime::Engine> {
        let caps = self.caps();
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(slots)
            .total_core_instances(slots.saturating_mul(caps.core_instances))
            .total_memories(slots.saturating_mul(caps.memories))
            .total_tables(slots.saturating_mul(caps.tables))
            .total_stacks(slots)
            .total_gc_heaps(0)
            .max_memory_size(POOL_MEMORY_BYTES_MAX)
            .max_memories_per_component(caps.memories)
            .max_memories_per_module(caps.memories)
            .max_core_instances_per_component(caps.core_instances)
            .max_tables_per_component(caps.tables)
            .max_tables_per_module(caps.tables)
            .max_core_instance_size(INSTANCE_DESCRIPTION_BYTES_MAX)
            .max_component_instance_size(INSTANCE_DESCRIPTION_BYTES_MAX)
            .table_elements(TABLE_ELEMENTS_MAX)
            .linear_memory_keep_resident(caps.memory_resident_bytes)
            .table_keep_resident(TABLE_RESIDENT_BYTES);
        let mut config = code_generation();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .memory_init_cow(true)
            .max_wasm_stack(caps.wasm_stack_bytes)
            .async_stack_size(caps.async_stack_bytes);
        wasmtime::Engine::new(&config)
    }
}

/// The engine of the compiler child. It allocates on demand: a pool's reservation would count against the child's address space.
pub(crate) fn compiler_engine() -> wasmtime::Result<wasmtime::Engine> {
    let mut config = code_generation();
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand).parallel_compilation(false);
    wasmtime::Engine::new(&config)
}

/// Every setting that the native code depends on. What is off here is off for guests: threads, garbage collection, exceptions,
/// 64-bit memories.
fn code_generation() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_threads(false)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false);
    config
}
