//! What the data folder can do to a host: errors that say what to do, no panic, and nothing acknowledged is lost to a torn tail.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use growqr_storage::{FORMAT_VERSION, FjallOptions, FjallStorage, Space, Storage, StorageError, Write};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDER_VARIABLE: &str = "GROWQR_STORAGE_FULL_FOLDER";
/// What the store gives a new journal.
const JOURNAL_BYTES: u64 = 64 << 20;

fn open(folder: &Path) -> Result<FjallStorage, StorageError> {
    FjallStorage::open(folder, FjallOptions::default())
}

/// Two writes in two spaces, with a value that is easy to find.
fn commit(storage: &FjallStorage, number: u8) {
    let value = Bytes::from(vec![number; 300]);
    storage
        .commit(&[Space::Actors, Space::Alarms].map(|space| Write::put(space, vec![number], value.clone())))
        .unwrap();
}

/// Which of the commits are there; each must be there whole or not at all.
fn commits(storage: &FjallStorage) -> Vec<u8> {
    let keys = |space| {
        let entries = storage.scan(space, b"", None, usize::MAX, false).unwrap();
        entries.iter().map(|(key, value)| (key[0], value.iter().all(|byte| *byte == key[0]))).collect::<Vec<_>>()
    };
    assert_eq!(keys(Space::Actors), keys(Space::Alarms), "a commit is there in part");
    keys(Space::Actors).into_iter().map(|(key, whole)| whole.then_some(key).unwrap()).collect()
}

fn journals(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("store")).unwrap().map(|entry| entry.unwrap().path());
    let mut journals: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "jnl")).collect();
    journals.sort_by_key(|path| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap());
    journals
}

struct Journal {
    file: File,
    /// Where the commits end.
    end: u64,
    bytes: Vec<u8>,
}

fn newest_journal(folder: &Path) -> Journal {
    let path = journals(folder).pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    Journal { file: OpenOptions::new().write(true).open(path).unwrap(), end, bytes }
}

impl Journal {
    fn overwrite(&self, position: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, position).unwrap();
    }
    /// The middle of the first value of a commit.
    fn value_of(&self, number: u8) -> u64 {
        self.bytes.windows(300).position(|window| window.iter().all(|byte| *byte == number)).unwrap() as u64 + 150
    }
}

#[test]
fn a_data_folder_belongs_to_one_host() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    commit(&first, 1);
    let error = open(folder.path()).err().unwrap();
    assert!(matches!(error, StorageError::Locked(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("Another host") && text.contains(&std::process::id().to_string()), "{text}");
    commit(&first, 2);
    drop(first);
    assert_eq!(commits(&open(folder.path()).unwrap()), [1, 2]);
}

#[test]
fn other_formats_are_refused_and_left_alone() {
    let check = |name: &str, format: &'static str, expected: &str| {
        let folder = tempfile::tempdir().unwrap();
        let storage = open(folder.path()).unwrap();
        commit(&storage, 1);
        storage.commit(&[Write::put(Space::Host, &b"storage/format"[..], format)]).unwrap();
        drop(storage);
        for _ in 0..2 {
            let error = open(folder.path()).err().expect(name);
            assert!(matches!(&error, StorageError::Format(text) if text.contains(expected)), "{name}: {error}");
        }
        assert_eq!(journals(folder.path()).len(), 1, "{name}: nothing was written");
    };
    assert_eq!(FORMAT_VERSION, 1, "add the format before this one as a case that opens");
    check("newer", "2", "Use the newer host");
    check("much newer", "4000000000", "Use the newer host");
    check("none", "0", "unknown format");
    check("not a number", "one", "unknown format");
    check("empty", "", "unknown format");
}

#[test]
fn a_folder_that_cannot_be_one_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "a file").unwrap();
    let check = |name: &str, path: &Path| {
        let error = open(path).err().expect(name);
        assert!(error.to_string().contains(path.to_str().unwrap()), "{name}: {error}");
    };
    check("a file in its place", &file);
    check("below a file", &file.join("data"));
    let taken = folder.path().join("taken");
    fs::create_dir_all(taken.join("growqr.lock")).unwrap();
    check("a folder in place of the lock", &taken);
}

