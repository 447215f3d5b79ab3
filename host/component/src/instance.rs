//! One live instance and the turns that run in it.

use crate::bindings::Agent;
use crate::component::Component;
use crate::computing::Unfinished;
use crate::store::{EPOCH_TICKS, InstanceLimits, StoreData};
use crate::{convert, describe, output};
use growqr_turn::{Answer, Message, Scope, TurnFailure};
use growqr_types::{Code, codes};
use std::fmt::Write;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{Store, Trap, WasmBacktrace};

/// Bytes of the detail of one failed turn.
const DETAIL_BYTES_MAX: usize = 16 << 10;

/// How long after the deadline a call that waits is given up. A guest that computes is interrupted within this time, and an interrupt says
/// more: it has a backtrace.
const INTERRUPT_GRACE: Duration = Duration::from_millis(20);

/// A live instance: one guest's memory. Dropping it frees its slot.
pub struct Instance {
    // The store comes first: its memory must be back in the pool before the slot is free.
    store: Store<StoreData>,
    agent: Agent,
    limits: InstanceLimits,
    usable: bool,
    component: Arc<Component>,
    _slot: OwnedSemaphorePermit,
}

/// What wasmtime says when a guest passes more across than it may; it has no type of its own for that.
const TRANSFER_REFUSED: &str = "too much data is being copied";

/// What came of one call.
pub struct CallReport {
    /// The answer, or why the turn failed.
    pub result: Result<Answer, TurnFailure>,
    /// The turn's scope, with what it did and logged. Of a failed turn only the log counts.
    pub scope: Scope,
    /// Whether the instance can take another call. False after a trap or a deadline: then it must be dropped.
    pub usable: bool,
    /// For the operator, never for a client: why it trapped, and where, with function names.
    pub detail: Option<String>,
}

/// The guest's own answer, or the failure that it returned.
type Answered = Result<Result<Answer, TurnFailure>, wasmtime::Error>;

impl Instance {
    pub(crate) fn new(
        store: Store<StoreData>,
        agent: Agent,
        limits: InstanceLimits,
        component: Arc<Component>,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        Self { store, agent, limits, usable: true, component, _slot: slot }
    }

    /// The component that it is an instance of.
    pub fn component(&self) -> &Arc<Component> {
        &self.component
    }

    /// Bytes of linear memory that the guest has.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory_bytes()
    }

    /// Whether it can take a call.
    pub fn is_usable(&self) -> bool {
        self.usable
    }

    /// Runs one turn, like [`Instance::call`], and lets it go on in a place for long computations when it computes for long. The instance
    /// comes back if it can take another call.
    pub fn turn(
        self: Box<Self>,
        scope: Scope,
        message: Message,
        deadline: Duration,
    ) -> impl Future<Output = (Option<Box<Self>>, CallReport)> + Send + use<> {
        let late = late_code(&message);
        let engine = self.component.engine.clone();
        let until = Instant::now() + deadline;
        let mut instance = self;
        let work = Box::pin(async move {
            let report = instance.call(scope, message, deadline).await;
            // To give back the memory of one that can't be used again is work, too.
            (report.usable.then_some(instance), report)
        });
        async move {
            let (code, detail) = match engine.computing.run(work, until).await {
                Ok(ended) => return ended,
                Err(Unfinished::Late) => (late, format!("the turn did not end at its {deadline:?}")),
                Err(Unfinished::Stopped) => (&codes::STOPPED, "the host stops".to_owned()),
            };
            let scope = describe::no_actor("", Arc::default());
            (None, CallReport { result: Err(code.failure().into()), scope, usable: false, detail: Some(detail) })
        }
    }

    /// Runs one turn where the caller is. `deadline` bounds it in wall time, host calls included. Dropping the future costs the instance and nothing else.
    pub async fn call(&mut self, scope: Scope, message: Message, deadline: Duration) -> CallReport {
        if !self.usable {
            let detail = Some("the instance was used again after a turn that did not end well".to_owned());
            return CallReport { result: Err(codes::CRASHED.failure().into()), scope, usable: false, detail };
        }
        let _running = self.component.engine.ticker.running();
        // Until the call has ended well, nothing else may run in this instance.
        self.usable = false;
        let late = late_code(&message);
        let until = Instant::now() + deadline;
        self.store.data_mut().begin_turn(scope, until);
        self.store.set_epoch_deadline(EPOCH_TICKS);
        let answered = {
            let call = pin!(dispatch(&self.agent, &mut self.store, message, &self.limits));
            bounded(call, until).await
        };
        let refused = self.store.data().limiter.refused;
        let (result, detail) = match answered {
            Some(Ok(result)) => {
                self.usable = true;
                (result, None)
            }
            Some(Err(error)) => {
                let detail = detail(&error);
                (Err(failure(&error, refused, late)), Some(detail))
            }
            None => (
                Err(late.failure().into()),
                Some(format!("host calls or waiting for a processor took the turn over its {deadline:?}")),
            ),
        };
        // A turn has begun, so its scope is there; an empty one would only lose the turn's log.
        let scope = self.store.data_mut().end().unwrap_or_else(|| describe::no_actor("", Arc::default()));
        CallReport { result, scope, usable: self.usable, detail }
    }
}

