//! Which actors exist, by name and key and by id.
//!
//! Invariant: a (namespace, name, key) means one actor at a time. An actor that was just created can be used before its creation is
//! durable, because everything that it commits is behind its creation in the one order of the committer.

use crate::record::{self, StoredActor};
use crate::store::unreadable;
use crate::{ASLEEP_REMEMBERED_MAX, DESTROYED_REMEMBERED_MAX, Engine, Inner};
use bytes::Bytes;
use growqr_seam::Resolved;
use growqr_storage::{Space, StorageError, Write};
use growqr_types::{ActorId, ActorKey, Failure, TimestampMs, codes, limits};
use std::sync::Arc;
use tokio::sync::watch;

/// Bytes of an actor name or a namespace.
const NAME_BYTES_MAX: usize = 256;
/// Actors on one page.
const PAGE_MAX: usize = 1000;

/// What the directory knows about an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorRecord {
    /// Identity.
    pub id: ActorId,
    /// Actor name.
    pub name: String,
    /// Key.
    pub key: ActorKey,
    /// Namespace.
    pub namespace: String,
    /// When it was created.
    pub create_ts: TimestampMs,
    /// When it was started last, if it runs.
    pub start_ts: Option<TimestampMs>,
    /// When it went to sleep, if it sleeps.
    pub sleep_ts: Option<TimestampMs>,
    /// When it was destroyed, if it was.
    pub destroy_ts: Option<TimestampMs>,
}

/// Some of many actors.
#[derive(Debug, Clone, Default)]
pub struct ActorPage {
    /// Newest first.
    pub actors: Vec<ActorRecord>,
    /// Where the next page starts.
    pub cursor: Option<String>,
}

/// An actor whose creation is not durable yet.
pub(crate) struct Fresh {
    pub actor: StoredActor,
    pub input: Option<Bytes>,
    durable: watch::Receiver<Option<Result<(), StorageError>>>,
}

impl Engine {
    /// Whether a namespace exists. In development it is created on request.
    pub async fn namespace(&self, name: &str) -> Result<(), Failure> {
        self.inner.check_namespace(name)
    }

    /// Namespaces that exist.
    pub fn namespaces(&self) -> Vec<String> {
        let mut names: Vec<String> = self.inner.namespaces.lock().iter().cloned().collect();
        names.sort();
        names
    }

    /// Finds an actor by name and key.
    pub async fn get(&self, namespace: &str, name: &str, key: &ActorKey) -> Result<Option<ActorId>, Failure> {
        self.inner.find(&record::name_key(namespace, name, key))
    }

    /// Finds an actor, or makes it. `input` is the CBOR that the client sent.
    pub async fn get_or_create(
        &self,
        namespace: &str,
        name: &str,
        key: ActorKey,
        input: Option<Bytes>,
    ) -> Result<Resolved, Failure> {
        self.inner.find_or_make(namespace, name, key, input)
    }

    /// Makes an actor; a taken key is `actor.duplicate_key` with `existing_actor_id` in its metadata. Durable when it answers.
    pub async fn create(
        &self,
        namespace: &str,
        name: &str,
        key: ActorKey,
        input: Option<Bytes>,
    ) -> Result<ActorRecord, Failure> {
        let spelled = key.to_rest();
        let made = self.inner.find_or_make(namespace, name, key, input)?;
        if !made.created {
            let id = made.actor;
            let metadata = serde_json::json!({"existing_actor_id": id.to_string(), "key": spelled});
            let message = format!("Actor key '{spelled}' already in use for actor '{id}'");
            return Err(codes::DUPLICATE_KEY.with(message).metadata(metadata.to_string()));
        }
        self.inner.durable(made.actor).await?;
        self.actor(made.actor)?.ok_or_else(|| codes::ACTOR_NOT_FOUND.failure())
    }

    /// Waits until an actor's creation is durable.
    pub async fn created(&self, id: ActorId) -> Result<(), Failure> {
        self.inner.durable(id).await
    }

    /// An actor by id, destroyed ones included for as long as they are remembered.
    pub fn actor(&self, id: ActorId) -> Result<Option<ActorRecord>, Failure> {
        if let Some(actor) = self.inner.stored(id)? {
            return Ok((!actor.destroying).then(|| self.inner.describe(id, actor)));
        }
        Ok(self.inner.destroyed.lock().iter().find(|record| record.id == id).cloned())
    }

