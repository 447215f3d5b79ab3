//! Storage in memory, for tests and the simulator, with faults on demand.
//!
//! It behaves like the one on disk: a handle is dead for writing after a failed commit, and [`MemoryStorage::reopen`] finds what
//! the "disk" holds. It reads no clock and draws no random number: the caller says which commit has which fault.

use crate::sectors::Tail;
use crate::{Entries, Space, Storage, StorageError, Write};
use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// What happens to one commit.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An error; after reopening nothing of the commit is there.
    Lost,
    /// An error; after reopening the commit is there.
    Kept,
    /// An error; power failed after so many writes had reached the disk. Reopening finds an incomplete commit and drops it.
    Torn(usize),
    /// An error; power failed while the commit's sectors reached the disk in an order of their own. The bits say of one after the
    /// other whether it had arrived. Reopening finds the commit only if all had.
    Reordered(u64),
    /// The disk is full: an error, nothing is there.
    DiskFull,
    /// The storage engine panics; nothing is there.
    Panic,
    /// Succeeds, after that time.
    Delay(Duration),
    /// Succeeds once the gate is open.
    Wait(Arc<Gate>),
}

/// Holds commits back until a test opens it.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    open: bool,
    waiting: usize,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Arc<Self> {
        Arc::default()
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.state.lock().open = true;
        self.changed.notify_all();
    }

    /// Returns when so many commits wait at the gate.
    pub fn wait_until_waiting(&self, count: usize) {
        let mut state = self.state.lock();
        while state.waiting < count {
            self.changed.wait(&mut state);
        }
    }

    fn pass(&self) {
        let mut state = self.state.lock();
        state.waiting += 1;
        self.changed.notify_all();
        while !state.open {
            self.changed.wait(&mut state);
        }
        state.waiting -= 1;
    }
}

type Maps = [BTreeMap<Bytes, Bytes>; Space::ALL.len()];

#[derive(Default)]
struct State {
    maps: Maps,
    /// The last commit as far as it reached the disk, when it failed.
    tail: Option<Tail>,
    failed: Option<StorageError>,
    commits: u64,
}

type FaultPlan = Box<dyn FnMut(u64) -> Option<Fault> + Send>;

/// Storage in memory. Clones share one handle; [`MemoryStorage::reopen`] gives a new one on the same "disk".
#[derive(Clone)]
pub struct MemoryStorage {
    state: Arc<RwLock<State>>,
    faults: Arc<Mutex<FaultPlan>>,
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStorage {
    /// Empty, without faults.
    pub fn new() -> Self {
        Self::with_faults(|_| None)
    }

    /// Empty; `plan` is asked before each commit that has writes, with the commit's number on this handle, counted from 1.
    pub fn with_faults(plan: impl FnMut(u64) -> Option<Fault> + Send + 'static) -> Self {
        Self { state: Arc::default(), faults: Arc::new(Mutex::new(Box::new(plan))) }
    }

    /// Empty; the commit with that number, counted from 1, has the fault.
    pub fn with_fault(number: u64, fault: Fault) -> Self {
        Self::with_faults(move |commit| (commit == number).then(|| fault.clone()))
    }

    /// Opens the same "disk" anew, without faults, as after a crash: what was committed is there, and of a commit that failed all or nothing.
    pub fn reopen(&self) -> Self {
        self.reopen_with_faults(|_| None)
    }

    /// [`MemoryStorage::reopen`] with faults.
    pub fn reopen_with_faults(&self, plan: impl FnMut(u64) -> Option<Fault> + Send + 'static) -> Self {
        let state = self.state.read();
        let mut maps = state.maps.clone();
        if let Some(tail) = &state.tail {
            apply(&mut maps, &[&tail.recovered()]);
        }
        let state = State { maps, ..State::default() };
        Self { state: Arc::new(RwLock::new(state)), faults: Arc::new(Mutex::new(Box::new(plan))) }
    }

    /// Commits with writes that were tried on this handle; each would be one fsync.
    pub fn commits(&self) -> u64 {
        self.state.read().commits
    }
}

fn apply(maps: &mut Maps, groups: &[&[Write]]) {
    for write in groups.iter().copied().flatten() {
        let map = &mut maps[write.space.index()];
        match &write.value {
            Some(value) => map.insert(write.key.clone(), value.clone()),
            None => map.remove(&write.key),
        };
    }
}

impl Storage for MemoryStorage {
    fn commit_groups(&self, groups: &[&[Write]]) -> Result<(), StorageError> {
        let writes = || groups.iter().copied().flatten();
        writes().try_for_each(Write::check)?;
        let number = {
            let mut state = self.state.write();
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if writes().next().is_none() {
                return Ok(());
            }
            state.commits += 1;
            state.commits
        };
        // Taken before the lock, so that readers go on while a commit is held back.
        let fault = (self.faults.lock())(number);
        match &fault {
            Some(Fault::Delay(time)) => std::thread::sleep(*time),
            Some(Fault::Wait(gate)) => gate.pass(),
            _ => {}
        }
        let mut state = self.state.write();
        let failure = |text: &str| StorageError::Io(format!("commit {number}: {text}"));
        let (error, tail) = match fault {
            None | Some(Fault::Delay(_) | Fault::Wait(_)) => {
                apply(&mut state.maps, groups);
                return Ok(());
            }
            Some(Fault::Lost) => (failure("the flush failed"), None),
            Some(Fault::DiskFull) => (StorageError::DiskFull(format!("commit {number}")), None),
            Some(Fault::Panic) => {
                state.failed = Some(failure("the storage engine panicked"));
                drop(state);
                panic!("commit {number}: an injected panic");
            }
            Some(Fault::Kept) => (failure("the flush failed"), Some(Tail::kept(groups))),
            Some(Fault::Torn(count)) => (failure("power failed"), Some(Tail::torn(groups, count))),
            Some(Fault::Reordered(arrived)) => (failure("power failed"), Some(Tail::reordered(groups, arrived))),
        };
        state.tail = tail;
        state.failed = Some(error.clone());
        Err(error)
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(self.state.read().maps[space.index()].get(key).cloned())
    }

    fn scan(
        &self,
        space: Space,
        start: &[u8],
        end: Option<&[u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Entries, StorageError> {
        if end.is_some_and(|end| end <= start) {
            return Ok(Entries::new());
        }
        let state = self.state.read();
        let bounds = (Bound::Included(start), end.map_or(Bound::Unbounded, Bound::Excluded));
        let range = state.maps[space.index()].range::<[u8], _>(bounds).map(|(key, value)| (key.clone(), value.clone()));
        Ok(if reverse { range.rev().take(limit).collect() } else { range.take(limit).collect() })
    }
}
