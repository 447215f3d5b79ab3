//! The parent's half of compilation: starts the child, bounds it in wall time, keeps its output.

use crate::accept::ComponentLimits;
use crate::cache::Cache;
use crate::child::EXIT_INVALID;
use crate::engine::blocking;
use crate::output::bounded;
use crate::tier::Tier;
use anyhow::Context;
use bytes::Bytes;
use growqr_types::{Failure, codes};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

/// Compiler children at a time.
const CHILDREN_MAX: usize = 2;
/// Bytes of native code of one component; about three times the component.
const NATIVE_BYTES_MAX: u64 = 256 << 20;
/// KiB of address space that the child's allocator takes at a time.
const ALLOCATOR_RESERVE_KIB: &str = "16384";
/// Bytes of the child's error output that are read.
const ERROR_BYTES_MAX: u64 = 16 << 10;
/// Bytes of the child's error output that an author is shown.
const ERROR_SHOWN_BYTES_MAX: usize = 2 << 10;

/// How the child that compiles is started. Two numbers are added to the arguments; see [`crate::run_compiler_child`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompilerCommand {
    /// Program.
    pub program: PathBuf,
    /// Arguments before the numbers.
    pub args: Vec<OsString>,
}

impl CompilerCommand {
    /// This program itself with these arguments, which must lead to [`crate::run_compiler_child`].
    pub fn this_program(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program's own path can't be found")?;
        Ok(Self { program, args: args.into_iter().collect() })
    }
}

pub(crate) struct Compiler {
    cache: Cache,
    command: CompilerCommand,
    children: Semaphore,
}

impl Compiler {
    pub(crate) fn new(directory: PathBuf, command: CompilerCommand) -> anyhow::Result<Self> {
        let cache = Cache::open(directory).context("the cache directory for compiled components can't be used")?;
        Ok(Self { cache, command, children: Semaphore::new(CHILDREN_MAX) })
    }

    /// The file with a component's native code: from the cache, or compiled now.
    pub(crate) async fn compiled(
        &self,
        engine: &wasmtime::Engine,
        wasm: Bytes,
        hash: &str,
        tier: Tier,
        limits: &ComponentLimits,
    ) -> Result<PathBuf, Failure> {
        if let Some(path) = self.find(engine, hash).await? {
            return Ok(path);
        }
        let _place = self.children.acquire().await.map_err(|_| codes::INTERNAL.failure())?;
        // Another load of the same component may have compiled it in the meantime.
        if let Some(path) = self.find(engine, hash).await? {
            return Ok(path);
        }
        let native = self.run(&wasm, tier, limits).await?;
        let (cache, engine, hash) = (self.cache.clone(), engine.clone(), hash.to_owned());
        blocking(move || cache.keep(&engine, &hash, &native)).await?
    }

    async fn find(&self, engine: &wasmtime::Engine, hash: &str) -> Result<Option<PathBuf>, Failure> {
        let (cache, engine, hash) = (self.cache.clone(), engine.clone(), hash.to_owned());
        blocking(move || cache.find(&engine, &hash)).await
    }

    /// Runs the child. It has an empty environment and dies with this call.
    async fn run(&self, wasm: &[u8], tier: Tier, limits: &ComponentLimits) -> Result<Vec<u8>, Failure> {
        let cpu = limits.compile_cpu(tier);
        let child = Command::new(&self.command.program)
            .args(&self.command.args)
            .arg(limits.compile_memory_bytes_max.to_string())
            .arg(cpu.as_secs().max(1).to_string())
            .env_clear()
            // The product's allocator reserves address space by the gigabyte otherwise, which the child may not have.
            .env("MIMALLOC_ARENA_RESERVE", ALLOCATOR_RESERVE_KIB)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                tracing::error!(%error, program = %self.command.program.display(), "the compiler child can't be started");
                codes::INTERNAL.with("the host can't start its compiler")
            })?;
        let wall = cpu.saturating_mul(limits.compile_wall_factor.max(1));
        match tokio::time::timeout(wall, converse(child, wasm)).await {
            Ok(Ok((status, native, said))) => finished(status, native, &said),
            Ok(Err(error)) => {
                tracing::error!(%error, "the compiler child can't be talked to");
                Err(codes::INTERNAL.with("the host lost its compiler"))
            }
            Err(_) => Err(codes::COMPONENT_COMPILE.with(format!("compiling took longer than {} s", wall.as_secs()))),
        }
    }
}

/// Feeds the child and reads both of its outputs at the same time, so that no pipe can fill up and stop it.
async fn converse(mut child: Child, wasm: &[u8]) -> std::io::Result<(ExitStatus, Vec<u8>, String)> {
    let (mut input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(input) = &mut input {
            // A child that died does not read to the end; its status says why.
            let _ = input.write_all(wasm).await;
        }
        drop(input);
    };
    let ((), native, said) = tokio::join!(feed, read(output, NATIVE_BYTES_MAX), read(errors, ERROR_BYTES_MAX));
    let status = child.wait().await?;
    Ok((status, native?, String::from_utf8_lossy(&said?).into_owned()))
}

/// Reads to the bound, and throws the rest away so that the writer is not held up.
async fn read(from: Option<impl AsyncRead + Unpin>, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        (&mut from).take(bytes_max).read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

fn finished(status: ExitStatus, native: Vec<u8>, said: &str) -> Result<Vec<u8>, Failure> {
    let said = bounded(said.trim().to_owned(), ERROR_SHOWN_BYTES_MAX);
    if status.success() && native.len() as u64 == NATIVE_BYTES_MAX {
        return Err(codes::COMPONENT_COMPILE.with("the compiled component is too large"));
    }
    if status.success() {
        return Ok(native);
    }
    if status.code() == Some(i32::from(EXIT_INVALID)) {
        return Err(codes::COMPONENT_INVALID.with(format!("the component can't be compiled: {said}")));
    }
    tracing::warn!(%status, said, "the compiler child failed");
    Err(codes::COMPONENT_COMPILE.with("compiling took more time or memory than a component may use"))
}
