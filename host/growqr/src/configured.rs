//! The configuration as the command line completes it, and the commands that show it.

use anyhow::{Context, Result, bail};
use growqr_config::{Configuration, ConfigurationError, environment};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What every command that reads a deployment takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:6420]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Folder for everything that the host keeps on disk [default: data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The deployment; `rivet.json` in the current folder if none is named
    #[arg(long, value_name = "FILE", env = "GROWQR_CONFIG")]
    config: Option<PathBuf>,
    /// What is logged to stderr, for example `info` or `growqr_runtime=debug`; the variable GROWQR_LOG does the same
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

impl Arguments {
    /// The file, the environment, and these arguments over both; checked as a whole.
    pub fn read(&self) -> Result<Configuration, ConfigurationError> {
        let mut configuration = Configuration::read(self.config.as_deref(), &environment())?;
        if let Some(listen) = self.listen {
            configuration.listen = listen;
        }
        if let Some(data_dir) = &self.data_dir {
            configuration.data_dir.clone_from(data_dir);
        }
        if let Some(log) = &self.log {
            configuration.logs.filter.clone_from(log);
        }
        match growqr_config::check(&configuration) {
            problems if problems.is_empty() => Ok(configuration),
            problems => Err(ConfigurationError { file: self.config.clone(), problems }),
        }
    }
}

/// Commands for the configuration.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Read the configuration as `serve` does, and say everything that is wrong with it
    Check {
        #[command(flatten)]
        arguments: Arguments,
        /// Print as JSON: what is wrong, or what holds, without secrets
        #[arg(long)]
        json: bool,
    },
    /// Print the page that describes every field
    Reference,
}

/// Runs a command.
pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Check { arguments, json } => check(&arguments, json),
        Command::Reference => {
            print!("{}", growqr_config::reference_page());
            Ok(())
        }
    }
}

fn check(arguments: &Arguments, as_json: bool) -> Result<()> {
    match (arguments.read(), as_json) {
        (Ok(configuration), true) => {
            let configuration = serde_json::to_value(&configuration).context("the configuration has no JSON form")?;
            println!("{}", json!({ "valid": true, "configuration": configuration }));
        }
        (Ok(configuration), false) => {
            println!("the configuration is valid; it has {} actors", configuration.actors.len())
        }
        (Err(error), true) => {
            println!("{}", json!({ "valid": false, "problems": error.problems }));
            bail!("the configuration can't be used");
        }
        (Err(error), false) => return Err(error.into()),
    }
    Ok(())
}
