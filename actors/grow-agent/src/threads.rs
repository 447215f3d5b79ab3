//! Threads: one state key each.

use crate::input::{self, Refused};
use crate::world::{World, load, store};
use crate::{GrowAgent, ids, messages};
use growqr_actor_sdk::prelude::*;

/// Threads of one agent.
pub const THREADS_MAX: u32 = 1000;
/// Threads of a page, unless the caller says otherwise.
const PAGE_THREADS: u32 = 50;
/// Threads of a page at most.
const PAGE_THREADS_MAX: u32 = 100;
/// Where threads are in the state.
const PREFIX: &str = "t/";

const CREATED: &str = "thread.created";
const UPDATED: &str = "thread.updated";
const DELETED: &str = "thread.deleted";

/// A thread as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Thread {
    pub id: String,
    pub title: String,
    pub archived: bool,
    pub created_at: u64,
    /// When its newest message came.
    pub updated_at: u64,
    /// Number of its oldest message that is kept.
    pub first: u64,
    /// Number that its next message will have.
    pub next: u64,
    /// Bytes of the messages that are kept.
    pub bytes: u64,
}

/// A thread as clients see it, in answers and events.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    pub thread: String,
    pub title: String,
    pub archived: bool,
    /// Messages that it had so far.
    pub messages: u64,
    pub created_at: u64,
    pub updated_at: u64,
}

impl Thread {
    fn view(&self) -> View {
        View {
            thread: self.id.clone(),
            title: self.title.clone(),
            archived: self.archived,
            messages: self.next - 1,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }

    /// Writes the record.
    pub fn save(&self, world: &mut impl World) -> Result<()> {
        store(world, &key(&self.id), self).map(drop)
    }
}

fn key(id: &str) -> String {
    [PREFIX, id].concat()
}

/// A thread that must exist.
pub fn find(world: &impl World, id: &str) -> Result<Thread> {
    let found = if ids::is_id(id) { load(world, &key(id))? } else { None };
    found.ok_or_else(|| Refused::UnknownThread.into())
}

/// All threads, the one with the newest message first.
pub fn all(world: &impl World) -> Result<Vec<Thread>> {
    let entries = world.scan(PREFIX, None, THREADS_MAX);
    let mut threads: Vec<Thread> =
        entries.iter().map(|(_, bytes)| serde_json::from_slice(bytes)).collect::<Result<_, _>>()?;
    threads.sort_by(|one, other| (other.updated_at, &other.id).cmp(&(one.updated_at, &one.id)));
    Ok(threads)
}

/// A new thread. It is saved with its first message.
pub fn create(agent: &mut GrowAgent, world: &mut impl World, title: String) -> Result<Thread> {
    if agent.threads >= THREADS_MAX {
        return Err(Refused::TooManyThreads.into());
    }
    agent.threads += 1;
    let now = world.now();
    let id = agent.ids.next(world);
    let thread = Thread { id, title, archived: false, created_at: now, updated_at: now, first: 1, next: 1, bytes: 0 };
    world.emit(CREATED, &thread.view());
    Ok(thread)
}

/// What `threads` takes.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListRequest {
    /// Only archived threads, or only others; those that are not archived if it is not given.
    archived: bool,
    /// Goes on behind this thread.
    before: Option<String>,
    limit: Option<u32>,
}

/// What `threads` gives.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    pub threads: Vec<View>,
    /// There are further ones: ask again with `before`, the last thread of this page.
    pub more: bool,
}

/// A page of the threads.
pub fn list(world: &impl World, request: &ListRequest) -> Result<Page> {
    let limit = input::limit(request.limit, PAGE_THREADS, PAGE_THREADS_MAX)? as usize;
    let mut threads = all(world)?;
    if let Some(before) = &request.before {
        let place = threads.iter().position(|thread| thread.id == *before).ok_or(Refused::UnknownThread)?;
        threads.drain(..=place);
    }
    let mut wanted = threads.iter().filter(|thread| thread.archived == request.archived);
    let page = wanted.by_ref().take(limit).map(Thread::view).collect();
    Ok(Page { threads: page, more: wanted.next().is_some() })
}

/// What `updateThread` takes: what is not given stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateRequest {
    thread: String,
    title: Option<String>,
    archived: Option<bool>,
}

/// Changes title and place of a thread, both or neither.
pub fn update(world: &mut impl World, request: &UpdateRequest) -> Result<View> {
    let title = request.title.as_deref().map(input::title).transpose()?;
    let mut thread = find(world, &request.thread)?;
    let before = thread.clone();
    if let Some(title) = title {
        title.clone_into(&mut thread.title);
    }
    thread.archived = request.archived.unwrap_or(thread.archived);
    if thread != before {
        thread.save(world)?;
        world.emit(UPDATED, &thread.view());
    }
    Ok(thread.view())
}

/// What `renameThread` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenameRequest {
    thread: String,
    title: String,
}

/// Gives a thread another title.
pub fn rename(world: &mut impl World, request: RenameRequest) -> Result<View> {
    let RenameRequest { thread, title } = request;
    update(world, &UpdateRequest { thread, title: Some(title), archived: None })
}

/// What `archiveThread` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveRequest {
    thread: String,
    #[serde(default = "yes")]
    archived: bool,
}

fn yes() -> bool {
    true
}

/// Puts a thread aside, or brings it back.
pub fn archive(world: &mut impl World, request: ArchiveRequest) -> Result<View> {
    let ArchiveRequest { thread, archived } = request;
    update(world, &UpdateRequest { thread, title: None, archived: Some(archived) })
}

/// A message brings an archived thread back.
pub fn revive(world: &mut impl World, thread: &mut Thread) {
    if std::mem::replace(&mut thread.archived, false) {
        world.emit(UPDATED, &thread.view());
    }
}

/// What `deleteThread` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteRequest {
    thread: String,
}

/// What `deleteThread` gives, and the event as well.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Deleted {
    pub thread: String,
}

/// Removes a thread with its messages.
pub fn delete(agent: &mut GrowAgent, world: &mut impl World, request: &DeleteRequest) -> Result<Deleted> {
    let mut thread = find(world, &request.thread)?;
    messages::forget(&mut agent.kept, world, &mut thread, u64::MAX);
    world.delete(&key(&thread.id));
    agent.threads = agent.threads.saturating_sub(1);
    let deleted = Deleted { thread: thread.id };
    world.emit(DELETED, &deleted);
    Ok(deleted)
}
