//! Faults between the store and Postgres. Each is seen to happen, and afterwards every row is there exactly once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use growqr_mirror::{MirrorOptions, Phase};
use growqr_postgres::testing::TestDatabase;
use growqr_postgres::{Database, DatabaseOptions, Readiness, Server, ServerOptions, ServerState};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::proxy::Proxy;
use support::{RIGHT_TIME_MAX, Rows, Running, check_all_there};

fn options() -> MirrorOptions {
    MirrorOptions { batch_rows_max: 50, batch_delay: Duration::from_millis(1), ..MirrorOptions::default() }
}

fn fill(rows: &Rows, count: u32) {
    for number in 0..count {
        rows.add(number % 7, "counter", "counted", &format!(r#"{{"number":{number}}}"#));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_between_commit_and_answer_doubles_nothing() {
    let test = TestDatabase::create().await;
    let proxy = Proxy::start(&test.connect);
    let database = Database::new(DatabaseOptions::new(proxy.connect(&test.connect)));
    assert_eq!(database.prepare().await, Readiness::Ready);
    proxy.cut_every(3);
    let rows = Arc::new(Rows::default());
    fill(&rows, 1000);
    let running = Running::start(rows.clone(), &database, options());
    running.drained().await;
    let cuts = proxy.cuts.load(Ordering::Relaxed);
    assert!(cuts >= 3, "only {cuts} connections were cut");
    assert!(running.mirror.status().failures >= cuts);
    check_all_there(test.pool(), &rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_could_not_be_removed_come_again_and_change_nothing() {
    let test = TestDatabase::create().await;
    let rows = Arc::new(Rows::default());
    rows.removals_fail.store(4, Ordering::Relaxed);
    fill(&rows, 300);
    let running = Running::start(rows.clone(), &test.database, options());
    running.drained().await;
    assert_eq!(rows.removals_failed.load(Ordering::Relaxed), 4);
    check_all_there(test.pool(), &rows).await;
}

fn private_server(folder: &std::path::Path) -> Server {
    Server::launch(ServerOptions::new(folder.join("postgres"))).unwrap()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_that_is_killed_amid_batches_loses_and_doubles_nothing() {
    const KILLS: usize = 3;
    let folder = folder();
    let server = private_server(folder.path());
    let database = Database::new(DatabaseOptions::new(server.connect_options()));
    assert_eq!(database.prepare().await, Readiness::Ready);
    let rows = Arc::new(Rows::default());
    let running = Running::start(rows.clone(), &database, options());
    let mut state = server.state();
    for kill in 1..=KILLS {
        let process = match *state.wait_for(|state| matches!(state, ServerState::Ready { .. })).await.unwrap() {
            ServerState::Ready { process } => process,
            _ => unreachable!("it waited for that"),
        };
        let before = running.mirror.status();
        fill(&rows, 5_000);
        // It is at work when it is killed: some batches are through, and many wait.
        while running.mirror.status().batches < before.batches + 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(support_level(&rows) > 0, "nothing was left to be written at kill {kill}");
        let status = std::process::Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap();
        assert!(status.success());
        let failed = async {
            while running.mirror.status().failures == before.failures {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(RIGHT_TIME_MAX, failed).await.expect("the kill was not noticed");
        let again = state.wait_for(|state| matches!(state, ServerState::Ready { process: now } if *now != process));
        tokio::time::timeout(RIGHT_TIME_MAX, again).await.expect("it was not started again").unwrap();
    }
    running.drained().await;
    check_all_there(database.pool().unwrap(), &rows).await;
}

fn support_level(rows: &Rows) -> u64 {
    growqr_seam::MirrorSource::level(rows).rows
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_wait_while_postgres_is_away_and_the_lag_is_seen() {
    let folder = folder();
    let data = tempfile::tempdir().unwrap();
    let mut server = private_server(folder.path());
    let database = Database::new(DatabaseOptions::new(server.connect_options()));
    let rows = Arc::new(Rows::default());
    fill(&rows, 100);
    let with_file = MirrorOptions { status_folder: Some(data.path().to_owned()), ..options() };
    let running = Running::start(rows.clone(), &database, with_file);
    assert_eq!(database.prepare().await, Readiness::Ready);
    running.drained().await;

    server.stop();
    fill(&rows, 500);
    let waits = async {
        loop {
            let status = growqr_mirror::read_status(data.path()).unwrap().unwrap_or_default();
            if status.phase == Phase::Waiting && status.lag_rows == 500 && status.lag_seconds > 1.0 {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let status = tokio::time::timeout(RIGHT_TIME_MAX, waits).await.expect("the lag was not shown");
    assert!(status.problem.is_some() && status.lag_bytes > 0 && status.failures > 0, "{status:?}");

    let server = private_server(folder.path());
    server.ready().await.unwrap();
    running.drained().await;
    check_all_there(database.pool().unwrap(), &rows).await;
    running.stop().await;
    assert_eq!(growqr_mirror::read_status(data.path()).unwrap().unwrap().phase, Phase::Stopped);
}
