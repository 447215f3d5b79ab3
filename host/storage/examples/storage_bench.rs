//! Measures storage on the disk of the given folder (default: the system's temporary folder, which must be on a real disk).
//!
//! `cargo run --release -p growqr-storage --example storage_bench [folder]`

#![allow(clippy::unwrap_used, reason = "a measurement that fails may panic")]

use growqr_storage::{
    CommitDone, CommitRequest, Committer, FjallOptions, FjallStorage, MemoryStorage, Space, Storage, Write,
};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const SEQUENTIAL_COMMITS: u64 = 3_000;
const SUBMITTERS: u64 = 64;
const COMMITS_PER_SUBMITTER: u64 = 1_000;
const ACTORS: u64 = 100_000;
const ACTORS_PER_COMMIT: u64 = 100;
const RAW_FILE_BYTES: u64 = 64 << 20;
/// About what a commit of three values of 200 bytes takes in a journal.
const RAW_RECORD_BYTES: usize = 800;

fn main() {
    let base = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(base).unwrap();
    raw_floor(folder.path());
    for name in ["first start", "second start", "third start"] {
        let storage = Arc::new(open(&folder.path().join("commits")));
        let mut number = 0;
        report(&format!("{name}: storage.commit, one after the other"), SEQUENTIAL_COMMITS, || {
            number += 1;
            storage.commit(&writes(number)).unwrap();
        });
        through_committer(name, &Committer::start(storage), number);
    }
    through_committer("no disk", &Committer::start(Arc::new(MemoryStorage::new())), 0);
    restart(&folder.path().join("actors"));
}

fn open(folder: &Path) -> FjallStorage {
    FjallStorage::open(folder, FjallOptions::default()).unwrap()
}

/// Three values of 200 bytes in a fresh order of keys, never the same value twice.
fn writes(number: u64) -> Vec<Write> {
    (0..3u64)
        .map(|part| {
            let actor = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let key = [actor.to_be_bytes(), part.to_be_bytes()].concat();
            Write::put(Space::Actors, key, number.to_le_bytes().repeat(25))
        })
        .collect()
}

/// The disk alone: what one flush costs when the file grows, when its blocks are not there yet, and when they are.
fn raw_floor(folder: &Path) {
    let record = [7; RAW_RECORD_BYTES];
    let create = |name: &str| OpenOptions::new().create_new(true).write(true).open(folder.join(name)).unwrap();
    let mut growing = create("growing");
    report("raw: append + fdatasync, file grows", SEQUENTIAL_COMMITS, || {
        growing.write_all(&record).unwrap();
        growing.sync_data().unwrap();
    });
    let overwrite = |name: &str, file: &File| {
        let mut position = 0;
        report(name, SEQUENTIAL_COMMITS, || {
            file.write_all_at(&record, position).unwrap();
            file.sync_data().unwrap();
            position += RAW_RECORD_BYTES as u64;
        });
    };
    let sparse = create("sparse");
    sparse.set_len(RAW_FILE_BYTES).unwrap();
    sparse.sync_all().unwrap();
    overwrite("raw: write + fdatasync, file has its length but no blocks", &sparse);
    let mut filled = create("filled");
    filled.write_all(&vec![0; RAW_FILE_BYTES as usize]).unwrap();
    filled.sync_all().unwrap();
    overwrite("raw: write + fdatasync, blocks are there", &filled);
}

fn report(name: &str, count: u64, mut action: impl FnMut()) {
    let cpu = cpu_time();
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let began = Instant::now();
            action();
            began.elapsed()
        })
        .collect();
    let cpu = cpu_time().saturating_sub(cpu);
    print_times(name, &mut times, cpu / count as u32);
}

fn print_times(name: &str, times: &mut [Duration], cpu: Duration) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_micros();
    println!(
        "{name:62} p50 {:5} us  p99 {:6} us  max {:6} us  cpu {:4} us",
        at(0.5),
        at(0.99),
        at(1.0),
        cpu.as_micros()
    );
}

