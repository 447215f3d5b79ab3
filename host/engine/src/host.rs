//! The engine as the runtime sees it.

use crate::Inner;
use crate::live::STARTS_MAX;
use crate::record;
use crate::store::unreadable;
use bytes::Bytes;
use futures::future::BoxFuture;
use growqr_seam::{
    Batch, CommitSink, Delivered, EngineHost, Entries, Envelope, MirrorState, Read, ReadError, Resolved, StopReason,
};
use growqr_storage::Space;
use growqr_types::{ActorId, ActorKey, ConnectionId, Failure, Generation, codes};
use std::sync::{Arc, Weak};

/// Bytes of the id in front of an actor's own keys.
const ID_BYTES: usize = 16;

/// What the runtime holds: it does not keep the engine alive.
pub(crate) struct HostHandle(pub Weak<Inner>);

impl HostHandle {
    fn inner(&self) -> Option<Arc<Inner>> {
        self.0.upgrade()
    }
}

impl EngineHost for HostHandle {
    fn get(&self, actor: ActorId, key: &[u8]) -> Read<'_, Result<Option<Bytes>, ReadError>> {
        Read::Ready(match self.inner() {
            Some(inner) => inner
                .store
                .get(Space::Actors, &record::actor_key(actor, key))
                .map_err(|error| ReadError(unreadable(&error).message)),
            None => Err(gone()),
        })
    }

    fn scan(&self, actor: ActorId, start: &[u8], end: &[u8], limit: usize) -> Read<'_, Result<Entries, ReadError>> {
        let Some(inner) = self.inner() else { return Read::Ready(Err(gone())) };
        let (start, end) = (record::actor_key(actor, start), record::actor_key(actor, end));
        let found = inner.store.scan(Space::Actors, &start, Some(&end), limit);
        Read::Ready(match found {
            Ok(found) => Ok(found.into_iter().map(|(key, value)| (key.slice(ID_BYTES..), value)).collect()),
            Err(error) => Err(ReadError(unreadable(&error).message)),
        })
    }

    fn commit(&self, actor: ActorId, generation: Generation, batch: Batch, sink: &Arc<dyn CommitSink>, ticket: u64) {
        match self.inner() {
            Some(inner) => inner.submit_batch(actor, generation, batch, sink, ticket),
            None => sink.committed(ticket, Err(growqr_seam::CommitError::Fenced)),
        }
    }

    fn mirror(&self) -> MirrorState {
        self.inner().map_or(MirrorState::Off, |inner| inner.mirror_state())
    }

    fn sleep_intent(&self, actor: ActorId, generation: Generation) {
        if let Some(inner) = self.inner() {
            tokio::spawn(async move { inner.stop(actor, Some(generation), StopReason::Sleep).await });
        }
    }

    fn destroy_intent(&self, actor: ActorId, _: Generation) {
        if let Some(inner) = self.inner() {
            tokio::spawn(async move {
                if let Err(failure) = inner.destroy_actor(actor).await {
                    tracing::error!(%actor, %failure, "an actor could not be destroyed");
                }
            });
        }
    }

    fn live_sockets(&self, actor: ActorId) -> Vec<ConnectionId> {
        let inner = self.inner();
        let sockets =
            inner.as_ref().and_then(|inner| inner.sockets.get(&actor).map(|set| set.iter().copied().collect()));
        sockets.unwrap_or_default()
    }

    fn get_or_create(
        &self,
        namespace: &str,
        name: &str,
        key: ActorKey,
        input: Option<Bytes>,
    ) -> BoxFuture<'_, Result<Resolved, Failure>> {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Box::pin(async move {
            let inner = self.inner().ok_or_else(|| codes::RESTARTING.failure())?;
            let made = inner.find_or_make(&namespace, &name, key, input)?;
            inner.durable(made.actor).await?;
            // A creation that failed at once has left nothing to wait for.
            if inner.stored(made.actor)?.is_none() {
                return Err(codes::COMMIT_FAILED.failure());
            }
            Ok(made)
        })
    }

    fn message(&self, actor: ActorId, envelope: Envelope) -> BoxFuture<'_, Result<Delivered, Failure>> {
        Box::pin(async move {
            let inner = self.inner().ok_or_else(|| codes::RESTARTING.failure())?;
            for _ in 0..STARTS_MAX {
                if let Ok(delivered) = inner.runtime()?.message(actor, envelope.clone()).await {
                    return Ok(delivered);
                }
                inner.ensure_started(actor).await?;
            }
            Err(codes::RESTARTING.failure())
        })
    }

    fn destroy(&self, actor: ActorId) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let inner = self.inner().ok_or_else(|| codes::RESTARTING.failure())?;
            inner.destroy_actor(actor).await
        })
    }
}

fn gone() -> ReadError {
    ReadError("the engine has ended".to_owned())
}
