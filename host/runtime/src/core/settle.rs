//! What follows from how a turn ended.
//!
//! Invariant: a failed turn leaves nothing but its error and what must go on regardless: the end of a connection, a timer or an effect that
//! is given up.

use super::batch::SystemWrites;
use super::deferred::Deferred;
use super::job::Job;
use super::turn::Step;
use super::{Core, Finish, Mail, Pending, Phase, Release, Reply};
use growqr_turn::{
    Answer, Connection, ConnectionKind, Effects, HttpRequest, Outcome, Outgoing, RequestOutcome, SocketEvent, Verdict,
};
use growqr_types::{ConnectionId, Failure, Json, ReplyHandle, TimestampMs, codes};
use std::sync::Arc;

/// WebSocket close code of a raw socket whose message failed (RFC 6455 section 7.4.1: an unexpected condition).
const CLOSE_FAILED: u16 = 1011;

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

impl<R> Core<R> {
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
                if crashed && self.mirror {
                    self.crash = Some(failure.clone());
                }
                self.fail(job, failure, now)
            }
        }
    }

    pub(super) fn succeed(
        &mut self,
        job: Job<R>,
        answer: Answer,
        effects: Effects,
        next_id: u64,
        now: TimestampMs,
    ) -> Finish<R> {
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

    pub(super) fn value(&self, outcome: Outcome) -> Result<Json, Failure> {
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

    pub(super) fn open_socket(&mut self, connection: &Connection, request: Arc<HttpRequest>) {
        if connection.kind == ConnectionKind::RawSocket {
            self.urgent.push_back(Job::Socket(connection.id, SocketEvent::Open(request)));
        }
    }

    /// The end of a failed turn: its caller hears why, and what must go on regardless goes on.
    pub(super) fn fail(&mut self, job: Job<R>, failure: Failure, now: TimestampMs) -> Finish<R> {
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

/// Whether the turn itself answers by this handle.
fn is_answered(effects: &Effects, handle: ReplyHandle) -> bool {
    let answers = |outgoing: &Outgoing| matches!(outgoing, Outgoing::Answer { reply, .. } if *reply == handle);
    effects.outgoing.iter().any(answers)
}

pub(super) fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Outcome(outcome) => outcome,
        Answer::None | Answer::Verdict(_) | Answer::Request(_) => Outcome::Done,
    }
}
