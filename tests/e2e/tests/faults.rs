//! What a disk can do to a host (`docs/faults.md`): nothing acknowledged is lost, and the message says what to do.

use growqr_e2e::{Book, Deployment, Disk, Host, Plain, Surroundings, eventually};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of the file system that runs full.
const DISK_BYTES: u64 = 24 << 20;
/// Writes until the disk must have refused one.
const WRITES_MAX: u64 = 200;
/// Bytes of one large value: less than an actor may write in one turn.
const LARGE_BYTES: u64 = 900_000;

/// A small file system. Where a test may not mount one it is left out, and says so past the test program's capture of output.
fn disk(test: &str) -> Option<Disk> {
    match Disk::mount(DISK_BYTES) {
        Ok(disk) => Some(disk),
        Err(reason) => {
            // `cargo xtask test` puts such a line into its summary.
            let text = format!("\nLEFT OUT: {test}: this machine lets no test mount a file system ({reason})\n");
            std::io::stdout().write_all(text.as_bytes()).expect("the output can be written");
            None
        }
    }
}

fn deployment() -> Deployment {
    Deployment::of(&["ledger", "misbehaving", "counter"])
}

/// Writes until the disk refuses; every refusal must be one of a host whose storage failed.
fn write_until_refused(book: &mut Book, host: &Host) {
    let mut large = Plain::to(host);
    let mut refusals = 0;
    for number in 0..WRITES_MAX {
        let written = large.call("misbehaving", &format!("large-{number}"), "hugeState", json!([LARGE_BYTES]));
        let added = book.add(&format!("full-{number}"));
        for refusal in [written.err(), added.err()].into_iter().flatten() {
            let known = ["actor.commit_failed", "actor.restarting", "actor.overloaded"];
            assert!(known.contains(&refusal.code.as_str()), "{refusal:?}");
            refusals += 1;
        }
        if refusals > 10 {
            return;
        }
    }
    panic!("{WRITES_MAX} large values fit on a full disk");
}

fn announce_storage_errors(host: &mut Host) {
    for text in [
        "storage",
        "persist failed",
        "a commit failed",
        "flush",
        "Flush error",
        "crashed",
        "disk is full",
        "data folder",
        "damaged",
    ] {
        host.announce(text);
    }
}

/// The host heals by itself, and then everything acknowledged is there, also after a power cut.
fn check_healed(host: &mut Host, book: &mut Book) {
    eventually("the first entry after the disk has space", || book.add("healed").ok());
    host.wait_for_log(&["storage is open again"]);
    book.add_some("after");
    book.check();
    host.kill9();
    host.restart();
    book.check();
    assert!(host.stop().success());
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_space_again() {
    let Some(disk) = disk("a full disk") else { return };
    let mut host = Host::start_in(&deployment(), disk.surroundings());
    announce_storage_errors(&mut host);
    let mut book = Book::of(&host);
    book.add_some("before");
    let error = disk.fill();
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    write_until_refused(&mut book, &host);
    host.wait_for_log(&["the disk is full", "Free some space", "goes on by itself"]);
    disk.make_space();
    check_healed(&mut host, &mut book);
}

#[test]
fn a_new_data_folder_on_a_full_disk_is_refused_with_a_hint() {
    let Some(disk) = disk("a full disk at the first start") else { return };
    assert_eq!(disk.fill().kind(), ErrorKind::StorageFull);
    let said = Host::refused_in(&deployment(), disk.surroundings());
    assert!(said.contains("the disk is full") && said.contains("Free some space"), "{said}");
    disk.make_space();
    let mut host = Host::start_in(&deployment(), disk.surroundings());
    Book::of(&host).add_some("after");
    assert!(host.stop().success());
}

#[test]
fn a_limit_of_the_file_size_is_a_full_disk() {
    let mut host = Host::start(&deployment());
    announce_storage_errors(&mut host);
    let mut book = Book::of(&host);
    book.add_some("before");
    // No file may grow; the host hears EFBIG, and is not ended by the signal that goes with it.
    host.limit("--fsize=0:");
    write_until_refused(&mut book, &host);
    host.wait_for_log(&["the disk is full", "Raise the limit of file sizes", "ulimit -f"]);
    host.limit("--fsize=unlimited:");
    check_healed(&mut host, &mut book);
}

#[test]
fn a_read_only_data_folder_is_refused_with_a_hint_and_left_alone() {
    let Some(disk) = disk("a read-only data folder") else { return };
    let mut host = Host::start_in(&deployment(), disk.surroundings());
    let mut book = Book::of(&host);
    book.add_some("before");
    assert!(host.stop().success());
    disk.set_read_only(true);
    let said = host.try_restart().expect_err("the host can't write");
    assert!(said.contains("can't be written") && said.contains("write access"), "{said}");
    disk.set_read_only(false);
    host.restart();
    book.check();
}

#[test]
fn one_data_folder_has_one_host() {
    let host = Host::start(&deployment());
    let mut book = Book::of(&host);
    book.add_some("before");
    let surroundings = Surroundings { data_dir: Some(host.data_dir()), ..Surroundings::default() };
    let said = Host::refused_in(&deployment(), surroundings);
    assert!(said.contains("Another host") && said.contains(&host.pid().to_string()), "{said}");
    assert!(said.contains("Stop it, or choose another data folder"), "{said}");
    book.add_some("after");
    book.check();
}

/// The newest journal of a host that does not run, and where its commits end.
fn journal(host: &Host) -> (PathBuf, Vec<u8>, u64) {
    let number = |path: &Path| path.file_stem()?.to_str()?.parse::<u64>().ok();
    let entries =
        fs::read_dir(host.data_dir().join("store")).expect("the store").map(|entry| entry.expect("a file").path());
    let journals = entries.filter(|path| path.extension().is_some_and(|kind| kind == "jnl"));
    let newest = journals.max_by_key(|path| number(path)).expect("a journal");
    let bytes = fs::read(&newest).expect("the journal");
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    (newest, bytes, end)
}

fn overwrite(path: &Path, position: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).expect("the file can be opened");
    file.write_all_at(bytes, position).expect("the file can be written");
}