    /// Actors of a name, newest first.
    pub fn list(
        &self,
        namespace: &str,
        name: &str,
        include_destroyed: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<ActorPage, Failure> {
        let limit = limit.clamp(1, PAGE_MAX);
        let (mut start, end) = record::list_range(namespace, name);
        if let Some(cursor) = cursor {
            let (created, id) = read_cursor(cursor).ok_or_else(|| codes::VALIDATION.with("the cursor is not valid"))?;
            let mut after = record::list_key(namespace, name, created, id).to_vec();
            after.push(0);
            start = after.into();
        }
        let found = self
            .inner
            .store
            .scan(Space::Directory, &start, Some(&end), limit + 1)
            .map_err(|error| unreadable(&error))?;
        let mut page = ActorPage::default();
        for (key, _) in &found {
            let Some(id) = record::read_list_key(key) else { continue };
            if page.actors.len() == limit {
                page.cursor = page.actors.last().map(|last| format!("{}-{}", last.create_ts, last.id));
                break;
            }
            if let Some(actor) = self.inner.stored(id)?.filter(|actor| !actor.destroying) {
                page.actors.push(self.inner.describe(id, actor));
            }
        }
        if include_destroyed && cursor.is_none() {
            let destroyed = self.inner.destroyed.lock();
            let same = destroyed.iter().filter(|record| record.namespace == namespace && record.name == name);
            page.actors.extend(same.take(limit - page.actors.len().min(limit)).cloned());
        }
        Ok(page)
    }
}

impl Engine {
    /// Actors of a name whose key begins with this part, in the order of their keys. The cursor is the last key.
    pub fn list_of(
        &self,
        namespace: &str,
        name: &str,
        owner: &str,
        include_destroyed: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<ActorPage, Failure> {
        let limit = limit.clamp(1, PAGE_MAX);
        let owns = |key: &ActorKey| key.0.first().is_some_and(|first| first == owner);
        let owner_key = ActorKey(vec![owner.to_owned()]);
        let own = record::name_key(namespace, name, &owner_key);
        let prefix_len = own.len() - owner_key.to_rest().len();
        let (start, end) = record::below(&own);
        let (mut page, mut from) = (ActorPage::default(), start);
        match cursor {
            Some(cursor) => {
                let last = ActorKey::from_rest(cursor).ok().filter(owns);
                let last = last.ok_or_else(|| codes::VALIDATION.with("the cursor is not valid"))?;
                let mut after = record::name_key(namespace, name, &last).to_vec();
                after.push(0);
                // After the key that is the owner alone come all others, and not only those that sort behind it.
                from = from.max(after.into());
            }
            None => {
                let id = self.inner.find(&own)?;
                page.actors.extend(id.map(|id| self.actor(id)).transpose()?.flatten());
            }
        }
        let found = self
            .inner
            .store
            .scan(Space::Directory, &from, Some(&end), limit + 1)
            .map_err(|error| unreadable(&error))?;
        let mut last = None;
        for (key, id) in &found {
            if page.actors.len() == limit {
                break;
            }
            last = Some(key);
            let Ok(id) = <[u8; 16]>::try_from(&id[..]).map(ActorId::from_bytes) else { continue };
            page.actors.extend(self.actor(id)?.filter(|record| record.destroy_ts.is_none()));
        }
        // More than a page was found, or the page is full: somebody may come after the last one that was looked at.
        if found.len() > limit || (page.actors.len() == limit && !found.is_empty()) {
            let last = last.map_or(&own[prefix_len..], |key| &key[prefix_len..]);
            page.cursor = std::str::from_utf8(last).ok().map(str::to_owned);
        }
        if include_destroyed && cursor.is_none() {
            let destroyed = self.inner.destroyed.lock();
            let same = destroyed
                .iter()
                .filter(|record| record.namespace == namespace && record.name == name && owns(&record.key));
            page.actors.extend(same.take(limit - page.actors.len().min(limit)).cloned());
        }
        Ok(page)
    }
}

pub(crate) fn read_cursor(text: &str) -> Option<(TimestampMs, ActorId)> {
    let (created, id) = text.split_once('-')?;
    Some((created.parse().ok()?, id.parse().ok()?))
}

impl Inner {
    pub(crate) fn check_namespace(&self, name: &str) -> Result<(), Failure> {
        let mut namespaces = self.namespaces.lock();
        if namespaces.contains(name) {
            return Ok(());
        }
        let sound = !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if self.namespaces_on_request && sound && namespaces.len() < NAMESPACES_MAX {
            namespaces.insert(name.to_owned());
            return Ok(());
        }
        Err(codes::NAMESPACE_NOT_FOUND.failure())
    }

    pub(crate) fn find(&self, key: &[u8]) -> Result<Option<ActorId>, Failure> {
        if let Some(id) = self.fresh_keys.get(key) {
            return Ok(Some(*id));
        }
        let stored = self.store.get(Space::Directory, key).map_err(|error| unreadable(&error))?;
        match stored {
            Some(id) => match <[u8; 16]>::try_from(&id[..]) {
                Ok(id) => Ok(Some(ActorId::from_bytes(id))),
                Err(_) => Err(codes::INTERNAL.with("the directory is damaged")),
            },
            // Its creation may have become durable between the two looks.
            None => Ok(self.fresh_keys.get(key).map(|id| *id)),
        }
    }

