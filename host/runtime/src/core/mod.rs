//! The state machine of one actor: inputs in, commands out.
//!
//! The core decides which turn comes next, what its batch is, when its output may leave, when a deferred call is over, which timer
//! is due, and when the actor sleeps. It has no clock, does no I/O and knows no wasm: time comes as a parameter, and whoever drives
//! it (the actor's task, or a simulator) runs the turns and the commits and tells how they ended.
//!
//! Invariants: output leaves in turn order, and only after the commit of its own turn and of all before it. A failed turn leaves
//! nothing but its error. A failed commit releases nothing any more.

mod batch;
mod connections;
mod deferred;
mod envelope;
mod job;
mod mail;
pub mod record;
mod schedule;
mod settle;
mod turn;

pub use connections::Connections;
pub use mail::{Caller, Mail, Release, Reply, Turn};
pub use settle::TurnEnd;
pub use turn::{Step, refuse};

use crate::options::{ActorLimits, ActorOptions};
use deferred::Deferred;
pub use growqr_component::Hooks;
use growqr_seam::{Batch, StopReason};
use growqr_turn::{Effect, TimerRecord, WakeReason};
use growqr_types::{ConnectionId, Failure, Generation, OperationId, ReplyHandle, TimerId, TimestampMs, codes, limits};
use record::{InboxRecord, Meta};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// What the core knows of the component: the part of its description that decides about turns.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// Actions, and whether they are read-only.
    pub actions: HashMap<String, bool>,
    /// Queues.
    pub queues: HashSet<String>,
    /// Hooks that it wants called.
    pub hooks: Hooks,
    /// Version of its state's shape.
    pub state_version: u32,
    /// The oldest version that it can migrate from.
    pub migrates_from: u32,
}

/// What an actor is started with, as read from its keys.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Its numbers; none for an actor that has none yet.
    pub meta: Option<Meta>,
    /// Pending timers.
    pub timers: BTreeMap<TimerId, TimerRecord>,
    /// Unfinished effects.
    pub outbox: BTreeMap<OperationId, Effect>,
    /// Connections that were open when the host died.
    pub dead_connections: Vec<growqr_turn::Connection>,
    /// Calls of other actors that were deferred, and their answers.
    pub handles: HashMap<ReplyHandle, Option<Result<growqr_types::Json, Failure>>>,
    /// What its creator passed.
    pub input: Option<String>,
    /// When the oldest kept events were made, from the first on; as many of them as were read.
    pub event_times: Vec<TimestampMs>,
}

/// What to do next.
#[derive(Debug)]
pub enum Next {
    /// Run this turn, then call [`Core::finish`].
    Turn(Box<Turn>),
    /// Nothing to be done; ask again.
    Again,
    /// The hooks of the start have run: whoever started the actor may be told. Ask again.
    Started,
    /// Wait for mail, for a commit, or until this time.
    Wait(Option<TimestampMs>),
    /// Wait for a commit only.
    WaitCommit,
    /// Ask the engine to be put to sleep, then wait.
    AskSleep,
    /// Ask the engine to be destroyed, then wait.
    AskDestroy,
    /// It is over: drop everything.
    Exit,
}

/// A turn that was executed and is not released yet.
#[derive(Debug)]
struct Pending<R> {
    /// The commit that it waits for.
    ticket: u64,
    releases: Vec<Release<R>>,
    ephemeral: Option<ConnectionId>,
    /// The oldest unfinished effect once this turn is durable.
    floor: OperationId,
}

/// What came of a turn.
#[derive(Debug)]
pub struct Finish<R> {
    /// To be committed under this ticket.
    pub commit: Option<(u64, Batch)>,
    /// May leave now.
    pub releases: Vec<Release<R>>,
    /// The instance must be dropped.
    pub drop_instance: bool,
}

