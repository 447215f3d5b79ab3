//! A private server: made, stopped, killed, left over, and refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use growqr_postgres::{Database, DatabaseOptions, Readiness, Search, Server, ServerError, ServerOptions, ServerState};
use sqlx::{ConnectOptions, Connection, Executor};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A folder that another account can pass, as a data folder's parents must be.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn launch(folder: &Path) -> Server {
    Server::launch(ServerOptions::new(folder.join("postgres"))).unwrap()
}

async fn count(server: &Server) -> i64 {
    let mut connection = server.connect_options().connect().await.unwrap();
    connection.execute("CREATE TABLE IF NOT EXISTS kept (number bigint)").await.unwrap();
    connection.execute("INSERT INTO kept VALUES (1)").await.unwrap();
    let count = sqlx::query_scalar("SELECT count(*) FROM kept").fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    count
}

fn send(process: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_stop_and_after_a_kill() {
    let folder = folder();
    let mut server = launch(folder.path());
    let process = server.ready().await.unwrap();
    assert_eq!(count(&server).await, 1);
    let mode = std::fs::metadata(folder.path().join("postgres/socket")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "nobody else gets at the socket");
    assert!(!folder.path().join("postgres/pgdata.tmp").exists());
    server.stop();
    assert!(!Path::new(&format!("/proc/{process}")).exists());
    assert!(matches!(*server.state().borrow(), ServerState::Stopped));

    let server = launch(folder.path());
    let process = server.ready().await.unwrap();
    assert_eq!(count(&server).await, 2);
    // The server is killed under the host: it is started again by itself.
    let mut state = server.state();
    send(process, "-KILL");
    let again = state.wait_for(|state| matches!(state, ServerState::Ready { process: now } if *now != process));
    tokio::time::timeout(Duration::from_secs(60), again).await.expect("it was not started again").unwrap();
    assert_eq!(count(&server).await, 3);
}

#[tokio::test]
async fn a_server_that_was_left_over_is_stopped_first() {
    let folder = folder();
    let mut first = launch(folder.path());
    first.ready().await.unwrap();
    first.stop();
    // As a host that was killed on a system without a signal at the death of a parent: the server goes on alone.
    let data = folder.path().join("postgres/pgdata").canonicalize().unwrap();
    let sockets = folder.path().join("postgres/socket").canonicalize().unwrap();
    let program = Search::from_environment().all().remove(0).folder.join("postgres");
    let owner = std::fs::metadata(&data).unwrap();
    let mut command = match owner.uid() {
        0 => {
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-user=1000", "--map-group=1000", "--"]).arg(program);
            command
        }
        _ => Command::new(program),
    };
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 && owner.uid() != 0 {
        command.uid(owner.uid()).gid(owner.gid());
    }
    command
        .arg("-D")
        .arg(&data)
        .arg("-k")
        .arg(sockets)
        .args(["-c", "listen_addresses="])
        .current_dir("/")
        .stderr(Stdio::null());
    let mut alone = command.spawn().unwrap();
    let pid_file = data.join("postmaster.pid");
    while !std::fs::read_to_string(&pid_file).is_ok_and(|text| text.contains("ready")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = launch(folder.path());
    let now = second.ready().await.unwrap();
    assert_ne!(now, alone.id());
    assert!(alone.wait().unwrap().success(), "it was stopped in order");
    assert_eq!(count(&second).await, 1);
}

#[tokio::test]
async fn a_half_made_cluster_is_made_anew_and_foreign_data_is_not_touched() {
    let home = folder();
    let half = home.path().join("postgres/pgdata.tmp");
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("PG_VERSION"), "15\n").unwrap();
    let server = launch(home.path());
    server.ready().await.unwrap();
    assert_eq!(count(&server).await, 1);
    drop(server);

    let strange = folder();
    let data = strange.path().join("postgres/pgdata");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("letters.txt"), "dear").unwrap();
    let server = launch(strange.path());
    let error = server.ready().await.unwrap_err();
    assert!(matches!(error, ServerError::Folder { .. }), "{error}");
    drop(server);
    assert_eq!(std::fs::read_to_string(data.join("letters.txt")).unwrap(), "dear");

    std::fs::remove_file(data.join("letters.txt")).unwrap();
    std::fs::write(data.join("PG_VERSION"), "9\n").unwrap();
    let error = launch(strange.path()).ready().await.unwrap_err();
    assert!(matches!(error, ServerError::WrongVersion { wanted: 9, .. }), "{error}");
}

#[tokio::test]
async fn a_machine_without_postgres_is_told_the_ways_out() {
    let folder = folder();
    let mut options = ServerOptions::new(folder.path().join("postgres"));
    options.search = Search { named: Some(folder.path().join("nothing")), ..Search::default() };
    let server = Server::launch(options).unwrap();
    let message = server.ready().await.unwrap_err().to_string();
    for way in ["apt-get install postgresql", "npm", "DATABASE_URL"] {
        assert!(message.contains(way), "{message}");
    }
}

#[tokio::test]
async fn a_database_is_refused_while_it_is_away_and_used_when_it_comes() {
    let folder = folder();
    let mut server = launch(folder.path());
    let mut options = DatabaseOptions::new(server.connect_options());
    options.acquire_timeout = Duration::from_millis(500);
    let database = Database::new(options);
    assert_eq!(database.ping().await.unwrap_err().code, "unavailable", "before the tables are there");
    assert_eq!(database.prepare().await, Readiness::Ready);
    database.ping().await.unwrap();
    assert_eq!(database.prepare().await, Readiness::Ready, "a second time changes nothing");

    let slow = sqlx::query("SELECT pg_sleep(60)").execute(database.pool().unwrap());
    let mut quick = DatabaseOptions::new(server.connect_options());
    quick.statement_timeout = Duration::from_millis(50);
    let quick = Database::new(quick);
    drop(slow);
    assert_eq!(quick.prepare().await, Readiness::Ready);
    let error = sqlx::query("SELECT pg_sleep(60)").execute(quick.pool().unwrap()).await.unwrap_err();
    assert_eq!(growqr_postgres::failure(&error).code, "timeout");

    server.stop();
    assert_eq!(database.ping().await.unwrap_err().code, "unavailable", "while it is away");
    let server = launch(folder.path());
    server.ready().await.unwrap();
    database.ping().await.expect("the same pool goes on");

    sqlx::query("UPDATE _sqlx_migrations SET checksum = 'x'").execute(database.pool().unwrap()).await.unwrap();
    let other = Database::new(DatabaseOptions::new(server.connect_options()));
    assert!(matches!(other.prepare().await, Readiness::Unusable(_)), "tables of another making are not used");
    assert_eq!(other.ping().await.unwrap_err().code, "unavailable");
}
