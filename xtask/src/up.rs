//! `cargo xtask up`: from a fresh clone to a running host.

use crate::build::{Profile, build_actors, build_host};
use crate::machine::{Tool, root};
use crate::node::ensure_node;
use crate::run::say;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The deployment that is served.
const CONFIG: &str = "rivet.json";

/// Arguments of `up`.
#[derive(Args)]
pub struct UpArguments {
    /// Where to listen. Port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:6420")]
    listen: String,
    /// Where the host keeps its data.
    #[arg(long, default_value = "data")]
    data_dir: String,
    /// Only install and build.
    #[arg(long)]
    no_serve: bool,
}

/// `cargo xtask up`
pub fn up(arguments: &UpArguments) -> Result<()> {
    Tool::Git.require()?;
    let node = ensure_node()?;
    let host = build_host(Profile::Release)?;
    build_actors(&host)?;
    if arguments.no_serve {
        say("everything is installed and built; `cargo xtask up` without --no-serve starts the host");
        return Ok(());
    }
    serve(arguments, &host, &node)
}

fn serve(arguments: &UpArguments, host: &Path, node: &Path) -> Result<()> {
    say(&format!("starting the host with {CONFIG}; its data is in {}", arguments.data_dir));
    let mut child = Command::new(host)
        .args(["serve", "--listen", &arguments.listen, "--data-dir", &arguments.data_dir, "--config", CONFIG])
        .current_dir(root()?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A second signal ends the host at once, and Ctrl-C in a terminal reaches a whole process group: the host is in one of its
        // own, and gets each signal once, from the handler below.
        .process_group(0)
        .spawn()
        .with_context(|| format!("can't start {}", host.display()))?;
    let id = child.id().to_string();
    ctrlc::set_handler(move || {
        if let Err(error) = Command::new("kill").args(["-TERM", &id]).status() {
            eprintln!("can't pass the signal on: {error}");
        }
    })
    .context("can't listen for Ctrl-C")?;
    let stdout = child.stdout.take().context("the host's output is not piped")?;
    for line in BufReader::new(stdout).lines() {
        let line = line.context("can't read the host's output")?;
        match listening(&line) {
            Some(url) => introduce(&url, host, node, &arguments.data_dir)?,
            None => println!("{line}"),
        }
    }
    let status = child.wait().context("can't wait for the host")?;
    if !status.success() {
        bail!("the host ended with {status}");
    }
    say("the host has stopped");
    Ok(())
}

fn listening(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(value.get("listening")?.as_str()?.to_owned())
}

fn introduce(url: &str, host: &Path, node: &Path, data_dir: &str) -> Result<()> {
    let root = root()?;
    let node = node.strip_prefix(root.join("tools")).map_or_else(|_| node.to_owned(), Path::to_owned);
    let host = host.strip_prefix(root).unwrap_or(host);
    say(&format!("the host listens on {url}"));
    println!("\nTry it, with the official client and with curl, in another terminal in this folder:\n");
    println!("  export TOKEN=$({} token --user ada --data-dir {data_dir})", host.display());
    println!("  (cd tools && {} --input-type=module --eval '", node.display());
    println!("    import {{ createClient }} from \"rivetkit/client\";");
    println!("    const params = {{ token: process.env.TOKEN }};");
    println!("    const agent = createClient(\"{url}\").growAgent.getOrCreate([\"ada\"], {{ params }});");
    println!("    console.log(await agent.chat({{ text: \"Hello\", clientMessageId: crypto.randomUUID() }}));");
    println!("    process.exit();')");
    println!("  curl --silent --header \"Authorization: Bearer $TOKEN\" {url}/api/threads\n");
    println!("Ctrl-C stops the host. What was said stays: it is in the data folder.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_line_that_the_host_prints() {
        assert_eq!(listening(r#"{"listening": "http://127.0.0.1:6420"}"#).as_deref(), Some("http://127.0.0.1:6420"));
        assert_eq!(listening("something else"), None);
        assert_eq!(listening(r#"{"other": 1}"#), None);
    }
}