#[test]
fn a_store_that_was_never_finished_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    // What a host leaves that is killed, or finds no space, while it makes the store.
    let unfinished = folder.path().join("store.new");
    fs::create_dir_all(unfinished.join("keyspaces")).unwrap();
    fs::write(unfinished.join("0.jnl"), b"half").unwrap();
    let storage = open(folder.path()).unwrap();
    commit(&storage, 1);
    drop(storage);
    assert_eq!(commits(&open(folder.path()).unwrap()), [1]);
    assert!(!unfinished.exists());
}

#[test]
fn a_torn_tail_is_cut_off_and_nothing_else() {
    let check = |name: &str, damage: fn(&Journal), expected: &[u8]| {
        for restarts in [0, 1] {
            let at = format!("{name}, {restarts} restarts before");
            let folder = tempfile::tempdir().unwrap();
            let mut storage = open(folder.path()).unwrap();
            for _ in 0..restarts {
                drop(storage);
                storage = open(folder.path()).unwrap();
            }
            (1..=3).for_each(|number| commit(&storage, number));
            drop(storage);
            damage(&newest_journal(folder.path()));
            let storage = open(folder.path()).expect(&at);
            assert_eq!(commits(&storage), expected, "{at}");
            commit(&storage, 4);
            drop(storage);
            let expected = [expected, &[4]].concat();
            assert_eq!(commits(&open(folder.path()).expect(&at)), expected, "{at}, later");
        }
    };
    check("nothing", |_| {}, &[1, 2, 3]);
    check("the last bytes were not written", |journal| journal.overwrite(journal.end - 10, &[0; 10]), &[1, 2]);
    check("the second half was not written", |journal| journal.overwrite(journal.end - 300, &[0; 300]), &[1, 2]);
    check("the file was cut", |journal| journal.file.set_len(journal.end - 1).unwrap(), &[1, 2]);
    check("the file was cut exactly", |journal| journal.file.set_len(journal.end).unwrap(), &[1, 2, 3]);
    check("noise behind the end", |journal| journal.overwrite(journal.end, &[0xab; 5000]), &[1, 2, 3]);
    check("a start without the rest", |journal| journal.overwrite(journal.end, &[1, 2, 0, 0, 0]), &[1, 2, 3]);
    check(
        "the host died before it began a new journal",
        |journal| {
            journal.file.set_len(journal.end).unwrap();
            journal.file.set_len(65_000_000).unwrap();
        },
        &[1, 2, 3],
    );
    check(
        "the host died after it wrote behind the hole",
        |journal| {
            let mark = journal.bytes[..100].to_vec();
            journal.file.set_len(journal.end).unwrap();
            journal.overwrite(65_000_000, &mark);
        },
        &[1, 2, 3],
    );
}

#[test]
fn a_large_last_commit_that_was_torn_in_its_middle_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path()).unwrap();
    commit(&storage, 1);
    storage.commit(&[Write::put(Space::Actors, &b"large"[..], vec![9; 64 << 10])]).unwrap();
    drop(storage);
    // A page in the middle did not reach the disk, those around it did.
    let journal = newest_journal(folder.path());
    journal.overwrite((journal.value_of(9) + 8192) / 4096 * 4096, &[0; 4096]);
    let storage = open(folder.path()).unwrap();
    assert_eq!(commits(&storage), [1]);
}

#[test]
fn damage_before_the_last_commit_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path()).unwrap();
    (1..=3).for_each(|number| commit(&storage, number));
    drop(storage);
    let journal = newest_journal(folder.path());
    let check = |name: &str, position: u64, damage: &[u8]| {
        journal.overwrite(0, &journal.bytes);
        journal.overwrite(position, damage);
        let before = newest_journal(folder.path()).bytes;
        for _ in 0..2 {
            let error = open(folder.path()).err().expect(name);
            assert!(matches!(&error, StorageError::Corrupt(text) if text.contains("backup")), "{name}: {error}");
        }
        assert!(newest_journal(folder.path()).bytes == before, "{name}: the damaged file is left as it is");
    };
    check("in a value", journal.value_of(1), b"damage");
    check("in a later value", journal.value_of(2), b"damage");
    check("in a tag", journal.value_of(2) - 150 - 1 - 21, &[0; 12]);
    check("a page of zeros", 0, &[0; 64]);
    journal.overwrite(0, &journal.bytes);
    assert_eq!(commits(&open(folder.path()).unwrap()), [1, 2, 3], "mended");
}

