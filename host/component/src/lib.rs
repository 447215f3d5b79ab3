//! Compiles, checks and runs WebAssembly components.
//!
//! An [`Engine`] loads a [`Component`]: it checks the bytes, compiles them in a limited child process and links them to the contract in
//! `wit/`. A component makes [`Instance`]s; an instance runs turns, one at a time. What an import means is the business of
//! `growqr_turn::Scope`; here it is only carried across.
//!
//! Invariant: guest code can't hurt the host. Every store has bounds for memory, tables, time and what it passes across, native code is
//! only mapped when this host made it, and what a guest gives back is checked before it is kept.
//! Deliberately absent: WASI, actors, storage, the decision what happens after a failed turn.

mod accept;
mod bindings;
mod cache;
mod child;
mod compile;
mod component;
mod computing;
mod convert;
mod describe;
mod engine;
mod imports;
mod inspect;
mod instance;
mod output;
mod store;
mod ticker;
mod tier;
mod walk;

pub use accept::{CONTRACT_VERSION, ComponentLimits};
pub use child::run_compiler_child;
pub use compile::CompilerCommand;
pub use component::Component;
pub use describe::{ActionInfo, Description, Hooks};
pub use engine::{Engine, EngineOptions, RUNTIME_SLOTS_MAX, SLOTS_MAX, prepare_thread};
pub use inspect::{Inspection, Interface, Producer, inspect};
pub use instance::{CallReport, Instance};
pub use store::{InstanceLimits, POOL_MEMORY_BYTES_MAX};
pub use tier::Tier;
