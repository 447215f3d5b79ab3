//! Runs an actor's effects after their commit, at least once, under their operation ids.
//!
//! Effects for one receiver run one after the other, in the order of their operations; others run beside them. The end of an effect
//! comes back to the actor as mail, and only the turn that takes it removes the effect from storage.

use crate::actor::ActorHandle;
use crate::core::Mail;
use crate::meters::{EffectUnderWay, METERS};
use crate::runtime::Shared;
use futures::future::BoxFuture;
use growqr_seam::{Delivered, Envelope, EnvelopeContent};
use growqr_turn::{Effect, Identity, TargetRef};
use growqr_types::{ActorId, ActorKey, Failure, Json, OperationId, codes};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The first wait before an effect is tried again; doubles.
const RETRY_FIRST: Duration = Duration::from_millis(20);
/// The longest wait before an effect is tried again.
const RETRY_MAX: Duration = Duration::from_secs(10);

type Lanes = Mutex<HashMap<String, VecDeque<(OperationId, Effect, EffectUnderWay)>>>;

/// See the module's documentation.
pub struct Outbox {
    courier: Arc<Courier>,
}

struct Courier {
    shared: Arc<Shared>,
    handle: Arc<ActorHandle>,
    identity: Arc<Identity>,
    lanes: Lanes,
}

impl Outbox {
    /// The outbox of one actor.
    pub fn new(shared: Arc<Shared>, handle: Arc<ActorHandle>, identity: Arc<Identity>) -> Self {
        Self { courier: Arc::new(Courier { shared, handle, identity, lanes: Mutex::default() }) }
    }

    /// Runs an effect whose turn is durable.
    pub fn run(&mut self, operation: OperationId, effect: Effect) {
        let lane = lane(&effect);
        let mut lanes = self.courier.lanes.lock();
        match lanes.get_mut(&lane) {
            Some(waiting) => waiting.push_back((operation, effect, EffectUnderWay::new())),
            None => {
                lanes.insert(lane.clone(), VecDeque::from([(operation, effect, EffectUnderWay::new())]));
                tokio::spawn(self.courier.clone().run_lane(lane));
            }
        }
    }
}

/// Effects with the same lane run one after the other.
fn lane(effect: &Effect) -> String {
    match effect {
        Effect::Spawn { name, key, .. } => format!("actor {name} {key:?}"),
        Effect::Send { target, .. } | Effect::Call { target, .. } | Effect::Destroy { target } => match target {
            TargetRef::Id(id) => format!("actor {id}"),
            TargetRef::Address { name, key } => format!("actor {name} {key:?}"),
        },
        Effect::Memory(_) => "memory".to_owned(),
        Effect::Sandbox(_) => "sandbox".to_owned(),
    }
}

impl Courier {
    async fn run_lane(self: Arc<Self>, lane: String) {
        loop {
            let next = {
                let mut lanes = self.lanes.lock();
                match lanes.get_mut(&lane).and_then(VecDeque::pop_front) {
                    Some(next) => next,
                    None => {
                        lanes.remove(&lane);
                        return;
                    }
                }
            };
            let (operation, effect, under_way) = next;
            self.clone().run_one(operation, effect, under_way).await;
        }
    }

