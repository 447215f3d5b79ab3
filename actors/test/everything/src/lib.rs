//! An actor that uses every capability as it is meant, for the tests.

mod calls;
mod clients;

use growqr_actor_sdk::prelude::*;
use std::collections::BTreeMap;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Everything {
    value: Json,
    input: Json,
    counts: Counts,
    ran: Vec<Ran>,
    messages: Vec<Json>,
    queued: Vec<Json>,
    /// Callers that wait for another actor's answer, by operation.
    calls: BTreeMap<u64, ReplyHandle>,
    /// Queue messages of `slow` that are not completed, oldest first.
    slow: Vec<ReplyHandle>,
    /// The key of the actor that is told when this one is destroyed.
    observer: Option<String>,
}

/// How often each hook ran.
#[derive(Default, Clone, Serialize, Deserialize)]
#[serde(default)]
struct Counts {
    creates: u64,
    wakes: u64,
    sleeps: u64,
    connects: u64,
    disconnects: u64,
    messages: u64,
    effect_results: u64,
    wake_reasons: Vec<String>,
}

/// A timer that ran.
#[derive(Clone, Serialize, Deserialize)]
struct Ran {
    label: Json,
    due: u64,
    at: u64,
}

/// Fresh at each wake.
#[derive(Default)]
struct Vars {
    actions: u64,
}

type Context = Ctx<Vars>;

/// Runs, messages and wake reasons that are kept; older ones are forgotten.
const RECORDS_MAX: usize = 100;

fn keep<T>(records: &mut Vec<T>, record: T) {
    records.push(record);
    let over = records.len().saturating_sub(RECORDS_MAX);
    records.drain(..over);
}

fn other(key: &str) -> Target {
    Target::actor("everything", [key])
}

#[actor(vars = Vars, events("note", "secret", "userConnected"), options(sleep_timeout = "1s", action_timeout = "10s"))]
impl Everything {
    // --- state -------------------------------------------------------------------------------------------------------

    #[action]
    fn set_value(&mut self, value: Json) {
        self.value = value;
    }

    #[action(read_only)]
    fn value(&self) -> &Json {
        &self.value
    }

    #[action(read_only)]
    fn input(&self) -> &Json {
        &self.input
    }

    #[action(read_only)]
    fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Actions of this instance that counted themselves; 1 after each wake.
    #[action]
    fn count_in_vars(&self, ctx: &mut Context) -> u64 {
        ctx.vars.actions += 1;
        ctx.vars.actions
    }

    #[action]
    fn put(&self, ctx: &mut Context, key: &str, value: String) {
        ctx.set(&["kv/", key].concat(), value.as_bytes());
    }

    #[action(read_only)]
    fn get(&self, ctx: &Context, key: &str) -> Result<Option<String>> {
        Ok(ctx.get(&["kv/", key].concat()).map(String::from_utf8).transpose()?)
    }

    #[action]
    fn delete(&self, ctx: &mut Context, key: &str) {
        ctx.delete(&["kv/", key].concat());
    }

    #[action(read_only)]
    fn list(&self, ctx: &Context, prefix: &str) -> Vec<String> {
        ctx.scan_all(&["kv/", prefix].concat()).map(|(key, _)| key["kv/".len()..].to_owned()).collect()
    }

    /// Answers with an error, and keeps the value.
    #[action]
    fn fail_and_keep(&mut self, value: Json) -> Result<()> {
        self.value = value;
        Err(Fail::new("kept", "an error that keeps").keep())
    }

    /// Answers with an error, and keeps nothing.
    #[action]
    fn fail_and_forget(&mut self, value: Json) -> Result<()> {
        self.value = value;
        Err(Fail::new("forgotten", "an error that forgets"))
    }

    // --- timers ------------------------------------------------------------------------------------------------------

    #[action]
    fn timer_at(&self, ctx: &mut Context, due: u64, label: Json) -> Result<u64> {
        ctx.at(due, "run", &label)
    }

    #[action]
    fn timer_after(&self, ctx: &mut Context, ms: u64, label: Json) -> Result<u64> {
        ctx.after(ms, "run", &label)
    }

    #[action]
    fn timer_every(&self, ctx: &mut Context, ms: u64, label: Json) -> Result<u64> {
        ctx.every(ms, "run", &label)
    }

    #[action]
    fn timer_cron(&self, ctx: &mut Context, expression: &str, label: Json) -> Result<u64> {
        ctx.cron(expression, "run", &label)
    }

