//! A whole data folder: what is in its files is the storage engine's business, but a folder of an old release must open.

use growqr_storage::{FjallOptions, FjallStorage, Space, Storage, Write};
use std::fs;
use std::path::{Path, PathBuf};

/// Below a release's folder.
const FOLDER: &str = "folder";
/// The spaces that the first release had. A later space is simply empty in a folder of that time.
const SPACES: [Space; 4] = [Space::Actors, Space::Directory, Space::Alarms, Space::Host];
/// Entries of each space.
const ENTRIES: u8 = 20;

/// Entries that were written out into sorted files, and entries that are only in the journal.
fn commit(storage: &FjallStorage, round: u8) {
    for number in 0..ENTRIES {
        let writes = SPACES.map(|space| Write::put(space, vec![round, number], vec![number; usize::from(number)]));
        storage.commit(&writes).expect("a commit");
    }
    storage.commit(&[Write::delete(Space::Actors, vec![round, 0])]).expect("a commit");
}

fn open(folder: &Path) -> FjallStorage {
    FjallStorage::open(folder, FjallOptions::default()).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn is_journal(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jnl")
}

/// A journal is made with its full length; what was not written yet is zeros, and is left out.
fn without_zeros(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).expect("a file");
    if is_journal(path) {
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
    }
    bytes
}

/// The newest journal of a new folder after some commits. The numbers of its commits are left out: the store counts its own work
/// with them, as it happens to go on.
pub fn journal_of_today() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    commit(&open(folder.path()), 1);
    let number =
        |path: &PathBuf| path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse::<u64>().ok());
    let newest = files(folder.path()).into_iter().filter(|path| is_journal(path)).max_by_key(number);
    let mut bytes = without_zeros(&newest.expect("a journal"));
    let mut at = 0;
    while at < bytes.len() {
        bytes[at + 5..at + 13].fill(0);
        at += commit_length(&bytes[at..]);
    }
    bytes
}

/// Bytes of the commit at the beginning; `host/storage/src/journal_check.rs` describes the format.
fn commit_length(bytes: &[u8]) -> usize {
    let number = |at: usize, length: usize| {
        bytes[at..at + length].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let mut at = 13;
    for _ in 0..number(1, 4) {
        assert_eq!(bytes[at], 2, "an item that is a key and its value");
        at += 21 + number(at + 11, 2) + number(at + 17, 4);
    }
    at + 13
}

/// Writes the folder of the present release, if there is none yet.
pub fn write_missing(release: &Path) {
    let kept = release.join(FOLDER);
    if kept.exists() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    commit(&open(folder.path()), 1);
    // Opening again writes out what the journal has.
    commit(&open(folder.path()), 2);
    for path in files(folder.path()) {
        let below = path.strip_prefix(folder.path()).expect("it is below");
        if below.extension().is_some_and(|extension| extension == "lock") {
            continue;
        }
        let to = kept.join(below);
        fs::create_dir_all(to.parent().expect("it has a folder")).expect("a folder");
        fs::write(to, without_zeros(&path)).expect("a file");
    }
}

/// A copy of the kept folder opens, has every entry, and takes more.
pub fn check(release: &Path) {
    let kept = release.join(FOLDER);
    let folder = tempfile::tempdir().expect("a folder");
    let files = files(&kept);
    assert!(files.iter().any(|path| is_journal(path)), "{} has no journal", kept.display());
    for path in files {
        let to = folder.path().join(path.strip_prefix(&kept).expect("it is below"));
        fs::create_dir_all(to.parent().expect("it has a folder")).expect("a folder");
        fs::copy(&path, to).expect("a copy");
    }
    for opened in 0..2 {
        let storage = open(folder.path());
        for round in [1, 2] {
            for space in SPACES {
                for number in 0..ENTRIES {
                    let found = storage.get(space, &[round, number]).expect("a read").map(|value| value.to_vec());
                    let deleted = space == Space::Actors && number == 0;
                    let expected = (!deleted).then(|| vec![number; usize::from(number)]);
                    assert_eq!(found, expected, "{space:?} {round} {number}, opened {opened} times before");
                }
            }
        }
        let none = storage.scan(Space::Spool, &[0], None, 1, false).expect("a read");
        assert!(none.is_empty(), "a space that the release did not have");
        storage.commit(&[Write::put(Space::Host, b"more".to_vec(), b"more".to_vec())]).expect("a commit");
    }
}
