//! A seeded simulation of the real engine and the real runtime, on a virtual clock, with faults.
//!
//! What is real: directory, generations, alarms and recovery of the engine, the committer's grouping, the actor's state machine and its
//! driver, records, outbox, sockets and their resume. What is simulated: the disk ([`growqr_storage::MemoryStorage`]), the guest, the
//! clients, the clock, and the thread that commits. One seed gives one run; everything runs on one thread.
//!
//! Invariant: a run is decided by its seed alone. Deliberately absent: wasm, the network, the real disk; they have tests of their own.

mod check;
mod client;
mod drain;
mod faults;
mod guest;
mod ledger;
mod listener;
mod raw;
mod relay;
mod world;

pub use faults::{Fault, Fired};
pub use world::run_seed;
