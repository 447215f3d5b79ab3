//! One actor that runs: a task that drives the actor's core, its instance, and its commits.
//!
//! The core says what to do; here it is done. The task owns the mailbox and the instance; nobody else touches them.

use crate::core::{Core, CoreInput, Finish, Mail, Next, Release, Turn, TurnEnd, refuse};
use crate::guest::Guest;
use crate::hub::{Event, Hub};
use crate::load;
use crate::meters::METERS;
use crate::outbox::Outbox;
use crate::runtime::Shared;
use crate::served::Served;
use crate::surface::tell;
use crate::view::StateView;
use crate::waiter::Waiter;
use crate::watch::Watch;
use futures::FutureExt;
use growqr_component::CallReport;
use growqr_seam::{ActorStart, CommitError, CommitSink, MirrorState, StopReason};
use growqr_turn::{Identity, Scope, ScopeInput};
use growqr_types::{ActorId, Failure, Generation, TimestampMs, codes, limits};
use parking_lot::Mutex;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;

/// How long an actor waits for a free slot before its start or turn fails.
const SLOT_WAIT_MAX: Duration = Duration::from_secs(2);
/// Time between two looks at a free slot.
const SLOT_WAIT_STEP: Duration = Duration::from_millis(10);

/// A channel keeps room for 32 messages: boxed, they take 256 bytes of every actor that is awake, and not 6 KiB.
type BoxedMail = Box<Mail<Waiter>>;

/// How others reach an actor that runs.
pub struct ActorHandle {
    /// Counts its starts.
    pub generation: Generation,
    /// The key in its REST spelling.
    pub key: Arc<str>,
    /// What it is.
    pub served: Arc<Served>,
    /// Its sockets.
    pub hub: Arc<Hub>,
    mailbox: mpsc::UnboundedSender<BoxedMail>,
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    last_used: AtomicU64,
    /// The oldest effect that is not finished.
    pub floor: AtomicU64,
    stop_watchers: Mutex<Vec<oneshot::Sender<bool>>>,
}

impl ActorHandle {
    /// A handle and its mailbox.
    pub fn new(
        start: &ActorStart,
        served: Arc<Served>,
        hub: Arc<Hub>,
        now: TimestampMs,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<BoxedMail>) {
        let (mailbox, receiver) = mpsc::unbounded_channel();
        let handle = Self {
            generation: start.generation,
            key: start.key.to_rest().into(),
            served,
            hub,
            mailbox,
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            last_used: AtomicU64::new(now),
            floor: AtomicU64::new(0),
            stop_watchers: Mutex::new(Vec::new()),
        };
        (Arc::new(handle), receiver)
    }

    /// Puts mail in if there is room.
    pub fn put(&self, mail: Mail<Waiter>) -> Result<(), Box<Mail<Waiter>>> {
        let bytes = mail.bytes();
        let full = self.waiting.load(Ordering::Relaxed) >= limits::MAILBOX_MESSAGES_MAX
            || self.waiting_bytes.load(Ordering::Relaxed) + bytes > limits::MAILBOX_BYTES_MAX;
        if full {
            METERS.refused.increment(1);
            return Err(Box::new(mail));
        }
        self.put_control(mail);
        Ok(())
    }

    /// Puts mail in that is bounded elsewhere.
    pub fn put_control(&self, mail: Mail<Waiter>) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.waiting_bytes.fetch_add(mail.bytes(), Ordering::Relaxed);
        // The task has ended; whoever waits in the mail hears of it because the mail is dropped.
        let _ = self.mailbox.send(Box::new(mail));
    }

    fn took(&self, mail: &Mail<Waiter>) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.waiting_bytes.fetch_sub(mail.bytes(), Ordering::Relaxed);
    }

    /// Hears whether the actor has stopped; false when it goes on because mail came.
    pub fn watch_stop(&self) -> impl Future<Output = bool> + use<> {
        let (tell, told) = oneshot::channel();
        self.stop_watchers.lock().push(tell);
        async { told.await.unwrap_or(true) }
    }

    fn tell_stop(&self, stopped: bool) {
        for watcher in self.stop_watchers.lock().drain(..) {
            let _ = watcher.send(stopped);
        }
    }

    /// When it took its last message.
    pub fn last_used(&self) -> TimestampMs {
        self.last_used.load(Ordering::Relaxed)
    }

    /// Messages that wait, and their bytes.
    pub fn depth(&self) -> (usize, usize) {
        (self.waiting.load(Ordering::Relaxed), self.waiting_bytes.load(Ordering::Relaxed))
    }

    /// Whether nothing waits.
    pub fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }
}

