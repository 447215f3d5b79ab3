//! Which turn comes next, and what follows from how it ended.

use super::batch::SystemWrites;
use super::deferred::Deferred;
use super::record::{InboxRecord, InboxState};
use super::{Caller, Core, Finish, Mail, Next, Pending, Phase, Release, Reply, Turn};
use growqr_seam::{EnvelopeContent, StopReason};
use growqr_turn::{
    ActionCall, ActorMessage, Answer, Connection, ConnectionKind, ConnectionRequest, EffectResult, Effects,
    HttpRequest, Message, Outcome, Outgoing, QueueMessage, RequestOutcome, SandboxEvent, SocketEvent, TimerEvent,
    TimerRecord, Verdict, WakeReason,
};
use growqr_types::{
    ActorId, ConnectionId, Failure, Json, OperationId, ReplyHandle, TimerId, TimestampMs, codes, limits,
};
use std::sync::Arc;
use std::time::Duration;

/// Something to be done in a turn, or without one when the component has no hook for it.
pub(super) enum Job<R> {
    Create(Option<String>),
    Migrate(u32, u32),
    Wake(WakeReason),
    Started,
    BeforeConnect {
        connection: Connection,
        request: Arc<HttpRequest>,
        reply: R,
        handle: ReplyHandle,
        deadline: TimestampMs,
    },
    Connect {
        connection: Connection,
        request: Arc<HttpRequest>,
        reply: R,
    },
    Disconnect(Connection),
    Subscribe {
        connection: ConnectionId,
        event: String,
        reply: R,
    },
    Action {
        call: ActionCall,
        reply: R,
        ephemeral: Option<Connection>,
        deadline: TimestampMs,
    },
    Queue {
        message: QueueMessage,
        reply: R,
        ephemeral: Option<Connection>,
        deadline: TimestampMs,
    },
    Request {
        connection: ConnectionId,
        request: HttpRequest,
        reply: R,
        handle: ReplyHandle,
        ephemeral: Option<Connection>,
        deadline: TimestampMs,
    },
    Socket(ConnectionId, SocketEvent),
    SocketClose(Connection, u16, String),
    Envelope(EnvelopeJob<R>),
    Timer(TimerId, TimerRecord),
    EffectResult(OperationId, Result<Json, Failure>),
    Sandbox(SandboxEvent),
    Sleep,
    Destroy,
}

impl<R> Job<R> {
    /// Whether it is what the actor is there for, and not what surrounds it.
    fn is_work(&self) -> bool {
        match self {
            Self::Action { .. }
            | Self::Queue { .. }
            | Self::Request { .. }
            | Self::Socket(..)
            | Self::Envelope(_)
            | Self::Timer(..)
            | Self::EffectResult(..)
            | Self::Sandbox(_) => true,
            Self::Create(_)
            | Self::Migrate(..)
            | Self::Wake(_)
            | Self::Started
            | Self::BeforeConnect { .. }
            | Self::Connect { .. }
            | Self::Disconnect(_)
            | Self::Subscribe { .. }
            | Self::SocketClose(..)
            | Self::Sleep
            | Self::Destroy => false,
        }
    }
}

/// WebSocket close code of a raw socket whose message failed (RFC 6455 section 7.4.1: an unexpected condition).
const CLOSE_FAILED: u16 = 1011;

pub(super) struct EnvelopeJob<R> {
    pub sender: ActorId,
    pub operation: OperationId,
    pub record: InboxRecord,
    pub message: Option<Message>,
    pub handle: ReplyHandle,
    pub accepted: R,
    pub reply: R,
}

/// How a turn ended.
pub enum TurnEnd {
    /// Well.
    Done {
        /// What the guest answered.
        answer: Answer,
        /// What it did.
        effects: Effects,
        /// The next free id.
        next_id: u64,
    },
    /// Not.
    Failed {
        /// What the caller is told.
        failure: Failure,
        /// The guest trapped or ran over a limit; not its own error.
        crashed: bool,
    },
}