impl<R> Default for Finish<R> {
    fn default() -> Self {
        Self { commit: None, releases: Vec::new(), drop_instance: false }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Hooks of the start are still to run.
    Starting,
    Running,
    /// Told to stop; what waits is still handled for `Sleep` and `Shutdown`.
    Stopping(StopReason),
    /// The last hook has run; commits are awaited.
    Draining,
    Exited,
}

/// The state machine. See the module's documentation.
pub struct Core<R> {
    options: Arc<ActorOptions>,
    actor_limits: Arc<ActorLimits>,
    offer: Arc<Offer>,
    generation: Generation,
    phase: Phase,
    meta: Meta,
    stored_meta: Option<Meta>,
    connections: Arc<Connections>,
    queue: VecDeque<(Mail<R>, TimestampMs)>,
    urgent: VecDeque<job::Job<R>>,
    current: Option<job::Job<R>>,
    pending: VecDeque<Pending<R>>,
    next_ticket: u64,
    next_handle: u32,
    deferred: BTreeMap<ReplyHandle, Deferred<R>>,
    deadlines: BTreeSet<(TimestampMs, ReplyHandle)>,
    timers: Arc<BTreeMap<TimerId, TimerRecord>>,
    timer_due: Option<TimestampMs>,
    timer_failures: HashMap<TimerId, (u32, TimestampMs)>,
    outbox: BTreeMap<OperationId, Effect>,
    effect_failures: HashMap<OperationId, u32>,
    inbox: HashMap<growqr_types::ActorId, (InboxRecord, u64)>,
    handles: HashMap<ReplyHandle, Option<Result<growqr_types::Json, Failure>>>,
    alarm: Option<TimestampMs>,
    /// When the oldest kept events were made: a gapless piece of the window from its first event on.
    event_times: VecDeque<TimestampMs>,
    /// The oldest effect whose end is not durable.
    durable_floor: OperationId,
    /// A commit has failed: nothing that was executed on top of it may be released.
    lost: bool,
    last_now: TimestampMs,
    state_sizes: HashMap<String, usize>,
    start_failure: Option<Failure>,
    failures: u32,
    paused_until: TimestampMs,
    last_activity: TimestampMs,
    wants_sleep: bool,
    asked_sleep: bool,
    wants_destroy: bool,
    asked_destroy: bool,
    restart_wake: bool,
    stop_deadline: Option<TimestampMs>,
    /// The last hook before a sleep has run.
    slept: bool,
    /// Turns have rows for the database.
    mirror: bool,
    /// So many rows wait for the database that no turn may make more.
    mirror_full: bool,
    /// How the turn that just failed has crashed, for the database.
    crash: Option<Failure>,
}

/// Everything that a core is made of.
pub struct CoreInput {
    /// Options.
    pub options: Arc<ActorOptions>,
    /// Limits.
    pub limits: Arc<ActorLimits>,
    /// What the component offers.
    pub offer: Arc<Offer>,
    /// Generation.
    pub generation: Generation,
    /// Connections that outlived the last instance.
    pub connections: Arc<Connections>,
    /// What was stored.
    pub loaded: Loaded,
    /// Turns have rows for the database.
    pub mirror: bool,
}

impl<R> Core<R> {
    /// An actor that is starting.
    pub fn new(input: CoreInput, now: TimestampMs) -> Self {
        let CoreInput { options, limits, offer, generation, connections, loaded, mirror } = input;
        let stored_meta = loaded.meta.clone();
        let meta = loaded.meta.unwrap_or_else(|| Meta::new(offer.state_version));
        let mut core = Self {
            options,
            actor_limits: limits,
            generation,
            phase: Phase::Starting,
            connections,
            queue: VecDeque::new(),
            urgent: VecDeque::new(),
            current: None,
            pending: VecDeque::new(),
            next_ticket: 1,
            next_handle: 1,
            deferred: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            alarm: None,
            timer_due: None,
            timers: Arc::new(loaded.timers),
            timer_failures: HashMap::new(),
            outbox: loaded.outbox,
            effect_failures: HashMap::new(),
            inbox: HashMap::new(),
            handles: loaded.handles,
            event_times: loaded.event_times.into(),
            durable_floor: 0,
            lost: false,
            last_now: now,
            state_sizes: HashMap::new(),
            start_failure: None,
            failures: 0,
            paused_until: 0,
            last_activity: now,
            wants_sleep: false,
            asked_sleep: false,
            wants_destroy: false,
            asked_destroy: false,
            restart_wake: false,
            stop_deadline: None,
            slept: false,
            mirror,
            mirror_full: false,
            crash: None,
            meta,
            stored_meta,
            offer,
        };
        core.wants_destroy = core.meta.destroy_asked;
        core.durable_floor = core.executed_floor();
        core.timer_due = core.next_timer_due();
        // What the engine has is not known to this instance; it is what the last commit left, which is computed the same way.
        core.alarm = core.wanted_alarm();
        // A socket that closed while the actor slept is still in the table: who closed it says so in a moment, with code and reason.
        let mut dead = loaded.dead_connections;
        dead.retain(|connection| growqr_turn::ConnectionsView::get(&*core.connections, connection.id).is_none());
        core.queue_start_jobs(loaded.input, dead);
        core
    }

