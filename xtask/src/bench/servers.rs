//! Starting and ending what is measured: this host, its peers, and the floor.
//!
//! Invariant: every process that is started here is ended here, and no other. Data is on the same file system for all.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is asked whether it has.
const START_POLL: Duration = Duration::from_millis(20);
/// How long one such question may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// This host.
    Ours,
    /// Durable Objects on local disk.
    Workerd,
    /// The Rivet engine with its TypeScript runner.
    Rivet,
    /// An echo with nothing behind it.
    Floor,
}

/// Where everything is.
pub struct Places {
    /// The host's program.
    pub host: PathBuf,
    /// The floor's program.
    pub floor: PathBuf,
    /// `tools/bench`.
    pub tools: PathBuf,
    /// The JavaScript runtime.
    pub node: PathBuf,
    /// Where servers keep their data.
    pub data: PathBuf,
}

/// A server that runs.
pub struct Server {
    /// Where it answers.
    pub url: String,
    children: Vec<Child>,
}

impl Server {
    /// Its processes.
    pub fn pids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }

    /// Ends it without a warning.
    pub fn kill(&mut self) {
        for child in &mut self.children {
            // One that has ended already is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to stop, and waits.
    pub fn stop(mut self) -> Result<()> {
        for child in &mut self.children {
            signal(child.id(), "TERM")?;
            child.wait().context("can't wait for a server")?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process that was started here.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    crate::run::run(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]))
}

impl Places {
    /// Starts a server on an empty data folder.
    pub fn start(&self, kind: Kind, label: &str) -> Result<Server> {
        let folder = self.data.join(label);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("can't empty {}", folder.display()))?;
        }
        std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        match kind {
            Kind::Ours => self.ours(&folder, 0),
            Kind::Workerd => self.workerd(&folder),
            Kind::Rivet => self.rivet(&folder),
            Kind::Floor => announced(quiet(&self.floor, &folder.join("log"))?.arg("serve")),
        }
    }

    /// Starts this host on the data that an earlier one left, at the same port.
    pub fn again(&self, label: &str, port: u16) -> Result<Server> {
        self.ours(&self.data.join(label), port)
    }

    fn ours(&self, folder: &Path, port: u16) -> Result<Server> {
        announced(
            quiet(&self.host, &folder.with_extension("log"))?
                .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
                .arg(folder)
                .arg("--config")
                .arg(self.tools.join("deployment.json")),
        )
    }

    /// The peer's program, if there is one for this machine.
    pub fn workerd_program(&self) -> Result<PathBuf> {
        let machine = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => "linux-64",
            ("linux", "aarch64") => "linux-arm64",
            (system, processor) => bail!("there is no workerd for {system} on {processor} here"),
        };
        existing(self.tools.join(format!("node_modules/@cloudflare/workerd-{machine}/bin/workerd")))
    }

    /// The peer's engine, if there is one for this machine.
    pub fn rivet_program(&self) -> Result<PathBuf> {
        let script =
            "import('@rivetkit/engine-cli').then((m) => console.log((m.getEnginePath ?? m.default.getEnginePath)()))";
        let (found, text) =
            crate::run::capture(Command::new(&self.node).args(["--eval", script]).current_dir(&self.tools))?;
        if !found {
            bail!("there is no Rivet engine for this machine: {}", text.lines().last().unwrap_or_default());
        }
        existing(PathBuf::from(text.trim()))
    }

    fn workerd(&self, folder: &Path) -> Result<Server> {
        let port = free_port()?;
        // Each of its objects holds three files, so it gets as many as there may be.
        let mut command = quiet(Path::new("sh"), &folder.with_extension("log"))?;
        let script = r#"ulimit -n "$(ulimit -Hn)"; exec "$0" "$@""#;
        command.args(["-c", script]).arg(self.workerd_program()?).args(["serve", "workerd.capnp"]);
        command.arg(format!("--socket-addr=http=127.0.0.1:{port}"));
        command.arg(format!("--directory-path=disk={}", folder.display())).current_dir(&self.tools);
        let server = Server { url: format!("http://127.0.0.1:{port}"), children: vec![spawned(&mut command)?] };
        until("workerd", || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        Ok(server)
    }

    fn rivet(&self, folder: &Path) -> Result<Server> {
        let ports = [free_port()?, free_port()?, free_port()?];
        let mut engine = quiet(&self.rivet_program()?, &folder.with_extension("log"))?;
        engine.arg("start").current_dir(folder);
        for (part, port) in ["GUARD", "API_PEER", "METRICS"].into_iter().zip(ports) {
            engine.env(format!("RIVET__{part}__HOST"), "127.0.0.1");
            engine.env(format!("RIVET__{part}__PORT"), port.to_string());
        }
        engine.env("RIVET__FILE_SYSTEM__PATH", folder.join("db")).env("RIVET__TELEMETRY__ENABLED", "false");
        // It stops placing actors on a busy machine, which would measure the neighbours.
        engine.env("RIVET__RUNTIME__WORKER_CPU_MAX", "1000000");
        std::fs::create_dir_all(folder.join("db")).context("no folder for the engine")?;
        let url = format!("http://127.0.0.1:{}", ports[0]);
        let mut server = Server { url: url.clone(), children: vec![spawned(&mut engine)?] };
        until("the Rivet engine", || healthy(ports[0]))?;
        let mut runner = quiet(&self.node, &folder.join("runner.log"))?;
        runner.arg("runner.mjs").current_dir(&self.tools).env("RIVET_ENDPOINT", &url).stdout(Stdio::piped());
        let mut child = spawned(&mut runner)?;
        let ready = first_line(&mut child, "ready");
        server.children.push(child);
        ready?;
        Ok(server)
    }
}