    /// `[{id, name, due}]`
    #[action(read_only)]
    fn timers(&self, ctx: &Context) -> Json {
        let timers: Vec<_> = ctx
            .timers()
            .into_iter()
            .map(|timer| serde_json::json!({"id": timer.id, "name": timer.name, "due": timer.due}))
            .collect();
        Json::new(&timers).unwrap_or_default()
    }

    #[action]
    fn cancel_timer(&self, ctx: &mut Context, id: u64) -> bool {
        ctx.cancel_timer(id)
    }

    /// What ran: `[{label, due, at}]`.
    #[action(read_only)]
    fn ran(&self) -> &[Ran] {
        &self.ran
    }

    #[on_timer]
    fn run(&mut self, ctx: &mut Context, timer: TimerEvent) -> Result<()> {
        let ran = Ran { label: timer.read()?, due: timer.due, at: ctx.now() };
        ctx.broadcast("note", &ran);
        keep(&mut self.ran, ran);
        Ok(())
    }

    // --- the world ---------------------------------------------------------------------------------------------------

    #[action(read_only)]
    fn clock(&self, ctx: &Context) -> u64 {
        ctx.now()
    }

    #[action(read_only)]
    fn random(&self, ctx: &Context) -> String {
        ctx.random().to_string()
    }

    #[action(read_only)]
    fn random_bytes(&self, ctx: &Context, length: u32) -> Bytes {
        Bytes(ctx.random_bytes(length))
    }

    #[action(read_only)]
    fn config(&self, ctx: &Context, key: &str) -> Result<Option<Json>> {
        ctx.config(key)
    }

    #[action(read_only)]
    fn identity(&self, ctx: &Context) -> serde_json::Value {
        let me = ctx.identity();
        serde_json::json!({
            "id": me.id, "name": me.name, "key": me.key, "namespace": me.namespace, "region": me.region,
            "generation": me.generation, "created": me.created,
        })
    }

    // --- life --------------------------------------------------------------------------------------------------------

    #[on_create]
    fn created(&mut self, input: Json) {
        self.counts.creates += 1;
        self.input = input;
    }

    #[on_wake]
    fn woken(&mut self, reason: WakeReason) {
        self.counts.wakes += 1;
        let reason = match reason {
            WakeReason::Created => "created",
            WakeReason::Woken => "woken",
            WakeReason::Restarted => "restarted",
            WakeReason::Swapped => "swapped",
        };
        keep(&mut self.counts.wake_reasons, reason.to_owned());
    }

    #[on_sleep]
    fn sleeping(&mut self) {
        self.counts.sleeps += 1;
    }

    #[action]
    fn sleep_now(&self, ctx: &mut Context) {
        ctx.sleep();
    }

    #[action]
    fn destroy_me(&self, ctx: &mut Context) {
        ctx.destroy_self();
    }

    /// When this actor is destroyed, the actor of this key gets the message `{"destroyed": <own key>}`.
    #[action]
    fn observe_destroy(&mut self, observer: String) {
        self.observer = Some(observer);
    }

    #[on_destroy]
    fn destroyed(&self, ctx: &mut Context) -> Result<()> {
        if let Some(observer) = &self.observer {
            let key = ctx.identity().key;
            ctx.send(&other(observer), &serde_json::json!({"destroyed": key}))?;
        }
        Ok(())
    }

    // --- deferred answers, other actors, queues (`calls`) ------------------------------------------------------------

    /// Answers "waited" after so many milliseconds.
    #[action]
    fn wait_for(&self, ctx: &mut Context, ms: u64) -> Result<Deferred> {
        calls::wait_for(ctx, ms)
    }

    #[action]
    fn wait_forever(&self, ctx: &mut Context) -> Deferred {
        ctx.defer()
    }

    #[on_timer]
    fn waited(&self, ctx: &mut Context, reply: ReplyHandle) {
        ctx.answer(reply, Ok("waited"));
    }

    /// The operation's id.
    #[action]
    fn spawn_other(&self, ctx: &mut Context, key: String, input: Json) -> Result<u64> {
        ctx.spawn("everything", [key], &input)
    }

    #[action]
    fn send_to(&self, ctx: &mut Context, key: &str, payload: Json) -> Result<u64> {
        ctx.send(&other(key), &payload)
    }

    /// Gives the other actor's answer, or its failure.
    #[action]
    fn call_on(&mut self, ctx: &mut Context, key: &str, action: &str, args: Vec<Json>) -> Result<Deferred> {
        self.call_other(ctx, key, action, &args)
    }

