//! The client program (`tools/bench/client.mjs`), one process for each phase.
//!
//! Invariant: a phase that hangs is ended after [`PHASE_TIMEOUT`] and the time that it was meant to take, and its failure is a result like any other.

use crate::bench::servers::Server;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long one phase may take, beside the time that its options give it.
const PHASE_TIMEOUT: Duration = Duration::from_secs(240);

/// Starts phases.
pub struct Clients {
    /// The JavaScript runtime.
    pub node: PathBuf,
    /// The folder of the client program.
    pub folder: PathBuf,
}

/// A phase that runs.
pub struct Phase {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    timeout: Duration,
}

impl Clients {
    /// Starts a phase against a server.
    pub fn start(&self, server: &Server, prefix: &str, options: &Value) -> Result<Phase> {
        let mut all = json!({ "url": server.url, "pids": server.pids(), "prefix": prefix });
        if let (Some(all), Some(options)) = (all.as_object_mut(), options.as_object()) {
            all.extend(options.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        let mut child = Command::new(&self.node)
            .arg("client.mjs")
            .arg(all.to_string())
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the client can't be started")?;
        let stdin = child.stdin.take().context("the client's input is not piped")?;
        let stdout = child.stdout.take().context("the client's output is not piped")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(|line| line.ok()) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let meant = options["duration_ms"].as_u64().unwrap_or_default();
        Ok(Phase { child, stdin, lines, timeout: PHASE_TIMEOUT + Duration::from_millis(meant) })
    }

    /// Runs a phase to its end.
    pub fn run(&self, server: &Server, prefix: &str, options: &Value) -> Result<Value> {
        self.start(server, prefix, options)?.finish()
    }
}

impl Phase {
    /// Waits until the phase says that it is ready.
    pub fn ready(&self) -> Result<()> {
        let value = self.line()?;
        if value.get("ready").is_none() {
            bail!("the phase failed: {value}");
        }
        Ok(())
    }

    /// Tells a phase that waits to go on.
    pub fn proceed(&mut self) -> Result<()> {
        writeln!(self.stdin, "go").context("the client has ended")
    }

    /// The result.
    pub fn finish(self) -> Result<Value> {
        let value = self.line()?;
        if value["ok"] != json!(true) {
            bail!("{}", value["error"].as_str().unwrap_or("the client gave no reason"));
        }
        Ok(value)
    }

    fn line(&self) -> Result<Value> {
        let line = self.lines.recv_timeout(self.timeout).context("the client gave no result")?;
        serde_json::from_str(&line).with_context(|| format!("not a result: {line}"))
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        // It has ended by itself unless it failed; both calls then do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