    /// What is stored about an actor, durable or about to be.
    pub(crate) fn stored(&self, id: ActorId) -> Result<Option<StoredActor>, Failure> {
        if let Some(fresh) = self.fresh.get(&id) {
            return Ok(Some(fresh.actor.clone()));
        }
        match self.store.get(Space::Directory, &record::id_key(id)).map_err(|error| unreadable(&error))? {
            Some(bytes) => StoredActor::decode(&bytes).map(Some),
            None => Ok(self.fresh.get(&id).map(|fresh| fresh.actor.clone())),
        }
    }

    pub(crate) fn input(&self, id: ActorId) -> Result<Option<Bytes>, Failure> {
        if let Some(fresh) = self.fresh.get(&id) {
            return Ok(fresh.input.clone());
        }
        self.store.get(Space::Directory, &record::input_key(id)).map_err(|error| unreadable(&error))
    }

    pub(crate) fn find_or_make(
        self: &Arc<Self>,
        namespace: &str,
        name: &str,
        key: ActorKey,
        input: Option<Bytes>,
    ) -> Result<Resolved, Failure> {
        let place = record::name_key(namespace, name, &key);
        if let Some(actor) = self.find(&place)? {
            return Ok(Resolved { actor, created: false });
        }
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') || namespace.contains('\0') {
            return Err(codes::VALIDATION.with("the actor name is empty, too long, or has a NUL character"));
        }
        if input.as_ref().is_some_and(|input| input.len() > limits::INPUT_BYTES_MAX) {
            return Err(codes::INPUT_TOO_LARGE.failure());
        }
        self.check_namespace(namespace)?;
        self.runtime()?.serves(name)?;
        self.check_mirror()?;
        let _alone = self.creating.lock();
        // Nobody else can make it now, and one that was made meanwhile is seen here.
        if let Some(actor) = self.find(&place)? {
            return Ok(Resolved { actor, created: false });
        }
        let id = ActorId::from_bytes((self.randomness)());
        let actor = StoredActor {
            name: name.to_owned(),
            key,
            namespace: namespace.to_owned(),
            created: (self.clock)(),
            destroying: false,
            removing: false,
        };
        let encoded = actor.encode()?;
        self.submit_creation(id, place, actor, encoded, input);
        Ok(Resolved { actor: id, created: true })
    }

    /// Who finds the actor by its key must find out about it by its id, and what it commits must be behind its creation: so the key is
    /// made known last.
    fn submit_creation(
        self: &Arc<Self>,
        id: ActorId,
        place: Bytes,
        actor: StoredActor,
        encoded: Bytes,
        input: Option<Bytes>,
    ) {
        let list = record::list_key(&actor.namespace, &actor.name, actor.created, id);
        let mut writes = vec![
            Write::put(Space::Directory, place.clone(), Bytes::copy_from_slice(id.as_bytes())),
            Write::put(Space::Directory, record::id_key(id), encoded),
            Write::put(Space::Directory, list, Bytes::new()),
        ];
        if let Some(input) = &input {
            writes.push(Write::put(Space::Directory, record::input_key(id), input.clone()));
        }
        let (tell, durable) = watch::channel(None);
        let told = actor.clone();
        let finished = durable.clone();
        self.fresh.insert(id, Arc::new(Fresh { actor, input, durable }));
        let (inner, known) = (self.clone(), place.clone());
        let done = move |result: Result<(), StorageError>| {
            let failed = result.is_err();
            tell.send_replace(Some(result));
            inner.fresh.remove(&id);
            inner.fresh_keys.remove_if(&known, |_, known| *known == id);
            if failed {
                // What the actor did meanwhile is lost with it: its own commits are behind this one.
                inner.fence(id);
                inner.storage_failed.notify_one();
            }
        };
        self.submit_created(id, &told, writes, done);
        self.fresh_keys.insert(place.clone(), id);
        // It may have ended before its key was known, and then it did not find the key to remove.
        if finished.borrow().is_some() {
            self.fresh_keys.remove_if(&place, |_, known| *known == id);
        }
    }

