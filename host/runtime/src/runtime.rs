//! The runtime: which actors run here, and how messages reach them.

use crate::actor::{self, ActorHandle, ActorInput};
use crate::clock_watch::ClockWatch;
use crate::core::{Caller, Mail, refuse};
use crate::guest::Code;
use crate::hub::Hub;
use crate::meters::METERS;
use crate::served::{Capabilities, Served};
use crate::session::{Handler, Resume, Session, SessionInput};
use crate::surface;
use crate::waiter::Waiter;
use bytes::Bytes;
use dashmap::DashMap;
use futures::future::BoxFuture;
use growqr_seam::{
    ActorStart, Clock, Delivered, EngineHost, Envelope, NotRunning, Randomness, RuntimeHost, SocketHandler, SocketOpen,
    StopReason, TracedRows, Tracer,
};
use growqr_turn::{Connection, ConnectionKind};
use growqr_types::{ActorId, ConnectionId, Failure, Generation, codes, limits};
use growqr_wire::Encoding;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::oneshot;

/// When fewer slots for instances are free than this share, idle actors are put to sleep.
const FREE_SLOTS_SHARE: usize = 16;
/// Actors that are put to sleep at a time to make room.
const EVICT_AT_ONCE: usize = 64;
/// Actors of which failed starts are remembered.
const FAILED_STARTS_MAX: usize = 10_000;
/// The first pause after a failed start; doubles.
const START_PAUSE_FIRST_MS: u64 = 100;
/// The longest pause after a failed start.
const START_PAUSE_MAX_MS: u64 = 30_000;

/// How long a message of another actor waits when the mailbox is full, before its sender may try again.
const FULL_PAUSE: Duration = Duration::from_millis(20);

/// What a runtime is made of.
pub struct RuntimeInput {
    /// The engine.
    pub engine: Arc<dyn EngineHost>,
    /// Where components come from; for the number of free slots.
    pub components: growqr_component::Engine,
    /// Host capabilities.
    pub capabilities: Capabilities,
    /// The time.
    pub clock: Clock,
    /// Random bytes.
    pub randomness: Randomness,
}

/// What everybody in here shares.
pub struct Shared {
    pub(crate) engine: Arc<dyn EngineHost>,
    pub(crate) clock: Clock,
    pub(crate) clock_watch: ClockWatch,
    pub(crate) randomness: Randomness,
    pub(crate) capabilities: Capabilities,
    components: growqr_component::Engine,
    actors: DashMap<ActorId, Arc<ActorHandle>>,
    hubs: DashMap<ActorId, Arc<Hub>>,
    served: DashMap<String, Result<Arc<Served>, Failure>>,
    failed_starts: Mutex<HashMap<ActorId, (u32, u64)>>,
    evicting: AtomicBool,
    /// The inspector's token; there is no inspector without one.
    pub(crate) inspector_token: OnceLock<String>,
    /// Decides which actions of sockets are traced; nothing is traced without one.
    pub(crate) tracer: OnceLock<Tracer>,
    /// Follows the rows of traced actions.
    pub(crate) traced_rows: OnceLock<Arc<TracedRows>>,
    /// The first part of a key is the id of the user whose actor it is.
    keys_name_users: AtomicBool,
}

/// What a runtime holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuntimeStats {
    /// Actors that run.
    pub awake: usize,
    /// Messages that wait in their mailboxes.
    pub mailbox_messages: usize,
    /// Bytes of these.
    pub mailbox_bytes: usize,
    /// Messages in the fullest mailbox.
    pub mailbox_messages_max: usize,
}

/// The runtime. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) shared: Arc<Shared>,
}

/// A message was not taken; it certainly did not run.
#[derive(Debug)]
pub enum Refused {
    /// The actor does not run here.
    NotRunning,
    /// Its mailbox is full.
    Full(Box<Mail<Waiter>>),
}

