//! The committer: order, groups, failures, bounds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use growqr_storage::{
    CommitDone, CommitListener, CommitRequest, Committer, Fault, Gate, MemoryStorage, Space, Storage, StorageError,
    Write,
};
use growqr_types::limits::{COMMIT_BYTES_MAX, COMMIT_TURNS_MAX, COMMITTER_QUEUE_MAX};
use std::sync::{Arc, Mutex, mpsc};

/// Notes the answers in their order.
#[derive(Default)]
struct Answers(Mutex<Vec<(u64, Result<(), StorageError>)>>);

impl CommitListener for Answers {
    fn committed(&self, ticket: u64, result: Result<(), StorageError>) {
        self.0.lock().unwrap().push((ticket, result));
    }
}

impl Answers {
    fn take(&self) -> Vec<(u64, Result<(), StorageError>)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
    fn tickets(&self) -> Vec<u64> {
        self.take().into_iter().map(|(ticket, result)| result.map(|()| ticket).unwrap()).collect()
    }
}

struct Bench {
    storage: MemoryStorage,
    committer: Committer,
    answers: Arc<Answers>,
}

impl Bench {
    fn new(storage: MemoryStorage) -> Self {
        let committer = Committer::start(Arc::new(storage.clone()));
        Self { storage, committer, answers: Arc::default() }
    }

    /// The first commit waits at the gate, so that what is submitted meanwhile gathers.
    fn held() -> (Self, Arc<Gate>) {
        let gate = Gate::closed();
        let bench = Self::new(MemoryStorage::with_fault(1, Fault::Wait(gate.clone())));
        bench.put(0);
        gate.wait_until_waiting(1);
        (bench, gate)
    }

    fn submit(&self, ticket: u64, writes: Vec<Write>) {
        let listener: Arc<dyn CommitListener> = self.answers.clone();
        self.committer.submit(CommitRequest { writes, done: CommitDone::Ticket(listener, ticket) });
    }

    fn put(&self, ticket: u64) {
        self.submit(ticket, vec![write(ticket)]);
    }

    fn has(&self, ticket: u64) -> bool {
        self.storage.reopen().get(Space::Actors, &ticket.to_be_bytes()).unwrap().is_some()
    }
}

fn write(ticket: u64) -> Write {
    Write::put(Space::Actors, ticket.to_be_bytes().to_vec(), &b"value"[..])
}

#[test]
fn what_waits_while_a_commit_runs_becomes_one_commit_answered_in_order() {
    let (bench, gate) = Bench::held();
    (1..=64).for_each(|ticket| bench.put(ticket));
    assert_eq!(bench.answers.take(), [], "nothing is answered before its commit has ended");
    gate.open();
    bench.committer.stop();
    assert_eq!(bench.answers.tickets(), (0..=64).collect::<Vec<_>>());
    assert_eq!(bench.storage.commits(), 2);
    let stats = bench.committer.stats();
    assert_eq!((stats.commits, stats.turns, stats.largest_group_turns), (2, 65, 64));
    assert_eq!(stats.bytes, 65 * (8 + 5));
    assert_eq!(stats.commit_time_buckets.iter().sum::<u64>(), 2);
    assert!((0..=64).all(|ticket| bench.has(ticket)));
}

#[test]
fn requests_without_writes_keep_their_place_and_cost_no_fsync() {
    let (bench, gate) = Bench::held();
    bench.submit(1, vec![]);
    bench.put(2);
    bench.submit(3, vec![]);
    assert_eq!(bench.answers.take(), [], "a request without writes waits for those before it");
    gate.open();
    bench.committer.stop();
    assert_eq!(bench.answers.tickets(), [0, 1, 2, 3]);
    assert_eq!(bench.storage.commits(), 2);
}

#[test]
fn a_request_without_writes_is_answered_at_once_when_nothing_is_before_it() {
    let bench = Bench::new(MemoryStorage::new());
    bench.submit(1, vec![]);
    assert_eq!(bench.answers.tickets(), [1]);
    assert_eq!(bench.storage.commits(), 0);
}

