//! Sleep: what brings it on, what holds it up, and what is still said before it.

use crate::waits::{Later, answer, held, hold};
use growqr_actor_sdk::prelude::*;
use serde_json::{Value, json};

/// How often an actor was started and put to sleep.
#[derive(Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    start_count: i64,
    sleep_count: i64,
}

impl Counts {
    fn started(&mut self, reason: WakeReason) {
        self.start_count += i64::from(matches!(reason, WakeReason::Created | WakeReason::Woken));
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sleep {
    counts: Counts,
}

#[actor(options(sleep_timeout = 1000))]
impl Sleep {
    #[on_wake]
    fn wake(&mut self, reason: WakeReason) {
        self.counts.started(reason);
    }

    #[on_sleep]
    fn slept(&mut self) {
        self.counts.sleep_count += 1;
    }

    #[action]
    fn trigger_sleep(&self, ctx: &mut Ctx) {
        ctx.sleep();
    }

    #[action(read_only)]
    fn get_counts(&self) -> &Counts {
        &self.counts
    }

    #[action]
    fn set_alarm(&self, ctx: &mut Ctx, delay_ms: u64) -> Result<()> {
        ctx.after(delay_ms, "onAlarm", &())?;
        Ok(())
    }

    #[on_timer]
    fn on_alarm(&self) {}
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SleepWithLongRpc {
    counts: Counts,
    waiting: Option<ReplyHandle>,
}

#[actor(events("waiting"), options(sleep_timeout = 1000))]
impl SleepWithLongRpc {
    #[on_wake]
    fn wake(&mut self, reason: WakeReason) {
        self.counts.started(reason);
    }

    #[on_sleep]
    fn slept(&mut self) {
        self.counts.sleep_count += 1;
    }

    #[action(read_only)]
    fn get_counts(&self) -> &Counts {
        &self.counts
    }

    #[action]
    fn long_running_rpc(&mut self, ctx: &mut Ctx) -> Deferred {
        ctx.broadcast_args("waiting", &());
        let deferred = ctx.defer();
        self.waiting = Some(deferred.handle());
        deferred
    }

    #[action]
    fn finish_long_running_rpc(&mut self, ctx: &mut Ctx) {
        if let Some(reply) = self.waiting.take() {
            ctx.answer(reply, Ok(()));
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SleepWithRawHttp {
    start_count: i64,
    sleep_count: i64,
    request_count: i64,
}

#[actor(options(sleep_timeout = 1000))]
impl SleepWithRawHttp {
    #[on_wake]
    fn wake(&mut self, reason: WakeReason) {
        self.start_count += i64::from(matches!(reason, WakeReason::Created | WakeReason::Woken));
    }

    #[on_sleep]
    fn slept(&mut self) {
        self.sleep_count += 1;
    }

    #[on_request]
    fn request(&mut self, ctx: &mut Ctx, request: Request) -> Result<Reply<Response>> {
        self.request_count += 1;
        if request.path() != "/long-request" {
            return Ok(Reply::Now(Response::text(404, "Not Found")));
        }
        let duration = request.query().split('&').find_map(|pair| pair.strip_prefix("duration=")).unwrap_or("1000");
        let deferred = ctx.defer();
        ctx.after(duration.parse()?, "respond", &deferred.handle())?;
        Ok(Reply::Later(deferred))
    }

    #[on_timer]
    fn respond(&self, ctx: &mut Ctx, reply: ReplyHandle) -> Result<()> {
        ctx.answer_request(reply, &Response::json(200, &json!({"completed": true}))?);
        Ok(())
    }

    #[action]
    fn trigger_sleep(&self, ctx: &mut Ctx) {
        ctx.sleep();
    }

    #[action(read_only)]
    fn get_counts(&self) -> &Self {
        self
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SleepWithRawWebSocket {
    start_count: i64,
    sleep_count: i64,
    connection_count: i64,
}

#[actor(options(sleep_timeout = 1000, can_hibernate = false))]
impl SleepWithRawWebSocket {
    #[on_wake]
    fn wake(&mut self, reason: WakeReason) {
        self.start_count += i64::from(matches!(reason, WakeReason::Created | WakeReason::Woken));
    }

    #[on_sleep]
    fn slept(&mut self) {
        self.sleep_count += 1;
    }

    #[on_socket]
    fn socket(&mut self, ctx: &mut Ctx, event: SocketEvent) {
        match event {
            SocketEvent::Open(_) => {
                self.connection_count += 1;
                ctx.send_text(json!({"type": "connected", "connectionCount": self.connection_count}).to_string());
            }
            SocketEvent::Message(message) => {
                let Frame::Text(text) = message.frame else { return };
                let parsed = serde_json::from_str::<Value>(&text).unwrap_or_default();
                let answer = match parsed["type"].as_str() {
                    Some("getCounts") => json!({
                        "type": "counts",
                        "startCount": self.start_count,
                        "sleepCount": self.sleep_count,
                        "connectionCount": self.connection_count,
                    }),
                    Some("keepAlive") => json!({"type": "ack"}),
                    _ => return,
                };
                ctx.send_text(answer.to_string());
            }
            SocketEvent::Close(_) => self.connection_count -= 1,
        }
    }

    #[action]
    fn trigger_sleep(&self, ctx: &mut Ctx) {
        ctx.sleep();
    }

    #[action(read_only)]
    fn get_counts(&self) -> &Self {
        self
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SleepWithNoSleepOption {
    counts: Counts,
}

#[actor(options(sleep_timeout = 1000, no_sleep = true))]
impl SleepWithNoSleepOption {
    #[on_wake]
    fn wake(&mut self, reason: WakeReason) {
        self.counts.started(reason);
    }

    #[on_sleep]
    fn slept(&mut self) {
        self.counts.sleep_count += 1;
    }

    #[action(read_only)]
    fn get_counts(&self) -> &Counts {
        &self.counts
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SleepWithWaitUntilMessage {
    start_count: i64,
    sleep_count: i64,
    wait_until_message_count: i64,
}

#[actor(events("sleeping"), options(sleep_timeout = 1000))]
impl SleepWithWaitUntilMessage {
    #[on_wake]
    fn wake(&mut self, reason: WakeReason) {
        self.start_count += i64::from(matches!(reason, WakeReason::Created | WakeReason::Woken));
    }

    #[on_sleep]
    fn slept(&mut self) {
        self.sleep_count += 1;
    }

    #[action]
    fn trigger_sleep(&self, ctx: &mut Ctx) -> Result<()> {
        let connection = ctx.connection_id().map(str::to_owned);
        ctx.after(10, "work", &connection)?;
        Ok(())
    }

    #[on_timer]
    fn work(&mut self, ctx: &mut Ctx, connection: Option<String>) {
        self.wait_until_message_count += 1;
        if let Some(connection) = connection.and_then(|id| ctx.connection_by_id(&id)) {
            let event = json!({"sleepCount": self.sleep_count, "startCount": self.start_count});
            connection.send("sleeping", &event);
        }
        ctx.sleep();
    }

    #[action(read_only)]
    fn get_counts(&self) -> &Self {
        self
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SleepWithWaitUntilInOnWake {
    start_count: i64,
    sleep_count: i64,
    wait_until_called: bool,
    wait_until_completed: bool,
}

#[actor(options(sleep_timeout = 1000))]
impl SleepWithWaitUntilInOnWake {
    #[on_wake]
    fn wake(&mut self, ctx: &mut Ctx, reason: WakeReason) -> Result<()> {
        if matches!(reason, WakeReason::Created | WakeReason::Woken) {
            self.start_count += 1;
            self.wait_until_called = true;
            ctx.after(50, "work", &())?;
        }
        Ok(())
    }

    #[on_timer]
    fn work(&mut self) {
        self.wait_until_completed = true;
    }

    #[on_sleep]
    fn slept(&mut self) {
        self.sleep_count += 1;
    }

    #[action]
    fn trigger_sleep(&self, ctx: &mut Ctx) {
        ctx.sleep();
    }

    #[action(read_only)]
    fn get_status(&self) -> &Self {
        self
    }
}

/// How long a handler of the actors below runs.
const HANDLER_MS: u64 = 250;

/// A raw socket whose handlers take time. The original has one actor for each way of writing a handler; here there is one way.
macro_rules! slow_handlers {
    ($($actor:ident)*) => {$(
        #[derive(Default, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $actor {
            start_count: i64,
            sleep_count: i64,
            message_started: i64,
            message_finished: i64,
            close_started: i64,
            close_finished: i64,
        }

        #[actor(options(sleep_timeout = 100, can_hibernate = false))]
        impl $actor {
            #[on_wake]
            fn wake(&mut self, reason: WakeReason) {
                self.start_count += i64::from(matches!(reason, WakeReason::Created | WakeReason::Woken));
            }

            #[on_sleep]
            fn slept(&mut self) {
                self.sleep_count += 1;
            }

            #[on_socket]
            fn socket(&mut self, ctx: &mut Ctx, event: SocketEvent) -> Result<()> {
                match event {
                    SocketEvent::Open(_) => {
                        ctx.send_text(json!({"type": "connected"}).to_string());
                    }
                    SocketEvent::Message(message) => {
                        let Frame::Text(text) = &message.frame else { return Ok(()) };
                        if text == "track-message" {
                            self.message_started += 1;
                            ctx.send_text(json!({"type": "message-started"}).to_string());
                            ctx.after(HANDLER_MS, "messageDone", &())?;
                            hold(ctx, HANDLER_MS)?;
                        }
                    }
                    SocketEvent::Close(_) => {
                        self.close_started += 1;
                        ctx.after(HANDLER_MS, "closeDone", &())?;
                        hold(ctx, HANDLER_MS)?;
                    }
                }
                Ok(())
            }

            #[on_timer]
            fn message_done(&mut self) {
                self.message_finished += 1;
            }

            #[on_timer]
            fn close_done(&mut self) {
                self.close_finished += 1;
            }

            #[action(name = "$hold")]
            fn hold(&self, ctx: &mut Ctx, duration_ms: u64) -> Result<Deferred> {
                held(ctx, duration_ms)
            }

            #[on_timer]
            fn answer(&self, ctx: &mut Ctx, later: Later) {
                answer(ctx, &later);
            }

            #[action(read_only)]
            fn get_status(&self) -> &Self {
                self
            }
        }
    )*};
}

slow_handlers! {
    SleepRawWsAddEventListenerMessage SleepRawWsOnMessage SleepRawWsAddEventListenerClose SleepRawWsOnClose
}

/// A raw socket that is told of the sleep. A hook can't wait, so the delayed one says it at once as well.
macro_rules! tells_of_sleep {
    ($($actor:ident)*) => {$(
        #[derive(Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $actor {
            counts: Counts,
        }

        #[actor(options(sleep_timeout = 1000, can_hibernate = false))]
        impl $actor {
            #[on_wake]
            fn wake(&mut self, reason: WakeReason) {
                self.counts.started(reason);
            }

            #[on_sleep]
            fn slept(&mut self, ctx: &mut Ctx) {
                self.counts.sleep_count += 1;
                let text = json!({"type": "sleeping", "sleepCount": self.counts.sleep_count}).to_string();
                for connection in ctx.connections() {
                    connection.send_text(text.clone());
                }
            }

            #[on_socket]
            fn socket(&self, ctx: &mut Ctx, event: SocketEvent) {
                if let SocketEvent::Open(_) = event {
                    ctx.send_text(json!({"type": "connected"}).to_string());
                }
            }

            #[action]
            fn trigger_sleep(&self, ctx: &mut Ctx) {
                ctx.sleep();
            }

            #[action(read_only)]
            fn get_counts(&self) -> &Counts {
                &self.counts
            }
        }
    )*};
}

tells_of_sleep! { SleepRawWsSendOnSleep SleepRawWsDelayedSendOnSleep }
