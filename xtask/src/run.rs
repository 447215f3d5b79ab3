//! Running other programs, and saying so.
//!
//! Invariant: a program that can't be started is named together with how to get it; a program that fails is named with its
//! arguments. Output always reaches the terminal, also where it is read on the way.

use crate::machine::Tool;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Announces what comes next.
pub fn say(text: &str) {
    println!("==> {text}");
    // A broken pipe here is somebody who stopped reading; the chore goes on.
    let _ = std::io::stdout().flush();
}

/// Runs a program to its end; its failure is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let text = spelled(command);
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if !status.success() {
        bail!("`{text}` ended with {status}");
    }
    Ok(())
}

/// Runs a program to its end and gives what it printed on both outputs, whether it succeeded or not.
pub fn capture(command: &mut Command) -> Result<(bool, String)> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| not_started(command, &error))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok((output.status.success(), text))
}

/// Runs a program to its end, shows its standard output line by line, and hands each line to `look`.
pub fn watch(command: &mut Command, mut look: impl FnMut(&str)) -> Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| not_started(command, &error))?;
    let stdout = child.stdout.take().context("the child's output is not piped")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("can't read the child's output")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        look(&line);
    }
    Ok(child.wait().context("can't wait for the child")?.success())
}

/// The command as a person would type it.
pub fn spelled(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

fn not_started(command: &Command, error: &std::io::Error) -> anyhow::Error {
    let program = command.get_program().to_string_lossy().into_owned();
    match Tool::named(&program) {
        Some(tool) if error.kind() == std::io::ErrorKind::NotFound => tool.missing(),
        _ => anyhow::anyhow!("`{program}` could not be started: {error}"),
    }
}