fn later(now: TimestampMs, duration: Duration) -> TimestampMs {
    now.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

impl<R> Core<R> {
    /// What to do next. Call again after the command was carried out.
    pub fn next(&mut self, now: TimestampMs) -> Step<R> {
        debug_assert!(self.current.is_none(), "a turn must be finished first");
        self.observe(now);
        loop {
            match self.phase {
                Phase::Exited => return Step::just(Next::Exit),
                _ if self.pending.len() >= limits::TURNS_UNCOMMITTED_MAX => return Step::just(Next::WaitCommit),
                Phase::Draining if self.pending.is_empty() => {
                    self.phase = Phase::Exited;
                    continue;
                }
                Phase::Draining => return Step::just(Next::WaitCommit),
                _ => {}
            }
            if self.restart_wake && self.paused_until <= now {
                self.restart_wake = false;
                self.urgent.push_front(Job::Wake(WakeReason::Restarted));
            }
            if let Some(job) = self.urgent.pop_front() {
                match self.begin(job, now) {
                    Some(step) => return step,
                    None => continue,
                }
            }
            if let Some(step) = self.next_by_phase(now) {
                return step;
            }
        }
    }

    fn next_by_phase(&mut self, now: TimestampMs) -> Option<Step<R>> {
        match self.phase {
            Phase::Stopping(StopReason::Destroy) => return self.next_destroying(now),
            Phase::Running if self.wants_destroy => {
                if !self.asked_destroy {
                    self.asked_destroy = true;
                    return Some(Step::just(Next::AskDestroy));
                }
                return Some(Step::just(Next::Wait(self.deadlines.first().map(|(at, _)| *at))));
            }
            Phase::Stopping(_) if self.slept => return self.next_slept(now),
            _ => {}
        }
        // A stop does not wait for the end of a pause.
        let paused = self.paused_until > now && self.phase == Phase::Running;
        if !paused && let Some(job) = self.take_due_timer(now) {
            self.last_activity = now;
            return self.begin(job, now);
        }
        if paused {
            // What nobody would hear of waits for the end of the pause.
            if let Some((mail, _)) =
                self.queue.iter().position(|(mail, _)| mail.can_be_refused()).and_then(|at| self.queue.remove(at))
            {
                self.last_activity = now;
                let wait = format!(r#"{{"retryAfterMs":{}}}"#, self.paused_until - now);
                return Some(Step::releases(refuse(mail, &codes::CRASH_BACKOFF.failure().metadata(wait))));
            }
        } else if let Some((mail, arrived)) = self.queue.pop_front() {
            self.last_activity = now;
            return self.open(mail, arrived, now);
        }
        if let Phase::Stopping(_) = self.phase {
            return self.next_stopping(now);
        }
        let sleep_at = self.sleep_at();
        if sleep_at.is_some_and(|at| at <= now) {
            self.asked_sleep = true;
            return Some(Step::just(Next::AskSleep));
        }
        let timer = if paused { Some(self.paused_until) } else { self.timer_due };
        let until = [sleep_at, timer, self.deadlines.first().map(|(at, _)| *at)].into_iter().flatten().min();
        Some(Step::just(Next::Wait(until)))
    }

    /// Nothing waits any more: the last hook, then the end.
    fn next_stopping(&mut self, now: TimestampMs) -> Option<Step<R>> {
        if !self.deferred.is_empty() && self.stop_deadline.is_some_and(|deadline| now < deadline) {
            let until = [self.stop_deadline, self.timer_due, self.deadlines.first().map(|(at, _)| *at)]
                .into_iter()
                .flatten()
                .min();
            return Some(Step::just(Next::Wait(until)));
        }
        let releases = self.fail_deferred(&codes::STOPPED.failure());
        self.urgent.push_back(Job::Sleep);
        Some(Step::releases(releases))
    }

    /// What the last hook sent is delivered before the actor is gone; an unfinished effect would wake it at once. An actor that wants
    /// to hear how its effects end is woken for that all the same, so there it is not waited for.
    fn next_slept(&mut self, now: TimestampMs) -> Option<Step<R>> {
        if !self.offer.hooks.effect_result {
            let ended = self.queue.iter().position(|(mail, _)| matches!(mail, Mail::EffectDone { .. }));
            if let Some((Mail::EffectDone { operation, .. }, _)) = ended.and_then(|at| self.queue.remove(at)) {
                return Some(self.forget_effect(operation));
            }
            if !self.outbox.is_empty() && self.stop_deadline.is_some_and(|deadline| now < deadline) {
                return Some(Step::just(Next::Wait(self.stop_deadline)));
            }
        }
        self.phase = Phase::Draining;
        None
    }

    fn next_destroying(&mut self, now: TimestampMs) -> Option<Step<R>> {
        let mut releases = self.fail_deferred(&codes::ABORTED.failure());
        let mut messages = Vec::new();
        while let Some((mail, arrived)) = self.queue.pop_front() {
            match mail {
                // Effects of the last turns are still delivered, and their ends still noted.
                Mail::EffectDone { .. } => messages.push((mail, arrived)),
                mail => releases.extend(refuse(mail, &codes::ACTOR_NOT_FOUND.failure())),
            }
        }
        if !releases.is_empty() {
            self.queue.extend(messages);
            return Some(Step::releases(releases));
        }
        if !self.meta.destroyed {
            self.queue.extend(messages);
            self.urgent.push_back(Job::Destroy);
            return None;
        }
        if let Some((Mail::EffectDone { operation, .. }, _)) = messages.pop() {
            self.queue.extend(messages);
            return Some(self.forget_effect(operation));
        }
        if !self.outbox.is_empty() && self.stop_deadline.is_some_and(|deadline| now < deadline) {
            return Some(Step::just(Next::Wait(self.stop_deadline)));
        }
        self.phase = Phase::Draining;
        None
    }

    fn forget_effect(&mut self, operation: OperationId) -> Step<R> {
        let system = SystemWrites { effect_done: Some(operation), ..SystemWrites::default() };
        Step::finished(self.conclude(Effects::default(), self.meta.next_id, system, Vec::new(), None, 0))
    }

    pub(super) fn fail_deferred(&mut self, failure: &Failure) -> Vec<Release<R>> {
        self.deadlines.clear();
        let mut releases = Vec::new();
        for (_, deferred) in std::mem::take(&mut self.deferred) {
            if let Some(connection) = deferred.ephemeral() {
                self.connections.remove(connection);
            }
            releases.extend(deferred.fail(failure.clone()));
        }
        releases
    }

    /// Turns mail into a job, or deals with it at once.
    fn open(&mut self, mail: Mail<R>, arrived: TimestampMs, now: TimestampMs) -> Option<Step<R>> {
        let deadline = later(arrived, self.options.action_timeout);
        if deadline <= now && matches!(mail, Mail::Action { .. } | Mail::Queue { .. } | Mail::Request { .. }) {
            // It has waited too long already; its caller is told so, and it does not run any more.
            return Some(Step::releases(refuse(mail, &codes::ACTION_TIMED_OUT.failure())));
        }
        let job = match mail {
            Mail::Connect { connection, request, reply } => {
                let deadline = later(arrived, self.options.connect_timeout);
                let handle = self.new_handle();
                Job::BeforeConnect { connection, request, reply, handle, deadline }
            }
            Mail::Disconnect { connection, code, reason } => {
                self.forget_deferred_connection(connection);
                let connection = growqr_turn::ConnectionsView::get(&*self.connections, connection)?;
                if connection.kind == ConnectionKind::RawSocket && self.offer.hooks.socket {
                    Job::SocketClose(connection, code, reason)
                } else {
                    self.connections.remove(connection.id);
                    Job::Disconnect(connection)
                }
            }
            Mail::Subscribe { connection, event, reply } => Job::Subscribe { connection, event, reply },
            Mail::Action { name, args, caller, reply } => {
                if !self.offer.actions.contains_key(&name) {
                    let failure = codes::ACTION_NOT_FOUND.with(format!("Action `{name}` was not found."));
                    return Some(Step::releases(vec![Release::Reply(reply, Reply::Value(Err(failure)))]));
                }
                let (connection, ephemeral) = split(caller);
                let handle = self.new_handle();
                let call = ActionCall { name, args, connection, caller: None, reply: handle };
                Job::Action { call, reply, ephemeral, deadline }
            }
            Mail::Queue { queue, body, caller, wait, reply } => {
                if !self.offer.queues.contains(&queue) {
                    return Some(Step::releases(vec![Release::Reply(reply, Reply::Value(Ok("null".to_owned())))]));
                }
                let (connection, ephemeral) = split(caller);
                let deadline = wait.map_or(deadline, |wait| later(arrived, wait));
                let handle = self.new_handle();
                let message = QueueMessage { queue, body, connection, waiting: wait.is_some(), reply: handle };
                Job::Queue { message, reply, ephemeral, deadline }
            }
            Mail::Request { request, caller, reply } => {
                let (connection, ephemeral) = split(caller);
                let Some(connection) = connection.filter(|_| self.offer.hooks.request) else {
                    let failure = Err(codes::NO_HANDLER.failure());
                    return Some(Step::releases(vec![Release::Reply(reply, Reply::Response(failure))]));
                };
                let handle = self.new_handle();
                Job::Request { connection, request, reply, handle, ephemeral, deadline }
            }
            Mail::Socket { connection, event } => Job::Socket(connection, event),
            Mail::Envelope { envelope, stored, accepted, reply } => {
                return self.open_envelope(envelope, stored, accepted, reply, now);
            }
            Mail::EffectDone { operation, outcome } => {
                if !self.outbox.contains_key(&operation) {
                    return None;
                }
                Job::EffectResult(operation, outcome)
            }
            Mail::Sandbox(event) => Job::Sandbox(event),
            Mail::Stop(reason) => {
                self.stop(reason, now);
                return None;
            }
        };
        self.begin(job, now)
    }

    /// Starts a job: gives its turn, or finishes it at once when no hook wants it.
    fn begin(&mut self, job: Job<R>, now: TimestampMs) -> Option<Step<R>> {
        let hooks = self.offer.hooks;
        let timeout = self.options.turn_timeout;
        let until = |deadline: TimestampMs| Duration::from_millis(deadline.saturating_sub(now)).min(timeout);
        let (message, read_only, timeout) = match &job {
            Job::Create(input) if hooks.create => (Message::Create(input.clone()), false, timeout),
            Job::Migrate(from, to) => (Message::Migrate(*from, *to), false, timeout),
            Job::Wake(reason) if hooks.wake => (Message::Wake(*reason), false, timeout),
            Job::BeforeConnect { connection, request, handle, deadline, .. } if hooks.before_connect => {
                let request = ConnectionRequest {
                    id: connection.id,
                    kind: connection.kind,
                    params: connection.params.clone(),
                    request: request.clone(),
                    reply: *handle,
                };
                (Message::BeforeConnect(request), false, until(*deadline))
            }
            Job::Connect { connection, .. } => {
                self.connections.insert(connection.clone());
                (Message::Connect(connection.clone()), false, timeout)
            }
            Job::Disconnect(connection) if hooks.disconnect => {
                (Message::Disconnect(connection.clone()), false, timeout)
            }
            Job::Subscribe { connection, event, .. } if hooks.subscribe => {
                (Message::Subscribe(*connection, event.clone()), false, timeout)
            }
            Job::Action { call, ephemeral, deadline, .. } => {
                if let Some(connection) = ephemeral {
                    self.connections.insert(connection.clone());
                }
                let read_only = self.offer.actions.get(&call.name).copied().unwrap_or(false);
                (Message::Action(call.clone()), read_only, until(*deadline))
            }
            Job::Queue { message, ephemeral, .. } => {
                if let Some(connection) = ephemeral {
                    self.connections.insert(connection.clone());
                }
                (Message::Queue(message.clone()), false, timeout)
            }
            Job::Request { connection, request, handle, ephemeral, deadline, .. } => {
                if let Some(connection) = ephemeral {
                    self.connections.insert(connection.clone());
                }
                (Message::Request(*connection, request.clone(), *handle), false, until(*deadline))
            }
            Job::Socket(connection, event) if hooks.socket => {
                (Message::Socket(*connection, event.clone()), false, timeout)
            }
            Job::SocketClose(connection, code, reason) => {
                (Message::Socket(connection.id, SocketEvent::Close(*code, reason.clone())), false, timeout)
            }
            Job::Envelope(EnvelopeJob { message: Some(message), .. }) => (message.clone(), false, timeout),
            Job::Timer(id, record) => {
                let event =
                    TimerEvent { id: *id, name: record.name.clone(), payload: record.payload.clone(), due: record.due };
                (Message::Timer(event), false, timeout)
            }
            Job::EffectResult(operation, outcome) if hooks.effect_result => (
                Message::EffectResult(EffectResult { operation: *operation, outcome: outcome.clone() }),
                false,
                timeout,
            ),
            Job::Sandbox(event) if hooks.sandbox_event => (Message::Sandbox(event.clone()), false, timeout),
            Job::Sleep if hooks.sleep => (Message::Sleep, false, timeout),
            Job::Destroy if hooks.destroy => (Message::Destroy, false, timeout),
            _ => return self.without_turn(job, now),
        };
        self.current = Some(job);
        Some(Step::just(Next::Turn(Box::new(Turn { message, read_only, timeout }))))
    }

    fn without_turn(&mut self, job: Job<R>, now: TimestampMs) -> Option<Step<R>> {
        if let Job::Started = job {
            if self.phase == Phase::Starting {
                self.phase = Phase::Running;
            }
            let system = SystemWrites { trim: true, ..SystemWrites::default() };
            let finish = self.conclude(Effects::default(), self.meta.next_id, system, Vec::new(), None, now);
            return Some(Step { next: Next::Started, finish: Some(finish) });
        }
        let next_id = self.meta.next_id;
        Some(Step::finished(self.succeed(job, Answer::None, Effects::default(), next_id, now)))
    }

    /// A turn has ended. The driver must have told the sizes of the state keys that the turn wrote ([`Core::note_state_size`]).
    pub fn finish(&mut self, end: TurnEnd, now: TimestampMs) -> Finish<R> {
        let Some(job) = self.current.take() else { return Finish::default() };
        match end {
            TurnEnd::Done { answer, effects, next_id } => {
                // A start or a connection that goes well says nothing about the turns that crash.
                if job.is_work() {
                    self.failures = 0;
                }
                self.succeed(job, answer, effects, next_id, now)
            }
            TurnEnd::Failed { failure, crashed } => {
                // A wake that is refused is tried again at once, so it counts as well.
                if crashed || matches!(job, Job::Wake(_)) {
                    self.note_crash(now);
                }
                self.fail(job, failure, now)
            }
        }
    }

    fn succeed(&mut self, job: Job<R>, answer: Answer, effects: Effects, next_id: u64, now: TimestampMs) -> Finish<R> {
        let mut system = SystemWrites::default();
        let mut replies = Vec::new();
        let mut ephemeral = None;
        // The job is needed again when the batch is refused, so what follows only reads it.
        let defers = matches!(
            answer,
            Answer::Outcome(Outcome::Deferred)
                | Answer::Verdict(Verdict::Deferred)
                | Answer::Request(RequestOutcome::Deferred)
        );
        if let Err(failure) = self.check_batch(&effects, defers) {
            return self.fail(job, failure, now);
        }
        match job {
            Job::Create(_) => {
                self.meta.created = true;
                system.meta = self.offer.hooks.create;
            }
            Job::Migrate(_, to) => {
                self.meta.state_version = to;
                system.meta = true;
            }
            Job::Wake(_) | Job::Started | Job::Socket(..) | Job::Sandbox(_) => {}
            Job::BeforeConnect { mut connection, request, reply, handle, deadline } => match answer {
                Answer::Verdict(Verdict::Deferred) => {
                    self.defer(handle, Deferred::Connect { connection, request, reply, deadline });
                }
                Answer::Verdict(Verdict::Accept(state)) => {
                    connection.state = state.map(Into::into);
                    self.accept(connection, request, reply, &mut system, &mut replies);
                }
                _ => self.accept(connection, request, reply, &mut system, &mut replies),
            },
            Job::Connect { connection, request, reply } => {
                system.connection_record(&self.offer.hooks, &connection, &effects);
                replies.push(Release::Reply(reply, Reply::Accepted(Ok(()))));
                self.open_socket(&connection, request);
            }
            Job::Disconnect(connection) => system.connection_gone(&self.offer.hooks, connection.id),
            Job::SocketClose(connection, ..) => {
                self.connections.remove(connection.id);
                self.urgent.push_back(Job::Disconnect(connection));
            }
            Job::Subscribe { reply, .. } => replies.push(Release::Reply(reply, Reply::Accepted(Ok(())))),
            Job::Action { call, reply, ephemeral: own, deadline } => {
                let own = own.map(|connection| connection.id);
                match outcome(answer) {
                    Outcome::Deferred => {
                        let timeout = codes::ACTION_TIMED_OUT.failure();
                        self.defer(call.reply, Deferred::Value { reply, ephemeral: own, deadline, timeout });
                    }
                    outcome => {
                        ephemeral = own;
                        replies.push(Release::Reply(reply, Reply::Value(self.value(outcome))));
                    }
                }
            }
            Job::Queue { message, reply, ephemeral: own, deadline } => {
                let own = own.map(|connection| connection.id);
                match outcome(answer) {
                    // Nobody waits for the end of a message that is only sent, but the same turn can have refused it.
                    Outcome::Deferred if message.waiting || is_answered(&effects, message.reply) => {
                        let timeout = codes::QUEUE_TIMED_OUT.failure();
                        self.defer(message.reply, Deferred::Value { reply, ephemeral: own, deadline, timeout });
                    }
                    outcome => {
                        ephemeral = own;
                        replies.push(Release::Reply(reply, Reply::Value(self.value(outcome))));
                    }
                }
            }
            Job::Request { reply, handle, ephemeral: own, deadline, .. } => {
                let own = own.map(|connection| connection.id);
                match answer {
                    Answer::Request(RequestOutcome::Response(response)) => {
                        ephemeral = own;
                        replies.push(Release::Reply(reply, Reply::Response(Ok(response))));
                    }
                    _ => self.defer(handle, Deferred::Response { reply, ephemeral: own, deadline }),
                }
            }
            Job::Envelope(job) => self.envelope_done(job, answer, &mut system, &mut replies),
            Job::Timer(id, _) => {
                self.timer_failures.remove(&id);
                system.timer_ran = Some(id);
            }
            Job::EffectResult(operation, _) => {
                self.effect_failures.remove(&operation);
                system.effect_done = Some(operation);
            }
            Job::Sleep => self.slept = true,
            Job::Destroy => {
                self.meta.destroyed = true;
                system.meta = self.offer.hooks.destroy;
            }
        }
        self.conclude(effects, next_id, system, replies, ephemeral, now)
    }

    fn value(&self, outcome: Outcome) -> Result<Json, Failure> {
        match outcome {
            Outcome::Reply(value) if value.len() > self.options.max_outgoing_message_size => {
                Err(codes::OUTGOING_TOO_LONG.failure())
            }
            Outcome::Reply(value) => Ok(value),
            Outcome::Done | Outcome::Deferred => Ok("null".to_owned()),
        }
    }

    /// Lets a connection in, by way of the connect hook when there is one.
    pub(super) fn accept(
        &mut self,
        connection: Connection,
        request: Arc<HttpRequest>,
        reply: R,
        system: &mut SystemWrites,
        replies: &mut Vec<Release<R>>,
    ) {
        if self.offer.hooks.connect {
            self.urgent.push_back(Job::Connect { connection, request, reply });
            return;
        }
        self.connections.insert(connection.clone());
        system.connection_record(&self.offer.hooks, &connection, &Effects::default());
        replies.push(Release::Reply(reply, Reply::Accepted(Ok(()))));
        self.open_socket(&connection, request);
    }

    fn open_socket(&mut self, connection: &Connection, request: Arc<HttpRequest>) {
        if connection.kind == ConnectionKind::RawSocket {
            self.urgent.push_back(Job::Socket(connection.id, SocketEvent::Open(request)));
        }
    }

    /// The end of a failed turn: its caller hears why, and what must go on regardless goes on.
    fn fail(&mut self, job: Job<R>, failure: Failure, now: TimestampMs) -> Finish<R> {
        let mut releases = Vec::new();
        let mut system = SystemWrites::default();
        let mut ephemeral = None;
        match job {
            Job::Create(_) | Job::Migrate(..) => self.fail_start(failure),
            Job::Wake(_) if self.phase == Phase::Starting => self.fail_start(failure),
            // It is tried again, after a pause if it keeps failing.
            Job::Wake(_) | Job::Started | Job::Sandbox(_) => {}
            Job::Socket(connection, _) => {
                let reason = format!("{}.{}", failure.group, failure.code);
                releases.push(Release::Close { connection, code: CLOSE_FAILED, reason });
            }
            Job::BeforeConnect { reply, .. } => releases.push(Release::Reply(reply, Reply::Accepted(Err(failure)))),
            Job::Connect { connection, reply, .. } => {
                self.connections.remove(connection.id);
                releases.push(Release::Reply(reply, Reply::Accepted(Err(failure))));
            }
            Job::Disconnect(connection) => system.connection_gone(&self.offer.hooks, connection.id),
            Job::SocketClose(connection, ..) => {
                self.connections.remove(connection.id);
                self.urgent.push_back(Job::Disconnect(connection));
            }
            Job::Subscribe { reply, .. } => releases.push(Release::Reply(reply, Reply::Accepted(Err(failure)))),
            Job::Action { reply, ephemeral: own, .. } | Job::Queue { reply, ephemeral: own, .. } => {
                ephemeral = own.map(|connection| connection.id);
                releases.push(Release::Reply(reply, Reply::Value(Err(failure))));
            }
            Job::Request { reply, ephemeral: own, .. } => {
                ephemeral = own.map(|connection| connection.id);
                releases.push(Release::Reply(reply, Reply::Response(Err(failure))));
            }
            Job::Envelope(job) => {
                releases.push(Release::Reply(job.accepted, Reply::Accepted(Ok(()))));
                releases.push(Release::Reply(job.reply, Reply::Value(Err(failure))));
            }
            Job::Timer(id, record) => {
                if self.timer_failed(id, record, now) {
                    system.timer_ran = Some(id);
                }
            }
            Job::EffectResult(operation, outcome) => {
                let attempts = self.effect_failures.entry(operation).or_default();
                *attempts += 1;
                if *attempts < super::schedule::ATTEMPTS_MAX {
                    self.queue.push_back((Mail::EffectDone { operation, outcome }, now));
                } else {
                    self.effect_failures.remove(&operation);
                    system.effect_done = Some(operation);
                }
            }
            Job::Sleep => self.slept = true,
            Job::Destroy => self.meta.destroyed = true,
        }
        if !matches!(self.phase, Phase::Exited | Phase::Draining) && !self.slept && self.offer.hooks.wake {
            self.restart_wake = true;
        }
        let finish = self.conclude(Effects::default(), self.meta.next_id, system, releases, ephemeral, now);
        Finish { drop_instance: true, ..finish }
    }

    fn open_envelope(
        &mut self,
        envelope: growqr_seam::Envelope,
        stored: Option<InboxRecord>,
        accepted: R,
        reply: R,
        now: TimestampMs,
    ) -> Option<Step<R>> {
        let sender = envelope.sender;
        let record = self.inbox.get(&sender).map(|(record, _)| record.clone()).or(stored).unwrap_or_default();
        let known = record.operations.get(&envelope.operation).cloned();
        let answer = match known {
            _ if envelope.operation < record.floor => Some(Err(codes::FENCED.failure())),
            Some(InboxState::Answered(result)) => Some(result),
            Some(InboxState::Deferred(handle)) => match self.handles.get(&handle) {
                Some(Some(result)) => Some(result.clone()),
                _ => {
                    self.defer(handle, Deferred::Envelope { reply });
                    return Some(self.after_pending(vec![Release::Reply(accepted, Reply::Accepted(Ok(())))], None));
                }
            },
            None => None,
        };
        if let Some(answer) = answer {
            let releases =
                vec![Release::Reply(accepted, Reply::Accepted(Ok(()))), Release::Reply(reply, Reply::Value(answer))];
            return Some(self.after_pending(releases, None));
        }
        let handle = self.new_handle();
        let failure = match &envelope.content {
            EnvelopeContent::Call(action, _) if !self.offer.actions.contains_key(action) => {
                Some(codes::ACTION_NOT_FOUND.with(format!("Action `{action}` was not found.")))
            }
            EnvelopeContent::Message(_) if !self.offer.hooks.message => Some(codes::NO_HANDLER.failure()),
            _ => None,
        };
        if let Some(failure) = failure {
            return Some(Step::releases(vec![
                Release::Reply(accepted, Reply::Accepted(Ok(()))),
                Release::Reply(reply, Reply::Value(Err(failure))),
            ]));
        }
        let message = match envelope.content {
            EnvelopeContent::Message(payload) => {
                Message::Actor(ActorMessage { sender, sender_name: envelope.sender_name, payload })
            }
            EnvelopeContent::Call(name, args) => {
                Message::Action(ActionCall { name, args, connection: None, caller: Some(sender), reply: handle })
            }
        };
        let mut record = record;
        record.floor = record.floor.max(envelope.floor);
        let operation = envelope.operation;
        let job = EnvelopeJob { sender, operation, record, message: Some(message), handle, accepted, reply };
        self.begin(Job::Envelope(job), now)
    }

    fn envelope_done(
        &mut self,
        job: EnvelopeJob<R>,
        answer: Answer,
        system: &mut SystemWrites,
        replies: &mut Vec<Release<R>>,
    ) {
        let EnvelopeJob { sender, operation, mut record, handle, accepted, reply, .. } = job;
        let kept = record.operations.split_off(&record.floor);
        for state in std::mem::replace(&mut record.operations, kept).into_values() {
            if let InboxState::Deferred(handle) = state {
                self.handles.remove(&handle);
                self.take_deferred(handle);
                system.handles_gone.push(handle);
            }
        }
        replies.push(Release::Reply(accepted, Reply::Accepted(Ok(()))));
        match outcome(answer) {
            Outcome::Deferred => {
                record.operations.insert(operation, InboxState::Deferred(handle));
                self.handles.insert(handle, None);
                system.handles.push((handle, None));
                self.defer(handle, Deferred::Envelope { reply });
            }
            outcome => {
                let result = self.value(outcome);
                record.operations.insert(operation, InboxState::Answered(result.clone()));
                replies.push(Release::Reply(reply, Reply::Value(result)));
            }
        }
        system.inbox = Some((sender, record));
    }

    /// Releases that need no commit of their own still wait for what was executed before.
    pub(super) fn after_pending(&mut self, releases: Vec<Release<R>>, ephemeral: Option<ConnectionId>) -> Step<R> {
        match self.pending.back().map(|pending| (pending.ticket, pending.floor)) {
            Some((ticket, floor)) => {
                self.pending.push_back(Pending { ticket, releases, ephemeral, floor });
                Step::releases(Vec::new())
            }
            None => {
                if let Some(connection) = ephemeral {
                    self.connections.remove(connection);
                }
                Step::releases(if self.lost { super::unsure(releases).collect() } else { releases })
            }
        }
    }
}

/// A command for the driver, with what may leave before it is carried out.
pub struct Step<R> {
    /// What to do.
    pub next: Next,
    /// What a job without a turn came to; to be handled like the end of a turn.
    pub finish: Option<Finish<R>>,
}

impl<R> Step<R> {
    fn just(next: Next) -> Self {
        Self { next, finish: None }
    }

    fn finished(finish: Finish<R>) -> Self {
        Self { next: Next::Again, finish: Some(finish) }
    }

    fn releases(releases: Vec<Release<R>>) -> Self {
        Self::finished(Finish { releases, commit: None, drop_instance: false })
    }
}

fn split(caller: Caller) -> (Option<ConnectionId>, Option<Connection>) {
    match caller {
        Caller::Connection(id) => (Some(id), None),
        Caller::Ephemeral(connection) => (Some(connection.id), Some(connection)),
        Caller::Host => (None, None),
    }
}

/// Whether the turn itself answers by this handle.
fn is_answered(effects: &Effects, handle: ReplyHandle) -> bool {
    let answers = |outgoing: &Outgoing| matches!(outgoing, Outgoing::Answer { reply, .. } if *reply == handle);
    effects.outgoing.iter().any(answers)
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Outcome(outcome) => outcome,
        Answer::None | Answer::Verdict(_) | Answer::Request(_) => Outcome::Done,
    }
}

/// Mail that is not taken: whoever waits hears why.
pub fn refuse<R>(mail: Mail<R>, failure: &Failure) -> Vec<Release<R>> {
    let failure = failure.clone();
    match mail {
        Mail::Connect { reply, .. } | Mail::Subscribe { reply, .. } => {
            vec![Release::Reply(reply, Reply::Accepted(Err(failure)))]
        }
        Mail::Action { reply, .. } | Mail::Queue { reply, .. } => {
            vec![Release::Reply(reply, Reply::Value(Err(failure)))]
        }
        Mail::Request { reply, .. } => vec![Release::Reply(reply, Reply::Response(Err(failure)))],
        Mail::Envelope { accepted, .. } => vec![Release::Reply(accepted, Reply::Accepted(Err(failure)))],
        // A frame that is not taken must not be missed in silence.
        Mail::Socket { connection, .. } => {
            let reason = format!("{}.{}", failure.group, failure.code);
            vec![Release::Close { connection, code: 1011, reason }]
        }
        Mail::Disconnect { .. } | Mail::EffectDone { .. } | Mail::Sandbox(_) | Mail::Stop(_) => Vec::new(),
    }
}
