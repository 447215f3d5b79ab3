//! Write a GrowQR actor in Rust.
//!
//! An actor is a struct of durable state and an `impl` block. The struct is stored as one value: it is loaded when the actor
//! wakes, and written at the end of a turn if its bytes changed. The [`macro@actor`] attribute turns the block's marked methods
//! into actions and hooks, and [`export!`] makes the crate a component.
//!
//! ```no_run
//! use growqr_actor_sdk::prelude::*;
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Counter {
//!     count: i64,
//! }
//!
//! #[actor(events("newCount"))]
//! impl Counter {
//!     /// `increment(by?)` for clients. A missing argument is `None`.
//!     #[action]
//!     fn increment(&mut self, ctx: &mut Ctx, by: Option<i64>) -> i64 {
//!         self.count += by.unwrap_or(1);
//!         ctx.broadcast("newCount", &self.count);
//!         self.count
//!     }
//!
//!     /// `getCount()` for clients. Costs no write.
//!     #[action(read_only)]
//!     fn get_count(&self) -> i64 {
//!         self.count
//!     }
//! }
//!
//! export!(Counter);
//! # fn main() {}
//! ```
//!
//! Invariant: a turn that ends with an error leaves nothing behind. The host drops the instance, so the struct in memory and the
//! stored bytes can't disagree. [`Fail::keep`] is the way to answer with an error and keep what was written.
//! Deliberately absent: `async`, threads, files, sockets and time other than [`Ctx::now`]; the host offers none of them.

extern crate self as growqr_actor_sdk;

mod actor;
mod args;
pub mod bindings;
mod component;
mod connection;
mod ctx;
mod effects;
mod fail;
mod json;
mod log;
mod reply;
mod services;
#[cfg(test)]
mod tests;

pub use actor::{ActionInfo, Actor, Description, Hooks};
pub use args::Args;
#[doc(hidden)]
pub use args::value;
pub use bindings::growqr::actor::types::{
    ActorMessage, ConnectionKind, ConnectionRequest, Frame, HttpRequest as Request, HttpResponse as Response,
    QueueMessage, SandboxEvent, SocketClose, SocketEvent, SocketMessage, Target, TimerEvent, WakeReason,
};
pub use component::{Component, Instance, STATE_KEY, Turns};
#[doc(hidden)]
pub use component::{state_text, unknown_timer};
pub use connection::Connection;
#[doc(hidden)]
pub use ctx::actor_name;
pub use ctx::{Ctx, Identity};
pub use effects::{EffectResult, Timer};
pub use fail::{Fail, Result};
pub use growqr_actor_sdk_macros::{ActorError, Event, actor};
pub use json::{Bytes, Json};
#[doc(hidden)]
pub use log::{LogLevel, line as log_line};
pub use reply::{Deferred, Event, IntoReply, IntoResponse, Outcome, Reply, ReplyHandle};
pub use services::{Change, Entry, Hit, Layer, Memory, PermissionReply, Sandbox};

/// Everything that an actor usually needs.
pub mod prelude {
    pub use crate::{
        Actor, ActorError, ActorMessage, Bytes, Connection, ConnectionKind, ConnectionRequest, Ctx, Deferred,
        EffectResult, Event, Fail, Frame, Json, QueueMessage, Reply, ReplyHandle, Request, Response, Result,
        SandboxEvent, SocketEvent, Target, Timer, TimerEvent, WakeReason, actor, debug, error, export, info, trace,
        warn,
    };
    pub use serde::{Deserialize, Serialize};
}
