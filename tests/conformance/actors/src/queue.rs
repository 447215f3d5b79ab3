//! Actors that read queues.

use crate::queues::{Queues, Want};
use growqr_actor_sdk::prelude::*;
use serde_json::{Value, json};

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueActor {
    queues: Queues,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Receive {
    names: Option<Vec<String>>,
    count: Option<usize>,
    timeout: Option<u64>,
}

fn error(group: &str, code: &str) -> Value {
    json!({"group": group, "code": code})
}

#[actor(queues(
    "greeting", "self", "a", "b", "c", "one", "two", "missing", "abort", "tasks", "timeout", "nowait", "twice"
))]
impl QueueActor {
    #[on_queue(any)]
    fn message(&mut self, ctx: &mut Ctx, message: QueueMessage) -> Result<Deferred> {
        self.queues.push(ctx, &message)
    }

    #[on_timer]
    fn receive_timeout(&mut self, ctx: &mut Ctx, receiver: u64) {
        self.queues.timed_out(ctx, receiver);
    }

    #[action]
    fn receive_one(&mut self, ctx: &mut Ctx, name: String, options: Option<Receive>) -> Result<Reply<Value>> {
        self.queues.receive(ctx, vec![name], Want::One, options.unwrap_or_default().timeout)
    }

    #[action]
    fn receive_many(&mut self, ctx: &mut Ctx, names: Vec<String>, options: Option<Receive>) -> Result<Reply<Value>> {
        let options = options.unwrap_or_default();
        self.queues.receive(ctx, names, Want::Many(options.count.unwrap_or(1)), options.timeout)
    }

    #[action]
    fn receive_request(&mut self, ctx: &mut Ctx, request: Option<Receive>) -> Result<Reply<Value>> {
        let request = request.unwrap_or_default();
        let want = Want::Many(request.count.unwrap_or(1));
        self.queues.receive(ctx, request.names.unwrap_or_default(), want, request.timeout)
    }

    #[action]
    fn try_receive_many(&mut self, ctx: &mut Ctx, request: Option<Receive>) -> Vec<Value> {
        let request = request.unwrap_or_default();
        let names = request.names.unwrap_or_default();
        let messages = std::iter::from_fn(|| self.queues.take(ctx, &names));
        messages.take(request.count.unwrap_or(1)).map(|message| message.shown()).collect()
    }

    #[action]
    fn receive_with_iterator(&mut self, ctx: &mut Ctx, name: String) -> Result<Reply<Value>> {
        self.queues.receive(ctx, vec![name], Want::One, None)
    }

    #[action]
    fn receive_with_async_iterator(&mut self, ctx: &mut Ctx) -> Result<Reply<Value>> {
        self.queues.receive(ctx, Vec::new(), Want::One, None)
    }

    #[action]
    fn send_to_self(&mut self, ctx: &mut Ctx, name: String, body: Json) -> Result<bool> {
        self.queues.push_own(ctx, name, body.parse()?);
        Ok(true)
    }

    /// The host tells whoever waits at an actor that is destroyed `actor.aborted`.
    #[action]
    fn wait_for_abort(&mut self, ctx: &mut Ctx) -> Result<Deferred> {
        ctx.after(10, "destroy", &())?;
        Ok(ctx.defer())
    }

    #[on_timer]
    fn destroy(&self, ctx: &mut Ctx) {
        ctx.destroy_self();
    }

    /// What ends the wait is a signal of the actor's own, so it says itself what the signal's abortion means.
    #[action]
    fn wait_for_signal_abort(&self, ctx: &mut Ctx) -> Result<Deferred> {
        crate::waits::answer_after(ctx, 10, error("actor", "aborted"))
    }

    #[action]
    fn wait_for_actor_abort_with_signal(&self, ctx: &mut Ctx) -> Result<Deferred> {
        crate::waits::answer_after(ctx, 10, error("actor", "aborted"))
    }

    #[action]
    fn iter_with_signal_abort(&self, ctx: &mut Ctx) -> Result<Deferred> {
        crate::waits::answer_after(ctx, 10, json!({"ok": true}))
    }

    #[on_timer]
    fn answer(&self, ctx: &mut Ctx, later: crate::waits::Later) {
        crate::waits::answer(ctx, &later);
    }

    #[action]
    fn receive_and_complete(&mut self, ctx: &mut Ctx, name: String) -> Result<Reply<Value>> {
        self.queues.receive(ctx, vec![name], Want::Complete, None)
    }

    /// The message stays in the queue, because nothing completed it.
    #[action]
    fn receive_without_complete(&self, name: String) -> Option<Value> {
        self.queues.peek(&[name]).map(|message| message.shown())
    }

    #[action]
    fn receive_manual_then_next_without_complete(&self, ctx: &mut Ctx, name: String) -> Value {
        if self.queues.peek(&[name]).is_none() {
            return Value::Null;
        }
        ctx.destroy_self();
        error("queue", "previous_message_not_completed")
    }

    #[action]
    fn receive_and_complete_twice(&mut self, ctx: &mut Ctx, name: String) -> Value {
        match self.queues.complete(ctx, &[name], |_| json!({"ok": true})) {
            Some(_) => error("queue", "already_completed"),
            None => Value::Null,
        }
    }

