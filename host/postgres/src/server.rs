//! A private Postgres: a real server in the data folder, reached over a socket of its own, that lives as long as the host.
//!
//! One thread starts it, watches it and starts it again when it ends. That thread lives as long as the [`Server`], because the kernel's
//! signal at the death of a parent is bound to the thread that started the child.

use crate::account::Account;
use crate::cluster::{self, Layout, PORT};
use crate::{Binaries, Search, ServerError, signal};
use sqlx::postgres::PgConnectOptions;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long a server may take until it takes connections; recovery after a crash is part of it.
const READY_MAX: Duration = Duration::from_secs(120);
/// Waits between two looks at a server that starts.
const READY_PAUSE: Duration = Duration::from_millis(5);
/// Waits between two looks at a server that runs.
const WATCH_PAUSE: Duration = Duration::from_millis(250);
/// How long a server may take to stop before it is killed. What was committed is there after a kill too.
const STOP_MAX: Duration = Duration::from_secs(30);
/// The first wait before a server that ended is started again; each further one doubles it.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// The longest of these waits.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);
/// A server that ran so long has not failed again and again.
const RAN_WELL: Duration = Duration::from_secs(60);
/// Bytes of the server's log after which it begins anew.
const LOG_BYTES_MAX: u64 = 4 << 20;

/// What a server is made of.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The folder that belongs to the server alone.
    pub folder: PathBuf,
    /// Where to look for the programs.
    pub search: Search,
    /// Connections at the most.
    pub connections_max: u32,
    /// Further settings of Postgres (`fsync=off`): for tests.
    pub settings: Vec<String>,
}

impl ServerOptions {
    /// The usual ones.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), search: Search::from_environment(), connections_max: 100, settings: Vec::new() }
    }
}

/// What a server does.
#[derive(Debug, Clone)]
pub enum ServerState {
    /// It is being made, started, or started again.
    Starting,
    /// It takes connections.
    Ready {
        /// Its process.
        process: u32,
    },
    /// It does not run, and is tried again.
    Failed(ServerError),
    /// It was stopped.
    Stopped,
}

/// A private server. Dropping it stops it.
pub struct Server {
    layout: Layout,
    state: watch::Receiver<ServerState>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server in the background, and makes its data first when there is none. It is ready some time later.
    pub fn launch(options: ServerOptions) -> Result<Self, ServerError> {
        let layout = Layout::new(&options.folder)?;
        let (tell, state) = watch::channel(ServerState::Starting);
        let (stop, stopped) = channel();
        let keeper = Keeper { layout: layout.clone(), options, tell, stopped };
        let thread = std::thread::Builder::new().name("postgres".to_owned()).spawn(move || keeper.run());
        let thread = thread
            .map_err(|error| ServerError::Program { program: "a thread".to_owned(), problem: error.to_string() })?;
        Ok(Self { layout, state, stop: Some(stop), thread: Some(thread) })
    }

    /// What it does now; waits for changes.
    pub fn state(&self) -> watch::Receiver<ServerState> {
        self.state.clone()
    }

    /// Waits until it takes connections, or the first attempt has failed.
    pub async fn ready(&self) -> Result<u32, ServerError> {
        let mut state = self.state.clone();
        let ended = || ServerError::Program { program: "postgres".to_owned(), problem: "it was stopped".to_owned() };
        loop {
            match &*state.borrow_and_update() {
                ServerState::Ready { process } => return Ok(*process),
                ServerState::Failed(error) => return Err(error.clone()),
                ServerState::Stopped => return Err(ended()),
                ServerState::Starting => {}
            }
            state.changed().await.map_err(|_| ended())?;
        }
    }

    /// How to connect: over the socket, as the owner of everything.
    pub fn connect_options(&self) -> PgConnectOptions {
        socket_options(&self.layout)
    }

    /// The same as a URL, for programs that take one.
    pub fn url(&self) -> String {
        let folder = self.layout.sockets.to_string_lossy();
        let folder = percent_encoding::utf8_percent_encode(&folder, percent_encoding::NON_ALPHANUMERIC);
        format!("postgres:///postgres?host={folder}&port={PORT}&user=postgres")
    }

    /// The file in which the server says what it does.
    pub fn log(&self) -> &Path {
        &self.layout.log
    }

    /// Stops it: sessions end, everything that was committed is kept. Blocks until it has ended.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that keeps Postgres has panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How to connect to the private server of a folder, for a program beside the host.
pub fn connect_options(folder: &Path) -> Result<PgConnectOptions, ServerError> {
    Ok(socket_options(&Layout::new(folder)?))
}

fn socket_options(layout: &Layout) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(&layout.sockets)
        .port(PORT)
        .username("postgres")
        .database("postgres")
        .ssl_mode(sqlx::postgres::PgSslMode::Disable)
}

/// The thread's own.
struct Keeper {
    layout: Layout,
    options: ServerOptions,
    tell: watch::Sender<ServerState>,
    stopped: Receiver<()>,
}