fn existing(path: PathBuf) -> Result<PathBuf> {
    if path.is_file() { Ok(path) } else { bail!("{} was not installed", path.display()) }
}

/// A command whose messages go to a file. An error with a backtrace would slow some servers by a factor.
fn quiet(program: &Path, log: &Path) -> Result<Command> {
    let file = File::options().create(true).append(true).open(log);
    let file = file.with_context(|| format!("can't write {}", log.display()))?;
    let mut command = Command::new(program);
    command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    Ok(command)
}

fn spawned(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("can't start {}", command.get_program().to_string_lossy()))
}

/// Starts a program that prints where it listens.
fn announced(command: &mut Command) -> Result<Server> {
    let mut child = spawned(command.stdout(Stdio::piped()))?;
    let line = first_line(&mut child, "listening");
    let mut server = Server { url: String::new(), children: vec![child] };
    server.url = line?.as_str().context("the address is not text")?.to_owned();
    Ok(server)
}

/// The field `name` of the first line of JSON that has it.
fn first_line(child: &mut Child, name: &str) -> Result<Value> {
    let stdout = child.stdout.take().context("the output is not piped")?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next() {
        let value: Value = serde_json::from_str(&line.context("can't read the output")?).unwrap_or_default();
        if let Some(field) = value.get(name) {
            // Whatever it prints later is taken, so that it never waits for a reader nor finds that there is none.
            std::thread::spawn(move || lines.by_ref().map_while(|line| line.ok()).for_each(drop));
            return Ok(field.clone());
        }
    }
    bail!("the server ended before it was ready; its log is in the data folder of the benchmark")
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).context("no free port")?.port())
}

fn until(what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !ready() {
        if start.elapsed() > START_TIMEOUT {
            bail!("{what} was not ready after {START_TIMEOUT:?}");
        }
        std::thread::sleep(START_POLL);
    }
    Ok(())
}

fn healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), ASK_TIMEOUT)?;
        stream.set_read_timeout(Some(ASK_TIMEOUT))?;
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
