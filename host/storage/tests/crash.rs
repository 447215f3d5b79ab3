//! `kill -9` at a random moment: what was acknowledged is there, and nothing is there in part.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use growqr_storage::{CommitDone, CommitRequest, Committer, FjallOptions, FjallStorage, Space, Storage, Write};
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};

const FOLDER_VARIABLE: &str = "GROWQR_STORAGE_CRASH_FOLDER";
const THREADS: u64 = 16;
const ROUNDS: u64 = 20;
/// Acknowledged commits after which a child may be killed; the round's number adds to it.
const ACKNOWLEDGED_MIN: usize = 20;

fn open(folder: &Path) -> FjallStorage {
    FjallStorage::open(folder, FjallOptions::default()).unwrap()
}

/// Three writes that belong together, in three spaces.
fn writes(thread: u64, number: u64) -> Vec<Write> {
    let key = || Bytes::from(format!("{thread:02}/{number:08}"));
    let value = Bytes::from(vec![(number % 251) as u8; 200]);
    [Space::Actors, Space::Directory, Space::Alarms].map(|space| Write::put(space, key(), value.clone())).into()
}

/// The child: commits until it is killed, and prints a line after each acknowledgement.
fn commit_until_killed(folder: &Path) {
    let storage = Arc::new(open(folder));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let first = storage
                .scan(Space::Actors, &prefix(thread), Some(&prefix(thread + 1)), usize::MAX, false)
                .unwrap()
                .len() as u64;
            (thread, first)
        })
        .collect();
    let committer = Committer::start(storage);
    let threads: Vec<_> = threads
        .into_iter()
        .map(|(thread, first)| {
            let committer = committer.clone();
            std::thread::spawn(move || {
                let (sender, receiver) = mpsc::channel();
                for number in first.. {
                    let sender = sender.clone();
                    let done = CommitDone::call(move |result| sender.send(result).unwrap());
                    committer.submit(CommitRequest { writes: writes(thread, number), done });
                    receiver.recv().unwrap().unwrap();
                    // One call, so that lines of several threads do not mix.
                    std::io::stdout().lock().write_all(format!("ack {thread} {number}\n").as_bytes()).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn prefix(thread: u64) -> Vec<u8> {
    format!("{thread:02}/").into_bytes()
}

/// Runs a child, kills it once it has acknowledged enough, and returns what it has acknowledged: per thread the number after the last.
fn run_and_kill(folder: &Path, round: u64, acknowledged: &mut [u64; THREADS as usize]) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill_nine_loses_no_acknowledged_commit", "--nocapture"])
        .env(FOLDER_VARIABLE, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let enough = ACKNOWLEDGED_MIN + (round as usize * 37) % 400;
    let mut count = 0;
    let mut note = |line: &str| {
        let mut words = line.split(' ');
        // The test harness prints before the first line; only whole lines of ours count.
        if words.next() != Some("ack") {
            return 0;
        }
        let mut number = || words.next().unwrap().trim().parse::<u64>().unwrap();
        let (thread, done) = (number() as usize, number());
        assert_eq!(done, acknowledged[thread], "round {round}: a number was used twice or left out");
        acknowledged[thread] = done + 1;
        1
    };
    let mut line = String::new();
    while count < enough {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "round {round}: the child ended by itself");
        count += note(line.strip_suffix('\n').unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    rest.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).for_each(|line| {
        note(line);
    });
}

#[test]
fn kill_nine_loses_no_acknowledged_commit() {
    if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
        return commit_until_killed(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = [0; THREADS as usize];
    for round in 0..ROUNDS {
        run_and_kill(folder.path(), round, &mut acknowledged);
        let storage = open(folder.path());
        for thread in 0..THREADS {
            let scan =
                |space| storage.scan(space, &prefix(thread), Some(&prefix(thread + 1)), usize::MAX, false).unwrap();
            let entries = scan(Space::Actors);
            let found = entries.len() as u64;
            let known = acknowledged[thread as usize];
            // Each thread has one commit under way at a time; that one may be there or not.
            assert!((known..=known + 1).contains(&found), "round {round}, thread {thread}: {found} of {known}");
            let expected: Vec<_> = (0..found)
                .map(|number| writes(thread, number).swap_remove(0))
                .map(|write| (write.key, write.value.unwrap()))
                .collect();
            assert_eq!(entries, expected, "round {round}, thread {thread}");
            assert_eq!(scan(Space::Directory), expected, "round {round}, thread {thread}: a commit in part");
            assert_eq!(scan(Space::Alarms), expected, "round {round}, thread {thread}: a commit in part");
            acknowledged[thread as usize] = found;
        }
    }
    assert!(acknowledged.iter().sum::<u64>() >= ROUNDS * ACKNOWLEDGED_MIN as u64);
}