#[test]
fn a_request_without_writes_does_not_wait_for_those_after_it() {
    let gates = [Gate::closed(), Gate::closed()];
    let plan = gates.clone();
    let bench = Bench::new(MemoryStorage::with_faults(move |number| {
        plan.get(number as usize - 1).map(|gate| Fault::Wait(gate.clone()))
    }));
    bench.put(0);
    gates[0].wait_until_waiting(1);
    bench.submit(1, vec![]);
    bench.put(2);
    gates[0].open();
    gates[1].wait_until_waiting(1);
    assert_eq!(bench.answers.tickets(), [0, 1]);
    gates[1].open();
    bench.committer.stop();
    assert_eq!(bench.answers.tickets(), [2]);
}

#[test]
fn groups_keep_to_their_limits() {
    let check = |name: &str, writes: &dyn Fn(u64) -> Vec<Write>, requests: u64, commits: u64| {
        let (bench, gate) = Bench::held();
        (1..=requests).for_each(|ticket| bench.submit(ticket, writes(ticket)));
        gate.open();
        bench.committer.stop();
        assert_eq!(bench.answers.tickets(), (0..=requests).collect::<Vec<_>>(), "{name}");
        assert_eq!(bench.storage.commits() - 1, commits, "{name}");
    };
    let turns = COMMIT_TURNS_MAX as u64;
    check("as many turns as allowed", &|ticket| vec![write(ticket)], turns, 1);
    check("one turn more", &|ticket| vec![write(ticket)], turns + 1, 2);
    let third = Bytes::from(vec![0; COMMIT_BYTES_MAX / 3]);
    check("bytes", &|ticket| vec![Write::put(Space::Actors, ticket.to_be_bytes().to_vec(), third.clone())], 4, 2);
    let half = Bytes::from(vec![0; COMMIT_BYTES_MAX / 2]);
    let too_large =
        |ticket: u64| (0..3).map(|part| Write::put(Space::Actors, vec![ticket as u8, part], half.clone())).collect();
    check("requests over the limit go alone", &too_large, 2, 2);
}

#[test]
fn a_failed_commit_poisons_the_committer() {
    let check = |name: &str, fault: Fault, there: bool| {
        let gate = Gate::closed();
        let (first, second) = (gate.clone(), fault);
        let bench = Bench::new(MemoryStorage::with_faults(move |number| match number {
            1 => Some(Fault::Wait(first.clone())),
            2 => Some(second.clone()),
            _ => None,
        }));
        bench.put(0);
        gate.wait_until_waiting(1);
        // Tickets 1..=COMMIT_TURNS_MAX go in the commit that fails, the others wait behind it.
        let last = COMMIT_TURNS_MAX as u64 + 2;
        (1..last).for_each(|ticket| bench.put(ticket));
        bench.submit(last, vec![]);
        assert_eq!(bench.committer.failed(), None, "{name}");
        gate.open();
        bench.committer.stop();
        bench.put(last + 1);
        let answers = bench.answers.take();
        assert_eq!(answers.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), (0..=last + 1).collect::<Vec<_>>());
        let error = bench.committer.failed().expect(name);
        for (ticket, result) in answers {
            let expected = if ticket == 0 { Ok(()) } else { Err(error.clone()) };
            assert_eq!(result, expected, "{name}: {ticket}");
        }
        assert_eq!(bench.storage.commits(), 2, "{name}: storage is not touched after the failure");
        assert!(bench.has(0), "{name}");
        assert_eq!(bench.has(1), there, "{name}");
        assert_eq!(bench.has(COMMIT_TURNS_MAX as u64), there, "{name}: all or nothing");
        assert!(!bench.has(last - 1), "{name}: never submitted to storage");
    };
    check("lost", Fault::Lost, false);
    check("kept", Fault::Kept, true);
    check("torn", Fault::Torn(5), false);
    check("torn after all of it", Fault::Torn(COMMIT_TURNS_MAX), true);
    check("reordered, the first part missing", Fault::Reordered(!1), false);
    check("reordered, every second part missing", Fault::Reordered(0x5555_5555_5555_5555), false);
    check("reordered, and all arrived", Fault::Reordered(u64::MAX), true);
    check("disk full", Fault::DiskFull, false);
    check("panic", Fault::Panic, false);
}