/// What an actor's task is made of.
pub struct ActorInput {
    /// The runtime.
    pub shared: Arc<Shared>,
    /// Its own handle.
    pub handle: Arc<ActorHandle>,
    /// Its mailbox.
    pub mailbox: mpsc::UnboundedReceiver<BoxedMail>,
    /// What it was started with.
    pub start: ActorStart,
    /// Hears when the hooks of the start have run, or why they failed.
    pub started: oneshot::Sender<Result<(), Failure>>,
}

/// Runs an actor until it stops. A panic in here ends this actor only.
pub fn spawn(input: ActorInput) {
    let (shared, handle, id) = (input.shared.clone(), input.handle.clone(), input.start.actor);
    tokio::spawn(async move {
        if AssertUnwindSafe(run(input)).catch_unwind().await.is_err() {
            tracing::error!(actor = %id, "the host panicked while it ran this actor; the actor starts anew from what is durable");
            handle.hub.sessions().iter().for_each(|session| session.actor_lost());
        }
        shared.force_leave(id, &handle);
        handle.tell_stop(true);
    });
}

async fn run(input: ActorInput) {
    let ActorInput { shared, handle, mailbox, start, started } = input;
    let loaded = match load::load(&*shared.engine, &start).await {
        Ok(loaded) => loaded,
        Err(failure) => {
            shared.force_leave(start.actor, &handle);
            let _ = started.send(Err(failure));
            return;
        }
    };
    let served = handle.served.clone();
    let identity = Arc::new(Identity {
        id: start.actor,
        name: start.name,
        key: start.key,
        namespace: start.namespace,
        region: start.region,
        generation: start.generation,
        created: start.created,
    });
    let mirror = shared.engine.mirror() != MirrorState::Off;
    let core = Core::new(
        CoreInput {
            options: served.options.clone(),
            limits: served.limits.clone(),
            offer: served.offer.clone(),
            generation: start.generation,
            connections: handle.hub.connections.clone(),
            loaded,
            mirror,
        },
        (shared.clock)(),
    );
    let (_, released) = handle.hub.window();
    handle.hub.set_window(core.meta().first_seq, core.meta().last_seq);
    // Events that became durable and were not released, because the actor was lost in between.
    for session in handle.hub.sessions() {
        session.catch_up(released, core.meta().last_seq);
    }
    let (commits, commit_ends) = mpsc::unbounded_channel();
    let mut driver = Driver {
        view: Arc::new(StateView::new(shared.engine.clone(), start.actor)),
        sink: Arc::new(Sink(commits)),
        outbox: Outbox::new(shared.clone(), handle.clone(), identity.clone()),
        watch: Watch::new(identity.clone(), shared.keys_name_users(), shared.traced_rows.get().cloned()),
        shared,
        handle,
        identity,
        core,
        mailbox,
        commit_ends,
        mirror,
        instance: None,
        started: Some(started),
        stop_reason: None,
        lost: false,
    };
    driver.outbox_start();
    driver.run().await;
}

struct Sink(mpsc::UnboundedSender<(u64, Result<(), CommitError>)>);

impl CommitSink for Sink {
    fn committed(&self, ticket: u64, result: Result<(), CommitError>) {
        // The actor has ended; then nobody waits for it any more.
        let _ = self.0.send((ticket, result));
    }
}

struct Driver {
    shared: Arc<Shared>,
    handle: Arc<ActorHandle>,
    identity: Arc<Identity>,
    core: Core<Waiter>,
    mailbox: mpsc::UnboundedReceiver<BoxedMail>,
    commit_ends: mpsc::UnboundedReceiver<(u64, Result<(), CommitError>)>,
    sink: Arc<dyn CommitSink>,
    view: Arc<StateView>,
    outbox: Outbox,
    watch: Watch,
    instance: Option<Guest>,
    started: Option<oneshot::Sender<Result<(), Failure>>>,
    stop_reason: Option<StopReason>,
    /// Turns have rows for the database.
    mirror: bool,
    /// A commit has failed.
    lost: bool,
}

