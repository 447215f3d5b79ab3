//! Runs actors: mailboxes, turns, commits, releases.
//!
//! [`Runtime`] is a `growqr_seam::RuntimeHost`: an engine starts and stops actors in it and brings it requests and sockets. Each actor
//! that runs is one task that drives a [`core::Core`], the pure state machine that decides everything.
//!
//! Invariant: nothing leaves an actor (a reply, an event, a frame, an effect) before the turn that caused it is durable.
//! Deliberately absent: where actors live and how bytes are kept (the engine's), addresses and HTTP connections (the gateway's).

mod actor;
mod clock_watch;
pub mod core;
pub mod doubles;
#[doc(hidden)]
pub mod fuzzing;
mod guest;
mod hub;
mod inspector;
mod load;
mod meters;
pub mod options;
mod outbox;
mod replay;
mod runtime;
mod served;
mod session;
mod surface;
mod view;
mod waiter;
mod watch;

pub use guest::{Code, NativeGuest};
pub use runtime::{Runtime, RuntimeInput, RuntimeStats};
pub use served::{ActorSettings, Capabilities, EffectService, Served};
pub use session::RESYNC_EVENT;
