//! Queues that an actor reads when it likes.
//!
//! The contract pushes: a queue message is a turn. What nobody has received yet is kept in the actor's own state, in order, and who
//! waits for a message is a deferred reply. Invariant: a message is in the state until it was received or completed, so a sleep or a
//! crash loses none.

use growqr_actor_sdk::prelude::*;
use serde_json::{Value, json};

/// Messages and those who wait for some.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Queues {
    messages: Vec<Message>,
    receivers: Vec<Receiver>,
    next_receiver: u64,
}

/// A message that nobody has received.
#[derive(Clone, Serialize, Deserialize)]
pub struct Message {
    /// Queue.
    pub name: String,
    /// What was sent.
    pub body: Value,
    /// The sender waits for completion here.
    reply: Option<ReplyHandle>,
}

impl Message {
    /// As an action gives it.
    pub fn shown(&self) -> Value {
        json!({"name": self.name, "body": self.body})
    }
}

/// What a receiver wants.
#[derive(Clone, Serialize, Deserialize)]
pub enum Want {
    /// The next message, or null.
    One,
    /// At most so many, as a list.
    Many(usize),
    /// The next message, whose sender is told `{echo: body}`.
    Complete,
}

#[derive(Clone, Serialize, Deserialize)]
struct Receiver {
    id: u64,
    names: Vec<String>,
    want: Want,
    reply: ReplyHandle,
}

/// Name of the timer that ends a wait.
pub const RECEIVE_TIMEOUT: &str = "receiveTimeout";

impl Queues {
    /// A message has come. Its sender is answered when it was received.
    pub fn push<V>(&mut self, ctx: &Ctx<V>, message: &QueueMessage) -> Result<Deferred> {
        let deferred = ctx.defer();
        let reply = message.waiting.then(|| deferred.handle());
        self.add(ctx, Message { name: message.queue.clone(), body: message.read()?, reply });
        Ok(deferred)
    }

    /// A message of the actor to itself.
    pub fn push_own<V>(&mut self, ctx: &Ctx<V>, name: String, body: Value) {
        self.add(ctx, Message { name, body, reply: None });
    }

    fn add<V>(&mut self, ctx: &Ctx<V>, message: Message) {
        self.messages.push(message);
        let waiting = std::mem::take(&mut self.receivers);
        for receiver in waiting {
            match self.receive_now(ctx, &receiver.names, &receiver.want) {
                Some(answer) => ctx.answer(receiver.reply, Ok(answer)),
                None => self.receivers.push(receiver),
            }
        }
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// The next message of these queues (no names: of any), out of the queue. Its sender, if it waits, is told that it is done.
    pub fn take<V>(&mut self, ctx: &Ctx<V>, names: &[String]) -> Option<Message> {
        let message = self.remove(names)?;
        if let Some(reply) = message.reply {
            ctx.answer(reply, Ok(()));
        }
        Some(message)
    }

    /// The next message, which stays where it is.
    pub fn peek(&self, names: &[String]) -> Option<&Message> {
        self.messages.iter().find(|message| wanted(message, names))
    }

    /// Takes the next message out and answers its sender.
    pub fn complete<V>(
        &mut self,
        ctx: &Ctx<V>,
        names: &[String],
        response: impl FnOnce(&Message) -> Value,
    ) -> Option<Message> {
        let message = self.remove(names)?;
        if let Some(reply) = message.reply {
            ctx.answer(reply, Ok(response(&message)));
        }
        Some(message)
    }

    fn remove(&mut self, names: &[String]) -> Option<Message> {
        let at = self.messages.iter().position(|message| wanted(message, names))?;
        Some(self.messages.remove(at))
    }

    fn receive_now<V>(&mut self, ctx: &Ctx<V>, names: &[String], want: &Want) -> Option<Value> {
        match want {
            Want::One => Some(self.take(ctx, names)?.shown()),
            Want::Complete => Some(self.complete(ctx, names, |message| json!({"echo": message.body}))?.shown()),
            Want::Many(count) => {
                let taken: Vec<Value> =
                    std::iter::from_fn(|| self.take(ctx, names)).take(*count).map(|message| message.shown()).collect();
                (!taken.is_empty()).then(|| taken.into())
            }
        }
    }

    /// Receives, now or later. Without a timeout it waits as long as the action may take.
    pub fn receive<V>(
        &mut self,
        ctx: &mut Ctx<V>,
        names: Vec<String>,
        want: Want,
        timeout_ms: Option<u64>,
    ) -> Result<Reply<Value>> {
        if let Some(answer) = self.receive_now(ctx, &names, &want) {
            return Ok(Reply::Now(answer));
        }
        let deferred = ctx.defer();
        self.next_receiver += 1;
        let id = self.next_receiver;
        if let Some(timeout_ms) = timeout_ms {
            ctx.after(timeout_ms, RECEIVE_TIMEOUT, &id)?;
        }
        self.receivers.push(Receiver { id, names, want, reply: deferred.handle() });
        Ok(Reply::Later(deferred))
    }

    /// The timer [`RECEIVE_TIMEOUT`] is due.
    pub fn timed_out<V>(&mut self, ctx: &Ctx<V>, id: u64) {
        let Some(at) = self.receivers.iter().position(|receiver| receiver.id == id) else { return };
        let receiver = self.receivers.remove(at);
        let nothing = if matches!(receiver.want, Want::Many(_)) { json!([]) } else { Value::Null };
        ctx.answer(receiver.reply, Ok(nothing));
    }
}

fn wanted(message: &Message, names: &[String]) -> bool {
    names.is_empty() || names.contains(&message.name)
}
