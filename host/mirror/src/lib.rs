//! Carries what actors made durable into Postgres, once and in order.
//!
//! Rows wait in the store beside the actors' state (`growqr_seam::MirrorSource`). One task takes them in order, writes them in batches, and
//! removes them when Postgres has committed. When anything fails in between, the same rows come again, and Postgres knows how far it has got
//! with each actor; so every row arrives exactly once.
//!
//! Invariants: rows of an actor arrive in their order. A row is removed only after it was committed, or put aside with the reason why it
//! can't be stored. No actor ever waits for Postgres, except when as much waits as may.
//! Deliberately absent: reading (the REST interface does that), and anything that would change an actor.

mod outage;
mod project;
mod rows;
mod status;
mod task;
mod write;

pub use status::{MirrorStatus, Phase, STATUS_FILE, read_status};
pub use task::{Mirror, MirrorOptions};
