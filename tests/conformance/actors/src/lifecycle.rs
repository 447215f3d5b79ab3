//! Destruction, start and stop, and work that runs beside the actions.

use crate::queues::Queues;
use growqr_actor_sdk::prelude::*;
use serde_json::{Value, json};

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DestroyActor {
    value: i64,
    key: String,
    queues: Queues,
}

pub struct Ephemeral(String);

impl Default for Ephemeral {
    fn default() -> Self {
        Self("fresh".to_owned())
    }
}

#[actor(vars = Ephemeral, queues("values"))]
impl DestroyActor {
    #[on_wake]
    fn wake(&mut self, ctx: &mut Ctx<Ephemeral>) {
        self.key = ctx.identity().key.join("/");
    }

    #[on_destroy]
    fn destroyed(&self, ctx: &mut Ctx<Ephemeral>) -> Result<()> {
        ctx.call(&Target::actor("destroyObserver", ["observer"]), "notifyDestroyed", &(&self.key,))?;
        Ok(())
    }

    #[on_queue(name = "values")]
    fn message(&mut self, ctx: &mut Ctx<Ephemeral>, message: QueueMessage) -> Result<Deferred> {
        self.queues.push(ctx, &message)
    }

    #[on_request]
    fn request(&self, request: Request) -> Result<Response> {
        match request.path() {
            "/state" => Response::json(200, &json!({"key": self.key, "value": self.value})),
            _ => Ok(Response::text(404, "Not Found")),
        }
    }

    #[on_socket]
    fn socket(&self, ctx: &mut Ctx<Ephemeral>, event: SocketEvent) {
        if let SocketEvent::Open(_) = event {
            ctx.send_text(json!({"type": "welcome", "key": self.key, "value": self.value}).to_string());
        }
    }

    #[action]
    fn set_value(&mut self, value: i64) -> i64 {
        self.value = value;
        value
    }

    #[action(read_only)]
    fn get_value(&self) -> i64 {
        self.value
    }

    #[action]
    fn set_ephemeral(&self, ctx: &mut Ctx<Ephemeral>, value: String) -> String {
        ctx.vars.0.clone_from(&value);
        value
    }

    #[action(read_only)]
    fn get_ephemeral(&self, ctx: &Ctx<Ephemeral>) -> String {
        ctx.vars.0.clone()
    }

    #[action]
    fn receive_value(&mut self, ctx: &mut Ctx<Ephemeral>) -> Option<Value> {
        self.queues.take(ctx, &["values".to_owned()]).map(|message| message.body)
    }

