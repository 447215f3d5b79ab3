//! `growqr serve`: opens the data folder, loads the components, and serves until it is told to stop.

use crate::cli::COMPILE_COMMAND;
use crate::configured::Arguments;
use crate::database;
use crate::deployment;
use crate::identity;
use crate::machine::{self, OpenFiles};
use crate::operation::{Operation, Parts};
use crate::rest;
use anyhow::{Context, Result};
use growqr_component::CompilerCommand;
use growqr_config::Configuration;
use growqr_engine::{Engine, EngineOptions};
use growqr_gateway::{Drain, Gateway, GatewayOptions, Shortcut};
use growqr_runtime::{Capabilities, Runtime, RuntimeInput};
use growqr_seam::{Clock, Randomness};
use growqr_storage::{FjallStorage, Storage};
use growqr_telemetry::Health;
use rand::Rng;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long actors may take to finish when the host stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long closing storage may take, after the actors have stopped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<()> {
    let configuration = arguments.read()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(growqr_component::prepare_thread)
        .build()
        .context("no runtime")?;
    let result = runtime.block_on(serve(configuration));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(configuration: Configuration) -> Result<()> {
    let operation = Operation::start(&configuration)?;
    let files = OpenFiles::raise();
    machine::forbid_huge_pages();
    let stop = stop_signal()?;
    machine::outlive_file_limits()?;
    let metrics = operation.listen(&configuration).await?;
    std::fs::create_dir_all(&configuration.data_dir)
        .with_context(|| format!("can't make the data folder {}", configuration.data_dir.display()))?;
    let engine = open_engine(&configuration, files)?;
    let kept = database::open(&configuration, &engine, clock())?;
    let known = identity::open(&configuration, kept.as_ref().map(|kept| &kept.database), clock())?;
    operation.watch_database(kept.as_ref());
    let components = open_components(&configuration)?;
    let runtime = start_runtime(&configuration, &engine, &components);
    operation.watch_health(&configuration, &engine, &runtime);
    deployment::load(&configuration, &components, &runtime).await;
    let listener = listen(configuration.listen)?;
    let address = listener.local_addr().context("the listener has no address")?;
    let mut options = gateway_options(&configuration, &operation, &engine, files);
    options.identity = known.as_ref().map(|known| known.identity.clone());
    operation.trace(&runtime, &mut options, kept.as_ref());
    engine.attach(Arc::new(runtime.clone()));
    let background = tokio::spawn({
        let (engine, runtime) = (engine.clone(), runtime.clone());
        async move { tokio::join!(engine.run(), runtime.watch_clock()) }
    });
    let database = kept.as_ref().map(|kept| &kept.database);
    let rest = rest::open(&configuration, &engine, options.identity.as_ref(), database, &stop);
    options.extra = Some(rest.routes());
    let gateway = Gateway::new(engine.clone(), options);
    let health = operation.health.clone();
    operation.watch_numbers(Parts { engine: engine.clone(), runtime, components, gateway: gateway.clone(), health });
    operation.health.started();
    announce(address, metrics);
    tracing::info!(%address, actors = configuration.actors.len(), "ready");
    let served = gateway.serve(listener, stop).await;
    rest.close().await;
    close(&engine, known, kept).await;
    background.abort();
    operation.stop().await;
    served.context("the gateway failed")
}

/// Closes what clients no longer use: the mirror before storage is closed under it, and the database last. What waits for the database is
/// carried by the next host.
async fn close(engine: &Engine, known: Option<identity::Opened>, mut kept: Option<database::Opened>) {
    if let Some(kept) = &mut kept {
        kept.stop_mirror().await;
    }
    if tokio::time::timeout(CLOSE_TIMEOUT, engine.shutdown()).await.is_err() {
        tracing::warn!("storage was not closed in time; what was acknowledged is durable");
    }
    if let Some(known) = known {
        known.stop().await;
    }
    if let Some(kept) = kept {
        kept.close().await;
    }
}

/// Says on standard output where the host listens, as one line of JSON.
fn announce(address: SocketAddr, metrics: Option<SocketAddr>) {
    let mut line = serde_json::json!({ "listening": format!("http://{address}") });
    if let Some(metrics) = metrics {
        line["metrics"] = format!("http://{metrics}").into();
    }
    println!("{line}");
}

fn start_runtime(configuration: &Configuration, engine: &Engine, components: &growqr_component::Engine) -> Runtime {
    let runtime = Runtime::new(RuntimeInput {
        engine: engine.host(),
        components: components.clone(),
        capabilities: capabilities(configuration),
        clock: clock(),
        randomness: randomness(),
    });
    if let Some(token) = &configuration.inspector_token {
        runtime.open_inspector(token.expose());
    }
    if configuration.identity().is_some() {
        runtime.keys_name_users();
    }
    runtime
}

/// What a stopping gateway waits for: turns end, are committed and answered. Bounded, because a turn may hang.
fn drain(health: Health, engine: Engine) -> Drain {
    Arc::new(move || {
        let (health, engine) = (health.clone(), engine.clone());
        Box::pin(async move {
            tracing::info!("stopping");
            health.stopping();
            if tokio::time::timeout(SHUTDOWN_TIMEOUT, engine.drain()).await.is_err() {
                tracing::warn!("some actors did not stop in time; what they had acknowledged is durable");
            }
        })
    })
}

fn open_engine(configuration: &Configuration, files: OpenFiles) -> Result<Engine> {
    let folder = configuration.data_dir.clone();
    let opener = Box::new(move || {
        FjallStorage::open(&folder, files.storage_options()).map(|storage| Arc::new(storage) as Arc<dyn Storage>)
    });
    let engine = Engine::new(EngineOptions {
        opener,
        clock: clock(),
        randomness: randomness(),
        namespaces: configuration.namespaces.clone(),
        namespaces_on_request: configuration.namespaces_on_request,
        names: configuration.actors.keys().cloned().collect(),
        region: "default".to_owned(),
    })?;
    Ok(engine)
}

fn open_components(configuration: &Configuration) -> Result<growqr_component::Engine> {
    growqr_component::Engine::new(growqr_component::EngineOptions {
        slots: configuration.instances,
        runtime_slots: None,
        cache_dir: configuration.data_dir.join("components"),
        compiler: CompilerCommand::this_program([COMPILE_COMMAND.into()])?,
    })
    .context("the WebAssembly engine can't be started")
}

fn capabilities(configuration: &Configuration) -> Capabilities {
    if configuration.doubles { growqr_runtime::doubles::capabilities() } else { Capabilities::default() }
}

fn gateway_options(
    configuration: &Configuration,
    operation: &Operation,
    engine: &Engine,
    files: OpenFiles,
) -> GatewayOptions {
    // The first namespace is the one that short addresses mean.
    let namespace = configuration.namespaces.first().cloned().unwrap_or_default();
    let shortcut = |(prefix, actor): (&String, &String)| Shortcut {
        prefix: prefix.clone(),
        namespace: namespace.clone(),
        actor: actor.clone(),
    };
    let health = operation.health.clone();
    GatewayOptions {
        shortcuts: configuration.routes.iter().map(shortcut).collect(),
        connections_max: files.connections_max(),
        // Without reasons: they may name files and addresses, and everybody can ask.
        ready: Some(Arc::new(move || health.ready(false))),
        drain: Some(drain(operation.health.clone(), engine.clone())),
        ..GatewayOptions::default()
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() };
    let socket = socket.context("no socket")?;
    socket.set_reuseaddr(true).context("no socket")?;
    socket.bind(address).with_context(|| {
        format!("can't listen on {address}\nhint: another program may use it; --listen 127.0.0.1:0 takes a free port")
    })?;
    socket.listen(BACKLOG).with_context(|| format!("can't listen on {address}"))
}

/// Cancelled by SIGINT or SIGTERM. A second signal ends the process at once.
fn stop_signal() -> Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("no signal handler")?;
    let mut terminate = signal(SignalKind::terminate()).context("no signal handler")?;
    let stop = token.clone();
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if !first {
                std::process::exit(130);
            }
            stop.cancel();
        }
    });
    Ok(token)
}

fn clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

fn randomness() -> Randomness {
    Arc::new(|| {
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        bytes
    })
}
