//! Actions: timeouts, overlap, errors and sizes.

use crate::counters::with_state;
use crate::waits::{Later, answer, answer_after};
use growqr_actor_sdk::prelude::*;
use serde_json::{Value, json};

/// An actor without state whose slow action has to be answered by a timer.
macro_rules! slow_actor {
    ($actor:ident, $timeout_ms:literal, quick $quick:ident => $quick_value:literal, slow $slow:ident $slow_ms:literal => $slow_value:literal) => {
        #[derive(Default, Serialize, Deserialize)]
        pub struct $actor;

        #[actor(options(action_timeout = $timeout_ms))]
        impl $actor {
            #[action(read_only)]
            fn $quick(&self) -> &'static str {
                $quick_value
            }

            #[action]
            fn $slow(&self, ctx: &mut Ctx) -> Result<Deferred> {
                answer_after(ctx, $slow_ms, $slow_value)
            }

            #[on_timer]
            fn answer(&self, ctx: &mut Ctx, later: Later) {
                answer(ctx, &later);
            }
        }
    };
}

slow_actor!(ShortTimeoutActor, 50, quick quick_action => "quick response", slow slow_action 100 => "slow response");

/// An actor without state that has one delayed action.
macro_rules! delayed_actor {
    ($actor:ident, $timeout_ms:literal, $slow:ident $slow_ms:literal => $slow_value:literal) => {
        #[derive(Default, Serialize, Deserialize)]
        pub struct $actor;

        #[actor(options(action_timeout = $timeout_ms))]
        impl $actor {
            #[action]
            fn $slow(&self, ctx: &mut Ctx) -> Result<Deferred> {
                answer_after(ctx, $slow_ms, $slow_value)
            }

            #[on_timer]
            fn answer(&self, ctx: &mut Ctx, later: Later) {
                answer(ctx, &later);
            }
        }
    };
}

delayed_actor!(LongTimeoutActor, 200, delayed_action 100 => "delayed response");
delayed_actor!(DefaultTimeoutActor, 60_000, normal_action 50 => "normal response");

#[derive(Default, Serialize, Deserialize)]
pub struct SyncTimeoutActor;

#[actor(options(action_timeout = 50))]
impl SyncTimeoutActor {
    #[action(read_only)]
    fn sync_action(&self) -> &'static str {
        "sync response"
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct CustomTimeoutActor;

#[actor(options(action_timeout = 200))]
impl CustomTimeoutActor {
    #[action]
    fn quick_action(&self, ctx: &mut Ctx) -> Result<Deferred> {
        answer_after(ctx, 50, "Quick action completed")
    }

    #[action]
    fn slow_action(&self, ctx: &mut Ctx) -> Result<Deferred> {
        answer_after(ctx, 300, "Slow action completed")
    }

