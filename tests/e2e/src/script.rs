//! Programs under Node with the official client.

use crate::files::repository;
use crate::host::lines_of;
use crate::process::spawn;
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How long a script may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A running program of `js/`. It gets its arguments as JSON, prints JSON lines, and may be sent lines. Killed when dropped.
pub struct Script {
    name: String,
    process: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Script {
    /// Starts `js/<name>.mjs`.
    pub fn start(name: &str, arguments: &Value) -> Self {
        let file = repository().join("tests/e2e/js").join(name).with_extension("mjs");
        let mut command = node();
        command.arg(&file).arg(arguments.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = spawn(command).expect("Node can be started");
        let input = process.stdin.take().expect("piped");
        let lines = lines_of(process.stdout.take().expect("piped"));
        Self { name: name.to_owned(), process, input, lines }
    }

    /// The next line that it prints. None at its end; its failure is an error here.
    pub fn line(&mut self) -> Option<Value> {
        match self.lines.recv_timeout(SILENCE_MAX) {
            Ok(line) => Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.process.wait().expect("the script can be waited for");
                assert!(status.success(), "{} ended with {status}", self.name);
                None
            }
            Err(RecvTimeoutError::Timeout) => panic!("{} printed nothing for {SILENCE_MAX:?}", self.name),
        }
    }

    /// A line that is printed already, if there is one.
    pub fn waiting(&mut self) -> Option<Value> {
        let line = self.lines.try_recv().ok()?;
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}")))
    }

    /// The next line, which must be an object with this field; gives the field's value.
    pub fn expect(&mut self, field: &str) -> Value {
        let mut line = self.line().unwrap_or_else(|| panic!("{} ended before it printed `{field}`", self.name));
        match line.get_mut(field) {
            Some(value) => value.take(),
            None => panic!("{} printed {line} and not `{field}`", self.name),
        }
    }

    /// Sends it a line.
    pub fn send(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap_or_else(|error| panic!("{} does not listen: {error}", self.name));
    }

    /// Everything that it still prints.
    pub fn finish(mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.line()).collect()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Nothing can be done here about a process that is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a piece of JavaScript in the folder where the official client is installed, and gives what it printed.
pub fn node_eval(code: &str) -> String {
    let output = node()
        .args(["--input-type=module", "--eval", code])
        .current_dir(repository().join("tools"))
        .output()
        .expect("Node can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Node: the one that `cargo xtask test` found, else the pinned one, else the machine's.
fn node() -> Command {
    let pinned = repository().join("tools/node_modules/.bin/node");
    let path = match std::env::var_os("GROWQR_NODE") {
        Some(path) => PathBuf::from(path),
        None if pinned.exists() => pinned,
        None => PathBuf::from("node"),
    };
    let mut command = Command::new(path);
    command.env("RIVET_LOG_LEVEL", "silent");
    command
}
