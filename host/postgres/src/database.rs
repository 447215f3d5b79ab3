//! The pool: bounded, with timeouts, and usable only when the tables are there.

use crate::failure;
use growqr_types::{Failure, codes};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use std::str::FromStr;
use std::time::Duration;
use tokio::sync::watch;

/// The migrations of `/migrations`, embedded.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// The first wait before the database is tried again; each further one doubles it.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// The longest of these waits.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Connections that are idle for so long are closed.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// Connections are replaced after so long, so that a database that moved is found.
const LIFETIME_MAX: Duration = Duration::from_secs(1800);
/// How long a transaction may do nothing.
const IDLE_IN_TRANSACTION_MAX: Duration = Duration::from_secs(30);

/// How to reach a database, and how much of it may be used.
#[derive(Clone)]
pub struct DatabaseOptions {
    /// Where it is.
    pub connect: PgConnectOptions,
    /// Connections at the most. The mirror has one more of its own.
    pub connections_max: u32,
    /// How long a request may wait for a connection.
    pub acquire_timeout: Duration,
    /// How long a statement may take.
    pub statement_timeout: Duration,
}

impl std::fmt::Debug for DatabaseOptions {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the password, which `connect` would show.
        let connect = &self.connect;
        out.debug_struct("DatabaseOptions")
            .field("host", &connect.get_host())
            .field("port", &connect.get_port())
            .field("socket", &connect.get_socket())
            .field("user", &connect.get_username())
            .field("database", &connect.get_database())
            .field("connections_max", &self.connections_max)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .finish()
    }
}

impl DatabaseOptions {
    /// The usual ones.
    pub fn new(connect: PgConnectOptions) -> Self {
        Self {
            connect,
            connections_max: 16,
            acquire_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(10),
        }
    }

    /// For a URL: `postgres://user:password@host/database?sslmode=verify-full&sslrootcert=/path/rds.pem`. The message never repeats it.
    pub fn from_url(url: &str) -> Result<Self, String> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err("the database's address is not a postgres:// URL".to_owned());
        }
        let connect =
            PgConnectOptions::from_str(url).map_err(|_| "the database's address is not a valid URL".to_owned())?;
        Ok(Self::new(connect))
    }

    fn complete(&self) -> PgConnectOptions {
        self.connect
            .clone()
            .application_name("growqr")
            .options([
                ("statement_timeout", self.statement_timeout.as_millis().to_string()),
                ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MAX.as_millis().to_string()),
            ])
            .log_statements(tracing::log::LevelFilter::Off)
    }
}

/// Whether the database can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It was not reached yet, or its tables are being made.
    Preparing,
    /// It was reached and has the tables of this host.
    Ready,
    /// It was reached, and can't be used: its tables belong to a newer host, or somebody changed them.
    Unusable(String),
}

/// A database. Cheap to clone. It connects when it is used, and again when a connection was lost.
#[derive(Clone)]
pub struct Database {
    options: DatabaseOptions,
    pool: PgPool,
    readiness: watch::Receiver<Readiness>,
    tell: watch::Sender<Readiness>,
}

impl Database {
    /// Connects to nothing yet. [`Database::prepare`] must run before [`Database::pool`] gives the pool. Needs a tokio runtime.
    pub fn new(options: DatabaseOptions) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(options.connections_max)
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(IDLE_MAX)
            .max_lifetime(LIFETIME_MAX)
            .connect_lazy_with(options.complete());
        let (tell, readiness) = watch::channel(Readiness::Preparing);
        Self { options, pool, readiness, tell }
    }

    /// Makes or completes the tables, however often that must be tried. Ends when the database is ready, or can't be used at all.
    pub async fn prepare(&self) -> Readiness {
        let mut pause = RETRY_PAUSE;
        loop {
            match self.migrate().await {
                Ok(()) => {
                    tracing::info!("the database is ready");
                    self.tell.send_replace(Readiness::Ready);
                    return Readiness::Ready;
                }
                Err(error) if is_final(&error) => {
                    tracing::error!(%error, "the database can't be used");
                    let readiness = Readiness::Unusable(error.to_string());
                    self.tell.send_replace(readiness.clone());
                    return readiness;
                }
                Err(error) => tracing::warn!(%error, "the database can't be reached; trying again"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        // On a connection of its own: making an index may take longer than a statement otherwise may.
        let mut connection = self.connect().await?;
        sqlx::raw_sql("SET statement_timeout = 0").execute(&mut connection).await?;
        let migrated = MIGRATOR.run_direct(None, &mut connection, false).await;
        let _ = connection.close().await;
        migrated
    }

    /// The pool, when the tables are there; else `database.unavailable`.
    pub fn pool(&self) -> Result<&PgPool, Failure> {
        match &*self.readiness.borrow() {
            Readiness::Ready => Ok(&self.pool),
            Readiness::Preparing | Readiness::Unusable(_) => Err(codes::DATABASE_UNAVAILABLE.failure()),
        }
    }

    /// Whether it can be used; waits for changes.
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.clone()
    }

    /// A connection beside the pool, for who keeps one.
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let connecting = PgConnection::connect_with(&self.options.complete()).await?;
        Ok(connecting)
    }

    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<(), Failure> {
        sqlx::query("SELECT 1").execute(self.pool()?).await.map(drop).map_err(|error| failure(&error))
    }

    /// How many connections are open, and how many of them are idle.
    pub fn connections(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Whether trying again can't help.
fn is_final(error: &sqlx::migrate::MigrateError) -> bool {
    use sqlx::migrate::MigrateError;
    match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) | MigrateError::Dirty(_) => true,
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            let code = error.as_database_error().and_then(|error| error.code());
            // A statement that the database does not know or does not allow: syntax, rights, missing features.
            code.is_some_and(|code| code.starts_with("42") || code.starts_with("0A"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let options = DatabaseOptions::from_url(
            "postgres://ada:geheim@db.example.com/growqr?sslmode=verify-full&sslrootcert=/etc/rds.pem",
        )
        .unwrap();
        let shown = format!("{options:?}");
        assert!(shown.contains("db.example.com") && shown.contains("ada") && !shown.contains("geheim"), "{shown}");
        assert!(matches!(options.connect.get_ssl_mode(), sqlx::postgres::PgSslMode::VerifyFull));
        for bad in ["mysql://a", "postgres://[geheim", "geheim", "postgres://h/d?sslmode=geheim"] {
            let message = DatabaseOptions::from_url(bad).unwrap_err();
            assert!(!message.contains("geheim"), "{message}");
        }
    }
}