    async fn run_one(self: Arc<Self>, operation: OperationId, effect: Effect, under_way: EffectUnderWay) {
        let mut pause = RETRY_FIRST;
        // An actor that has stopped runs the effect again at its next start, under the same id.
        while self.is_current() {
            match self.attempt(operation, &effect).await {
                Ok(Delivered::Answered(outcome)) => {
                    self.done(operation, outcome);
                    return;
                }
                Ok(Delivered::Deferred(later)) => {
                    // The next effect of this lane need not wait for the answer.
                    let courier = self.clone();
                    tokio::spawn(async move { courier.await_answer(operation, effect, later, under_way).await });
                    return;
                }
                Err(failure) if is_final(&failure) => {
                    self.done(operation, Err(failure));
                    return;
                }
                Err(failure) => {
                    tracing::debug!(actor = %self.identity.id, operation, %failure, "an effect will be tried again");
                }
            }
            METERS.effect_retries.increment(1);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Whether the actor whose effects these are still runs. Its generation does not say it: one that committed nothing is counted
    /// again, and by then its effects may be over, and what they made destroyed.
    fn is_current(&self) -> bool {
        self.shared.handle(self.identity.id).is_some_and(|handle| Arc::ptr_eq(&handle, &self.handle))
    }

    async fn await_answer(
        self: Arc<Self>,
        operation: OperationId,
        effect: Effect,
        later: BoxFuture<'static, Result<Json, Failure>>,
        under_way: EffectUnderWay,
    ) {
        match later.await {
            // The receiver stopped before it answered: asked again, it gives the answer that it has stored, or goes on.
            Err(failure) if failure.is(&codes::STOPPED) => self.again(operation, effect, under_way).await,
            outcome => self.done(operation, outcome),
        }
    }

    /// Boxed, because running an effect can lead back here.
    fn again(
        self: Arc<Self>,
        operation: OperationId,
        effect: Effect,
        under_way: EffectUnderWay,
    ) -> BoxFuture<'static, ()> {
        Box::pin(self.run_one(operation, effect, under_way))
    }

    fn done(&self, operation: OperationId, outcome: Result<Json, Failure>) {
        let id = self.identity.id;
        if self.shared.deliver_control(id, Mail::EffectDone { operation, outcome }).is_err() {
            // The actor sleeps; its alarm wakes it because of this effect, and then it is run again under the same id.
            tracing::debug!(actor = %id, operation, "an effect ended while its actor was away");
        }
    }

    async fn attempt(&self, operation: OperationId, effect: &Effect) -> Result<Delivered, Failure> {
        match effect {
            Effect::Spawn { name, key, input } => self.spawn(name, key, input.as_deref()).await.map(answered),
            Effect::Send { target, payload } => {
                self.send(operation, target, EnvelopeContent::Message(payload.clone())).await
            }
            Effect::Call { target, action, args } => {
                self.send(operation, target, EnvelopeContent::Call(action.clone(), args.clone())).await
            }
            Effect::Destroy { target } => {
                let actor = self.resolve(target).await?;
                self.shared.engine.destroy(actor).await.map(|()| answered("null".to_owned()))
            }
            Effect::Memory(effect) => {
                let service = &self.shared.capabilities.memory_effects;
                Ok(Delivered::Answered(service.execute(&self.identity, operation, effect).await))
            }
            Effect::Sandbox(effect) => {
                let service = &self.shared.capabilities.sandbox_effects;
                Ok(Delivered::Answered(service.execute(&self.identity, operation, effect).await))
            }
        }
    }

    async fn spawn(&self, name: &str, key: &[String], input: Option<&str>) -> Result<Json, Failure> {
        let input = match input {
            Some(json) => Some(
                growqr_wire::json_to_cbor(json, growqr_wire::CborFlavor::Compat)
                    .map_err(|error| codes::INVALID_REQUEST.with(error.to_string()))?
                    .into(),
            ),
            None => None,
        };
        let key = ActorKey(key.to_vec());
        let made = self.shared.engine.get_or_create(&self.identity.namespace, name, key, input).await?;
        Ok(format!(r#"{{"actorId":"{}","created":{}}}"#, made.actor, made.created))
    }

    async fn send(
        &self,
        operation: OperationId,
        target: &TargetRef,
        content: EnvelopeContent,
    ) -> Result<Delivered, Failure> {
        let actor = self.resolve(target).await?;
        let envelope = Envelope {
            sender: self.identity.id,
            sender_name: self.identity.name.clone(),
            operation,
            floor: self.handle.floor.load(Ordering::Acquire).min(operation),
            content,
        };
        self.shared.engine.message(actor, envelope).await
    }

    async fn resolve(&self, target: &TargetRef) -> Result<ActorId, Failure> {
        match target {
            TargetRef::Id(id) => Ok(*id),
            TargetRef::Address { name, key } => {
                let key = ActorKey(key.clone());
                let made = self.shared.engine.get_or_create(&self.identity.namespace, name, key, None).await?;
                Ok(made.actor)
            }
        }
    }
}

fn answered(value: Json) -> Delivered {
    Delivered::Answered(Ok(value))
}

/// Whether trying again can't help. Everything else says that the message certainly did not run.
fn is_final(failure: &Failure) -> bool {
    ![&codes::RESTARTING, &codes::OVERLOADED, &codes::CRASH_BACKOFF, &codes::COMMIT_FAILED, &codes::INTERNAL]
        .into_iter()
        .any(|code| failure.is(code))
}
