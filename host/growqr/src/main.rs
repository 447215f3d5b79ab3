//! The GrowQR host and its command line.
//!
//! It only reads configuration and wires the parts together: storage, engine, runtime, gateway.
//! Deliberately absent: anything that decides how an actor behaves.

mod actor;
mod cli;
mod configured;
mod database;
mod deployment;
mod identity;
mod identity_store;
mod machine;
mod mirror;
mod operation;
mod rest;
mod serve;
mod tokens;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
