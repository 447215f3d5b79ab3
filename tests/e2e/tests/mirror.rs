//! The whole host and a real Postgres: what actors were acknowledged reaches the database once, whatever ends in between.

use growqr_e2e::{Deployment, Disk, Host, Plain, Surroundings, eventually, random, staged};
use growqr_postgres::{Server, ServerOptions};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection};
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// Bytes of rows that may wait where a test wants the host to run full.
const SPOOL_BYTES: u64 = 1 << 20;
/// Calls until it must be full.
const CALLS_MAX: u64 = 20_000;
/// Bytes of the file system that runs full.
const DISK_BYTES: u64 = 24 << 20;
/// Rounds in which the host is killed while it mirrors.
const KILL_ROUNDS: u64 = 8;

/// A server beside the host, which can be away.
struct Beside {
    folder: tempfile::TempDir,
    server: Option<Server>,
    url: String,
}

impl Beside {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("the folder is ours");
        let mut beside = Self { folder, server: None, url: String::new() };
        beside.come();
        beside
    }

    fn come(&mut self) {
        let server = Server::launch(ServerOptions::new(self.folder.path())).expect("a server");
        run(server.ready()).expect("it starts");
        self.url = server.url();
        self.server = Some(server);
    }

    fn go(&mut self) {
        self.server = None;
    }

    fn surroundings(&self) -> Surroundings {
        let variables = vec![("DATABASE_URL".to_owned(), self.url.clone())];
        Surroundings { variables, ..Surroundings::default() }
    }

    /// Every row of the ledger: number, event number, name, id of the entry.
    fn rows(&self) -> Vec<(i64, Option<i64>, String, Option<String>)> {
        let server = self.server.as_ref().expect("it runs");
        run(async {
            let mut connection = server.connect_options().connect().await.expect("a connection");
            let query = "SELECT events.seq, event_seq, events.name, payload ->> 'id' FROM events JOIN actors ON actors.id = actor_id
                         WHERE actors.name = 'ledger' ORDER BY events.seq";
            // The tables are not there before the host has made them.
            let rows = match sqlx::query_as(query).fetch_all(&mut connection).await {
                Err(error) if error.as_database_error().and_then(|error| error.code()).as_deref() == Some("42P01") => {
                    Vec::new()
                }
                rows => rows.expect("rows"),
            };
            let _ = connection.close().await;
            rows
        })
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn deployment() -> Deployment {
    Deployment::of(&["ledger", "misbehaving"]).setting("database", json!({}))
}

/// What the ledger acknowledged.
struct Book {
    client: Plain,
    acknowledged: BTreeSet<String>,
}

impl Book {
    fn of(host: &Host) -> Self {
        Self { client: Plain::to(host), acknowledged: BTreeSet::new() }
    }

    fn add(&mut self, id: String) -> Result<(), String> {
        self.client.call("ledger", "book", "add", json!([id, 1])).map_err(|refusal| refusal.code)?;
        self.acknowledged.insert(id);
        Ok(())
    }

    fn add_some(&mut self, name: &str, count: u64) {
        for number in 0..count {
            let id = format!("{name}-{number}");
            eventually("an entry", || self.add(id.clone()).ok());
        }
    }

    /// Waits until every acknowledged entry is in the database, and checks that nothing is there twice or missing.
    fn check(&mut self, beside: &Beside) {
        let rows = eventually("all entries in the database", || {
            let rows = beside.rows();
            let there: BTreeSet<&str> = rows.iter().filter_map(|(.., id)| id.as_deref()).collect();
            self.acknowledged.iter().all(|id| there.contains(id.as_str())).then_some(rows)
        });
        assert_eq!(rows[0].2, "actor.created");
        assert!(rows.iter().zip(1..).all(|((seq, ..), expected)| *seq == expected), "a row is missing or doubled");
        let events: Vec<i64> = rows.iter().filter_map(|(_, event, ..)| *event).collect();
        assert!(events.iter().zip(1..).all(|(event, expected)| *event == expected), "an event is missing or doubled");
        let ids: Vec<&str> = rows.iter().filter_map(|(.., id)| id.as_deref()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an entry is there twice");
        let kept = eventually("the total", || self.client.call("ledger", "book", "total", json!([])).ok());
        assert_eq!(kept, json!(ids.len()), "the database has other entries than the actor");
    }
}

fn status(data_dir: &Path) -> Value {
    let text = std::fs::read_to_string(data_dir.join("mirror.json")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

#[test]
fn a_host_that_is_killed_between_commit_and_mirror_loses_and_doubles_nothing() {
    let mut beside = Beside::start();
    let surroundings = beside.surroundings();
    beside.go();
    let mut host = Host::start_in(&deployment(), surroundings);
    let mut book = Book::of(&host);
    book.add_some("away", 100);
    eventually("the lag", || (status(&host.data_dir())["lagRows"].as_u64() >= Some(101)).then_some(()));
    host.kill9();
    host.restart();
    book.add_some("still-away", 20);
    host.kill9();
    beside.come();
    host.restart();
    book.check(&beside);

    for round in 0..KILL_ROUNDS {
        let end = std::time::Instant::now() + Duration::from_millis(30 + random() % 200);
        let mut number = 0;
        while std::time::Instant::now() < end {
            book.add_some(&format!("round-{round}-{number}"), 1);
            number += 1;
        }
        host.kill9();
        host.restart();
    }
    book.check(&beside);
    assert!(host.stop().success());
}

#[test]
fn a_host_with_too_much_waiting_refuses_what_writes_and_goes_on_when_postgres_is_back() {
    let mut beside = Beside::start();
    let surroundings = beside.surroundings();
    beside.go();
    let deployment = deployment().setting("mirror", json!({ "spoolBytesMax": SPOOL_BYTES }));
    let host = Host::start_in(&deployment, surroundings);
    let mut book = Book::of(&host);
    let long = "x".repeat(900);
    let refused = (0..CALLS_MAX).find_map(|number| book.add(format!("{number}-{long}")).err());
    assert_eq!(refused.as_deref(), Some("mirror.full"), "after {} entries", book.acknowledged.len());
    let waiting =
        eventually("the lag", || status(&host.data_dir())["lagBytes"].as_u64().filter(|bytes| *bytes >= SPOOL_BYTES));
    assert!(waiting < 2 * SPOOL_BYTES, "{waiting} bytes wait");
    let total = book.client.call("ledger", "book", "total", json!([])).expect("reading still works");
    assert_eq!(total, json!(book.acknowledged.len()));
    let fresh = book.client.call("ledger", "another", "total", json!([])).expect_err("an actor can't be made");
    assert_eq!(fresh.code, "mirror.full");
    beside.come();
    book.add_some("after", 5);
    book.check(&beside);
}

#[test]
fn a_full_disk_under_the_rows_loses_and_doubles_nothing() {
    let disk = match Disk::mount(DISK_BYTES) {
        Ok(disk) => disk,
        Err(reason) => {
            let text = format!("\nLEFT OUT: a full disk under the rows: no test may mount a file system ({reason})\n");
            std::io::stderr().write_all(text.as_bytes()).expect("the error output can be written");
            return;
        }
    };
    let beside = Beside::start();
    let mut surroundings = disk.surroundings();
    surroundings.variables = beside.surroundings().variables;
    let mut host = Host::start_in(&deployment(), surroundings);
    for text in [
        "storage",
        // What a worker of the storage engine says when it ends because of the disk.
        "StorageFull",
        "persist failed",
        "a commit failed",
        "flush",
        "Flush error",
        "disk is full",
        "data folder",
        "damaged",
    ] {
        host.announce(text);
    }
    let mut book = Book::of(&host);
    book.add_some("before", 30);
    disk.fill();
    let mut refusals = 0;
    let mut large = Plain::to(&host);
    for number in 0..200 {
        refusals +=
            u64::from(large.call("misbehaving", &format!("large-{number}"), "hugeState", json!([900_000])).is_err());
        refusals += u64::from(book.add(format!("full-{number}")).is_err());
        if refusals > 10 {
            break;
        }
    }
    assert!(refusals > 10, "200 large values fit on a full disk");
    disk.make_space();
    book.add_some("after", 30);
    host.wait_for_log(&["storage is open again"]);
    book.check(&beside);
    host.kill9();
    host.restart();
    book.add_some("at last", 5);
    book.check(&beside);
}

#[test]
fn without_an_address_the_host_brings_a_postgres_that_ends_with_it() {
    let mut host = Host::start(&deployment());
    let mut book = Book::of(&host);
    // Actors are served before the database is there.
    book.add_some("first", 10);
    let pid_file = host.data_dir().join("postgres/pgdata/postmaster.pid");
    let server = || -> Option<u32> { std::fs::read_to_string(&pid_file).ok()?.lines().next()?.parse().ok() };
    let runs = |process: u32| Path::new(&format!("/proc/{process}")).exists();
    eventually_long("rows in the private Postgres", || {
        (status(&host.data_dir())["rows"].as_u64() >= Some(11)).then_some(())
    });
    let shown = std::process::Command::new(staged("GROWQR_BINARY", "growqr"))
        .args(["mirror", "status", "--json", "--data-dir"])
        .arg(host.data_dir())
        .arg("--config")
        .arg(host.config_file())
        .output()
        .expect("growqr can be run");
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!((&shown["status"]["phase"], &shown["parked"]), (&json!("running"), &json!([])), "{shown}");

    let first = server().expect("a server");
    host.kill9();
    eventually("the end of the server of a killed host", || (!runs(first)).then_some(()));
    host.restart();
    book.add_some("second", 10);
    eventually_long("rows after the kill", || (status(&host.data_dir())["rows"].as_u64() >= Some(10)).then_some(()));
    let second = server().expect("a server");
    assert!(host.stop().success());
    assert!(!runs(second), "the host has ended and its Postgres has not");
}

/// For what takes long on a loaded machine: making a cluster.
fn eventually_long<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = std::time::Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(std::time::Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}
