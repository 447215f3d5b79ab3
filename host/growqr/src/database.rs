//! The database of a deployment: the private server when no address is configured, the pool, and the mirror.
//!
//! Nothing here holds up the start of the host: actors are served before the database is there, and while it is away.

use anyhow::{Context, Result};
use growqr_config::{Configuration, DatabaseSection};
use growqr_engine::Engine;
use growqr_mirror::{Mirror, MirrorOptions};
use growqr_postgres::{Database, DatabaseOptions, Readiness, Search, Server, ServerOptions};
use growqr_seam::{Clock, TracedRows};
use growqr_telemetry::PartState;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Below the data folder: the private server.
const SERVER_FOLDER: &str = "postgres";
/// Connections of the private server beyond the host's own: for an operator who looks.
const SERVER_CONNECTIONS_SPARE: u32 = 20;

/// A database in use.
pub struct Opened {
    /// The pool.
    pub database: Database,
    mirror: Arc<Mirror>,
    server: Option<Server>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts everything in the background. None when the deployment has no database.
pub fn open(configuration: &Configuration, engine: &Engine, clock: Clock) -> Result<Option<Opened>> {
    let Some(section) = configuration.database() else { return Ok(None) };
    let server = match &section.url {
        Some(_) => None,
        None => Some(Server::launch(server_options(configuration, &section))?),
    };
    let options = match &server {
        Some(server) => DatabaseOptions::new(server.connect_options()),
        None => options(configuration)?.context("the database has no address")?,
    };
    let database = Database::new(limited(options, &section));
    let source = engine.keep_rows(configuration.mirror.spool_bytes_max);
    let mirror = Arc::new(Mirror::new(source, database.clone(), clock, mirror_options(configuration)));
    let stop = CancellationToken::new();
    let tasks = vec![
        tokio::spawn({
            let database = database.clone();
            async move { drop(database.prepare().await) }
        }),
        tokio::spawn({
            let (mirror, stop) = (mirror.clone(), stop.clone());
            async move { mirror.run(stop).await }
        }),
    ];
    Ok(Some(Opened { database, mirror, server, stop, tasks }))
}

impl Opened {
    /// Follows the rows of traced actions to the database.
    pub fn trace(&self, rows: Arc<TracedRows>) {
        self.mirror.trace(rows);
    }

    /// Says how the database is, as far as the mirror knows, which uses it all the time.
    pub fn watch(&self) -> impl Fn() -> PartState + Send + Sync + use<> {
        let (readiness, mirror) = (self.database.readiness(), self.mirror.clone());
        move || match &*readiness.borrow() {
            Readiness::Unusable(problem) => PartState::Failed(problem.clone()),
            Readiness::Ready => match mirror.status().problem {
                Some(problem) => PartState::Waiting(problem),
                None => PartState::Ready,
            },
            _ => PartState::Waiting("it is being opened".to_owned()),
        }
    }

    /// Stops the mirror. What waits is kept, and carried by the next host. Before the engine is shut down.
    pub async fn stop_mirror(&mut self) {
        self.stop.cancel();
        // The mirror says that it has stopped; making the tables may be given up at any point.
        if let Some(mirror) = self.tasks.pop() {
            let _ = mirror.await;
        }
        self.tasks.drain(..).for_each(|task| task.abort());
    }

    /// Closes the connections, and stops the private server.
    pub async fn close(self) {
        self.database.close().await;
        if let Some(mut server) = self.server {
            let _ = tokio::task::spawn_blocking(move || server.stop()).await;
        }
    }
}

/// How another program reaches the deployment's database, without starting anything. None when there is none.
pub fn options(configuration: &Configuration) -> Result<Option<DatabaseOptions>> {
    let Some(section) = configuration.database() else { return Ok(None) };
    let options = match &section.url {
        Some(url) => DatabaseOptions::from_url(url.expose()).map_err(anyhow::Error::msg)?,
        None => DatabaseOptions::new(growqr_postgres::connect_options(&server_folder(configuration))?),
    };
    Ok(Some(limited(options, &section)))
}

fn limited(options: DatabaseOptions, section: &DatabaseSection) -> DatabaseOptions {
    DatabaseOptions {
        connections_max: section.connections_max,
        acquire_timeout: Duration::from_millis(section.connect_timeout_ms),
        statement_timeout: Duration::from_millis(section.statement_timeout_ms),
        ..options
    }
}

fn server_folder(configuration: &Configuration) -> PathBuf {
    configuration.data_dir.join(SERVER_FOLDER)
}

fn server_options(configuration: &Configuration, section: &DatabaseSection) -> ServerOptions {
    let mut options = ServerOptions::new(server_folder(configuration));
    options.connections_max = section.connections_max.saturating_add(SERVER_CONNECTIONS_SPARE);
    if let Some(binaries) = &section.binaries {
        options.search = Search { named: Some(binaries.clone()), ..Search::default() };
    }
    options
}

fn mirror_options(configuration: &Configuration) -> MirrorOptions {
    let section = &configuration.mirror;
    MirrorOptions {
        batch_rows_max: section.batch_rows_max,
        batch_delay: Duration::from_millis(section.batch_delay_ms),
        retention: Duration::from_secs(u64::from(section.retention_days) * 86_400),
        status_folder: Some(configuration.data_dir.clone()),
    }
}
