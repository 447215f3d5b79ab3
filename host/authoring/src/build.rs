//! Building an actor project into a component.

use crate::componentise;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The compilation target of actors: no system interface at all.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// The cargo profile that actor projects have.
const PROFILE: &str = "actor";

/// How to build.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// The package, where the folder has several.
    pub package: Option<String>,
    /// The cargo profile; `actor` if none is given.
    pub profile: Option<String>,
    /// Where the component goes; `dist/<name>.wasm` in the project if none is given.
    pub output: Option<PathBuf>,
    /// Asks the network for nothing.
    pub offline: bool,
    /// Refuses to change the lock file.
    pub locked: bool,
}

/// What was built.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildReport {
    /// The component.
    pub component: PathBuf,
    /// Bytes of the component.
    pub size: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Builds the project in this folder, and writes its component. Cargo's own talk goes to stderr as it comes.
pub fn build(project: &Path, options: &BuildOptions) -> Result<BuildReport> {
    let started = Instant::now();
    let manifest = project.join("Cargo.toml");
    if !manifest.is_file() {
        bail!("{} has no Cargo.toml\nhint: make a project with `growqr actor new <name>`", project.display());
    }
    let module = compile(&manifest, options)?;
    let core = std::fs::read(&module).with_context(|| format!("can't read {}", module.display()))?;
    let component = componentise(&core)?;
    let name = module.file_name().context("cargo named a file without a name")?;
    let output = options.output.clone().unwrap_or_else(|| project.join("dist").join(name));
    write_atomically(&output, &component)?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(BuildReport { component: output, size: component.len() as u64, seconds })
}

/// Runs cargo and gives the module that it made.
fn compile(manifest: &Path, options: &BuildOptions) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--lib", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    command.arg("--profile").arg(options.profile.as_deref().unwrap_or(PROFILE)).arg("--manifest-path").arg(manifest);
    if let Some(package) = &options.package {
        command.args(["--package", package]);
    }
    command.args(options.offline.then_some("--offline")).args(options.locked.then_some("--locked"));
    let mut child = match command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("cargo was not found\nhint: install Rust from https://rustup.rs and open a new shell")
        }
        Err(error) => return Err(error).context("can't start cargo"),
    };
    let mut modules = Vec::new();
    if let Some(messages) = child.stdout.take() {
        for line in BufReader::new(messages).lines() {
            modules.extend(module_of(&line.context("can't read what cargo says")?));
        }
    }
    let status = child.wait().context("can't wait for cargo")?;
    if !status.success() {
        bail!("cargo did not build the actor (its messages are above){}", target_hint());
    }
    // Dependencies come before what depends on them, so the actor's own module is the last one.
    match modules.pop() {
        Some(module) => Ok(module),
        None => bail!(
            "the crate makes no WebAssembly module\nhint: its Cargo.toml needs\n  [lib]\n  crate-type = [\"cdylib\"]"
        ),
    }
}

/// The module that a line of cargo's messages tells of.
fn module_of(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let files = message["filenames"].as_array()?;
    files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

/// What to do when the target's standard library is not installed; nothing when it is, or when nobody can tell.
fn target_hint() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let found = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    match found {
        Ok(found) if found.status.success() => {
            let folder = String::from_utf8_lossy(&found.stdout);
            match Path::new(folder.trim()).is_dir() {
                true => String::new(),
                false => format!("\nhint: the target {TARGET} is not installed; run\n  rustup target add {TARGET}"),
            }
        }
        _ => String::new(),
    }
}

/// Writes a file so that nobody ever sees half of it.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        readable_by_all(file.as_file())?;
        file.persist(path).map_err(|error| error.error)?;
        std::io::Result::Ok(())
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

/// A temporary file is private; a component is as readable as any other build product.
#[cfg(unix)]
fn readable_by_all(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}
