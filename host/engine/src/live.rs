//! Which actors run, and their starts and stops.
//!
//! Invariant: whoever starts or stops an actor holds its slot's lock, so one actor is never started twice at a time. A slot that was
//! taken out of the table is retired: who still holds it looks for the new one.

use crate::Inner;
use crate::record::{self, StoredActor};
use crate::spool::Numbering;
use crate::store::unreadable;
use bytes::Bytes;
use growqr_seam::{ActorStart, RuntimeHost, StopReason};
use growqr_storage::{Space, StorageError, Write};
use growqr_types::{ActorId, Failure, Generation, TimestampMs, codes};
use parking_lot::Mutex as SyncMutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use tokio::sync::Mutex;

/// How often one request starts an actor that stops before it could take the request.
pub(crate) const STARTS_MAX: usize = 16;
/// An alarm that is always due: a destruction is to be finished.
const ALARM_NOW: TimestampMs = 1;
/// Keys that one commit of a destruction removes.
const REMOVE_CHUNK: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Running,
    Retired,
}

/// An actor that runs or is about to.
pub(crate) struct Slot {
    state: Mutex<State>,
    /// The generation whose commits are taken; 0 for none.
    pub generation: AtomicU32,
    /// The generation is stored.
    pub generation_stored: AtomicBool,
    started: AtomicU64,
    pub alarm: SyncMutex<Option<TimestampMs>>,
    /// The actor is being destroyed.
    destroying: AtomicBool,
    /// How far the actor's rows for the database are numbered; none when there is no database.
    pub numbering: SyncMutex<Option<Numbering>>,
    /// The version of the code that runs it.
    pub version: SyncMutex<Option<String>>,
}

impl Slot {
    fn new() -> Self {
        Self {
            state: Mutex::new(State::Idle),
            generation: AtomicU32::new(0),
            generation_stored: AtomicBool::new(false),
            started: AtomicU64::new(0),
            alarm: SyncMutex::new(None),
            destroying: AtomicBool::new(false),
            numbering: SyncMutex::new(None),
            version: SyncMutex::new(None),
        }
    }

    /// Since when the actor runs.
    pub fn started(&self) -> Option<TimestampMs> {
        Some(self.started.load(Ordering::Acquire)).filter(|at| *at > 0)
    }
}

