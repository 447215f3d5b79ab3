//! Identifiers, errors and limits that every crate shares.
//!
//! Invariant: nothing in here does I/O, reads a clock or draws a random number; identifiers are made from bytes that the
//! caller brings. Deliberately absent: types that only one crate uses.

mod error;
mod id;
mod key;
pub mod limits;

pub use error::{Code, Failure, codes};
pub use id::{ActorId, ConnectionId, Generation, OperationId, ReplyHandle, Seq, TimerId, TimestampMs};
pub use key::{ActorKey, KeyError};

/// JSON text in UTF-8, with the JSON-compat tags of the client protocol for what JSON can't say.
pub type Json = String;
