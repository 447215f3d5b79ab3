//! Which turn comes next.

use super::batch::SystemWrites;
use super::job::{EnvelopeJob, Job};
use super::{Caller, Core, Finish, Mail, Next, Phase, Release, Reply, Turn};
use growqr_seam::StopReason;
use growqr_turn::{
    ActionCall, Answer, Connection, ConnectionKind, ConnectionRequest, EffectResult, Effects, Message, QueueMessage,
    SocketEvent, TimerEvent, WakeReason,
};
use growqr_types::{ConnectionId, Failure, OperationId, TimestampMs, codes, limits};
use std::time::Duration;

/// Time between two looks at a database that is too far behind.
const MIRROR_LOOK_PAUSE: Duration = Duration::from_millis(250);

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
        let full = self.mirror_full && self.phase == Phase::Running;
        if !paused
            && !full
            && let Some(job) = self.take_due_timer(now)
        {
            self.last_activity = now;
            return self.begin(job, now);
        }
        if full && !paused {
            if let Some(step) = self.next_while_full(now) {
                return Some(step);
            }
        } else if paused {
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
        let timer = match (paused, full) {
            (true, _) => Some(self.paused_until),
            (false, true) => Some(later(now, MIRROR_LOOK_PAUSE)),
            (false, false) => self.timer_due,
        };
        let until = [sleep_at, timer, self.deadlines.first().map(|(at, _)| *at)].into_iter().flatten().min();
        Some(Step::just(Next::Wait(until)))
    }

    /// The database is so far behind that nothing may be added for it: calls that may write are refused, what nobody would hear of
    /// waits, and the rest goes on.
    fn next_while_full(&mut self, now: TimestampMs) -> Option<Step<R>> {
        let waits = |mail: &Mail<R>| {
            matches!(mail, Mail::Envelope { .. } | Mail::EffectDone { .. } | Mail::Sandbox(_) | Mail::Disconnect { .. })
        };
        let at = self.queue.iter().position(|(mail, _)| !waits(mail))?;
        let (mail, arrived) = self.queue.remove(at)?;
        self.last_activity = now;
        let writes = match &mail {
            Mail::Action { name, .. } => self.offer.actions.get(name) == Some(&false),
            Mail::Queue { .. } | Mail::Request { .. } | Mail::Socket { .. } => true,
            _ => false,
        };
        if writes {
            return Some(Step::releases(refuse(mail, &codes::MIRROR_FULL.failure())));
        }
        self.open(mail, arrived, now).or_else(|| Some(Step::just(Next::Again)))
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
    pub(super) fn begin(&mut self, job: Job<R>, now: TimestampMs) -> Option<Step<R>> {
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
}

/// A command for the driver, with what may leave before it is carried out.
pub struct Step<R> {
    /// What to do.
    pub next: Next,
    /// What a job without a turn came to; to be handled like the end of a turn.
    pub finish: Option<Finish<R>>,
}

impl<R> Step<R> {
    pub(super) fn just(next: Next) -> Self {
        Self { next, finish: None }
    }

    pub(super) fn finished(finish: Finish<R>) -> Self {
        Self { next: Next::Again, finish: Some(finish) }
    }

    pub(super) fn releases(releases: Vec<Release<R>>) -> Self {
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