    #[on_timer]
    fn answer(&self, ctx: &mut Ctx, later: Later) {
        answer(ctx, &later);
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct SyncActionActor {
    value: i64,
}

#[actor]
impl SyncActionActor {
    #[action]
    fn increment(&mut self, by: Option<i64>) -> i64 {
        self.value += by.unwrap_or(1);
        self.value
    }

    #[action(read_only)]
    fn get_info(&self, ctx: &Ctx) -> Value {
        json!({"currentValue": self.value, "timestamp": ctx.now()})
    }

    #[action]
    fn reset(&mut self) {
        self.value = 0;
    }
}

/// What the original waits for in these actions before it answers.
const ASYNC_STEP_MS: u64 = 5;

#[derive(Default, Serialize, Deserialize)]
pub struct AsyncActionActor {
    value: i64,
    data: Option<Value>,
}

#[derive(Serialize, Deserialize)]
struct DelayedIncrement {
    by: i64,
    reply: ReplyHandle,
}

#[actor]
impl AsyncActionActor {
    #[action]
    fn delayed_increment(&self, ctx: &mut Ctx, by: Option<i64>) -> Result<Deferred> {
        let deferred = ctx.defer();
        let payload = DelayedIncrement { by: by.unwrap_or(1), reply: deferred.handle() };
        ctx.after(ASYNC_STEP_MS, "increment", &payload)?;
        Ok(deferred)
    }

    #[on_timer]
    fn increment(&mut self, ctx: &mut Ctx, delayed: DelayedIncrement) {
        self.value += delayed.by;
        ctx.answer(delayed.reply, Ok(self.value));
    }

    #[action]
    fn fetch_data(&mut self, ctx: &mut Ctx, id: Json) -> Result<Value> {
        let data = json!({"id": id.parse::<Value>()?, "timestamp": ctx.now()});
        self.data = Some(data.clone());
        Ok(data)
    }

    #[action]
    fn async_with_error(&self, should_error: bool) -> Result<&'static str> {
        match should_error {
            true => Err(Fail::new("user_error", "Intentional error").keep()),
            false => Ok("Success"),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct ConcurrentActionActor {
    events: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Delayed {
    label: String,
    reply: ReplyHandle,
}

#[actor]
impl ConcurrentActionActor {
    #[action]
    fn run_with_delay(&mut self, ctx: &mut Ctx, label: String, delay_ms: u64) -> Result<Deferred> {
        self.events.push(format!("start:{label}"));
        let deferred = ctx.defer();
        ctx.after(delay_ms, "finish", &Delayed { label, reply: deferred.handle() })?;
        Ok(deferred)
    }

    #[on_timer]
    fn finish(&mut self, ctx: &mut Ctx, delayed: Delayed) {
        self.events.push(format!("finish:{}", delayed.label));
        ctx.answer(delayed.reply, Ok(delayed.label));
    }

    #[action(read_only)]
    fn get_events(&self) -> &Vec<String> {
        &self.events
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct NestedActionActor {
    total: i64,
}

#[actor]
impl NestedActionActor {
    #[action(name = "calculator.add")]
    fn add(&mut self, by: i64) -> i64 {
        self.total += by;
        self.total
    }

    #[action(name = "calculator.read", read_only)]
    fn read(&self) -> i64 {
        self.total
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct PromiseActor {
    results: Vec<String>,
}

#[actor]
impl PromiseActor {
    #[action(read_only)]
    fn resolved_promise(&self) -> &'static str {
        "resolved value"
    }

    #[action]
    fn delayed_promise(&self, ctx: &mut Ctx) -> Result<Deferred> {
        let deferred = ctx.defer();
        ctx.after(ASYNC_STEP_MS, "delayed", &deferred.handle())?;
        Ok(deferred)
    }

    #[on_timer]
    fn delayed(&mut self, ctx: &mut Ctx, reply: ReplyHandle) {
        self.results.push("delayed".to_owned());
        ctx.answer(reply, Ok("delayed value"));
    }

    #[action]
    fn rejected_promise(&self) -> Result<()> {
        Err(Fail::new("user_error", "promised rejection").keep())
    }

    #[action(read_only)]
    fn get_results(&self) -> &Vec<String> {
        &self.results
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorHandlingActor {
    error_log: Vec<String>,
}

#[actor(options(action_timeout = 500))]
impl ErrorHandlingActor {
    #[action]
    fn throw_simple_error(&self) -> Result<()> {
        Err(Fail::new("user_error", "Simple error message").keep())
    }

    #[action]
    fn throw_detailed_error(&self, ctx: &mut Ctx) -> Result<()> {
        let metadata = json!({"reason": "test", "timestamp": ctx.now()});
        Err(Fail::new("detailed_error", "Detailed error message").metadata(&metadata).keep())
    }

    #[action]
    fn throw_internal_error(&self) -> Result<()> {
        Err(Fail::internal("This is an internal error").keep())
    }

    #[action(read_only)]
    fn successful_action(&self) -> &'static str {
        "success"
    }

    /// Nothing answers; the deadline does.
    #[action]
    fn timeout_action(&self, ctx: &mut Ctx) -> Deferred {
        ctx.defer()
    }

    #[action]
    fn delayed_action(&self, ctx: &mut Ctx, delay_ms: u64) -> Result<Deferred> {
        answer_after(ctx, delay_ms, format!("Completed after {delay_ms}ms"))
    }

    #[on_timer]
    fn answer(&self, ctx: &mut Ctx, later: Later) {
        answer(ctx, &later);
    }

    #[action]
    fn log_error(&mut self, error: String) -> &Vec<String> {
        self.error_log.push(error);
        &self.error_log
    }

    #[action(read_only)]
    fn get_error_log(&self) -> &Vec<String> {
        &self.error_log
    }

    #[action]
    fn clear_error_log(&mut self) -> bool {
        self.error_log.clear();
        true
    }
}

#[derive(Deserialize)]
struct LargeRequest {
    items: Vec<Value>,
}

impl LargeRequest {
    fn summary(&self) -> Value {
        json!({"itemCount": self.items.len(), "firstItem": self.items.first(), "lastItem": self.items.last()})
    }
}

fn large_response(count: usize) -> Value {
    let items = (0..count).map(|index| format!("Item {index} with some additional text to increase size"));
    json!({"items": items.collect::<Vec<_>>()})
}

#[derive(Default, Serialize, Deserialize)]
pub struct LargePayloadActor;

#[actor]
impl LargePayloadActor {
    #[action(read_only)]
    fn process_large_request(&self, request: LargeRequest) -> Value {
        request.summary()
    }

    #[action(read_only)]
    fn get_large_response(&self, count: usize) -> Value {
        large_response(count)
    }

    #[action(read_only)]
    fn echo(&self, value: Json) -> Json {
        value
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastRequest {
    last_request_size: usize,
}

#[derive(Default, Serialize, Deserialize)]
pub struct LargePayloadConnActor;

#[actor]
impl LargePayloadConnActor {
    #[on_before_connect]
    fn admit(&self) -> LastRequest {
        LastRequest::default()
    }

    #[action]
    fn process_large_request(&self, ctx: &mut Ctx, request: LargeRequest) -> Result<Value> {
        if let Some(mut connection) = ctx.connection() {
            connection.set_state(&LastRequest { last_request_size: request.items.len() })?;
        }
        Ok(request.summary())
    }

    #[action(read_only)]
    fn get_large_response(&self, count: usize) -> Value {
        large_response(count)
    }

    #[action(read_only)]
    fn echo(&self, value: Json) -> Json {
        value
    }

    #[action(read_only)]
    fn get_last_request_size(&self, ctx: &Ctx) -> Result<usize> {
        Ok(with_state::<_, LastRequest>(ctx)?.1.last_request_size)
    }
}
