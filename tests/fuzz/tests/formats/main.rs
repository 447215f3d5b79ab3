//! The formats of every release are kept in `tests/fixtures/formats` and stay readable. Its `README.md` says how to add to them.
//!
//! Two things are tested: this code reads every file of every release and gets what the manifest says, and what it writes today is
//! byte for byte what the newest release's folder holds.

mod folder;
mod messages;
mod read;
mod records;

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The release whose formats this code writes.
const CURRENT: &str = "v1";
/// Says what each file of a release is.
const MANIFEST: &str = "manifest.json";
/// With this variable, samples that have no file yet are written. Nothing that is there is changed.
const WRITE: &str = "GROWQR_WRITE_FORMATS";

/// Bytes as this code writes them today.
pub struct Sample {
    /// Name of the file, below the release's folder.
    name: String,
    /// What reads it; see `read.rs`.
    kind: &'static str,
    bytes: Vec<u8>,
}

impl Sample {
    fn new(kind: &'static str, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: format!("{}/{name}.bin", kind.replace('.', "/")), kind, bytes: bytes.into() }
    }
}

fn formats() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/formats")
}

fn manifest(release: &Path) -> Map<String, Value> {
    let text = std::fs::read_to_string(release.join(MANIFEST)).unwrap_or_else(|_| "{}".to_owned());
    serde_json::from_str(&text).expect("a manifest is an object")
}

fn samples() -> Vec<Sample> {
    [records::samples(), messages::samples()].into_iter().flatten().collect()
}

/// Writes what is missing of the present release.
fn write_missing() {
    let release = formats().join(CURRENT);
    let mut manifest = manifest(&release);
    for sample in samples() {
        let path = release.join(&sample.name);
        if !path.exists() {
            std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder");
            std::fs::write(&path, &sample.bytes).expect("a file");
            let value = read::read(sample.kind, &sample.bytes).unwrap_or_else(|why| panic!("{}: {why}", sample.name));
            manifest.insert(sample.name, json!({"kind": sample.kind, "value": value}));
        }
    }
    let text = serde_json::to_string_pretty(&manifest).expect("a manifest") + "\n";
    std::fs::write(release.join(MANIFEST), text).expect("the manifest");
    folder::write_missing(&release);
}

/// Whether everything that the manifest says is so. What a later version has beside it is no contradiction.
fn agrees(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().all(|(name, value)| found.get(name).is_some_and(|found| agrees(value, found)))
        }
        (expected, found) => expected == found,
    }
}

#[test]
fn every_kept_release_is_read() {
    let mut releases = 0;
    for release in std::fs::read_dir(formats()).expect("the formats are there") {
        let release = release.expect("a folder").path();
        if !release.is_dir() {
            continue;
        }
        let manifest = manifest(&release);
        assert!(!manifest.is_empty(), "{} has no manifest", release.display());
        for (name, entry) in &manifest {
            let bytes = std::fs::read(release.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            let kind = entry["kind"].as_str().expect("a kind");
            let found = read::read(kind, &bytes).unwrap_or_else(|why| panic!("{name} can't be read: {why}"));
            assert!(agrees(&entry["value"], &found), "{name} says {found:#}, and the manifest {:#}", entry["value"]);
        }
        folder::check(&release);
        releases += 1;
    }
    assert!(releases > 0, "no release is kept");
}

#[test]
fn what_is_written_today_is_what_is_kept_of_this_release() {
    if std::env::var_os(WRITE).is_some() {
        write_missing();
    }
    let release = formats().join(CURRENT);
    let kept = manifest(&release);
    let samples = samples();
    for sample in &samples {
        let path = release.join(&sample.name);
        let bytes = std::fs::read(&path).unwrap_or_else(|_| {
            panic!("{} is not kept yet: run this test once with {WRITE}=1, and commit what it writes", sample.name)
        });
        assert!(
            bytes == sample.bytes,
            "{} is written in another way than release {CURRENT} wrote it. Old hosts can't read that, and old files must stay readable: \
             see tests/fixtures/formats/README.md\nkept:  {}\ntoday: {}",
            sample.name,
            hex::encode(&bytes),
            hex::encode(&sample.bytes)
        );
        assert!(kept.contains_key(&sample.name), "{} is missing in the manifest", sample.name);
    }
    let names: BTreeSet<&str> = samples.iter().map(|sample| sample.name.as_str()).collect();
    assert_eq!(names.len(), samples.len(), "two samples have one name");
    for name in kept.keys() {
        assert!(names.contains(name.as_str()), "{name} is kept, and nothing writes it any more");
    }
}

#[test]
fn every_kind_has_a_sample() {
    let sampled: BTreeSet<&str> = samples().iter().map(|sample| sample.kind).collect();
    let missing: Vec<_> = read::KINDS.iter().map(|(kind, _)| *kind).filter(|kind| !sampled.contains(kind)).collect();
    assert!(missing.is_empty(), "{missing:?} have no sample");
}

#[test]
fn a_changed_value_is_noticed() {
    let value = json!({"name": "a", "due": 5});
    for (found, expected) in [
        (json!({"name": "a", "due": 5}), true),
        (json!({"name": "a", "due": 5, "new": 1}), true),
        (json!({"name": "a", "due": 6}), false),
        (json!({"name": "a"}), false),
        (json!([1]), false),
    ] {
        assert_eq!(agrees(&value, &found), expected, "{found}");
    }
}
