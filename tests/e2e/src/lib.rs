//! End-to-end tests: the real host, real components, the real clients.
//!
//! This library starts what the tests talk to: [`Host`] is the program `growqr` with a data folder of its own, [`Script`] a small
//! program of `js/` under Node with the official client. The tests are in `tests/`, one program per area.
//!
//! Invariant: a test waits for a condition, with a bound, and never for a time. A host that logs an error which its test did not
//! announce fails the test. Deliberately absent: knowledge of how the host works inside.

mod book;
mod disk;
mod files;
mod host;
mod http;
mod machine;
mod plain;
mod process;
mod raw;
mod results;
mod script;

pub use book::Book;
pub use disk::Disk;
pub use files::{component, random, repository, staged};
pub use host::{Deployment, Host, Surroundings};
pub use http::{Answer, get, request};
pub use machine::Machine;
pub use plain::{Plain, Refusal, eventually};
pub use process::spawn;
pub use raw::{Raw, frame};
pub use results::{ENCODINGS, Results};
pub use script::{Script, node_eval};