impl Inner {
    pub(crate) fn runtime(&self) -> Result<&Arc<dyn RuntimeHost>, Failure> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(codes::RESTARTING.failure());
        }
        self.runtime.get().ok_or_else(|| codes::RESTARTING.failure())
    }

    fn slot(&self, id: ActorId) -> Arc<Slot> {
        if let Some(slot) = self.slots.get(&id) {
            return slot.clone();
        }
        self.slots.entry(id).or_insert_with(|| Arc::new(Slot::new())).clone()
    }

    /// Takes no more commits of the generation that runs.
    pub(crate) fn fence(&self, id: ActorId) {
        if let Some(slot) = self.slots.get(&id) {
            slot.generation.store(0, Ordering::Release);
        }
    }

    /// Starts an actor unless it runs.
    pub(crate) async fn ensure_started(self: &Arc<Self>, id: ActorId) -> Result<(), Failure> {
        self.runtime()?;
        loop {
            let slot = self.slot(id);
            let mut state = slot.state.lock().await;
            match *state {
                State::Retired => continue,
                State::Running if self.runtime()?.runs(id) => return Ok(()),
                // It has ended by itself. What it had submitted is on its way still, and must be there when it is read anew.
                State::Running => self.settle().await?,
                State::Idle => {}
            }
            let started = match self.stored(id) {
                Ok(Some(actor)) if !actor.destroying => self.start(id, &slot, &actor).await,
                Ok(_) => Err(codes::ACTOR_NOT_FOUND.failure()),
                Err(failure) => Err(failure),
            };
            match started {
                Ok(()) => *state = State::Running,
                Err(_) => {
                    // The hooks before the one that failed may have written.
                    let settled = self.settle().await;
                    self.retire(id, &mut state);
                    settled?;
                }
            }
            return started;
        }
    }

    /// Waits until everything that was submitted is durable.
    async fn settle(&self) -> Result<(), Failure> {
        self.store.commit(Vec::new()).await.map_err(|_| codes::RESTARTING.failure())
    }

    fn retire(&self, id: ActorId, state: &mut State) {
        *state = State::Retired;
        self.slots.remove(&id);
    }

    async fn start(self: &Arc<Self>, id: ActorId, slot: &Slot, actor: &StoredActor) -> Result<(), Failure> {
        if self.store.failed().is_some() {
            // What can be read now may lack a commit that failed and is on disk all the same. The actor starts from what is there when
            // storage has been opened anew.
            return Err(codes::RESTARTING.failure());
        }
        let read = |key: Bytes| self.store.get(Space::Directory, &key).map_err(|error| unreadable(&error));
        let stored = read(record::generation_key(id))?.and_then(|bytes| record::read_u32(&bytes)).unwrap_or(0);
        let generation: Generation = stored.saturating_add(1);
        *slot.alarm.lock() = read(record::alarm_of_key(id))?.and_then(|bytes| record::read_u64(&bytes));
        self.begin_numbering(id, slot, actor)?;
        slot.generation.store(generation, Ordering::Release);
        slot.generation_stored.store(false, Ordering::Release);
        let start = ActorStart {
            actor: id,
            generation,
            name: actor.name.clone(),
            key: actor.key.clone(),
            namespace: actor.namespace.clone(),
            region: self.region.clone(),
            created: actor.created,
            input: self.input(id)?,
        };
        let started = self.runtime()?.start(start).await;
        match &started {
            Ok(()) => slot.started.store((self.clock)().max(1), Ordering::Release),
            Err(_) => slot.generation.store(0, Ordering::Release),
        }
        started
    }

    /// Stops an actor if it runs (in this generation, when one is given), and answers when it is gone.
    pub(crate) async fn stop(self: &Arc<Self>, id: ActorId, generation: Option<Generation>, reason: StopReason) {
        let Some(slot) = self.slots.get(&id).map(|slot| slot.clone()) else { return };
        let mut state = slot.state.lock().await;
        let current = slot.generation.load(Ordering::Acquire);
        // A fenced generation is stopped as well, whatever number it had.
        if *state != State::Running || generation.is_some_and(|generation| current != 0 && generation != current) {
            return;
        }
        if let Some(runtime) = self.runtime.get()
            && !runtime.stop(id, generation.unwrap_or(current), reason).await
        {
            return;
        }
        slot.generation.store(0, Ordering::Release);
        let overdue = slot.alarm.lock().filter(|alarm| self.alarms.lock().is_past(*alarm, id));
        self.retire(id, &mut state);
        drop(state);
        self.remember_asleep(id);
        if overdue.is_some() && reason == StopReason::Sleep {
            // Its alarm came while it was going to sleep.
            let inner = self.clone();
            tokio::spawn(async move { inner.wake_for_alarm(id).await });
        }
    }

    pub(crate) async fn stop_all(self: &Arc<Self>, reason: StopReason) {
        let mut ids: Vec<ActorId> = self.slots.iter().map(|entry| *entry.key()).collect();
        ids.sort_unstable();
        futures::future::join_all(ids.into_iter().map(|id| self.stop(id, None, reason))).await;
    }

    /// Destroys an actor. Every step can be repeated after a crash: an alarm that is always due leads back here.
    pub(crate) async fn destroy_actor(self: &Arc<Self>, id: ActorId) -> Result<(), Failure> {
        self.durable(id).await?;
        loop {
            let Some(mut actor) = self.stored(id)? else { return Ok(()) };
            let slot = self.slot(id);
            let mut state = slot.state.lock().await;
            if *state == State::Retired {
                continue;
            }
            if self.stored(id)?.is_none() {
                self.retire(id, &mut state);
                return Ok(());
            }
            if !actor.destroying {
                actor.destroying = true;
                if let Err(failure) = self.mark_destroying(id, &actor, &slot).await {
                    // It goes on, or starts anew: its alarms count again.
                    slot.destroying.store(false, Ordering::Release);
                    if *state == State::Idle {
                        self.retire(id, &mut state);
                    }
                    return Err(failure);
                }
            }
            let done = self.finish_destroying(id, &slot, &actor, *state == State::Running).await;
            self.retire(id, &mut state);
            done?;
            self.remember_destroyed(id, actor);
            return Ok(());
        }
    }

    async fn mark_destroying(&self, id: ActorId, actor: &StoredActor, slot: &Slot) -> Result<(), Failure> {
        let old =
            if slot.generation.load(Ordering::Acquire) == 0 { self.stored_alarm(id)? } else { *slot.alarm.lock() };
        let mut writes = vec![
            Write::put(Space::Directory, record::id_key(id), actor.encode()?),
            Write::delete(Space::Directory, record::name_key(&actor.namespace, &actor.name, &actor.key)),
            Write::delete(Space::Directory, record::list_key(&actor.namespace, &actor.name, actor.created, id)),
        ];
        writes.extend(alarm_writes(id, old, Some(ALARM_NOW)));
        *slot.alarm.lock() = Some(ALARM_NOW);
        slot.destroying.store(true, Ordering::Release);
        self.store.commit(writes).await.map_err(|_| codes::COMMIT_FAILED.failure())
    }

    fn stored_alarm(&self, id: ActorId) -> Result<Option<TimestampMs>, Failure> {
        let stored = self.store.get(Space::Directory, &record::alarm_of_key(id)).map_err(|error| unreadable(&error))?;
        Ok(stored.and_then(|bytes| record::read_u64(&bytes)))
    }

    async fn finish_destroying(
        self: &Arc<Self>,
        id: ActorId,
        slot: &Slot,
        actor: &StoredActor,
        running: bool,
    ) -> Result<(), Failure> {
        slot.destroying.store(true, Ordering::Release);
        if !actor.removing {
            self.run_last_hook(id, slot, actor, running).await?;
        }
        slot.generation.store(0, Ordering::Release);
        // What the actor had submitted must be there, or it would stay.
        self.settle().await?;
        self.remove(id, slot, actor).await
    }

    async fn run_last_hook(
        self: &Arc<Self>,
        id: ActorId,
        slot: &Slot,
        actor: &StoredActor,
        running: bool,
    ) -> Result<(), Failure> {
        let runtime = self.runtime()?.clone();
        let running = running
            || match self.start(id, slot, actor).await {
                Ok(()) => true,
                Err(failure) => {
                    tracing::warn!(actor = %id, %failure, "an actor is destroyed without its last hook, because it can't start");
                    false
                }
            };
        if running {
            runtime.stop(id, slot.generation.load(Ordering::Acquire), StopReason::Destroy).await;
        }
        Ok(())
    }

    /// Removes an actor's keys, and its place in the directory together with the last of them. A removal that is cut off is noted
    /// with its first step: an actor that was started on what is left would be created a second time.
    async fn remove(&self, id: ActorId, slot: &Slot, actor: &StoredActor) -> Result<(), Failure> {
        let end = record::after_actor(id);
        loop {
            let found = self
                .store
                .scan(Space::Actors, id.as_bytes(), end.as_deref(), REMOVE_CHUNK)
                .map_err(|error| unreadable(&error))?;
            let is_last = found.len() < REMOVE_CHUNK;
            let mut writes: Vec<Write> = found.into_iter().map(|(key, _)| Write::delete(Space::Actors, key)).collect();
            if is_last {
                writes.extend([
                    Write::delete(Space::Directory, record::id_key(id)),
                    Write::delete(Space::Directory, record::input_key(id)),
                    Write::delete(Space::Directory, record::generation_key(id)),
                ]);
                writes.extend(alarm_writes(id, self.stored_alarm(id)?, None));
                return self.commit_end(id, slot, actor, writes).await;
            }
            let removing = StoredActor { removing: true, ..actor.clone() };
            writes.push(Write::put(Space::Directory, record::id_key(id), removing.encode()?));
            self.store.commit(writes).await.map_err(|_| codes::COMMIT_FAILED.failure())?;
        }
    }

    /// Commits what one turn wrote, if its generation is the one that runs.
    pub(crate) fn submit_batch(
        self: &Arc<Self>,
        id: ActorId,
        generation: Generation,
        batch: growqr_seam::Batch,
        sink: &Arc<dyn growqr_seam::CommitSink>,
        ticket: u64,
    ) {
        let slot = self.slots.get(&id).map(|slot| slot.clone());
        let Some(slot) = slot.filter(|slot| slot.generation.load(Ordering::Acquire) == generation) else {
            sink.committed(ticket, Err(growqr_seam::CommitError::Fenced));
            return;
        };
        let mut writes = Vec::with_capacity(batch.writes.len() + 3);
        for (key, value) in batch.writes {
            writes.push(Write { space: Space::Actors, key: record::actor_key(id, &key), value });
        }
        let first_of_start = !slot.generation_stored.swap(true, Ordering::AcqRel);
        if first_of_start {
            let bytes = Bytes::copy_from_slice(&generation.to_le_bytes());
            writes.push(Write::put(Space::Directory, record::generation_key(id), bytes));
        }
        let mut due = None;
        // A destruction that is under way keeps its own alarm.
        if let Some(alarm) = batch.alarm.filter(|_| !slot.destroying.load(Ordering::Acquire)) {
            let mut current = slot.alarm.lock();
            writes.extend(alarm_writes(id, *current, alarm));
            *current = alarm;
            due = alarm;
        }
        let inner = self.clone();
        let sink = sink.clone();
        let owner = slot.clone();
        let done = move |result: Result<(), StorageError>| {
            if let Err(error) = &result {
                slot.generation.store(0, Ordering::Release);
                tracing::error!(actor = %id, %error, "a commit failed");
                inner.storage_failed.notify_one();
            } else if let Some(due) = due {
                inner.alarm_was_set(due);
            }
            sink.committed(ticket, result.map_err(|error| growqr_seam::CommitError::Storage(error.to_string())));
        };
        self.submit_with_rows(id, &owner, batch.mirror, first_of_start, writes, done);
    }

    /// After a failed commit: every actor is stopped, storage is opened anew, and actors start from what is durable.
    pub(crate) async fn recover_storage(self: &Arc<Self>) {
        loop {
            self.storage_failed.notified().await;
            if self.store.failed().is_none() {
                continue;
            }
            tracing::error!("storage failed; every actor is stopped, and storage is opened anew");
            self.stop_all(StopReason::Lost).await;
            self.fresh.clear();
            self.fresh_keys.clear();
            self.store.reopen().await;
            if let Some(spool) = self.spool.get() {
                spool.reopened();
            }
            self.alarms.lock().rewind();
            self.alarm_set.notify_one();
            tracing::warn!("storage is open again");
        }
    }
}

/// The writes that move an actor's alarm.
fn alarm_writes(id: ActorId, old: Option<TimestampMs>, new: Option<TimestampMs>) -> Vec<Write> {
    let mut writes = Vec::with_capacity(3);
    if let Some(old) = old.filter(|old| Some(*old) != new) {
        writes.push(Write::delete(Space::Alarms, record::alarm_key(old, id)));
    }
    match new {
        Some(new) => {
            writes.push(Write::put(Space::Alarms, record::alarm_key(new, id), Bytes::new()));
            let bytes = Bytes::copy_from_slice(&new.to_le_bytes());
            writes.push(Write::put(Space::Directory, record::alarm_of_key(id), bytes));
        }
        None => writes.push(Write::delete(Space::Directory, record::alarm_of_key(id))),
    }
    writes
}