impl Driver {
    fn id(&self) -> ActorId {
        self.identity.id
    }

    fn now(&self) -> TimestampMs {
        (self.shared.clock)()
    }

    fn outbox_start(&mut self) {
        self.handle.floor.store(self.core.floor(), Ordering::Release);
        for (operation, effect) in self.core.unfinished_effects() {
            self.outbox.run(operation, effect);
        }
    }

    async fn run(&mut self) {
        loop {
            while let Ok((ticket, result)) = self.commit_ends.try_recv() {
                self.committed(ticket, result);
            }
            if self.core.wants_mail()
                && let Ok(mail) = self.mailbox.try_recv()
            {
                self.take(*mail).await;
            }
            let now = self.now();
            let expired = self.core.expire(now);
            self.release(expired);
            if self.mirror {
                self.core.note_mirror_full(self.shared.engine.mirror() == MirrorState::Full);
            }
            let step = self.core.next(now);
            if let Some(finish) = step.finish {
                self.apply(finish);
            }
            match step.next {
                Next::Again => {}
                Next::Started => self.tell_started(Ok(())),
                Next::Turn(turn) => self.turn(*turn).await,
                Next::Wait(until) => self.wait(until).await,
                Next::WaitCommit => {
                    if let Some((ticket, result)) = self.commit_ends.recv().await {
                        self.committed(ticket, result);
                    }
                }
                Next::AskSleep => self.shared.engine.sleep_intent(self.id(), self.handle.generation),
                Next::AskDestroy => self.shared.engine.destroy_intent(self.id(), self.handle.generation),
                Next::Exit => {
                    if self.leave() {
                        return;
                    }
                }
            }
        }
    }

    fn tell_started(&mut self, result: Result<(), Failure>) {
        if let Some(started) = self.started.take() {
            let _ = started.send(result);
        }
    }

    /// Gives mail to the core, with what it needs to know from storage.
    async fn take(&mut self, mail: Mail<Waiter>) {
        self.handle.took(&mail);
        let now = self.now();
        self.handle.last_used.store(now, Ordering::Relaxed);
        let mail = match mail {
            Mail::Envelope { envelope, accepted, reply, .. } => {
                match load::inbox(&*self.shared.engine, self.id(), envelope.sender).await {
                    Ok(stored) => Mail::Envelope { envelope, stored, accepted, reply },
                    Err(failure) => {
                        let mail = Mail::Envelope { envelope, stored: None, accepted, reply };
                        tell(refuse(mail, &failure));
                        return;
                    }
                }
            }
            Mail::Stop(reason) => {
                self.stop_reason = Some(reason);
                Mail::Stop(reason)
            }
            mail => mail,
        };
        self.core.deliver(mail, now);
    }

