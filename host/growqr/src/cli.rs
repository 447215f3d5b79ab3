//! The commands. Data goes to stdout, talk to stderr; an error ends with a hint when one is known.

use crate::{actor, configured, mirror, serve, tokens};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// The hidden command that compiles a component in a process of its own.
pub const COMPILE_COMMAND: &str = "compile-component";

/// Runs durable agents that are WebAssembly components, and serves Rivet clients.
#[derive(Parser)]
#[command(name = "growqr", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the actors of a deployment in the foreground
    Serve(configured::Arguments),
    /// For authors: make, build and look at actors
    #[command(subcommand)]
    Actor(actor::Command),
    /// Check and describe the configuration
    #[command(subcommand)]
    Config(configured::Command),
    /// Look at how far the database is behind
    #[command(subcommand)]
    Mirror(mirror::Command),
    /// Print a token of the development issuer
    Token(tokens::Token),
    /// Make, list and revoke tokens of operators
    #[command(subcommand)]
    OperatorToken(tokens::OperatorToken),
    /// End sessions
    #[command(subcommand)]
    Session(tokens::Session),
    #[command(name = COMPILE_COMMAND, hide = true)]
    CompileComponent {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Actor(command) => actor::run(command),
        Command::Config(command) => configured::run(command),
        Command::Mirror(command) => mirror::run(command),
        Command::Token(arguments) => tokens::token(arguments),
        Command::OperatorToken(command) => tokens::operator_token(command),
        Command::Session(command) => tokens::session(command),
        Command::CompileComponent { arguments } => return growqr_component::run_compiler_child(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