impl Keeper {
    fn run(self) {
        let mut pause = RESTART_PAUSE;
        loop {
            let start = Instant::now();
            match self.start() {
                Ok(Some(mut child)) => {
                    tracing::info!(process = child.id(), "the private Postgres is ready");
                    self.tell.send_replace(ServerState::Ready { process: child.id() });
                    if self.watch(&mut child) {
                        self.end(&mut child);
                        break;
                    }
                    tracing::error!(log = %self.layout.log.display(), "the private Postgres ended; it is started again");
                    self.tell.send_replace(ServerState::Starting);
                }
                // Stopped while it started.
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "the private Postgres can't be started; trying again");
                    self.tell.send_replace(ServerState::Failed(error));
                }
            }
            pause = if start.elapsed() > RAN_WELL { RESTART_PAUSE } else { (pause * 2).min(RESTART_PAUSE_MAX) };
            if self.told_to_stop(pause) {
                break;
            }
        }
        self.tell.send_replace(ServerState::Stopped);
    }

    fn told_to_stop(&self, wait: Duration) -> bool {
        !matches!(self.stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
    }

    /// Starts a server and waits until it takes connections. None when it was told to stop meanwhile.
    fn start(&self) -> Result<Option<Child>, ServerError> {
        let layout = &self.layout;
        let binaries = cluster::choose(layout, &self.options.search.all())?;
        let account = Account::choose(&layout.data, &binaries.folder)?;
        cluster::stop_left_over(layout)?;
        cluster::create(layout, &binaries, &account)?;
        layout.make_socket_folder(&account)?;
        let mut child = self.spawn(&binaries, &account)?;
        let start = Instant::now();
        while !cluster::is_ready(layout, child.id()) {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(ServerError::Program {
                    program: "postgres".to_owned(),
                    problem: format!("{status}: {}", self.log_end()),
                });
            }
            if start.elapsed() > READY_MAX {
                self.end(&mut child);
                return Err(ServerError::Slow { seconds: READY_MAX.as_secs(), log: layout.log.clone() });
            }
            if self.told_to_stop(READY_PAUSE) {
                self.end(&mut child);
                return Ok(None);
            }
        }
        Ok(Some(child))
    }

    fn spawn(&self, binaries: &Binaries, account: &Account) -> Result<Child, ServerError> {
        let layout = &self.layout;
        let program = binaries.program("postgres");
        let problem = |error: std::io::Error| ServerError::Program {
            program: program.display().to_string(),
            problem: error.to_string(),
        };
        let log = File::options().create(true).append(true).open(&layout.log).map_err(problem)?;
        let mut command = account.command(&program);
        command.arg("-D").arg(&layout.data).arg("-k").arg(&layout.sockets).args(["-p", &PORT.to_string()]);
        let settings = [
            "listen_addresses=".to_owned(),
            "unix_socket_permissions=0700".to_owned(),
            format!("max_connections={}", self.options.connections_max),
            // What users say must not get into a log: no statements, no details of rows.
            "log_min_error_statement=panic".to_owned(),
            "log_error_verbosity=terse".to_owned(),
            "log_min_messages=warning".to_owned(),
            "log_destination=stderr".to_owned(),
            "logging_collector=off".to_owned(),
        ];
        for setting in settings.iter().chain(&self.options.settings) {
            command.args(["-c", setting]);
        }
        // Its own group, so that Ctrl-C at the terminal reaches the host alone, which then stops it in order.
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        signal::stop_with_parent(&mut command);
        command.spawn().map_err(problem)
    }

    /// Watches a server that runs. True when it is to be stopped, false when it has ended by itself.
    fn watch(&self, child: &mut Child) -> bool {
        loop {
            if self.told_to_stop(WATCH_PAUSE) {
                return true;
            }
            if !matches!(child.try_wait(), Ok(None)) {
                return false;
            }
            self.trim_log();
        }
    }

    /// The server appends, so a log that is cut to nothing goes on from there.
    fn trim_log(&self) {
        let long = fs::metadata(&self.layout.log).is_ok_and(|meta| meta.len() > LOG_BYTES_MAX);
        if long && let Ok(log) = File::options().write(true).open(&self.layout.log) {
            // It stays too long; the next look tries again.
            let _ = log.set_len(0);
        }
    }

    fn log_end(&self) -> String {
        const LINES: usize = 5;
        let text = fs::read(&self.layout.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(LINES).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    fn end(&self, child: &mut Child) {
        signal::interrupt(child.id());
        let start = Instant::now();
        while matches!(child.try_wait(), Ok(None)) {
            if start.elapsed() > STOP_MAX {
                tracing::error!("the private Postgres did not stop and is killed");
                signal::kill(child.id());
                let _ = child.wait();
                return;
            }
            std::thread::sleep(READY_PAUSE);
        }
    }
}