impl Runtime {
    /// A runtime that serves nothing yet.
    pub fn new(input: RuntimeInput) -> Self {
        let shared = Shared {
            engine: input.engine,
            clock: input.clock,
            clock_watch: ClockWatch::default(),
            randomness: input.randomness,
            capabilities: input.capabilities,
            components: input.components,
            actors: DashMap::new(),
            hubs: DashMap::new(),
            served: DashMap::new(),
            failed_starts: Mutex::new(HashMap::new()),
            evicting: AtomicBool::new(false),
            inspector_token: OnceLock::new(),
            tracer: OnceLock::new(),
            traced_rows: OnceLock::new(),
            keys_name_users: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Notices when the clock is set, for as long as this is polled: actors then look again what is due.
    pub async fn watch_clock(&self) {
        self.shared.clock_watch.run(&self.shared.clock).await;
    }

    /// Serves actors of this name, or says why it can't.
    pub fn serve(&self, name: &str, served: Result<Arc<Served>, Failure>) {
        self.shared.served.insert(name.to_owned(), served);
    }

    /// Lets whoever has this token read the state of every actor. Once only, before anything is served; an empty token opens nothing.
    pub fn open_inspector(&self, token: &str) {
        if !token.is_empty() && self.shared.inspector_token.set(token.to_owned()).is_err() {
            tracing::error!("the inspector has a token already");
        }
    }

    /// Traces the actions of sockets that this chooses. Once only, before anything is served.
    pub fn trace(&self, tracer: Tracer, rows: Arc<TracedRows>) {
        if self.shared.tracer.set(tracer).is_err() || self.shared.traced_rows.set(rows).is_err() {
            tracing::error!("the runtime has a tracer already");
        }
    }

    /// From now on the log names the first part of an actor's key as its user. For deployments where it is one.
    pub fn keys_name_users(&self) {
        self.shared.keys_name_users.store(true, Ordering::Relaxed);
    }

    /// What it holds. Looks at every actor that runs.
    pub fn stats(&self) -> RuntimeStats {
        let mut stats = RuntimeStats::default();
        for handle in self.shared.actors.iter() {
            let (messages, bytes) = handle.depth();
            stats.awake += 1;
            stats.mailbox_messages += messages;
            stats.mailbox_bytes += bytes;
            stats.mailbox_messages_max = stats.mailbox_messages_max.max(messages);
        }
        stats
    }

    /// Actors that run.
    pub fn awake(&self) -> usize {
        self.shared.actors.len()
    }
}

impl Shared {
    pub(crate) fn keys_name_users(&self) -> bool {
        self.keys_name_users.load(Ordering::Relaxed)
    }

    /// Gives mail to an actor that runs, if its mailbox has room.
    pub fn deliver(&self, actor: ActorId, mail: Mail<Waiter>) -> Result<(), Refused> {
        // The table's lock is held while the mail is put in, so that an actor that leaves sees it or it sees the actor gone.
        match self.actors.get(&actor) {
            Some(handle) => handle.put(mail).map_err(Refused::Full),
            None => Err(Refused::NotRunning),
        }
    }

    /// Gives mail that must not be lost and is bounded elsewhere.
    pub fn deliver_control(&self, actor: ActorId, mail: Mail<Waiter>) -> Result<(), NotRunning> {
        match self.actors.get(&actor) {
            Some(handle) => {
                handle.put_control(mail);
                Ok(())
            }
            None => Err(NotRunning),
        }
    }

    /// An actor that runs.
    pub fn handle(&self, actor: ActorId) -> Option<Arc<ActorHandle>> {
        self.actors.get(&actor).map(|handle| handle.clone())
    }

    /// The generation of an actor that runs; 0 if it does not.
    pub fn generation(&self, actor: ActorId) -> Generation {
        self.actors.get(&actor).map_or(0, |handle| handle.generation)
    }

    /// What is served under a name.
    pub fn served(&self, name: &str) -> Result<Arc<Served>, Failure> {
        match self.served.get(name) {
            Some(served) => served.clone(),
            None => Err(codes::NOT_REGISTERED.with(format!("No actor named {name:?} is deployed."))),
        }
    }

    /// A fresh connection id.
    pub fn new_connection(&self) -> ConnectionId {
        ConnectionId::from_bytes((self.randomness)())
    }

    pub(crate) fn hub(&self, actor: ActorId) -> Arc<Hub> {
        self.hubs.entry(actor).or_default().clone()
    }

    /// Forgets an actor's sockets when there are none and it does not run.
    pub(crate) fn drop_hub_if_idle(&self, actor: ActorId) {
        if !self.actors.contains_key(&actor) {
            self.hubs.remove_if(&actor, |_, hub| hub.is_empty());
        }
    }

    /// Takes an actor out of the table unless mail came meanwhile.
    pub(crate) fn leave(&self, actor: ActorId, handle: &ActorHandle, nothing_waits: impl Fn() -> bool) -> bool {
        let left = self
            .actors
            .remove_if(&actor, |_, current| current.generation == handle.generation && nothing_waits())
            .is_some();
        if left {
            self.drop_hub_if_idle(actor);
        }
        left
    }

    /// Takes an actor out of the table, whatever waits.
    pub(crate) fn force_leave(&self, actor: ActorId, handle: &ActorHandle) {
        self.actors.remove_if(&actor, |_, current| current.generation == handle.generation);
        self.drop_hub_if_idle(actor);
    }

    /// Makes room for another instance when few slots are free: actors that were idle longest go to sleep.
    pub(crate) fn make_room(self: &Arc<Self>, code: &Code) {
        let Some(tier) = code.tier() else { return };
        let slots = self.components.tier_slots(tier);
        let reserve = (slots / FREE_SLOTS_SHARE).max(1);
        if self.components.free_slots(tier) >= reserve || self.evicting.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut idle: Vec<(u64, ActorId, Generation)> = self
            .actors
            .iter()
            .filter(|entry| entry.served.code.tier() == Some(tier) && entry.is_idle())
            .map(|entry| (entry.last_used(), *entry.key(), entry.generation))
            .collect();
        idle.sort_unstable();
        for (_, actor, generation) in idle.into_iter().take(EVICT_AT_ONCE.min(reserve * 2)) {
            METERS.evictions.increment(1);
            self.engine.sleep_intent(actor, generation);
        }
        self.evicting.store(false, Ordering::Release);
    }

    fn paused(&self, actor: ActorId) -> Option<Failure> {
        let until = self.failed_starts.lock().get(&actor).map(|(_, until)| *until)?;
        // Longer than the longest pause: the clock was set back meanwhile, and nobody knows how much of the pause is over.
        let wait = until.checked_sub((self.clock)()).filter(|wait| (1..=START_PAUSE_MAX_MS).contains(wait))?;
        Some(codes::CRASH_BACKOFF.failure().metadata(format!(r#"{{"retryAfterMs":{wait}}}"#)))
    }

    fn note_start(&self, actor: ActorId, started: bool) {
        let mut failed = self.failed_starts.lock();
        if started {
            failed.remove(&actor);
            return;
        }
        if failed.len() >= FAILED_STARTS_MAX {
            failed.clear();
        }
        let (count, until) = failed.entry(actor).or_default();
        *count = count.saturating_add(1);
        let pause = (START_PAUSE_FIRST_MS << (*count - 1).min(16)).min(START_PAUSE_MAX_MS);
        // The first failure is not punished: a second try shows whether it was an accident.
        *until = if *count > 1 { (self.clock)().saturating_add(pause) } else { 0 };
    }
}

impl RuntimeHost for Runtime {
    fn serves(&self, name: &str) -> Result<(), Failure> {
        self.shared.served(name).map(drop)
    }

    fn version(&self, name: &str) -> Option<String> {
        self.shared.served(name).ok()?.code.version().map(str::to_owned)
    }

    fn runs(&self, actor: ActorId) -> bool {
        self.shared.actors.contains_key(&actor)
    }

    fn start(&self, start: ActorStart) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let id = start.actor;
            if self.shared.generation(id) == start.generation {
                return Ok(());
            }
            if let Some(paused) = self.shared.paused(id) {
                return Err(paused);
            }
            let served = self.shared.served(&start.name)?;
            self.shared.make_room(&served.code);
            let (tell, told) = oneshot::channel();
            let hub = self.shared.hub(id);
            served.meters.starts.increment(1);
            let (handle, mailbox) = ActorHandle::new(&start, served.clone(), hub, (self.shared.clock)());
            self.shared.actors.insert(id, handle.clone());
            actor::spawn(ActorInput { shared: self.shared.clone(), handle, mailbox, start, started: tell });
            let started = told.await.unwrap_or_else(|_| Err(codes::START_FAILED.failure()));
            if started.is_err() {
                served.meters.start_failures.increment(1);
            }
            self.shared.note_start(id, started.is_ok());
            started
        })
    }

    fn stop(&self, actor: ActorId, generation: Generation, reason: StopReason) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let Some(handle) = self.shared.handle(actor) else { return true };
            if generation != 0 && handle.generation != generation {
                return true;
            }
            let left = handle.watch_stop();
            handle.put_control(Mail::Stop(reason));
            left.await
        })
    }

    fn http(
        &self,
        actor: ActorId,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, Box<http::Request<Bytes>>>> {
        Box::pin(surface::handle(&self.shared, actor, request))
    }

    fn websocket(&self, actor: ActorId, open: Box<SocketOpen>) -> Result<Arc<dyn SocketHandler>, Box<SocketOpen>> {
        let Some(handle) = self.shared.handle(actor) else { return Err(open) };
        let shared = &self.shared;
        let SocketOpen { connection: id, request, socket } = *open;
        let upgrade = surface::Upgrade::read(&request);
        let (params, resume) = read_params(upgrade.params.as_deref());
        let kind = if upgrade.raw { ConnectionKind::RawSocket } else { ConnectionKind::Socket };
        let session = Session::new(SessionInput {
            actor,
            key: handle.key.clone(),
            id,
            kind,
            encoding: upgrade.encoding.unwrap_or(Encoding::Json),
            resume: resume.filter(|_| !upgrade.raw),
            socket: socket.clone(),
            shared: shared.clone(),
            hub: handle.hub.clone(),
            served: handle.served.clone(),
            traceparent: shared.tracer.get().and_then(|_| surface::traceparent(&request)),
        });
        let handler: Arc<dyn SocketHandler> = Arc::new(Handler(session.clone()));
        let refused = if upgrade.encoding.is_none() {
            socket.close(1003, "actor.unsupported_websocket_encoding");
            true
        } else if params.is_none() {
            session.close_for(&codes::INVALID_REQUEST.failure());
            true
        } else if upgrade.raw && !handle.served.offer.hooks.socket {
            session.close_for(&codes::NO_HANDLER.failure());
            true
        } else {
            false
        };
        if refused {
            return Ok(handler);
        }
        let connection = Connection {
            id,
            kind,
            params: params.unwrap_or_else(|| "null".into()),
            state: None,
            hibernatable: session.hibernatable(),
        };
        let seen = surface::seen_request(&request, "GET", Bytes::new());
        let mail = Mail::Connect { connection, request: Arc::new(seen), reply: Waiter::Open(session.clone()) };
        handle.hub.insert(session.clone());
        match shared.deliver(actor, mail) {
            Ok(()) => Ok(handler),
            Err(Refused::Full(mail)) => {
                handle.hub.remove(id);
                surface::tell(refuse(*mail, &codes::OVERLOADED.failure()));
                Ok(handler)
            }
            Err(Refused::NotRunning) => {
                handle.hub.remove(id);
                Err(Box::new(SocketOpen { connection: id, request, socket }))
            }
        }
    }

    fn message(&self, actor: ActorId, envelope: Envelope) -> BoxFuture<'_, Result<Delivered, NotRunning>> {
        Box::pin(async move {
            let (accepted, hear_accepted) = oneshot::channel();
            let (reply, hear_reply) = oneshot::channel();
            let mail = Mail::Envelope {
                envelope,
                stored: None,
                accepted: Waiter::Accepted(accepted),
                reply: Waiter::Value(reply),
            };
            match self.shared.deliver(actor, mail) {
                Ok(()) => {}
                Err(Refused::Full(_)) => {
                    // The sender tries again; a full mailbox is given a moment first.
                    tokio::time::sleep(FULL_PAUSE).await;
                    return Err(NotRunning);
                }
                Err(Refused::NotRunning) => return Err(NotRunning),
            }
            // When the actor ends before its turn is durable, the sender asks again; the operation id tells them apart.
            match hear_accepted.await {
                Ok(Ok(())) => {}
                Ok(Err(failure)) if failure.is(&codes::ACTOR_NOT_FOUND) => {
                    return Ok(Delivered::Answered(Err(failure)));
                }
                Ok(Err(_)) | Err(_) => return Err(NotRunning),
            }
            let mut hear_reply = hear_reply;
            match hear_reply.try_recv() {
                Ok(answer) => Ok(Delivered::Answered(answer)),
                Err(oneshot::error::TryRecvError::Empty) => {
                    let later = async move { hear_reply.await.unwrap_or_else(|_| Err(codes::STOPPED.failure())) };
                    Ok(Delivered::Deferred(Box::pin(later)))
                }
                // The actor ended between its turn and the answer: asked again, it gives the answer that it has stored.
                Err(oneshot::error::TryRecvError::Closed) => Err(NotRunning),
            }
        })
    }
}