#[test]
fn a_full_queue_refuses_and_goes_on_later() {
    let (bench, gate) = Bench::held();
    let full = COMMITTER_QUEUE_MAX as u64;
    (1..full).for_each(|ticket| bench.put(ticket));
    assert_eq!(bench.answers.take(), []);
    bench.put(full);
    let refused = bench.answers.take();
    assert!(matches!(&refused[..], [(ticket, Err(StorageError::Refused(_)))] if *ticket == full), "{refused:?}");
    gate.open();
    let (sender, receiver) = mpsc::channel();
    // A place is free once the first answer is given; until then the request is refused again.
    loop {
        let sender = sender.clone();
        let done = CommitDone::call(move |result| sender.send(result).unwrap());
        bench.committer.submit(CommitRequest { writes: vec![write(full)], done });
        match receiver.recv().unwrap() {
            Ok(()) => break,
            Err(error) => assert!(error.is_refusal(), "{error}"),
        }
    }
    bench.committer.stop();
    assert_eq!(bench.answers.tickets(), (0..full).collect::<Vec<_>>());
    assert!(bench.has(full));
    assert_eq!(bench.committer.failed(), None);
}

#[test]
fn impossible_writes_are_refused_without_harm() {
    let bench = Bench::new(MemoryStorage::new());
    bench.submit(1, vec![write(1), Write::delete(Space::Host, Bytes::new())]);
    let answers = bench.answers.take();
    assert!(matches!(&answers[..], [(1, Err(StorageError::Refused(_)))]), "{answers:?}");
    bench.put(2);
    bench.committer.stop();
    assert_eq!(bench.answers.tickets(), [2]);
    assert!(!bench.has(1));
}

#[test]
fn stopping_finishes_what_waits_and_refuses_the_rest() {
    let (bench, gate) = Bench::held();
    bench.put(1);
    let stopper = bench.committer.clone();
    let stopped = std::thread::spawn(move || stopper.stop());
    gate.open();
    stopped.join().unwrap();
    assert_eq!(bench.answers.tickets(), [0, 1]);
    bench.put(2);
    let answers = bench.answers.take();
    assert!(matches!(&answers[..], [(2, Err(StorageError::Refused(_)))]), "{answers:?}");
    assert_eq!(bench.committer.failed(), None);
}

#[test]
fn dropping_the_last_handle_finishes_what_waits_and_lets_go_of_storage() {
    let (bench, gate) = Bench::held();
    let (sender, receiver) = mpsc::channel();
    let done = CommitDone::call(move |result| sender.send(result).unwrap());
    bench.committer.submit(CommitRequest { writes: vec![write(1)], done });
    drop(bench.committer);
    gate.open();
    assert_eq!(receiver.recv().unwrap(), Ok(()));
}

#[test]
fn a_panic_in_an_answer_hurts_nobody_else() {
    let (bench, gate) = Bench::held();
    let done = CommitDone::call(|_| panic!("an answer that panics"));
    bench.committer.submit(CommitRequest { writes: vec![write(1)], done });
    bench.put(2);
    gate.open();
    bench.committer.stop();
    assert_eq!(bench.answers.tickets(), [0, 2]);
}

#[test]
fn an_answer_may_come_from_many_threads_and_each_sees_its_own_order() {
    let bench = Arc::new(Bench::new(MemoryStorage::new()));
    let threads: Vec<_> = (0..8u64)
        .map(|thread| {
            let bench = bench.clone();
            std::thread::spawn(move || {
                (0..500).for_each(|number| {
                    bench.submit(
                        thread << 32 | number,
                        if number % 3 == 0 { vec![] } else { vec![write(thread << 32 | number)] },
                    )
                })
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    bench.committer.stop();
    let tickets = bench.answers.tickets();
    assert_eq!(tickets.len(), 4000);
    for thread in 0..8 {
        let own: Vec<_> =
            tickets.iter().filter(|ticket| *ticket >> 32 == thread).map(|ticket| ticket & 0xffff_ffff).collect();
        assert_eq!(own, (0..500).collect::<Vec<_>>());
    }
    assert_eq!(bench.committer.unanswered(), 0);
}