    async fn wait(&mut self, until: Option<TimestampMs>) {
        let shared = self.shared.clone();
        let jump = shared.clock_watch.jump();
        let delay = until.map(|until| Duration::from_millis(until.saturating_sub(self.now())));
        let timer = async {
            match delay {
                Some(delay) => tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = jump => {}
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some((ticket, result)) = self.commit_ends.recv() => self.committed(ticket, result),
            Some(mail) = self.mailbox.recv() => self.take(*mail).await,
            () = timer => {}
        }
    }

    fn committed(&mut self, ticket: u64, result: Result<(), CommitError>) {
        if let Err(error) = &result {
            tracing::warn!(actor = %self.id(), %error, "a turn could not be committed; the actor starts anew from what is durable");
        }
        self.lost |= result.is_err();
        self.watch.committed(ticket, result.is_ok(), &self.handle.served.meters);
        let releases = self.core.committed(ticket, result.is_ok());
        self.view.committed(ticket);
        self.handle.floor.store(self.core.floor(), Ordering::Release);
        self.release(releases);
    }

    fn apply(&mut self, finish: Finish<Waiter>) {
        if finish.drop_instance {
            self.instance = None;
        }
        if let Some((ticket, batch)) = finish.commit {
            self.watch.submitted(ticket, &batch.mirror);
            self.view.written(ticket, &batch.writes);
            self.shared.engine.commit(self.id(), self.handle.generation, batch, &self.sink, ticket);
        }
        self.handle.hub.set_first(self.core.meta().first_seq);
        self.release(finish.releases);
    }

    /// Tells the core how old the oldest kept events are, when it has used up what it knew.
    async fn look_at_event_times(&mut self) {
        let Some(first) = self.core.wants_event_times() else { return };
        match load::event_times(&*self.shared.engine, self.id(), first).await {
            Ok(times) => self.core.note_event_times(times),
            Err(failure) => tracing::warn!(actor = %self.id(), %failure, "the event log can't be read"),
        }
    }

    fn release(&mut self, releases: Vec<Release<Waiter>>) {
        release_all(&self.handle, &mut self.outbox, releases);
    }

    async fn turn(&mut self, turn: Turn) {
        let Turn { message, read_only, timeout } = turn;
        self.watch.begin(self.core.current_caller());
        let instance = match self.instance.take() {
            Some(instance) => instance,
            None => match self.instantiate().await {
                Ok(instance) => instance,
                Err(failure) => {
                    let end = TurnEnd::Failed { failure, crashed: true };
                    self.watch.end(&end, &self.handle.served.meters);
                    let finish = self.core.finish(end, self.now());
                    self.apply(finish);
                    return;
                }
            },
        };
        let scope = self.scope(read_only);
        let (instance, report) = {
            let mut call =
                std::pin::pin!(instance.turn(scope, message, timeout).instrument(self.watch.span_for_details()));
            loop {
                tokio::select! {
                    biased;
                    ended = &mut call => break ended,
                    // What earlier turns have to say leaves while this one runs.
                    Some((ticket, result)) = self.commit_ends.recv() => {
                        self.lost |= result.is_err();
                        self.watch.committed(ticket, result.is_ok(), &self.handle.served.meters);
                        let releases = self.core.committed(ticket, result.is_ok());
                        self.view.committed(ticket);
                        self.handle.floor.store(self.core.floor(), Ordering::Release);
                        release_all(&self.handle, &mut self.outbox, releases);
                    }
                }
            }
        };
        let end = self.end_of(report).await;
        self.watch.end(&end, &self.handle.served.meters);
        let finish = self.core.finish(end, self.now());
        if !finish.drop_instance {
            self.instance = instance;
        }
        self.apply(finish);
        self.look_at_event_times().await;
    }

    async fn end_of(&mut self, report: CallReport) -> TurnEnd {
        let CallReport { result, scope, usable, detail } = report;
        let (finished, log) = scope.finish();
        self.watch.write_log(log);
        if let Some(detail) = detail {
            self.watch.span().in_scope(|| tracing::warn!(detail, "a turn failed"));
        }
        let answer = match result {
            Ok(answer) => answer,
            Err(failure) => return TurnEnd::Failed { failure: failure.0, crashed: !usable },
        };
        for key in self.core.unknown_state_sizes(&finished.effects) {
            match self.view.size(&key).await {
                Ok(size) => self.core.note_state_size(key, size),
                Err(failure) => return TurnEnd::Failed { failure, crashed: true },
            }
        }
        TurnEnd::Done { answer, effects: finished.effects, next_id: finished.next_id }
    }

    fn scope(&self, read_only: bool) -> Scope {
        let mut seed = [0; 32];
        seed[..16].copy_from_slice(&(self.shared.randomness)());
        seed[16..].copy_from_slice(&(self.shared.randomness)());
        let served = &self.handle.served;
        Scope::new(ScopeInput {
            now: self.now(),
            seed,
            identity: self.identity.clone(),
            config: served.config.clone(),
            limits: served.turn_limits.clone(),
            state: self.view.clone(),
            connections: self.handle.hub.connections.clone(),
            timers: self.core.timers().clone(),
            memory: self.shared.capabilities.memory.clone(),
            sandbox: self.shared.capabilities.sandbox.clone(),
            next_id: self.core.next_id(),
            read_only,
        })
    }

    /// Makes an instance. When all slots are taken, idle actors are put to sleep, and it waits a little.
    async fn instantiate(&self) -> Result<Guest, Failure> {
        let served = &self.handle.served;
        let mut waited = Duration::ZERO;
        loop {
            match served.code.instantiate(&served.instance_limits).await {
                Err(failure) if failure.is(&codes::OVERLOADED) && waited < SLOT_WAIT_MAX => {
                    self.shared.make_room(&served.code);
                    tokio::time::sleep(SLOT_WAIT_STEP).await;
                    waited += SLOT_WAIT_STEP;
                }
                made => return made,
            }
        }
    }

    /// The actor is over. False when it goes on because mail came while it went to sleep.
    fn leave(&mut self) -> bool {
        if let Some(failure) = self.core.start_failure().cloned() {
            self.end_sockets("actor.start_failed");
            let failure = start_failure(&failure);
            self.shared.force_leave(self.id(), &self.handle);
            self.refuse_rest(&failure);
            self.tell_started(Err(failure));
            return true;
        }
        let reason = if self.lost { Some(StopReason::Lost) } else { self.stop_reason };
        match reason {
            Some(StopReason::Sleep) => {
                let (mailbox, core) = (&self.mailbox, &self.core);
                let handle = self.handle.clone();
                if !self.shared.leave(self.identity.id, &handle, || mailbox.is_empty() && !core.has_unread()) {
                    self.stop_reason = None;
                    self.instance = None;
                    self.core.resume(self.now());
                    self.handle.tell_stop(false);
                    return false;
                }
                for session in self.handle.hub.sessions() {
                    if !session.hibernatable() {
                        session.close_with(1011, "actor.stopped");
                    }
                }
            }
            Some(StopReason::Destroy) => {
                self.shared.force_leave(self.id(), &self.handle);
                self.end_sockets("actor.destroyed");
                self.refuse_rest(&codes::ACTOR_NOT_FOUND.failure());
            }
            Some(StopReason::Shutdown | StopReason::Lost) | None => {
                if reason == Some(StopReason::Lost) {
                    self.handle.hub.sessions().iter().for_each(|session| session.actor_lost());
                }
                self.shared.force_leave(self.id(), &self.handle);
                self.refuse_rest(&codes::RESTARTING.failure());
            }
        }
        true
    }

    fn end_sockets(&self, reason: &str) {
        for session in self.handle.hub.sessions() {
            session.close_with(1011, reason);
        }
    }

    /// What still waits certainly did not run.
    fn refuse_rest(&mut self, failure: &Failure) {
        let releases = self.core.abandon(&codes::STOPPED.failure(), failure);
        self.release(releases);
        while let Ok(mail) = self.mailbox.try_recv() {
            self.release(refuse(*mail, failure));
        }
    }
}

fn start_failure(cause: &Failure) -> Failure {
    codes::START_FAILED.with(format!("The actor could not start: {}.{}: {}", cause.group, cause.code, cause.message))
}

/// Lets everything out, in order.
fn release_all(handle: &ActorHandle, outbox: &mut Outbox, releases: Vec<Release<Waiter>>) {
    for release in releases {
        release_one(handle, outbox, release);
    }
}

fn release_one(handle: &ActorHandle, outbox: &mut Outbox, release: Release<Waiter>) {
    let session = |connection| handle.hub.session(connection);
    match release {
        Release::Reply(to, reply) => to.hear(reply),
        Release::Broadcast { seq, ts, name, args } => {
            handle.served.meters.events.increment(1);
            handle.hub.broadcast(Event::new(Some(seq), ts, name, args));
        }
        Release::Send { connection, ts, name, args } => {
            if let Some(session) = session(connection) {
                session.direct_event(&Event::new(None, ts, name, args));
            }
        }
        Release::Frame(connection, frame) => {
            if let Some(session) = session(connection) {
                session.raw_frame(frame);
            }
        }
        Release::Close { connection, code, reason } => {
            if let Some(session) = session(connection) {
                session.close_with(code, &reason);
            }
        }
        Release::Run(operation, effect) => outbox.run(operation, effect),
    }
}