#[test]
fn damaged_or_missing_files_are_reported() {
    let check = |name: &str, damage: fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        let storage = open(folder.path()).unwrap();
        (1..=50).for_each(|number| commit(&storage, number));
        drop(storage);
        // The second start writes what it replayed into sorted files; the third finds nothing else.
        for _ in 0..2 {
            assert_eq!(commits(&open(folder.path()).unwrap()).len(), 50);
        }
        damage(&folder.path().join("store"));
        let result = open(folder.path()).and_then(|storage| storage.scan(Space::Actors, b"", None, usize::MAX, false));
        let error = result.expect_err(name);
        assert!(!error.is_refusal(), "{name}: {error}");
        assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{name}: {error}");
    };
    fn tables(store: &Path) -> Vec<PathBuf> {
        let spaces = fs::read_dir(store.join("keyspaces")).unwrap().map(|entry| entry.unwrap().path().join("tables"));
        spaces.filter_map(|tables| fs::read_dir(tables).ok()).flatten().map(|entry| entry.unwrap().path()).collect()
    }
    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }
    fn each(paths: Vec<PathBuf>, damage: fn(&File, u64)) {
        assert!(!paths.is_empty());
        for path in paths {
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            damage(&file, file.metadata().unwrap().len());
        }
    }
    check("tables with noise at their start", |store| {
        each(tables(store), |file, _| file.write_all_at(&[0x5a; 64], 16).unwrap())
    });
    check("tables cut in half", |store| each(tables(store), |file, length| file.set_len(length / 2).unwrap()));
    check("tables of zero bytes", |store| each(tables(store), |file, _| file.set_len(0).unwrap()));
    check("tables missing", |store| tables(store).iter().for_each(|path| fs::remove_file(path).unwrap()));
    check("every file with noise", |store| {
        each(files(store), |file, length| file.write_all_at(&vec![0x5a; length.min(4096) as usize], 0).unwrap());
    });
    check("every file empty", |store| each(files(store), |file, _| file.set_len(0).unwrap()));
}

#[test]
fn each_start_has_a_journal_of_full_length_and_old_ones_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for number in 1..=10 {
        let storage = open(folder.path()).unwrap();
        commit(&storage, number);
        let newest = journals(folder.path()).pop().unwrap();
        assert_eq!(fs::metadata(&newest).unwrap().len(), JOURNAL_BYTES, "start {number}");
        assert!(!seen.contains(&newest), "start {number} goes on with the journal of one before");
        seen.push(newest);
    }
    assert_eq!(commits(&open(folder.path()).unwrap()), (1..=10).collect::<Vec<_>>());
    assert!(journals(folder.path()).len() <= 4, "{:?}", journals(folder.path()));
}

/// The child of the next test: the system lets no file grow over a limit.
fn fail_to_commit(folder: &Path) {
    let storage = open(folder).unwrap();
    commit(&storage, 1);
    let large = Bytes::from(vec![7; 60 << 20]);
    let too_much: Vec<_> = (2..5u8).map(|key| Write::put(Space::Actors, vec![key], large.clone())).collect();
    let error = storage.commit(&too_much).unwrap_err();
    assert!(matches!(error, StorageError::Io(_) | StorageError::DiskFull(_)), "{error}");
    let later = storage.commit(&[Write::put(Space::Actors, &b"later"[..], &b""[..])]).unwrap_err();
    assert_eq!(later, error, "the handle writes nothing more");
    assert_eq!(commits(&storage), [1], "what failed is not visible");
    drop(storage);
    let storage = open(folder).unwrap();
    assert_eq!(commits(&storage), [1], "opened anew in the same process");
    commit(&storage, 2);
}

#[test]
fn a_commit_that_the_system_refuses_ends_the_handle_and_leaves_the_rest() {
    if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
        return fail_to_commit(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    // Units are 512 or 1024 bytes, as the shell likes: more than one journal, less than the large commit.
    let limited = "trap '' XFSZ; ulimit -f 150000; exec \"$0\" \"$@\"";
    let child = Command::new("sh")
        .args(["-c", limited, std::env::current_exe().unwrap().to_str().unwrap()])
        .args(["--exact", "a_commit_that_the_system_refuses_ends_the_handle_and_leaves_the_rest"])
        .env(FOLDER_VARIABLE, folder.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(commits(&open(folder.path()).unwrap()), [1, 2]);
}