    /// Waits until an actor's creation is durable, if it is on its way.
    pub(crate) async fn durable(&self, id: ActorId) -> Result<(), Failure> {
        let Some(mut durable) = self.fresh.get(&id).map(|fresh| fresh.durable.clone()) else { return Ok(()) };
        match durable.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(()))) => Ok(()),
            _ => Err(codes::COMMIT_FAILED.failure()),
        }
    }

    pub(crate) fn describe(&self, id: ActorId, actor: StoredActor) -> ActorRecord {
        let start_ts = self.slots.get(&id).and_then(|slot| slot.started());
        let sleep_ts = match start_ts {
            Some(_) => None,
            None => Some(self.asleep.lock().get(&id).copied().unwrap_or(actor.created)),
        };
        ActorRecord {
            id,
            name: actor.name,
            key: actor.key,
            namespace: actor.namespace,
            create_ts: actor.created,
            start_ts,
            sleep_ts,
            destroy_ts: None,
        }
    }

    pub(crate) fn remember_destroyed(&self, id: ActorId, actor: StoredActor) {
        let record = ActorRecord {
            sleep_ts: None,
            start_ts: None,
            destroy_ts: Some((self.clock)()),
            ..self.describe(id, actor)
        };
        let mut destroyed = self.destroyed.lock();
        if destroyed.len() == DESTROYED_REMEMBERED_MAX {
            destroyed.pop_back();
        }
        destroyed.push_front(record);
    }

    pub(crate) fn remember_asleep(&self, id: ActorId) {
        let mut asleep = self.asleep.lock();
        if asleep.len() >= ASLEEP_REMEMBERED_MAX {
            asleep.clear();
        }
        asleep.insert(id, (self.clock)());
    }
}

/// Namespaces of one host.
const NAMESPACES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EngineOptions;
    use futures::executor::block_on;
    use futures::future::BoxFuture;
    use growqr_seam::{
        ActorStart, Delivered, Envelope, NotRunning, RuntimeHost, SocketHandler, SocketOpen, StopReason,
    };
    use growqr_storage::{MemoryStorage, Storage};
    use growqr_types::Generation;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Serves every name, and runs nothing.
    struct Nothing;

    impl RuntimeHost for Nothing {
        fn serves(&self, _: &str) -> Result<(), Failure> {
            Ok(())
        }

        fn runs(&self, _: ActorId) -> bool {
            false
        }

        fn start(&self, _: ActorStart) -> BoxFuture<'_, Result<(), Failure>> {
            Box::pin(async { Err(codes::START_FAILED.failure()) })
        }

        fn stop(&self, _: ActorId, _: Generation, _: StopReason) -> BoxFuture<'_, bool> {
            Box::pin(async { true })
        }

        fn http(
            &self,
            _: ActorId,
            request: http::Request<Bytes>,
        ) -> BoxFuture<'_, Result<http::Response<Bytes>, Box<http::Request<Bytes>>>> {
            Box::pin(async { Err(Box::new(request)) })
        }

        fn websocket(&self, _: ActorId, open: Box<SocketOpen>) -> Result<Arc<dyn SocketHandler>, Box<SocketOpen>> {
            Err(open)
        }

        fn message(&self, _: ActorId, _: Envelope) -> BoxFuture<'_, Result<Delivered, NotRunning>> {
            Box::pin(async { Err(NotRunning) })
        }
    }

    fn engine() -> Engine {
        let storage = Arc::new(MemoryStorage::default());
        let random = AtomicU64::new(0);
        let engine = Engine::new(EngineOptions {
            opener: Box::new(move || Ok(storage.clone() as Arc<dyn Storage>)),
            clock: Arc::new(|| 1),
            randomness: Arc::new(move || u128::from(random.fetch_add(1, Ordering::Relaxed)).to_be_bytes()),
            namespaces: vec!["default".to_owned()],
            namespaces_on_request: false,
            names: Vec::new(),
            region: String::new(),
        });
        let engine = engine.expect("storage in memory opens");
        engine.attach(Arc::new(Nothing));
        engine
    }

    #[test]
    fn who_finds_an_actor_by_a_key_that_is_just_being_taken_finds_it_by_its_id() {
        const ROUNDS: usize = 5000;
        let engine = engine();
        let barrier = Barrier::new(2);
        let missed = AtomicU64::new(0);
        let ids: Vec<Vec<ActorId>> = std::thread::scope(|scope| {
            let client = || {
                let find = |round: usize| {
                    barrier.wait();
                    let key = ActorKey(vec![round.to_string()]);
                    let id = block_on(engine.get_or_create("default", "any", key, None)).expect("an actor").actor;
                    assert!(
                        engine.actor(id).expect("storage is there").is_some(),
                        "round {round}: not found by its id"
                    );
                    id
                };
                (0..ROUNDS).map(find).collect()
            };
            let clients = [scope.spawn(client), scope.spawn(client)];
            clients.map(|client| client.join().expect("a client")).into()
        });
        assert_eq!(missed.into_inner(), 0, "so often of {ROUNDS} rounds an actor was not found by its id");
        assert_eq!(ids[0], ids[1], "a key means two actors");
        for id in &ids[0] {
            block_on(engine.created(*id)).expect("the creation is durable");
        }
        assert!(
            engine.inner.fresh_keys.is_empty() && engine.inner.fresh.is_empty(),
            "a creation is remembered for ever"
        );
    }
}
