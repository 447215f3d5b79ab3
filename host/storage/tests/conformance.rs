//! One suite for every storage: the same cases in memory and on disk.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use growqr_storage::{Entries, FjallOptions, FjallStorage, MemoryStorage, Space, Storage, StorageError, Write};
use std::path::Path;

/// A storage that can be closed and opened again.
trait Medium {
    fn storage(&self) -> &dyn Storage;
    fn reopen(&mut self);
}

struct Memory(MemoryStorage);

impl Medium for Memory {
    fn storage(&self) -> &dyn Storage {
        &self.0
    }
    fn reopen(&mut self) {
        self.0 = self.0.reopen();
    }
}

struct Disk {
    storage: Option<FjallStorage>,
    folder: tempfile::TempDir,
}

fn open(folder: &Path) -> FjallStorage {
    FjallStorage::open(folder, FjallOptions::default()).unwrap()
}

impl Medium for Disk {
    fn storage(&self) -> &dyn Storage {
        self.storage.as_ref().unwrap()
    }
    fn reopen(&mut self) {
        self.storage = None;
        self.storage = Some(open(self.folder.path()));
    }
}

/// What a case does, in order.
enum Step {
    Commit(Vec<Write>),
    Refused(Vec<Write>),
    Get(Space, &'static [u8], Option<Bytes>),
    /// Start, end, limit, reverse, and the keys that come.
    Scan(&'static [u8], Option<&'static [u8]>, usize, bool, Vec<&'static [u8]>),
    Reopen,
}
use Space::{Actors, Alarms, Directory, Host};
use Step::{Commit, Get, Refused, Reopen, Scan};

fn put(space: Space, key: &'static [u8], value: &'static [u8]) -> Write {
    Write::put(space, key, value)
}

fn delete(space: Space, key: &'static [u8]) -> Write {
    Write::delete(space, key)
}

fn value(text: &'static [u8]) -> Option<Bytes> {
    Some(Bytes::from_static(text))
}

/// Entries whose value is the key.
fn puts(keys: &[&'static [u8]]) -> Step {
    Commit(keys.iter().map(|key| put(Actors, key, key)).collect())
}

fn check(name: &str, steps: &[Step]) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk { storage: Some(open(folder.path())), folder };
    let media: [(&str, Box<dyn Medium>); 2] =
        [("memory", Box::new(Memory(MemoryStorage::new()))), ("disk", Box::new(disk))];
    for (kind, mut medium) in media {
        for (number, step) in steps.iter().enumerate() {
            let at = format!("{name}, {kind}, step {number}");
            let storage = medium.storage();
            match step {
                Commit(writes) => storage.commit(writes).expect(&at),
                Refused(writes) => {
                    let error = storage.commit(writes).expect_err(&at);
                    assert!(error.is_refusal(), "{at}: {error}");
                }
                Get(space, key, expected) => assert_eq!(&storage.get(*space, key).expect(&at), expected, "{at}"),
                Scan(start, end, limit, reverse, expected) => {
                    let entries = storage.scan(Actors, start, *end, *limit, *reverse).expect(&at);
                    let wanted: Entries =
                        expected.iter().map(|key| (Bytes::from_static(key), Bytes::from_static(key))).collect();
                    assert_eq!(entries, wanted, "{at}");
                }
                Reopen => medium.reopen(),
            }
        }
    }
}

const ALL: usize = usize::MAX;

#[test]
fn reads_and_writes() {
    check("a missing key is none", &[Get(Actors, b"a", None)]);
    check(
        "an overwrite replaces the value, in the next commit and within one",
        &[
            Commit(vec![put(Actors, b"a", b"1")]),
            Commit(vec![put(Actors, b"a", b"2")]),
            Get(Actors, b"a", value(b"2")),
            Commit(vec![put(Actors, b"a", b"3"), put(Actors, b"a", b"4")]),
            Get(Actors, b"a", value(b"4")),
            Reopen,
            Get(Actors, b"a", value(b"4")),
        ],
    );
    check(
        "the last of several writes to a key counts, deletes included",
        &[
            Commit(vec![put(Actors, b"a", b"1"), delete(Actors, b"a"), delete(Actors, b"b"), put(Actors, b"b", b"b")]),
            Get(Actors, b"a", None),
            Get(Actors, b"b", value(b"b")),
            Scan(b"", None, ALL, false, vec![b"b"]),
            Reopen,
            Get(Actors, b"a", None),
            Scan(b"", None, ALL, false, vec![b"b"]),
        ],
    );
    check(
        "a deleted key is gone, also after a restart, and can come back",
        &[
            Commit(vec![put(Actors, b"a", b"1")]),
            Reopen,
            Commit(vec![delete(Actors, b"a"), delete(Actors, b"never")]),
            Get(Actors, b"a", None),
            Reopen,
            Get(Actors, b"a", None),
            Commit(vec![put(Actors, b"a", b"2")]),
            Reopen,
            Get(Actors, b"a", value(b"2")),
        ],
    );
    check(
        "an empty value is not a missing one",
        &[Commit(vec![put(Actors, b"a", b"")]), Reopen, Get(Actors, b"a", value(b""))],
    );
    check("a commit without writes changes nothing", &[Commit(vec![]), Reopen, Commit(vec![])]);
}

#[test]
fn spaces() {
    check(
        "spaces keep the same key apart, and one commit writes to all of them",
        &[
            Commit(vec![
                put(Actors, b"k", b"1"),
                put(Directory, b"k", b"2"),
                put(Alarms, b"k", b"3"),
                put(Host, b"k", b"4"),
            ]),
            Commit(vec![delete(Directory, b"k")]),
            Reopen,
            Get(Actors, b"k", value(b"1")),
            Get(Directory, b"k", None),
            Get(Alarms, b"k", value(b"3")),
            Get(Host, b"k", value(b"4")),
        ],
    );
}

#[test]
fn scans() {
    let keys: [&[u8]; 5] = [b"a", b"b", b"b\x00", b"b\xff", b"c"];
    let case = |name: &str, scan: fn() -> Step| check(name, &[puts(&keys), scan(), Reopen, scan()]);
    case("everything in key order", || Scan(b"", None, ALL, false, vec![b"a", b"b", b"b\x00", b"b\xff", b"c"]));
    case("everything in reverse", || Scan(b"", None, ALL, true, vec![b"c", b"b\xff", b"b\x00", b"b", b"a"]));
    case("the start is included and the end is not", || {
        Scan(b"b", Some(b"c"), ALL, false, vec![b"b", b"b\x00", b"b\xff"])
    });
    case("bounds that are no keys", || Scan(b"aa", Some(b"bb"), ALL, false, vec![b"b", b"b\x00"]));
    case("a limit takes the first ones", || Scan(b"b", None, 2, false, vec![b"b", b"b\x00"]));
    case("a limit takes the last ones in reverse", || Scan(b"a", Some(b"c"), 2, true, vec![b"b\xff", b"b\x00"]));
    case("a limit of nothing", || Scan(b"", None, 0, false, vec![]));
    case("an empty range", || Scan(b"b", Some(b"b"), ALL, false, vec![]));
    case("an inverted range", || Scan(b"c", Some(b"a"), ALL, true, vec![]));
    case("after the last key", || Scan(b"d", None, ALL, false, vec![]));
    check(
        "a prefix of 0xff bytes has no upper bound",
        &[
            puts(&[b"\xfe", b"\xff", b"\xff\x00", b"\xff\xff", b"\xff\xff\xff"]),
            Scan(b"\xff\xff", None, ALL, false, vec![b"\xff\xff", b"\xff\xff\xff"]),
            Scan(b"\xff", Some(b"\xff\xff"), ALL, true, vec![b"\xff\x00", b"\xff"]),
        ],
    );
}

#[test]
fn sizes() {
    let big = |byte: u8| Bytes::from(vec![byte; 1 << 20]);
    let long_key = |length: usize| Bytes::from(vec![b'k'; length]);
    check(
        "values of 1 MiB",
        &[
            Commit((0..8u8).map(|byte| Write::put(Actors, vec![byte], big(byte))).collect()),
            Get(Actors, &[7], Some(big(7))),
            Reopen,
            Get(Actors, &[0], Some(big(0))),
            Get(Actors, &[7], Some(big(7))),
        ],
    );
    check(
        "an empty key is refused, and storage goes on",
        &[
            Refused(vec![put(Actors, b"a", b"1"), put(Actors, b"", b"1")]),
            Refused(vec![delete(Actors, b"")]),
            Get(Actors, b"", None),
            Get(Actors, b"a", None),
            Commit(vec![put(Actors, b"a", b"2")]),
            Get(Actors, b"a", value(b"2")),
        ],
    );
    check(
        "the longest key is taken and a longer one refused",
        &[
            Commit(vec![Write::put(Actors, long_key(65_535), &b"1"[..])]),
            Refused(vec![Write::put(Actors, long_key(65_536), &b"1"[..])]),
            Reopen,
            Commit(vec![Write::delete(Actors, long_key(65_535))]),
            Scan(b"", None, ALL, false, vec![]),
        ],
    );
}

#[test]
fn a_value_over_the_limit_is_refused() {
    let value = Bytes::from(vec![0; growqr_storage::STORAGE_VALUE_BYTES_MAX + 1]);
    let error = Write::put(Actors, &b"a"[..], value).check().unwrap_err();
    assert!(matches!(error, StorageError::Refused(_)), "{error}");
}