    fn queue_start_jobs(&mut self, input: Option<String>, dead: Vec<growqr_turn::Connection>) {
        let reason = if self.meta.created { WakeReason::Woken } else { WakeReason::Created };
        if !self.meta.created {
            self.urgent.push_back(job::Job::Create(input));
        } else if self.meta.state_version != self.offer.state_version {
            self.urgent.push_back(job::Job::Migrate(self.meta.state_version, self.offer.state_version));
        }
        if self.offer.hooks.wake {
            self.urgent.push_back(job::Job::Wake(reason));
        }
        self.urgent.extend(dead.into_iter().map(job::Job::Disconnect));
        self.urgent.push_back(job::Job::Started);
    }

    /// The effects that were unfinished when the actor was started; the driver runs them again.
    pub fn unfinished_effects(&self) -> Vec<(OperationId, Effect)> {
        self.outbox.iter().map(|(operation, effect)| (*operation, effect.clone())).collect()
    }

    /// Gives mail. The driver bounds how much waits.
    pub fn deliver(&mut self, mail: Mail<R>, now: TimestampMs) {
        match mail {
            Mail::Stop(reason) => self.stop(reason, now),
            mail => {
                self.observe(now);
                self.asked_sleep = false;
                self.queue.push_back((mail, now));
            }
        }
    }

    fn stop(&mut self, reason: StopReason, now: TimestampMs) {
        match self.phase {
            Phase::Exited | Phase::Draining | Phase::Stopping(StopReason::Destroy | StopReason::Lost) => {}
            _ if reason == StopReason::Lost => self.phase = Phase::Exited,
            _ => {
                let grace = self.options.sleep_grace_period.as_millis() as TimestampMs;
                self.stop_deadline = Some(now.saturating_add(grace));
                self.phase = Phase::Stopping(reason);
            }
        }
    }

    /// Whether turns that may write must wait, because too much waits for the database.
    pub fn note_mirror_full(&mut self, full: bool) {
        self.mirror_full = full;
    }

    /// Numbers that others may see.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The oldest effect whose end is not durable, or the next id: receivers may forget what is below.
    pub fn floor(&self) -> OperationId {
        self.durable_floor
    }

    /// The floor as the turns that were executed left it. It holds once they are durable: before, a crash brings the effects back.
    fn executed_floor(&self) -> OperationId {
        self.outbox.keys().next().copied().unwrap_or(self.meta.next_id)
    }

    /// Timers as the last turn left them.
    pub fn timers(&self) -> &Arc<BTreeMap<TimerId, TimerRecord>> {
        &self.timers
    }