#[test]
fn a_torn_journal_tail_costs_nothing_that_was_acknowledged() {
    let mut host = Host::start(&deployment());
    let mut book = Book::of(&host);
    for round in 0..3 {
        book.add_some(&format!("round-{round}"));
        host.kill9();
        let (path, _, end) = journal(&host);
        // What a power cut leaves of a commit that nobody was told of.
        overwrite(&path, end, &[0x5a; 5000]);
        host.restart();
        host.wait_for_log(&["cut off what followed the last whole commit"]);
        book.check();
    }
}

#[test]
fn a_damaged_journal_is_refused_and_left_as_it_is() {
    let mut host = Host::start(&deployment());
    let mut book = Book::of(&host);
    book.add_some("before");
    host.kill9();
    let (path, bytes, end) = journal(&host);
    overwrite(&path, end / 2, b"damage");
    let damaged = fs::read(&path).expect("the journal");
    for _ in 0..2 {
        let said = host.try_restart().expect_err("the journal is damaged");
        assert!(said.contains("damaged") && said.contains("restore the data folder from a backup"), "{said}");
        assert!(said.contains(&path.display().to_string()), "{said}");
        assert!(fs::read(&path).expect("the journal") == damaged, "the damaged file was changed");
    }
    overwrite(&path, 0, &bytes);
    host.restart();
    book.check();
}

/// Every file below a folder that belongs to sorted tables.
fn tables(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("a file").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let here = files.into_iter().filter(|path| path.parent().is_some_and(|parent| parent.ends_with("tables")));
    here.chain(folders.iter().flat_map(|folder| tables(folder))).collect()
}

#[test]
fn a_damaged_page_of_a_data_file_is_an_error_and_never_a_wrong_answer() {
    let mut host = Host::start(&deployment());
    announce_storage_errors(&mut host);
    let mut book = Book::of(&host);
    book.add_some("before");
    // A start writes what it replayed into tables; a second one has nothing left to replay.
    for _ in 0..2 {
        assert!(host.stop().success());
        host.restart();
    }
    book.check();
    assert!(host.stop().success());
    let files = tables(&host.data_dir().join("store"));
    assert!(!files.is_empty(), "there are no tables");
    let whole: Vec<_> = files.iter().map(|path| (path, fs::read(path).expect("a table"))).collect();
    for path in &files {
        overwrite(path, 16, &[0x5a; 64]);
    }
    match host.try_restart() {
        Err(said) => assert!(said.contains("damaged") && said.contains("backup"), "{said}"),
        Ok(()) => {
            let refusal = book.client.call("ledger", "book", "total", json!([])).or_else(|refusal| {
                // The connection of before the restart.
                if refusal.code == "connection" {
                    book.client.call("ledger", "book", "total", json!([]))
                } else {
                    Err(refusal)
                }
            });
            let refusal = refusal.expect_err("a damaged page can't be read");
            assert!(["core.internal_error", "actor.start_failed"].contains(&refusal.code.as_str()), "{refusal:?}");
            host.wait_for_log(&["damaged", "restore the data folder from a backup"]);
            host.kill9();
        }
    }
    for (path, bytes) in &whole {
        fs::write(path, bytes).expect("the table can be mended");
    }
    host.restart();
    book.check();
}
