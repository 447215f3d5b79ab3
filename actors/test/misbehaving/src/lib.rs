//! An actor that does every bad thing, for the tests.
//!
//! Its actions misbehave when they are called. Its hooks are well-behaved unless the setting `panicIn` names them.

use growqr_actor_sdk::bindings::growqr::actor::{config, log, state};
use growqr_actor_sdk::prelude::*;
use std::hint::black_box;

#[derive(Default, Serialize, Deserialize)]
struct Misbehaving {
    calls: u64,
    /// Times that the ticking timer came.
    #[serde(default)]
    ticks: u64,
    #[serde(default)]
    ticker: Option<u64>,
}

/// More than any turn may do of anything.
const FLOOD: u64 = 100_000;

/// Bytes of an answer that is over the limit of one call, and still fits in an actor's memory.
const ANSWER_BYTES: usize = 41 << 20;

/// Panics if the deployment says so for this place.
fn trip(place: &str) {
    if config::get("panicIn").is_some_and(|text| text.trim_matches('"') == place) {
        panic!("told to panic in {place}");
    }
}

#[allow(unconditional_recursion)]
fn deeper(depth: u64) -> u64 {
    black_box(deeper(black_box(depth + 1))) + 1
}

#[actor(queues("any"))]
impl Misbehaving {
    #[action(read_only)]
    fn ok(&self) -> &'static str {
        "ok"
    }

    #[action]
    fn calls(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    #[action]
    fn spin(&self) {
        let mut turns = 0u64;
        loop {
            turns = black_box(turns.wrapping_add(1));
        }
    }

    #[action]
    fn recurse(&self) -> u64 {
        deeper(0)
    }

    /// Takes memory until the host refuses, and then some more.
    #[action]
    fn allocate(&self) -> usize {
        let mut held: Vec<Vec<u8>> = Vec::new();
        loop {
            held.push(black_box(vec![1; 1 << 20]));
        }
    }

    /// One value that no actor may keep.
    #[action]
    fn huge_state(&self, ctx: &mut Ctx, bytes: Option<u64>) {
        ctx.set("huge", &vec![1; bytes.unwrap_or(8 << 20) as usize]);
    }

    #[action]
    fn many_writes(&self, ctx: &mut Ctx, count: Option<u64>) {
        for number in 0..count.unwrap_or(FLOOD) {
            ctx.set(&number.to_string(), b"1");
        }
    }

    #[action]
    fn event_flood(&self, ctx: &mut Ctx, count: Option<u64>) {
        for number in 0..count.unwrap_or(FLOOD) {
            ctx.broadcast("flood", &number);
        }
    }

    #[action]
    fn log_flood(&self, count: Option<u64>) {
        for number in 0..count.unwrap_or(FLOOD) {
            log::write(log::Level::Info, &number.to_string());
        }
    }

    #[action]
    fn timer_flood(&self, ctx: &mut Ctx, count: Option<u64>) -> Result<()> {
        for number in 0..count.unwrap_or(FLOOD) {
            ctx.after(60_000, "flood", &number)?;
        }
        Ok(())
    }

    /// A timer that comes again and again; 0 ends it. Gives how often it has come.
    #[action]
    fn tick_every(&mut self, ctx: &mut Ctx, ms: u64) -> Result<u64> {
        if let Some(old) = self.ticker.take() {
            ctx.cancel_timer(old);
        }
        if ms > 0 {
            self.ticker = Some(ctx.every(ms, "tick", &())?);
        }
        Ok(self.ticks)
    }

    #[action]
    fn send_flood(&self, ctx: &mut Ctx, count: Option<u64>) -> Result<()> {
        for number in 0..count.unwrap_or(FLOOD) {
            ctx.send(&Target::actor("misbehaving", ["flood"]), &number)?;
        }
        Ok(())
    }

    #[action]
    fn panic(&mut self, ctx: &mut Ctx) {
        self.calls += 100;
        ctx.set("before-the-panic", b"1");
        ctx.broadcast("beforeThePanic", &1);
        panic!("told to panic");
    }

    #[action]
    fn bad_json(&self) -> Reply<()> {
        Reply::Text("{not json".to_owned())
    }

    /// More than one call carries from a component to the host.
    #[action(read_only)]
    fn huge_answer(&self) -> Reply<()> {
        Reply::Text("1".repeat(ANSWER_BYTES))
    }

    #[action]
    fn fail(&mut self, code: String) -> Result<()> {
        self.calls += 100;
        Err(Fail::new(code, "told to fail"))
    }

    /// Answers with an error, and still counts the call.
    #[action]
    fn fail_and_keep(&mut self, code: String) -> Result<()> {
        self.calls += 1;
        Err(Fail::new(code, "told to fail and keep").keep())
    }

    /// The SDK does not let a read-only action write, so it goes behind its back.
    #[action(read_only)]
    fn write_in_read_only(&self) {
        state::set("written", b"1");
    }

    /// The code of the failure, or "available".
    #[action(read_only)]
    fn use_memory(&self, ctx: &Ctx) -> String {
        ctx.memory().search("anything", 1).map_or_else(code, |_| "available".to_owned())
    }

    /// The code of the failure, or "available".
    #[action(read_only)]
    fn use_sandbox(&self, ctx: &Ctx) -> String {
        ctx.sandbox().status().map_or_else(code, |_| "available".to_owned())
    }

    #[action]
    fn set_timer(&self, ctx: &mut Ctx, ms: u64) -> Result<u64> {
        ctx.after(ms, "trip", &())
    }

    #[action]
    fn send_to_self(&self, ctx: &mut Ctx) -> Result<u64> {
        let me = ctx.identity().id;
        ctx.send(&Target::Id(me), &"hello")
    }

    #[action]
    fn call_self(&self, ctx: &mut Ctx) -> Result<u64> {
        let me = ctx.identity().id;
        ctx.call(&Target::Id(me), "ok", &())
    }

    #[action]
    fn sleep_now(&self, ctx: &mut Ctx) {
        ctx.sleep();
    }

    #[action]
    fn destroy_me(&self, ctx: &mut Ctx) {
        ctx.destroy_self();
    }

    #[on_create]
    fn created(&self) {
        trip("on-create");
    }

    #[on_wake]
    fn woken(&self) {
        trip("on-wake");
    }

    #[on_before_connect]
    fn before_connect(&self) {
        trip("on-before-connect");
    }

    #[on_connect]
    fn connected(&self) {
        trip("on-connect");
    }

    #[on_disconnect]
    fn disconnected(&self) {
        trip("on-disconnect");
    }

    #[on_subscribe]
    fn subscribed(&self) {
        trip("on-subscribe");
    }

    #[on_queue(any)]
    fn queued(&self) {
        trip("on-queue-message");
    }

    #[on_request]
    fn requested(&self) -> Response {
        trip("on-request");
        Response::text(200, "ok")
    }

    #[on_socket]
    fn socket(&self) {
        trip("on-socket");
    }

    #[on_message]
    fn message(&self) {
        trip("on-message");
    }

    #[on_timer(any)]
    fn timer(&mut self) {
        trip("on-timer");
        self.ticks += 1;
    }

    #[on_effect_result]
    fn effect_result(&self) {
        trip("on-effect-result");
    }

    #[on_sandbox_event]
    fn sandbox_event(&self) {
        trip("on-sandbox-event");
    }

    #[check]
    fn checked(&self) {
        trip("check");
    }

    #[on_sleep]
    fn sleeping(&self) {
        trip("on-sleep");
    }

    #[on_destroy]
    fn destroyed(&self) {
        trip("on-destroy");
    }
}

fn code(fail: Fail) -> String {
    format!("{}.{}", fail.group, fail.code)
}

// What `export!(Misbehaving)` writes, with a way to fail in `describe`.
export!(@component
    |_name| {
        trip("describe");
        <Misbehaving as Actor>::describe()
    },
    || growqr_actor_sdk::Instance::<Misbehaving>::boxed()
);
