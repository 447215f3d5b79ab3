//! What goes into a turn and what comes out of it.
//!
//! A [`Message`] goes in together with a [`Scope`]; the guest runs; the scope's [`Effects`] and an [`Answer`] come out. The scope is
//! where the contract's imports mean something: it keeps this turn's own writes as an overlay, numbers and bounds what leaves, and
//! reads everything else through a [`StateReader`].
//!
//! Invariant: a scope changes nothing outside itself. Whoever holds it may drop it, and the turn has not happened.
//! Deliberately absent: wasm, storage, clocks, sockets.

mod effects;
mod message;
mod schedule;
mod scope;

pub use effects::{Effect, Effects, Outgoing, TargetRef, TimerRecord, TimerWrite};
pub use message::{
    ActionCall, ActorMessage, Answer, Connection, ConnectionKind, ConnectionRequest, EffectResult, Frame, HttpRequest,
    HttpResponse, Message, Outcome, QueueMessage, RequestOutcome, SandboxEvent, SocketEvent, TimerEvent, Verdict,
    WakeReason,
};
pub use schedule::{BadSchedule, Repeat, Schedule};
pub use scope::{
    ConnectionsView, Finished, Identity, LogLevel, LogLine, NoMemory, Read, Scope, ScopeInput, StateEntries,
    StateReader, TurnFailure, TurnLimits,
};
pub use scope::{MemoryChange, MemoryEntry, MemoryHit, MemoryLayer, MemoryReader, NoSandbox, SandboxReader};
