//! The REST interface for threads, messages, actors and events.
//!
//! It reads what the mirror wrote into the database, and it changes things only through the actors, because they are the truth: a
//! `PATCH` of a thread is an action of the user's Grow Agent, and is answered when that action is durable. The rows follow a moment later.
//!
//! Invariant: every route is in one table with the access rule that it is served under ([`rules`]), there is no way to add one without a
//! rule, and every query is bound to the user whom the rule let through.
//! Deliberately absent: who a token belongs to and what a principal may reach (`growqr-identity`), writing rows (the mirror's), sockets
//! (the gateway's).

// The macro that describes a route names its types with a path of their own.
#![allow(unused_qualifications)]

mod access;
mod actors;
mod backend;
mod cursor;
mod edge;
mod etag;
mod events;
mod hub;
mod input;
mod me;
mod messages;
mod page;
mod problem;
mod rate;
mod routes;
mod state;
mod stream;
mod threads;
mod views;

pub use backend::{Backend, KnownActor};
pub use routes::{document, rules};
pub use state::{Api, ApiInput, ApiSettings};

use std::time::Duration;

/// Bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 16 << 10;
/// How long a request's body may take.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a query.
pub const QUERY_BYTES_MAX: usize = 4 << 10;
/// Entries of a page, unless the caller says otherwise.
pub const PAGE_ENTRIES: u32 = 50;
/// Entries of a page at the most.
pub const PAGE_ENTRIES_MAX: u32 = 100;
/// Bytes of what a page's entries hold; a page has one entry at least.
pub const PAGE_BYTES_MAX: usize = 4 << 20;
/// Users whose rate is kept at a time. Beyond that, those who are new share one rate.
pub const RATE_KEYS_MAX: usize = 50_000;
/// Event streams of all users.
pub const STREAMS_MAX: usize = 10_000;
/// After so long without an event a stream says that it lives.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