    #[action]
    fn destroy_other(&self, ctx: &mut Context, key: &str) -> u64 {
        ctx.destroy(&other(key))
    }

    #[action(read_only)]
    fn messages(&self) -> &[Json] {
        &self.messages
    }

    #[on_message]
    fn message(&mut self, ctx: &mut Context, message: ActorMessage) -> Result<()> {
        self.counts.messages += 1;
        let payload: Json = message.read()?;
        ctx.broadcast("note", &payload);
        keep(&mut self.messages, payload);
        Ok(())
    }

    #[on_effect_result]
    fn effect_result(&mut self, ctx: &mut Context, result: EffectResult) {
        self.counts.effect_results += 1;
        if let Some(reply) = self.calls.remove(&result.operation) {
            ctx.answer(reply, result.outcome);
        }
    }

    /// Completes at once with `{"echo": body}`.
    #[on_queue]
    fn jobs(&mut self, body: Json) -> serde_json::Value {
        let echo = serde_json::json!({"echo": &body});
        keep(&mut self.queued, body);
        echo
    }

    /// Completes when `completeSlow` says so.
    #[on_queue]
    fn slow(&mut self, ctx: &mut Context, body: Json) -> Deferred {
        keep(&mut self.queued, body);
        let deferred = ctx.defer();
        keep(&mut self.slow, deferred.handle());
        deferred
    }

    /// Completes the oldest message of the queue `slow`; false if there is none.
    #[action]
    fn complete_slow(&mut self, ctx: &mut Context, value: Json) -> bool {
        if self.slow.is_empty() {
            return false;
        }
        ctx.answer(self.slow.remove(0), Ok(value));
        true
    }

    #[action(read_only)]
    fn queued(&self) -> &[Json] {
        &self.queued
    }

    // --- clients (`clients`) -----------------------------------------------------------------------------------------

    #[on_before_connect]
    fn before_connect(&self, ctx: &mut Context, request: ConnectionRequest) -> Result<Reply<clients::Seen>> {
        clients::before_connect(ctx, &request)
    }

    #[on_timer]
    fn let_in(&self, ctx: &mut Context, late: clients::Late) {
        ctx.answer(late.reply, Ok(late.seen));
    }

    #[on_connect]
    fn connected(&mut self, ctx: &mut Context, connection: Connection) {
        self.counts.connects += 1;
        ctx.broadcast("userConnected", &connection.id);
    }

    #[on_disconnect]
    fn disconnected(&mut self) {
        self.counts.disconnects += 1;
    }

    #[on_subscribe]
    fn subscribe(&self, event: &str) -> Result<()> {
        match event {
            "secret" => Err(Fail::new("forbidden", "this event is secret")),
            _ => Ok(()),
        }
    }

    #[action]
    fn broadcast(&self, ctx: &mut Context, name: &str, args: Vec<Json>) {
        ctx.broadcast_args(name, &args);
    }

    #[action]
    fn send_to_me(&self, ctx: &mut Context, event: &str, payload: Json) -> bool {
        ctx.connection().is_some_and(|connection| connection.send(event, &payload))
    }

    /// What the actor keeps about the caller's connection: `{name, calls}`.
    #[action(read_only)]
    fn connection_state(&self, ctx: &Context) -> Result<Option<clients::Seen>> {
        ctx.connection().map(|connection| connection.state()).transpose()
    }

    #[action]
    fn count_connection(&self, ctx: &mut Context) -> Result<u64> {
        clients::count(ctx)
    }

    #[action(read_only)]
    fn connection_ids(&self, ctx: &Context) -> Vec<String> {
        ctx.connections().into_iter().map(|connection| connection.id).collect()
    }

    #[action]
    fn disconnect_me(&self, ctx: &mut Context) -> bool {
        ctx.connection().is_some_and(|connection| connection.disconnect(1000, "as asked"))
    }

    /// Sends text to every raw socket; gives their number.
    #[action]
    fn broadcast_frame(&self, ctx: &mut Context, text: &str) -> usize {
        clients::to_all(ctx, &Frame::Text(text.to_owned()))
    }

    #[on_request]
    fn request(&self, ctx: &mut Context, request: Request) -> Result<Reply<Response>> {
        clients::request(ctx, &request)
    }

    #[on_timer]
    fn respond(&self, ctx: &mut Context, reply: ReplyHandle) {
        ctx.answer_request(reply, &Response::text(200, "later"));
    }

    #[on_socket]
    fn socket(&self, ctx: &mut Context, event: SocketEvent) {
        clients::socket(ctx, event);
    }
}

export!(Everything);
