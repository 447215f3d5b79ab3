//! The REST interface with a real Postgres. Actors are a fake here; `tests/e2e` has the real ones.

#![allow(clippy::unwrap_used)]

mod access;
mod bad_input;
mod document;
mod limits;
mod reads;
mod stream;
mod support;
mod writes;