    #[action]
    fn destroy(&self, ctx: &mut Ctx<Ephemeral>) {
        ctx.destroy_self();
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DestroyAbortSignalActor {
    abort_event_count: i64,
}

/// There is no signal in the contract: that an actor is being destroyed is told by `on_destroy`, after the turn that asked for it.
#[actor]
impl DestroyAbortSignalActor {
    #[action]
    fn request_destroy(&self, ctx: &mut Ctx) -> Value {
        ctx.destroy_self();
        json!({
            "beforeDestroyAborted": false,
            "beforeDestroySignalAborted": false,
            "afterDestroyAborted": false,
            "afterDestroySignalAborted": false,
            "abortEventCountAfterDestroy": self.abort_event_count,
        })
    }

    #[on_destroy]
    fn destroyed(&self, ctx: &mut Ctx) -> Result<()> {
        let key = ctx.identity().key.join("/");
        ctx.call(&Target::actor("destroyObserver", ["observer"]), "notifyDestroyed", &(key,))?;
        Ok(())
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DestroyObserver {
    destroyed_actors: Vec<String>,
}

#[actor]
impl DestroyObserver {
    #[action]
    fn notify_destroyed(&mut self, key: String) {
        self.destroyed_actors.push(key);
    }

    #[action(read_only)]
    fn was_destroyed(&self, key: String) -> bool {
        self.destroyed_actors.contains(&key)
    }

    #[action]
    fn reset(&mut self) {
        self.destroyed_actors.clear();
    }
}

fn observe<V>(ctx: &mut Ctx<V>, observer: &str, actor: &str, event: &str) -> Result<()> {
    let target = Target::actor("lifecycleObserver", [observer]);
    ctx.call(&target, "recordEvent", &(json!({"actorKey": actor, "event": event}),))?;
    Ok(())
}

#[derive(Default, Serialize, Deserialize)]
pub struct LifecycleObserver {
    events: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LifecycleEvent {
    actor_key: String,
    event: String,
}

#[actor(options(no_sleep = true))]
impl LifecycleObserver {
    #[action]
    fn record_event(&mut self, ctx: &mut Ctx, event: LifecycleEvent) {
        let LifecycleEvent { actor_key, event } = event;
        self.events.push(json!({"actorKey": actor_key, "event": event, "timestamp": ctx.now()}));
    }

    #[action(read_only)]
    fn get_events(&self) -> &Vec<Value> {
        &self.events
    }

    #[action]
    fn clear_events(&mut self) {
        self.events.clear();
    }
}

/// How long the start of [`StartStopRaceActor`] takes.
const START_MS: u64 = 100;

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StartStopRaceActor {
    initialized: bool,
    start_time: u64,
    destroy_called: bool,
    start_completed: bool,
    /// Calls that came while the actor started.
    waiting: Vec<Waiting>,
}

#[derive(Serialize, Deserialize)]
struct Waiting {
    what: String,
    reply: ReplyHandle,
}

impl StartStopRaceActor {
    fn shown(&self, what: &str) -> Value {
        match what {
            "ping" => "pong".into(),
            "destroy" => Value::Null,
            _ => json!({
                "initialized": self.initialized,
                "startTime": self.start_time,
                "destroyCalled": self.destroy_called,
                "startCompleted": self.start_completed,
            }),
        }
    }

    fn when_started(&mut self, ctx: &mut Ctx, what: &str) -> Reply<Value> {
        if self.start_completed {
            if what == "destroy" {
                ctx.destroy_self();
            }
            return Reply::Now(self.shown(what));
        }
        let deferred = ctx.defer();
        self.waiting.push(Waiting { what: what.to_owned(), reply: deferred.handle() });
        Reply::Later(deferred)
    }

    fn complete_start(&mut self, ctx: &mut Ctx) -> Result<()> {
        if self.start_completed {
            return Ok(());
        }
        self.initialized = true;
        self.start_completed = true;
        let key = ctx.identity().key.join("/");
        observe(ctx, "observer", &key, "started")
    }
}

/// A start that takes time: what comes meanwhile is deferred until a timer says that the start is complete.
#[actor]
impl StartStopRaceActor {
    #[on_wake]
    fn wake(&mut self, ctx: &mut Ctx, reason: WakeReason) -> Result<()> {
        if matches!(reason, WakeReason::Created | WakeReason::Woken) {
            self.start_completed = false;
            self.start_time = ctx.now();
            self.waiting.clear();
            ctx.after(START_MS, "started", &())?;
        }
        Ok(())
    }

    #[on_timer]
    fn started(&mut self, ctx: &mut Ctx) -> Result<()> {
        self.complete_start(ctx)?;
        for Waiting { what, reply } in std::mem::take(&mut self.waiting) {
            if what == "destroy" {
                ctx.destroy_self();
            }
            ctx.answer(reply, Ok(self.shown(&what)));
        }
        Ok(())
    }

    #[on_destroy]
    fn destroyed(&mut self, ctx: &mut Ctx) -> Result<()> {
        self.complete_start(ctx)?;
        self.destroy_called = true;
        let key = ctx.identity().key.join("/");
        observe(ctx, "observer", &key, "destroy")
    }

    #[action]
    fn get_state(&mut self, ctx: &mut Ctx) -> Reply<Value> {
        self.when_started(ctx, "state")
    }

    #[action]
    fn ping(&mut self, ctx: &mut Ctx) -> Reply<Value> {
        self.when_started(ctx, "ping")
    }

    #[action]
    fn destroy(&mut self, ctx: &mut Ctx) -> Reply<Value> {
        self.when_started(ctx, "destroy")
    }
}

/// Whether a wake is a start, as opposed to a new instance within one.
fn is_start(reason: WakeReason) -> bool {
    matches!(reason, WakeReason::Created | WakeReason::Woken)
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunWithEarlyExit {
    run_started: bool,
    run_exited: bool,
    destroy_called: bool,
    sleep_count: i64,
    wake_count: i64,
}

#[actor(options(sleep_timeout = 1000))]
impl RunWithEarlyExit {
    #[on_wake]
    fn wake(&mut self, ctx: &mut Ctx, reason: WakeReason) -> Result<()> {
        if is_start(reason) {
            self.wake_count += 1;
            self.run_started = true;
            ctx.after(200, "exit", &())?;
        }
        Ok(())
    }

    #[on_timer]
    fn exit(&mut self) {
        self.run_exited = true;
    }

    #[on_sleep]
    fn sleep(&mut self, ctx: &mut Ctx) -> Result<()> {
        self.sleep_count += 1;
        let id = ctx.identity().id;
        observe(ctx, "run-with-early-exit", &id, "sleep")
    }

    #[on_destroy]
    fn destroyed(&mut self, ctx: &mut Ctx) -> Result<()> {
        self.destroy_called = true;
        let id = ctx.identity().id;
        observe(ctx, "run-with-early-exit", &id, "destroy")
    }

    #[action(read_only)]
    fn get_state(&self) -> &Self {
        self
    }

    #[action]
    fn destroy(&self, ctx: &mut Ctx) {
        ctx.destroy_self();
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunSelfInitiatedSleep {
    run_count: i64,
    wake_count: i64,
    sleep_count: i64,
    marker: String,
}

impl Default for RunSelfInitiatedSleep {
    fn default() -> Self {
        Self { run_count: 0, wake_count: 0, sleep_count: 0, marker: "new".to_owned() }
    }
}

#[actor(options(sleep_timeout = 1000))]
impl RunSelfInitiatedSleep {
    #[on_wake]
    fn wake(&mut self, ctx: &mut Ctx, reason: WakeReason) -> Result<()> {
        if is_start(reason) {
            self.wake_count += 1;
            ctx.after(0, "run", &())?;
        }
        Ok(())
    }

    #[on_timer]
    fn run(&mut self, ctx: &mut Ctx) {
        self.run_count += 1;
        if self.run_count == 1 {
            self.marker = "sleep-requested".to_owned();
            ctx.sleep();
        }
    }

    #[on_sleep]
    fn sleep(&mut self) {
        self.sleep_count += 1;
        self.marker = "slept".to_owned();
    }

    #[action(read_only)]
    fn get_state(&self) -> &Self {
        self
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunSelfInitiatedDestroy {
    run_count: i64,
    destroy_called: bool,
}

#[actor]
impl RunSelfInitiatedDestroy {
    #[on_wake]
    fn wake(&self, ctx: &mut Ctx, reason: WakeReason) -> Result<()> {
        if is_start(reason) {
            ctx.after(0, "run", &())?;
        }
        Ok(())
    }

    #[on_timer]
    fn run(&mut self, ctx: &mut Ctx) {
        self.run_count += 1;
        ctx.destroy_self();
    }

    #[on_destroy]
    fn destroyed(&mut self, ctx: &mut Ctx) -> Result<()> {
        self.destroy_called = true;
        let id = ctx.identity().id;
        observe(ctx, "self-initiated-destroy", &id, "destroy")
    }

    #[action(read_only)]
    fn get_state(&self) -> &Self {
        self
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunIgnoresAbortStopTimeout {
    wake_count: i64,
    destroy_count: i64,
}

/// There is nothing that could run on and ignore a stop: all that an actor does is turns, and turns end.
#[actor(options(sleep_timeout = 50, sleep_grace_period = 100))]
impl RunIgnoresAbortStopTimeout {
    #[on_wake]
    fn wake(&mut self, reason: WakeReason) {
        self.wake_count += i64::from(is_start(reason));
    }

    #[on_destroy]
    fn destroyed(&mut self) {
        self.destroy_count += 1;
    }

    #[action(read_only)]
    fn get_state(&self) -> &Self {
        self
    }

    #[action]
    fn destroy(&self, ctx: &mut Ctx) {
        ctx.destroy_self();
    }
}

/// Time between two ticks.
const TICK_MS: u64 = 50;

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunWithTicks {
    tick_count: i64,
    last_tick_at: u64,
    run_started: bool,
    run_exited: bool,
}

#[actor(options(sleep_timeout = 1000))]
impl RunWithTicks {
    #[on_wake]
    fn wake(&mut self, ctx: &mut Ctx, reason: WakeReason) -> Result<()> {
        if is_start(reason) {
            self.run_started = true;
            self.run_exited = false;
            if ctx.timers().is_empty() {
                ctx.every(TICK_MS, "tick", &())?;
            }
        }
        Ok(())
    }

    #[on_timer]
    fn tick(&mut self, ctx: &mut Ctx) {
        self.tick_count += 1;
        self.last_tick_at = ctx.now();
    }

    /// The loop ends with the sleep, and begins anew with the next start.
    #[on_sleep]
    fn sleep(&mut self, ctx: &mut Ctx) {
        self.run_exited = true;
        for timer in ctx.timers() {
            ctx.cancel_timer(timer.id);
        }
    }

    #[action(read_only)]
    fn get_state(&self) -> &Self {
        self
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunWithQueueConsumer {
    messages_received: Vec<Value>,
    run_started: bool,
    wake_count: i64,
}

/// A queue message is a turn, so nothing has to wait for one.
#[actor(queues("messages"), options(sleep_timeout = 1000))]
impl RunWithQueueConsumer {
    #[on_wake]
    fn wake(&mut self, reason: WakeReason) {
        self.run_started = true;
        self.wake_count += i64::from(is_start(reason));
    }

    #[on_queue(name = "messages")]
    fn message(&mut self, message: QueueMessage) -> Result<()> {
        let body = message.read::<Value>()?;
        self.messages_received.push(json!({"name": message.queue, "body": body}));
        Ok(())
    }

    #[action]
    fn send_message(&mut self, body: Json) -> Result<bool> {
        self.messages_received.push(json!({"name": "messages", "body": body.parse::<Value>()?}));
        Ok(true)
    }

    #[action(read_only)]
    fn get_state(&self) -> &Self {
        self
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunWithError {
    run_started: bool,
    run_exited: bool,
    destroy_called: bool,
    sleep_count: i64,
    wake_count: i64,
}

#[actor(options(sleep_timeout = 1000))]
impl RunWithError {
    #[on_wake]
    fn wake(&mut self, ctx: &mut Ctx, reason: WakeReason) -> Result<()> {
        if is_start(reason) {
            self.wake_count += 1;
            self.run_started = true;
            ctx.after(200, "fail", &())?;
        }
        Ok(())
    }

    /// A failed turn would be tried again; what failed here is to have failed once.
    #[on_timer]
    fn fail(&mut self) {
        self.run_exited = true;
        growqr_actor_sdk::error!("intentional error in the run handler");
    }

    #[on_sleep]
    fn sleep(&mut self) {
        self.sleep_count += 1;
    }

    #[on_destroy]
    fn destroyed(&mut self) {
        self.destroy_called = true;
    }

    #[action(read_only)]
    fn get_state(&self) -> &Self {
        self
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunWithoutHandler {
    wake_count: i64,
}

#[actor(options(sleep_timeout = 1000))]
impl RunWithoutHandler {
    #[on_wake]
    fn wake(&mut self, reason: WakeReason) {
        self.wake_count += i64::from(is_start(reason));
    }

    #[action(read_only)]
    fn get_state(&self) -> &Self {
        self
    }
}