    #[action]
    fn receive_without_complete_method(&self, name: String) -> Value {
        json!({"hasComplete": self.queues.peek(&[name]).is_some()})
    }
}

/// Messages that may wait in [`QueueLimitedActor`].
const LIMITED_MESSAGES_MAX: usize = 1;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueLimitedActor {
    queues: Queues,
}

#[actor(queues("message", "oversize"), options(max_queue_message_size = 64))]
impl QueueLimitedActor {
    #[on_queue(any)]
    fn message(&mut self, ctx: &mut Ctx, message: QueueMessage) -> Result<Deferred> {
        if self.queues.len() >= LIMITED_MESSAGES_MAX {
            let text = format!("Queue is full. Limit is {LIMITED_MESSAGES_MAX} messages.");
            return Err(Fail::of("queue", "full", text).keep());
        }
        self.queues.push(ctx, &message)
    }

    #[action(read_only)]
    fn ping(&self) -> &'static str {
        "pong"
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ManyQueueChildActor {
    label: Option<String>,
    started: bool,
    processed: Vec<String>,
}

#[actor(queues(
    "cmd.0", "cmd.1", "cmd.2", "cmd.3", "cmd.4", "cmd.5", "cmd.6", "cmd.7", "cmd.8", "cmd.9", "cmd.10", "cmd.11",
    "cmd.12", "cmd.13", "cmd.14", "cmd.15", "cmd.16", "cmd.17", "cmd.18", "cmd.19", "cmd.20", "cmd.21", "cmd.22",
    "cmd.23", "cmd.24", "cmd.25", "cmd.26", "cmd.27", "cmd.28", "cmd.29", "cmd.30", "cmd.31"
))]
impl ManyQueueChildActor {
    #[on_create]
    fn create(&mut self, input: Option<Value>) {
        self.label = input.and_then(|input| input["label"].as_str().or(input.as_str()).map(str::to_owned));
    }

    #[on_wake]
    fn wake(&mut self) {
        self.started = true;
    }

    #[on_queue(any)]
    fn message(&mut self, message: QueueMessage) -> Result<Value> {
        let index = message.read::<Value>()?["index"].clone();
        self.processed.push(message.queue);
        Ok(json!({"ok": true, "index": index}))
    }

    #[action(read_only)]
    fn ping(&self) -> Value {
        json!({"label": self.label, "pong": true})
    }

    #[action(read_only)]
    fn get_snapshot(&self) -> &Self {
        self
    }
}

/// A child that is being created, and who waits for it.
#[derive(Serialize, Deserialize)]
struct Spawning {
    operation: u64,
    key: String,
    reply: Option<ReplyHandle>,
}

macro_rules! parent {
    ($actor:ident { $($item:tt)* }) => {
        #[derive(Default, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $actor {
            spawned: Vec<String>,
            spawning: Vec<Spawning>,
        }

        impl $actor {
            fn spawn(&mut self, ctx: &mut Ctx, key: &str, reply: ReplyHandle) -> Result<()> {
                let operation = ctx.spawn("manyQueueChildActor", [key], &json!({"label": key}))?;
                self.spawning.push(Spawning { operation, key: key.to_owned(), reply: Some(reply) });
                Ok(())
            }

            fn spawn_ended(&mut self, ctx: &Ctx, ended: EffectResult, shown: impl FnOnce(&str) -> Value) {
                let Some(at) = self.spawning.iter().position(|spawning| spawning.operation == ended.operation) else {
                    return;
                };
                let spawning = self.spawning.remove(at);
                let answer = ended.outcome.map(|_| shown(&spawning.key));
                if answer.is_ok() {
                    self.spawned.push(spawning.key);
                }
                if let Some(reply) = spawning.reply {
                    ctx.answer(reply, answer);
                }
            }
        }
        $($item)*
    };
}

parent!(ManyQueueActionParentActor {
    #[actor]
    impl ManyQueueActionParentActor {
        #[action]
        fn spawn_child(&mut self, ctx: &mut Ctx, key: String) -> Result<Deferred> {
            let deferred = ctx.defer();
            self.spawn(ctx, &key, deferred.handle())?;
            Ok(deferred)
        }

        #[on_effect_result]
        fn ended(&mut self, ctx: &mut Ctx, ended: EffectResult) {
            self.spawn_ended(ctx, ended, |key| json!({"key": key}));
        }

        #[action(read_only)]
        fn get_spawned(&self) -> &Vec<String> {
            &self.spawned
        }
    }
});

parent!(ManyQueueRunParentActor {
    #[actor]
    impl ManyQueueRunParentActor {
        #[action]
        fn queue_spawn(&mut self, ctx: &mut Ctx, key: String) -> Result<Deferred> {
            let deferred = ctx.defer();
            self.spawn(ctx, &key, deferred.handle())?;
            Ok(deferred)
        }

        #[on_effect_result]
        fn ended(&mut self, ctx: &mut Ctx, ended: EffectResult) {
            self.spawn_ended(ctx, ended, |_| json!({"queued": true}));
        }

        #[action(read_only)]
        fn get_spawned(&self) -> &Vec<String> {
            &self.spawned
        }
    }
});
