//! `growqr actor`: what an author needs.

use crate::cli::COMPILE_COMMAND;
use anyhow::{Context, Result};
use bytes::Bytes;
use growqr_authoring::{BuildOptions, Inspection};
use growqr_component::{CompilerCommand, ComponentLimits, Description, Engine, EngineOptions};
use std::path::PathBuf;
use std::sync::Arc;

/// Commands for authors.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a new actor project that compiles
    New {
        /// Folder of the project; its last part is the actor's name unless --name says otherwise
        path: PathBuf,
        /// Name of the actor
        #[arg(long)]
        name: Option<String>,
    },
    /// Build an actor project into a component
    Build {
        /// Folder of the project
        #[arg(default_value = ".")]
        path: PathBuf,
        /// Where the component goes; dist/NAME.wasm in the project if not given
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Ask the network for nothing
        #[arg(long)]
        offline: bool,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a component imports, exports and offers
    Inspect {
        /// The component
        file: PathBuf,
        /// Which of its actors to describe, if it has several
        #[arg(long, default_value = "")]
        actor: String,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs a command.
pub fn run(command: Command) -> Result<()> {
    match command {
        Command::New { path, name } => {
            let name = match name {
                Some(name) => name,
                None => {
                    path.file_name().context("the path has no last part; give --name")?.to_string_lossy().into_owned()
                }
            };
            growqr_authoring::new(&path, &name)?;
            eprintln!("made {}", path.display());
            eprintln!("next: growqr actor build {}", path.display());
            Ok(())
        }
        Command::Build { path, output, offline, json } => {
            let report = growqr_authoring::build(&path, &BuildOptions { output, offline, ..BuildOptions::default() })?;
            if json {
                println!("{}", serde_json::to_string(&report)?);
            } else {
                println!("{} ({} bytes, {:.1} s)", report.component.display(), report.size, report.seconds);
            }
            Ok(())
        }
        Command::Inspect { file, actor, json } => inspect(&file, &actor, json),
    }
}

fn inspect(file: &std::path::Path, actor: &str, json: bool) -> Result<()> {
    let inspection = growqr_authoring::inspect(file)?;
    let described = describe(file, actor);
    if json {
        let description = described.as_ref().ok();
        let problem = described.as_ref().err().map(ToString::to_string);
        println!("{}", serde_json::json!({ "component": inspection, "description": description, "problem": problem }));
        return Ok(());
    }
    print_inspection(&inspection);
    match described {
        Ok(description) => print_description(&description),
        Err(problem) => println!("describe    failed: {problem:#}"),
    }
    Ok(())
}

/// Runs `describe` of the component in an engine of its own.
fn describe(file: &std::path::Path, actor: &str) -> Result<Description> {
    let cache = tempfile::tempdir().context("no temporary folder")?;
    let engine = Engine::new(EngineOptions {
        slots: Some(1),
        runtime_slots: Some(1),
        cache_dir: cache.path().to_owned(),
        compiler: CompilerCommand::this_program([COMPILE_COMMAND.into()])?,
    })?;
    let wasm = Bytes::from(std::fs::read(file)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let component = engine.load(wasm, &ComponentLimits::default()).await?;
        Ok(component.describe(actor, Arc::default()).await?)
    })
}

fn print_inspection(inspection: &Inspection) {
    let names = |interfaces: &[growqr_component::Interface]| {
        let names: Vec<String> = interfaces
            .iter()
            .map(|interface| match &interface.version {
                Some(version) => format!("{}@{version}", interface.name),
                None => interface.name.clone(),
            })
            .collect();
        if names.is_empty() { "none".to_owned() } else { names.join("\n            ") }
    };
    println!("sha256      {}", inspection.hash);
    println!("size        {} bytes, {} functions", inspection.size, inspection.functions);
    println!("world       growqr:actor/agent@{}", inspection.contract_version.as_deref().unwrap_or("none"));
    println!("imports     {}", names(&inspection.imports));
    println!("exports     {}", names(&inspection.exports));
    for producer in &inspection.producers {
        println!("made with   {} {}", producer.name, producer.version);
    }
    for problem in &inspection.problems {
        println!("problem     {problem}");
    }
}

fn print_description(description: &Description) {
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let actions: Vec<String> = description
        .actions
        .iter()
        .map(|action| if action.read_only { format!("{} (read-only)", action.name) } else { action.name.clone() })
        .collect();
    println!("actions     {}", list(&actions));
    println!("events      {}", list(&description.events));
    println!("queues      {}", list(&description.queues));
    println!("state       version {}", description.state_version);
    println!("requires    {}", list(&description.requires));
    println!("options     {}", description.options);
}