/// The parameters as the actor sees them, without the token, and where the client resumes. None when they are not JSON.
pub(crate) fn read_params(text: Option<&str>) -> (Option<Arc<str>>, Option<Resume>) {
    let Some(text) = text else { return (Some("null".into()), None) };
    if growqr_wire::check_json(text).is_err() || text.len() > limits::INCOMING_MESSAGE_BYTES_MAX {
        return (None, None);
    }
    // A name may be spelled with escapes, so that text with an escape is always looked into.
    if !text.contains('\\') && !text.contains("\"token\"") && !text.contains("\"after\"") {
        return (Some(text.into()), None);
    }
    let Ok(mut value) = serde_json::from_str::<serde_json::Value>(text) else { return (None, None) };
    let Some(fields) = value.as_object_mut() else { return (Some(text.into()), None) };
    let had_token = fields.remove("token").is_some();
    let resume = match fields.get("after") {
        Some(serde_json::Value::Number(number)) => number.as_u64().map(Resume::After),
        Some(serde_json::Value::String(word)) if word == "now" => Some(Resume::Now),
        _ => None,
    };
    let params = if had_token { value.to_string() } else { text.to_owned() };
    (Some(params.into()), resume)
}

/// A caller that exists for one request only.
pub(crate) fn ephemeral(id: ConnectionId, kind: ConnectionKind, params: Arc<str>) -> Caller {
    Caller::Ephemeral(Connection { id, kind, params, state: None, hibernatable: false })
}
