//! The engine as the runtime sees it, with a network between actors that delays, doubles and loses.

use crate::faults::{Counter, Dice, Fault};
use futures::future::BoxFuture;
use growqr_seam::{Batch, CommitSink, Delivered, EngineHost, Entries, Envelope, Read, ReadError, Resolved};
use growqr_types::{ActorId, ActorKey, ConnectionId, Failure, Generation, codes};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// See the module's documentation.
pub struct Relay {
    pub engine: Arc<dyn EngineHost>,
    pub dice: Mutex<Dice>,
    pub counter: Counter,
    pub calm: bool,
}

impl EngineHost for Relay {
    fn get(&self, actor: ActorId, key: &[u8]) -> Read<'_, Result<Option<bytes::Bytes>, ReadError>> {
        self.engine.get(actor, key)
    }

    fn scan(&self, actor: ActorId, start: &[u8], end: &[u8], limit: usize) -> Read<'_, Result<Entries, ReadError>> {
        self.engine.scan(actor, start, end, limit)
    }

    fn commit(&self, actor: ActorId, generation: Generation, batch: Batch, sink: &Arc<dyn CommitSink>, ticket: u64) {
        self.engine.commit(actor, generation, batch, sink, ticket);
    }

    fn mirror(&self) -> growqr_seam::MirrorState {
        self.engine.mirror()
    }

    fn sleep_intent(&self, actor: ActorId, generation: Generation) {
        self.engine.sleep_intent(actor, generation);
    }

    fn destroy_intent(&self, actor: ActorId, generation: Generation) {
        self.engine.destroy_intent(actor, generation);
    }

    fn live_sockets(&self, actor: ActorId) -> Vec<ConnectionId> {
        self.engine.live_sockets(actor)
    }

    fn get_or_create(
        &self,
        namespace: &str,
        name: &str,
        key: ActorKey,
        input: Option<bytes::Bytes>,
    ) -> BoxFuture<'_, Result<Resolved, Failure>> {
        self.engine.get_or_create(namespace, name, key, input)
    }

    fn message(&self, actor: ActorId, envelope: Envelope) -> BoxFuture<'_, Result<Delivered, Failure>> {
        let (delay, double, lose) = {
            let mut dice = self.dice.lock();
            let delay = dice.per_mille(200).then(|| dice.between(1, 80));
            let double = dice.per_mille(200).then(|| dice.between(0, 300));
            (delay, double, dice.per_mille(150))
        };
        Box::pin(async move {
            if self.calm {
                return self.engine.message(actor, envelope).await;
            }
            if let Some(delay) = delay {
                self.counter.hit(Fault::MessageDelayed);
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            if let Some(delay) = double {
                self.counter.hit(Fault::MessageDoubled);
                let (engine, envelope) = (self.engine.clone(), envelope.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(delay)).await;
                    drop(engine.message(actor, envelope).await);
                });
            }
            let delivered = self.engine.message(actor, envelope).await;
            if lose {
                self.counter.hit(Fault::AnswerLost);
                return Err(codes::RESTARTING.failure());
            }
            delivered
        })
    }

    fn destroy(&self, actor: ActorId) -> BoxFuture<'_, Result<(), Failure>> {
        self.engine.destroy(actor)
    }
}
