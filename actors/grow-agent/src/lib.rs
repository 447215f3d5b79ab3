//! The Grow Agent: one durable actor per user, key `[userId]`, that keeps the user's threads and messages.
//!
//! Threads and messages have a state key each, so what a turn costs does not grow with the history. The struct holds counters only.
//! Every change is also an event, and the events are what the database's rows and the REST interface are made of: the actor is the
//! truth, and the rows follow it.
//!
//! Invariant: a message is kept once per `clientMessageId`, and what the agent keeps is bounded; the oldest messages are forgotten
//! here first, and stay in the database.
//! Deliberately absent: how an answer is made ([`answer`] is where that belongs), and who may call: the gateway decides that before a
//! call reaches any actor.

mod answer;
mod chat;
mod ids;
mod input;
mod messages;
mod sent;
#[cfg(test)]
mod tests;
mod threads;
mod world;

use growqr_actor_sdk::prelude::*;

/// What the agent knows of itself. Everything else has keys of its own.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GrowAgent {
    ids: ids::Clock,
    kept: messages::Kept,
    sent: sent::Ring,
    /// Threads that exist.
    threads: u32,
}

#[actor(events("thread.created", "thread.updated", "thread.deleted", "message.completed", "message.failed"))]
impl GrowAgent {
    /// Keeps a message of the user and begins to answer it. A second call with the same `clientMessageId` changes nothing.
    #[action]
    fn chat(&mut self, ctx: &mut Ctx, request: chat::Request) -> Result<chat::Accepted> {
        chat::chat(self, ctx, request)
    }

    /// Threads, the one with the newest message first.
    #[action(read_only)]
    fn threads(&self, ctx: &Ctx, request: Option<threads::ListRequest>) -> Result<threads::Page> {
        threads::list(ctx, &request.unwrap_or_default())
    }

    /// Messages of a thread, the newest page unless `before` says otherwise, in the order in which they were said.
    #[action(read_only)]
    fn messages(&self, ctx: &Ctx, request: messages::PageRequest) -> Result<messages::Page> {
        messages::page(ctx, &request)
    }

    /// `{thread, title?, archived?}`: what is not given stays as it is.
    #[action]
    fn update_thread(&mut self, ctx: &mut Ctx, request: threads::UpdateRequest) -> Result<threads::View> {
        threads::update(ctx, &request)
    }

    #[action]
    fn rename_thread(&mut self, ctx: &mut Ctx, request: threads::RenameRequest) -> Result<threads::View> {
        threads::rename(ctx, request)
    }

    /// `{thread}` archives, `{thread, archived: false}` brings back.
    #[action]
    fn archive_thread(&mut self, ctx: &mut Ctx, request: threads::ArchiveRequest) -> Result<threads::View> {
        threads::archive(ctx, request)
    }

    #[action]
    fn delete_thread(&mut self, ctx: &mut Ctx, request: threads::DeleteRequest) -> Result<threads::Deleted> {
        threads::delete(self, ctx, &request)
    }

    #[action(read_only)]
    fn status(&self, ctx: &Ctx) -> Status {
        Status { threads: self.threads, messages: self.kept.messages, sandbox: answer::readiness(ctx) }
    }
}

/// What `status` says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    threads: u32,
    /// Messages that the agent itself still keeps.
    messages: u32,
    sandbox: answer::Readiness,
}

export!(GrowAgent);
