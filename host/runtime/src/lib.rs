//! Runs actors: mailboxes, turns, commits, releases.
#![allow(dead_code)]
pub mod core;
pub mod options;
