//! The Postgres that the host works with: a private server in the data folder or the operator's own, the pool, and the migrations.
//!
//! Invariant: nothing here is waited for by an actor. A server starts in the background, a pool connects when it is asked, and while the
//! database is away everything that needs it is told `database.unavailable`.
//! Deliberately absent: what the mirror writes (`growqr-mirror`) and what the REST interface reads (`growqr-api`).

mod account;
mod binaries;
mod cluster;
mod database;
pub mod operator_tokens;
pub mod partitions;
mod problem;
mod server;
mod signal;
// Only tests use it, and a test that can't have its database fails.
#[allow(clippy::unwrap_used)]
pub mod testing;
pub mod users;

pub use binaries::{Binaries, Search};
pub use database::{Database, DatabaseOptions, MIGRATOR, Readiness};
pub use problem::{ServerError, failure, is_data_error};
pub use server::{Server, ServerOptions, ServerState, connect_options};
