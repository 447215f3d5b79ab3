//! `growqr mirror`: how far the database is behind, and what it refused.

use crate::configured::Arguments;
use crate::database;
use anyhow::{Context, Result};
use growqr_config::Configuration;
use growqr_mirror::{MirrorStatus, Phase, read_status};
use serde::Serialize;
use sqlx::Connection;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Rows that are shown of those that were put aside.
const PARKED_SHOWN_MAX: i64 = 20;
/// How long the database is asked for them.
const ASK_TIME_MAX: Duration = Duration::from_secs(3);

/// Commands for the mirror.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Show how far the database is behind the actors, and which rows it refused
    Status {
        #[command(flatten)]
        arguments: Arguments,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

/// A row that was put aside.
#[derive(Debug, Serialize, sqlx::FromRow)]
struct Parked {
    actor_id: String,
    seq: i64,
    sqlstate: String,
    reason: String,
}

/// Runs a command.
pub fn run(command: Command) -> Result<()> {
    let Command::Status { arguments, json } = command;
    let configuration = arguments.read()?;
    let status = read_status(&configuration.data_dir)
        .with_context(|| format!("the mirror's status in {} can't be read", configuration.data_dir.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let parked = runtime.block_on(async { tokio::time::timeout(ASK_TIME_MAX, parked(&configuration)).await });
    let parked = parked.unwrap_or_else(|_| Err(anyhow::anyhow!("the database does not answer")));
    if json {
        let problem = parked.as_ref().err().map(|error| format!("{error:#}"));
        println!("{}", serde_json::json!({ "status": status, "parked": parked.ok(), "parkedProblem": problem }));
        return Ok(());
    }
    let Some(status) = status else {
        println!("no mirror has run in {}", configuration.data_dir.display());
        return Ok(());
    };
    print_status(&status);
    match parked {
        Ok(rows) if rows.is_empty() => println!("refused     nothing"),
        Ok(rows) => {
            for row in rows {
                println!("refused     {} row {}: {} ({})", row.actor_id, row.seq, row.reason, row.sqlstate);
            }
        }
        Err(error) => println!("refused     not known: {error:#}"),
    }
    Ok(())
}

async fn parked(configuration: &Configuration) -> Result<Vec<Parked>> {
    let Some(options) = database::options(configuration)? else { return Ok(Vec::new()) };
    // Not through a pool, which would go on trying.
    let mut connection = sqlx::PgConnection::connect_with(&options.connect).await.context("no connection")?;
    let rows = sqlx::query_as(
        "SELECT actor_id, seq, sqlstate, reason FROM mirror_parked ORDER BY parked DESC, actor_id, seq LIMIT $1",
    )
    .bind(PARKED_SHOWN_MAX)
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    Ok(rows)
}

fn print_status(status: &MirrorStatus) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX).saturating_sub(status.updated));
    let phase = match status.phase {
        Phase::Starting => "starting",
        Phase::Waiting => "waiting for the database",
        Phase::Running => "running",
        Phase::Stopped => "stopped with its host",
    };
    println!("mirror      {phase} (process {}, last change {} s ago)", status.process, age.as_secs());
    println!(
        "waiting     {} rows, {} of {} bytes, the oldest {:.1} s old",
        status.lag_rows, status.lag_bytes, status.lag_bytes_max, status.lag_seconds
    );
    println!("written     {} rows in {} batches since the host was started", status.rows, status.batches);
    println!("put aside   {} rows; too old to be kept: {}", status.parked, status.expired);
    println!(
        "failures    {}{}",
        status.failures,
        status.problem.as_ref().map_or(String::new(), |problem| format!("; the last: {problem}"))
    );
}
