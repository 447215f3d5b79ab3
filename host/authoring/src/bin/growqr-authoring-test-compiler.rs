//! The compiler child for this crate's tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    growqr_component::run_compiler_child(std::env::args_os().skip(1))
}
