//! The compiler child: a process that bounds itself, compiles one component from its input to its output, and ends.
//!
//! Compiling is where a small hostile file can cost much time and memory, and wasmtime has no bound for either. So it happens in a process
//! of its own that the kernel bounds; when it dies, nothing else does.

use crate::tier::compiler_engine;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;

/// The child ended because the component is not valid; the reason is on its error output.
pub(crate) const EXIT_INVALID: u8 = 65;
/// The child could not do its work for reasons of its own.
const EXIT_FAILED: u8 = 70;
/// Bytes of a component that the child reads; the parent has its own, smaller bound.
const INPUT_BYTES_MAX: u64 = 256 << 20;

/// What a hidden subcommand of the binary runs: `<address space in bytes> <processor seconds> [path]`. Reads the component from the path,
/// or from the standard input, and writes native code to the standard output.
pub fn run_compiler_child(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match compile(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Problem::Invalid(message)) => report(&message, EXIT_INVALID),
        Err(Problem::Failed(message)) => report(&message, EXIT_FAILED),
    }
}

enum Problem {
    Invalid(String),
    Failed(String),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

fn report(message: &str, code: u8) -> ExitCode {
    // Nobody is left to tell when the error output is closed.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::from(code)
}

fn compile(args: impl IntoIterator<Item = OsString>) -> Result<(), Problem> {
    let mut args = args.into_iter();
    let mut number = |what: &str| -> Result<u64, Problem> {
        let text = args.next().and_then(|text| text.into_string().ok());
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| Problem::Failed(format!("{what} is missing or not a number")))
    };
    let (memory_bytes, cpu_seconds) = (number("address space")?, number("processor time")?);
    limit_self(memory_bytes, cpu_seconds)?;
    let mut wasm = Vec::new();
    match args.next() {
        Some(path) => std::fs::File::open(path)?.take(INPUT_BYTES_MAX).read_to_end(&mut wasm)?,
        None => io::stdin().lock().take(INPUT_BYTES_MAX).read_to_end(&mut wasm)?,
    };
    let engine = compiler_engine().map_err(|error| Problem::Failed(format!("{error:#}")))?;
    let native = engine.precompile_component(&wasm).map_err(|error| Problem::Invalid(format!("{error:#}")))?;
    let mut output = io::stdout().lock();
    output.write_all(&native)?;
    output.flush()?;
    Ok(())
}

/// Bounds this process for the rest of its life: address space, processor time, no files to write, no core dump.
fn limit_self(memory_bytes: u64, cpu_seconds: u64) -> io::Result<()> {
    set_limit(libc::RLIMIT_AS, memory_bytes)?;
    set_limit(libc::RLIMIT_CPU, cpu_seconds)?;
    // The output is a pipe, which this does not bound; the parent does.
    set_limit(libc::RLIMIT_FSIZE, 0)?;
    set_limit(libc::RLIMIT_CORE, 0)
}

fn set_limit(resource: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: `setrlimit` only reads the structure that it is given, which lives until it returns. The standard library has no call for it.
    // `a_compile_bomb_ends_in_the_child` tests that the bounds are in force.
    #[allow(unsafe_code)]
    let result = unsafe { libc::setrlimit(resource, &raw const limit) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
