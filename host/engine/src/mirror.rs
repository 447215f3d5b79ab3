//! Which rows the engine adds for the database: what happens to an actor beside its turns.
//!
//! Invariant: the first row of an actor is its creation, also for one that was created before there was a database.

use crate::live::Slot;
use crate::record::{self, StoredActor};
use crate::spool::{Numbering, Spool};
use crate::store::unreadable;
use crate::{Engine, Inner};
use bytes::Bytes;
use growqr_seam::{ACTOR_CREATED, ACTOR_DESTROYED, ACTOR_VERSION, EventRecord, MirrorRow, MirrorSource, MirrorState};
use growqr_storage::{CommitDone, Space, StorageError, Write};
use growqr_types::{ActorId, Failure, TimestampMs, codes};
use std::sync::Arc;
use tokio::sync::oneshot;

impl Engine {
    /// Keeps rows for a database from now on, `bytes_max` of them at the most. Once only, before [`Engine::attach`].
    pub fn keep_rows(&self, bytes_max: u64) -> Arc<dyn MirrorSource> {
        let made = || Arc::new(Spool::new(self.inner.store.clone(), bytes_max));
        self.inner.spool.get_or_init(made).clone()
    }
}

fn host_row(ts: TimestampMs, name: &str, payload: &serde_json::Value) -> MirrorRow {
    MirrorRow { event: None, record: EventRecord::encode(ts, name, &serde_json::json!([payload]).to_string()) }
}

fn created_row(actor: &StoredActor, version: Option<&str>) -> MirrorRow {
    let payload = serde_json::json!({
        "namespace": actor.namespace, "name": actor.name, "key": actor.key, "version": version,
    });
    host_row(actor.created, ACTOR_CREATED, &payload)
}

/// The writes that keep how far the rows are numbered.
fn numbering_writes(id: ActorId, last: u64, version: Option<&str>) -> impl Iterator<Item = Write> {
    let last = Write::put(Space::Directory, record::mirrored_key(id), Bytes::copy_from_slice(&last.to_le_bytes()));
    let version = version.map(|version| {
        Write::put(Space::Directory, record::mirrored_version_key(id), Bytes::copy_from_slice(version.as_bytes()))
    });
    std::iter::once(last).chain(version)
}

impl Inner {
    pub(crate) fn mirror_state(&self) -> MirrorState {
        match self.spool.get() {
            None => MirrorState::Off,
            Some(spool) if spool.is_full() => MirrorState::Full,
            Some(_) => MirrorState::On,
        }
    }

    /// Whether an actor may be made now.
    pub(crate) fn check_mirror(&self) -> Result<(), Failure> {
        if self.mirror_state() == MirrorState::Full { Err(codes::MIRROR_FULL.failure()) } else { Ok(()) }
    }

    /// Reads how far an actor's rows are numbered, before it starts.
    pub(crate) fn begin_numbering(&self, id: ActorId, slot: &Slot, actor: &StoredActor) -> Result<(), Failure> {
        if self.spool.get().is_none() {
            return Ok(());
        }
        // In this order: when the creation is not on its way any more, it is stored.
        let fresh = self.fresh.contains_key(&id);
        let read = |key: Bytes| self.store.get(Space::Directory, &key).map_err(|error| unreadable(&error));
        let last = read(record::mirrored_key(id))?.and_then(|bytes| record::read_u64(&bytes)).unwrap_or(0);
        let told = read(record::mirrored_version_key(id))?.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        let version = self.version(&actor.name);
        let told = if fresh { told.or_else(|| version.clone()) } else { told };
        *slot.numbering.lock() = Some(Numbering::new(id, actor, last.max(u64::from(fresh)), told));
        *slot.version.lock() = version;
        Ok(())
    }

    fn version(&self, name: &str) -> Option<String> {
        self.runtime.get().and_then(|runtime| runtime.version(name))
    }

    /// Submits what a turn wrote, with its rows and those that must come before them.
    pub(crate) fn submit_with_rows(
        &self,
        id: ActorId,
        slot: &Slot,
        rows: Vec<MirrorRow>,
        first_of_start: bool,
        mut writes: Vec<Write>,
        done: impl FnOnce(Result<(), StorageError>) + Send + 'static,
    ) {
        let mut numbering = slot.numbering.lock();
        let (Some(spool), Some(numbering)) = (self.spool.get(), numbering.as_mut()) else {
            return self.store.submit(writes, CommitDone::call(done));
        };
        let mut all = Vec::new();
        let mut told = None;
        if first_of_start {
            let version = slot.version.lock().clone();
            if numbering.last == 0
                && let Ok(Some(actor)) = self.stored(id)
            {
                all.push(created_row(&actor, version.as_deref()));
                told = version;
            } else if version.is_some() && version != numbering.version {
                all.push(host_row((self.clock)(), ACTOR_VERSION, &serde_json::json!({ "version": version })));
                told = version;
            }
        }
        if all.is_empty() {
            all = rows;
        } else {
            all.extend(rows);
        }
        if all.is_empty() {
            return self.store.submit(writes, CommitDone::call(done));
        }
        if told.is_some() {
            numbering.version.clone_from(&told);
        }
        writes.extend(numbering_writes(id, numbering.last + all.len() as u64, told.as_deref()));
        spool.submit(numbering, all, writes, done);
    }

    /// Submits the creation of an actor.
    pub(crate) fn submit_created(
        &self,
        id: ActorId,
        actor: &StoredActor,
        mut writes: Vec<Write>,
        done: impl FnOnce(Result<(), StorageError>) + Send + 'static,
    ) {
        let Some(spool) = self.spool.get() else {
            return self.store.submit(writes, CommitDone::call(done));
        };
        let version = self.version(&actor.name);
        writes.extend(numbering_writes(id, 1, version.as_deref()));
        let row = created_row(actor, version.as_deref());
        spool.submit(&mut Numbering::new(id, actor, 0, version), vec![row], writes, done);
    }

    /// The last commit of an actor that is destroyed.
    pub(crate) async fn commit_end(
        &self,
        id: ActorId,
        slot: &Slot,
        actor: &StoredActor,
        mut writes: Vec<Write>,
    ) -> Result<(), Failure> {
        let failed = |_: StorageError| codes::COMMIT_FAILED.failure();
        let Some(spool) = self.spool.get() else {
            return self.store.commit(writes).await.map_err(failed);
        };
        if slot.numbering.lock().is_none() {
            self.begin_numbering(id, slot, actor)?;
        }
        let ended = {
            let mut numbering = slot.numbering.lock();
            let Some(numbering) = numbering.as_mut() else { return Err(codes::INTERNAL.failure()) };
            writes.push(Write::delete(Space::Directory, record::mirrored_key(id)));
            writes.push(Write::delete(Space::Directory, record::mirrored_version_key(id)));
            let mut rows = Vec::new();
            if numbering.last == 0 {
                rows.push(created_row(actor, None));
            }
            rows.push(host_row((self.clock)(), ACTOR_DESTROYED, &serde_json::json!({})));
            let (tell, ended) = oneshot::channel();
            spool.submit(numbering, rows, writes, move |result| drop(tell.send(result)));
            ended
        };
        let lost = || Err(StorageError::Io("the committer ended".to_owned()));
        ended.await.unwrap_or_else(|_| lost()).map_err(failed)
    }
}
