//! A real Postgres for tests: one server per test process, and a fresh database with all tables for each test.
//!
//! A server's files are made once per machine and kept in the temporary folder, in numbered places that test processes take in turn; a
//! place is held by a lock that the operating system frees when the process ends, however it ends. So nothing piles up, and a test that
//! needs a database waits some hundredths of a second for it. The server ends with the test process.

use crate::{Database, DatabaseOptions, MIGRATOR, Readiness, Server, ServerOptions};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Test processes that can have a server at the same time.
const PLACES_MAX: usize = 32;
/// Databases of tests begin with this.
const PREFIX: &str = "test_";

struct Shared {
    server: Server,
    template: String,
    _place: File,
}

/// The name of a database that has all tables of these migrations.
fn template_name() -> String {
    let mut name = String::from("template");
    for migration in MIGRATOR.iter() {
        name.push('_');
        name.extend(migration.checksum.iter().take(4).map(|byte| format!("{byte:02x}")));
    }
    name
}

fn take_place() -> (PathBuf, File) {
    let own = fs::metadata("/proc/self").map(|meta| std::os::unix::fs::MetadataExt::uid(&meta)).unwrap_or(0);
    let base = std::env::temp_dir().join(format!("growqr-test-postgres-{own}"));
    for number in 0..PLACES_MAX {
        let folder = base.join(number.to_string());
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let lock = File::create(folder.join("lock")).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        if lock.try_lock().is_ok() {
            return (folder, lock);
        }
    }
    panic!("more than {PLACES_MAX} test processes use {}", base.display());
}

fn test_server(folder: &Path) -> Server {
    let mut options = ServerOptions::new(folder.join("server"));
    options.connections_max = 200;
    // What is lost with the power of a test machine is no loss.
    options.settings =
        ["fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_wal_size=2GB"].map(str::to_owned).into();
    Server::launch(options).unwrap_or_else(|error| panic!("{error}"))
}

async fn start() -> Shared {
    let (folder, place) = take_place();
    let mut server = test_server(&folder);
    if let Err(error) = server.ready().await {
        // Made by other programs, or cut off in the middle: it holds nothing that anybody wants.
        eprintln!("the test server is made anew: {error}");
        drop(server);
        let _ = fs::remove_dir_all(folder.join("server"));
        server = test_server(&folder);
        server.ready().await.unwrap_or_else(|error| panic!("{error}"));
    }
    let template = template_name();
    let mut admin = connect(&server.connect_options()).await;
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%' OR datname LIKE 'template\\_%'",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    for name in names.iter().filter(|name| **name != template) {
        admin.execute(AssertSqlSafe(format!("DROP DATABASE \"{name}\" WITH (FORCE)"))).await.unwrap();
    }
    if !names.contains(&template) {
        admin.execute("DROP DATABASE IF EXISTS unfinished WITH (FORCE)").await.unwrap();
        admin.execute("CREATE DATABASE unfinished").await.unwrap();
        let mut made = connect(&server.connect_options().database("unfinished")).await;
        MIGRATOR.run(&mut made).await.unwrap();
        made.close().await.unwrap();
        admin.execute(AssertSqlSafe(format!("ALTER DATABASE unfinished RENAME TO \"{template}\""))).await.unwrap();
    }
    admin.close().await.unwrap();
    Shared { server, template, _place: place }
}

async fn connect(options: &PgConnectOptions) -> PgConnection {
    options.connect().await.unwrap_or_else(|error| panic!("the test server: {error}"))
}

/// The server of this process. It is started by a thread of its own, so that it outlives the runtime of the test that asked first.
fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let starter = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(start())
        });
        starter.join().unwrap_or_else(|_| panic!("the test server can't be started"))
    })
}

/// A database of one test, with all tables and nothing in them. The next start of the server removes it.
pub struct TestDatabase {
    /// How to connect.
    pub connect: PgConnectOptions,
    /// The same as a URL.
    pub url: String,
    /// A pool that is ready.
    pub database: Database,
}

impl TestDatabase {
    /// Makes one.
    pub async fn create() -> Self {
        let shared = tokio::task::spawn_blocking(shared).await.unwrap_or_else(|error| panic!("{error}"));
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("{PREFIX}{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut admin = connect(&shared.server.connect_options()).await;
        let template = &shared.template;
        let create = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"");
        admin.execute(AssertSqlSafe(create)).await.unwrap_or_else(|error| panic!("{error}"));
        let _ = admin.close().await;
        let connect = shared.server.connect_options().database(&name);
        let url = shared.server.url().replacen("/postgres?", &format!("/{name}?"), 1);
        let database = Database::new(DatabaseOptions::new(connect.clone()));
        assert_eq!(database.prepare().await, Readiness::Ready);
        Self { connect, url, database }
    }

    /// The pool.
    pub fn pool(&self) -> &sqlx::PgPool {
        self.database.pool().unwrap_or_else(|failure| panic!("{failure}"))
    }
}