/// Polls once before it arms a timer: most turns end at once and need none.
async fn bounded<T>(mut call: Pin<&mut impl Future<Output = T>>, until: Instant) -> Option<T> {
    if let Poll::Ready(value) = std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await {
        return Some(value);
    }
    tokio::time::timeout_at((until + INTERRUPT_GRACE).into(), call).await.ok()
}

/// What a caller is told when the message was not handled in time.
fn late_code(message: &Message) -> &'static Code {
    match message {
        Message::Action(_) | Message::Queue(_) | Message::Request(..) => &codes::ACTION_TIMED_OUT,
        _ => &codes::CALLBACK_TIMED_OUT,
    }
}

fn failure(error: &wasmtime::Error, refused: bool, late: &Code) -> TurnFailure {
    if let Some(failure) = error.downcast_ref::<TurnFailure>() {
        return failure.clone();
    }
    let code = match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => late,
        Some(Trap::StackOverflow) => &codes::LIMIT_STACK,
        _ if refused => &codes::LIMIT_MEMORY,
        _ if error.root_cause().to_string().contains(TRANSFER_REFUSED) => &codes::LIMIT_TRANSFER,
        _ => &codes::CRASHED,
    };
    code.failure().into()
}

/// The cause of a trap and the guest's functions that led there.
pub(crate) fn detail(error: &wasmtime::Error) -> String {
    let mut text = error.root_cause().to_string();
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        // Writing to a text can't fail.
        let _ = write!(text, "\n{backtrace}");
    }
    output::bounded(text, DETAIL_BYTES_MAX)
}

/// Calls the export that goes with the message.
async fn dispatch(agent: &Agent, store: &mut Store<StoreData>, message: Message, limits: &InstanceLimits) -> Answered {
    let handlers = agent.growqr_actor_handlers();
    let done = match message {
        Message::Action(call) => {
            let answer = handlers.call_on_action(store, &convert::action_call(call)).await?;
            return Ok(checked(answer, |answer| output::outcome(answer, limits)));
        }
        Message::Queue(message) => {
            let answer = handlers.call_on_queue_message(store, &convert::queue_message(message)).await?;
            return Ok(checked(answer, |answer| output::outcome(answer, limits)));
        }
        Message::Request(connection, request, reply) => {
            let request = convert::http_request(request);
            let answer = handlers.call_on_request(store, &connection.to_string(), &request, reply).await?;
            return Ok(checked(answer, |answer| output::request_outcome(answer, limits)));
        }
        Message::BeforeConnect(request) => {
            let answer = handlers.call_on_before_connect(store, &convert::connection_request(request)).await?;
            return Ok(checked(answer, |answer| output::verdict(answer, limits)));
        }
        Message::Create(input) => handlers.call_on_create(store, input.as_ref()).await?,
        Message::Wake(reason) => handlers.call_on_wake(store, convert::wake_reason(reason)).await?,
        Message::Connect(connection) => handlers.call_on_connect(store, &convert::connection(connection)).await?,
        Message::Disconnect(connection) => handlers.call_on_disconnect(store, &convert::connection(connection)).await?,
        Message::Subscribe(connection, event) => {
            handlers.call_on_subscribe(store, &connection.to_string(), &event).await?
        }
        Message::Socket(connection, event) => {
            handlers.call_on_socket(store, &connection.to_string(), &convert::socket_event(event)).await?
        }
        Message::Actor(message) => handlers.call_on_message(store, &convert::actor_message(message)).await?,
        Message::Timer(timer) => handlers.call_on_timer(store, &convert::timer_event(timer)).await?,
        Message::Sandbox(event) => handlers.call_on_sandbox_event(store, &convert::sandbox_event(event)).await?,
        Message::EffectResult(result) => handlers.call_on_effect_result(store, &convert::effect_result(result)).await?,
        Message::Migrate(stored, target) => handlers.call_migrate(store, stored, target).await?,
        Message::Check => handlers.call_check(store).await?,
        Message::Sleep => handlers.call_on_sleep(store).await?,
        Message::Destroy => handlers.call_on_destroy(store).await?,
    };
    Ok(checked(done, |()| Ok(Answer::None)))
}

/// Checks the guest's answer or bounds its failure.
fn checked<T>(
    answer: Result<T, crate::bindings::growqr::actor::types::Failure>,
    check: impl FnOnce(T) -> Result<Answer, TurnFailure>,
) -> Result<Answer, TurnFailure> {
    match answer {
        Ok(answer) => check(answer),
        Err(failure) => Err(output::guest_failure(failure).into()),
    }
}