    /// The next free id.
    pub fn next_id(&self) -> u64 {
        self.meta.next_id
    }

    /// Whether no mail waits inside: the driver may give more.
    pub fn wants_mail(&self) -> bool {
        // What comes after the last hook stays outside: it is for the next start.
        self.queue.is_empty() && !matches!(self.phase, Phase::Draining | Phase::Exited)
    }

    /// Whether mail was taken that no turn has seen.
    pub fn has_unread(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Mail came while the actor went to sleep: it wakes again without having been away.
    pub fn resume(&mut self, now: TimestampMs) {
        if self.phase == Phase::Exited && self.start_failure.is_none() {
            self.phase = Phase::Starting;
            self.wants_sleep = false;
            self.asked_sleep = false;
            self.restart_wake = false;
            self.slept = false;
            self.last_activity = now;
            self.queue_start_jobs(None, Vec::new());
        }
    }

    /// Whether anything is executed and not durable yet.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Who waits for the turn that runs now, if somebody does.
    pub fn current_caller(&self) -> Option<&R> {
        self.current.as_ref()?.caller()
    }

    /// Why the actor could not start, if so.
    pub fn start_failure(&self) -> Option<&Failure> {
        self.start_failure.as_ref()
    }

    /// A commit has ended. What is returned may leave now.
    pub fn committed(&mut self, ticket: u64, durable: bool) -> Vec<Release<R>> {
        if !durable {
            self.phase = Phase::Exited;
            self.lost = true;
        }
        let mut releases = Vec::new();
        while self.pending.front().is_some_and(|pending| pending.ticket <= ticket) {
            let Some(pending) = self.pending.pop_front() else { break };
            if durable {
                self.durable_floor = pending.floor;
                releases.extend(pending.releases);
            } else {
                releases.extend(unsure(pending.releases));
            }
            if let Some(connection) = pending.ephemeral {
                self.connections.remove(connection);
            }
        }
        // Mail that waits was given with what was stored when it came; what was written since then is only known here.
        let queue = &self.queue;
        let waits = |sender| queue.iter().any(|(mail, _)| mail.sender() == Some(sender));
        self.inbox.retain(|sender, (_, written)| *written > ticket || waits(*sender));
        releases
    }

    /// Everybody who still waits is told why nobody will answer: `deferred` to those whose call has run, `waiting` to those whose
    /// has not. For the end of the actor.
    pub fn abandon(&mut self, deferred: &Failure, waiting: &Failure) -> Vec<Release<R>> {
        let mut releases = Vec::new();
        for pending in self.pending.drain(..) {
            releases.extend(unsure(pending.releases));
        }
        releases.extend(self.fail_deferred(deferred));
        for job in self.urgent.drain(..) {
            if let job::Job::Connect { reply, .. } = job {
                releases.push(Release::Reply(reply, Reply::Accepted(Err(deferred.clone()))));
            }
        }
        for (mail, _) in self.queue.drain(..) {
            releases.extend(refuse(mail, waiting));
        }
        releases
    }
}

/// What leaves of a turn whose commit failed: whether it was kept is not known; the one who waits is told so, and nothing else leaves.
fn unsure<R>(releases: Vec<Release<R>>) -> impl Iterator<Item = Release<R>> {
    releases.into_iter().filter_map(|release| match release {
        Release::Reply(to, reply) => Some(Release::Reply(to, reply.replaced(codes::COMMIT_FAILED.failure()))),
        _ => None,
    })
}

impl Reply {
    fn replaced(self, failure: Failure) -> Self {
        match self {
            Self::Value(_) => Self::Value(Err(failure)),
            Self::Response(_) => Self::Response(Err(failure)),
            Self::Accepted(_) => Self::Accepted(Err(failure)),
        }
    }
}

const _: () = assert!(limits::TURNS_UNCOMMITTED_MAX > 0);