/// Time that this process has kept processors busy.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn through_committer(name: &str, committer: &Committer, mut number: u64) {
    let (sender, receiver) = mpsc::channel();
    report(&format!("{name}: committer, one after the other"), SEQUENTIAL_COMMITS, || {
        number += 1;
        let sender = sender.clone();
        let done = CommitDone::call(move |result| sender.send(result).unwrap());
        committer.submit(CommitRequest { writes: writes(number), done });
        receiver.recv().unwrap().unwrap();
    });
    concurrent(name, committer);
    committer.stop();
}

fn concurrent(name: &str, committer: &Committer) {
    let (before, cpu, began) = (committer.stats(), cpu_time(), Instant::now());
    let threads: Vec<_> = (0..SUBMITTERS)
        .map(|thread| {
            let committer = committer.clone();
            std::thread::spawn(move || {
                let (sender, receiver) = mpsc::channel();
                (0..COMMITS_PER_SUBMITTER)
                    .map(|number| {
                        let began = Instant::now();
                        let sender = sender.clone();
                        let done = CommitDone::call(move |result| sender.send(result).unwrap());
                        committer.submit(CommitRequest { writes: writes(thread << 32 | number), done });
                        receiver.recv().unwrap().unwrap();
                        began.elapsed()
                    })
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let mut times: Vec<Duration> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let (took, cpu, after) = (began.elapsed(), cpu_time().saturating_sub(cpu), committer.stats());
    let turns = times.len();
    print_times(&format!("{name}: committer, {SUBMITTERS} submitters"), &mut times, cpu / turns as u32);
    let commits = after.commits - before.commits;
    println!(
        "{:62} {:.0} turns/s, {:.1} turns per fsync, commit mean {:?}",
        "",
        times.len() as f64 / took.as_secs_f64(),
        times.len() as f64 / commits as f64,
        (after.commit_time_sum - before.commit_time_sum) / commits as u32
    );
}

fn restart(folder: &Path) {
    let storage = open(folder);
    let began = Instant::now();
    for first in (0..ACTORS).step_by(ACTORS_PER_COMMIT as usize) {
        let batch: Vec<Write> = (first..first + ACTORS_PER_COMMIT).flat_map(writes).collect();
        storage.commit(&batch).unwrap();
    }
    println!("{ACTORS} actors written in {:?}, {} MiB on disk", began.elapsed(), storage.disk_bytes().unwrap() >> 20);
    drop(storage);
    // Closing writes nothing out, so this reads the same journal as after a kill.
    for round in 1..=3 {
        let journals = journal_mib(folder);
        let began = Instant::now();
        let storage = open(folder);
        println!("open {round}: {:?}, journals of {journals:?} MiB", began.elapsed());
        read(&storage);
    }
}

fn journal_mib(folder: &Path) -> Vec<u64> {
    let files = std::fs::read_dir(folder.join("store")).unwrap().map(|entry| entry.unwrap());
    let journals = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "jnl"));
    journals.map(|file| file.metadata().unwrap().len() >> 20).collect()
}

fn read(storage: &FjallStorage) {
    const READS: u64 = 10_000;
    let keys: Vec<_> = (0..READS).map(|number| writes(number * (ACTORS / READS)).swap_remove(1).key).collect();
    let began = Instant::now();
    assert!(keys.iter().all(|key| storage.get(Space::Actors, key).unwrap().is_some()));
    let got = began.elapsed() / READS as u32;
    let began = Instant::now();
    for key in &keys {
        let (start, end) = (&key[..8], [&key[..8], &[0xff]].concat());
        assert_eq!(storage.scan(Space::Actors, start, Some(&end), 100, false).unwrap().len(), 3);
    }
    println!("  get {got:?}, scan of an actor's three keys {:?}", began.elapsed() / READS as u32);
}
