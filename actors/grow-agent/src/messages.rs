//! Messages: one state key each, numbered within their thread without gaps.
//!
//! Invariant: a thread keeps the messages `first..next`, at most [`MESSAGES_PER_THREAD_MAX`] of them, and all threads together keep at
//! most [`BYTES_MAX`]. What is over that is forgotten here, oldest first; the database has it still.

use crate::threads::{self, Thread};
use crate::world::{World, load, store};
use crate::{GrowAgent, input};
use growqr_actor_sdk::prelude::*;

/// Messages that one thread keeps. Deleting a thread deletes as many keys in one turn.
pub const MESSAGES_PER_THREAD_MAX: u64 = 2000;
/// Bytes of all messages that are kept; the host's limit of an actor's state is above it.
pub const BYTES_MAX: u64 = 12 << 20;
/// When that is reached, so many bytes are left; so the search for what can go is rare.
const BYTES_LEFT: u64 = 11 << 20;
/// Messages that are forgotten in one turn.
const FORGET_MAX: u64 = 4000;
/// Messages of a page, unless the caller says otherwise.
const PAGE_MESSAGES: u32 = 50;
/// Messages of a page at most.
const PAGE_MESSAGES_MAX: u32 = 200;
/// Bytes of a page; it has one message at least. An answer to a client must stay below the host's limit.
const PAGE_BYTES_MAX: usize = 512 << 10;

const _: () = assert!(input::TEXT_BYTES_MAX < PAGE_BYTES_MAX);

/// What all threads together keep.
#[derive(Default, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub messages: u32,
    pub bytes: u64,
}

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    Assistant,
}

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Completed,
    Failed,
}

/// Why a message failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    pub group: String,
    pub code: String,
    pub message: String,
}

impl From<Fail> for Error {
    fn from(fail: Fail) -> Self {
        Self { group: fail.group.into_owned(), code: fail.code.into_owned(), message: fail.message.into_owned() }
    }
}

/// A message, as it is stored and as clients see it, in answers and events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    pub message: String,
    pub thread: String,
    /// Its place in the thread, from 1.
    pub number: u64,
    pub role: Role,
    pub status: Status,
    pub text: String,
    pub created_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// What a message is made of that is not its place.
pub struct New {
    pub role: Role,
    pub status: Status,
    pub text: String,
    pub client_message_id: Option<String>,
    pub error: Option<Error>,
}

fn prefix(thread: &str) -> String {
    ["m/", thread, "/"].concat()
}

fn key(thread: &str, number: u64) -> String {
    // Ten digits, so that the order of the keys is that of the numbers.
    format!("m/{thread}/{number:010}")
}

/// The message of this number, if it is still kept.
pub fn find(world: &impl World, thread: &str, number: u64) -> Result<Option<Message>> {
    load(world, &key(thread, number))
}

/// Adds a message to a thread and tells of it. The thread is not saved here.
pub fn append(agent: &mut GrowAgent, world: &mut impl World, thread: &mut Thread, new: New) -> Result<Message> {
    let message = Message {
        message: agent.ids.next(world),
        thread: thread.id.clone(),
        number: thread.next,
        role: new.role,
        status: new.status,
        text: new.text,
        created_at: world.now(),
        client_message_id: new.client_message_id,
        error: new.error,
    };
    let bytes = store(world, &key(&thread.id, message.number), &message)? as u64;
    thread.next += 1;
    thread.bytes += bytes;
    thread.updated_at = message.created_at;
    agent.kept.messages += 1;
    agent.kept.bytes += bytes;
    let over = (thread.next - thread.first).saturating_sub(MESSAGES_PER_THREAD_MAX);
    forget(&mut agent.kept, world, thread, over);
    let event = match message.status {
        Status::Completed => "message.completed",
        Status::Failed => "message.failed",
    };
    world.emit(event, &message);
    Ok(message)
}

/// Forgets so many of a thread's oldest messages. The thread is not saved here.
pub fn forget(kept: &mut Kept, world: &mut impl World, thread: &mut Thread, count: u64) {
    let last = thread.next.min(thread.first.saturating_add(count));
    for number in thread.first..last {
        let key = key(&thread.id, number);
        let bytes = world.get(&key).map_or(0, |bytes| bytes.len() as u64);
        world.delete(&key);
        thread.bytes = thread.bytes.saturating_sub(bytes);
        kept.bytes = kept.bytes.saturating_sub(bytes);
        kept.messages = kept.messages.saturating_sub(1);
    }
    thread.first = last;
}

/// Forgets the oldest messages of the threads that were silent for longest when there are too many bytes.
pub fn make_room(agent: &mut GrowAgent, world: &mut impl World) -> Result<()> {
    if agent.kept.bytes <= BYTES_MAX {
        return Ok(());
    }
    let mut left = FORGET_MAX;
    for mut thread in threads::all(world)?.into_iter().rev() {
        let first = thread.first;
        while agent.kept.bytes > BYTES_LEFT && left > 0 && thread.first < thread.next {
            forget(&mut agent.kept, world, &mut thread, 1);
            left -= 1;
        }
        if thread.first != first {
            thread.save(world)?;
        }
        if agent.kept.bytes <= BYTES_LEFT || left == 0 {
            break;
        }
    }
    Ok(())
}

/// What `messages` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageRequest {
    thread: String,
    /// Only messages with a smaller number.
    before: Option<u64>,
    limit: Option<u32>,
}

/// What `messages` gives.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    pub messages: Vec<Message>,
    /// Older ones are kept: ask again with `before`, the number of the first message of this page.
    pub more: bool,
}

/// A page of a thread's messages.
pub fn page(world: &impl World, request: &PageRequest) -> Result<Page> {
    let limit = input::limit(request.limit, PAGE_MESSAGES, PAGE_MESSAGES_MAX)?;
    let thread = threads::find(world, &request.thread)?;
    let end = request.before.map_or(thread.next, |before| before.clamp(thread.first, thread.next));
    let start = end.saturating_sub(limit.into()).max(thread.first);
    let wanted = u32::try_from(end - start).unwrap_or(limit);
    if wanted == 0 {
        return Ok(Page { messages: Vec::new(), more: false });
    }
    // The first number is 1, so there is always one before it to start behind.
    let entries = world.scan(&prefix(&thread.id), Some(&key(&thread.id, start - 1)), wanted);
    let mut messages = Vec::with_capacity(entries.len());
    let mut bytes = 0;
    for (_, entry) in entries.iter().rev() {
        bytes += entry.len();
        if bytes > PAGE_BYTES_MAX && !messages.is_empty() {
            break;
        }
        messages.push(serde_json::from_slice::<Message>(entry)?);
    }
    messages.reverse();
    let more = messages.first().is_some_and(|message| message.number > thread.first);
    Ok(Page { messages, more })
}
