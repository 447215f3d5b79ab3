//! What is measured, traced and logged of one actor's turns.
//!
//! Invariant: a turn that nobody traces, and that has nothing to log, makes no span. It costs two looks at the clock and a few
//! atomic operations.
//! Deliberately absent: any influence on what the actor does.

use crate::core::TurnEnd;
use crate::meters::ActorMeters;
use crate::waiter::Waiter;
use growqr_seam::TRACE_TARGET;
use growqr_turn::{Identity, LogLevel, LogLine};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tracing::{Level, Span};

/// A turn that was executed and is not durable yet.
struct Submitted {
    ticket: u64,
    since: Instant,
    /// The commit's part of a trace; it ends when this is dropped.
    _commit: Option<Span>,
}

/// See the module's documentation.
pub(crate) struct Watch {
    identity: Arc<Identity>,
    /// The user whose actor this is, if keys name users.
    user: Option<Box<str>>,
    /// Turns since the start.
    turns: u64,
    began: Instant,
    /// The client's action whose turn it is.
    action: Option<Span>,
    turn: Option<Span>,
    submitted: VecDeque<Submitted>,
}

impl Watch {
    pub(crate) fn new(identity: Arc<Identity>, keys_name_users: bool) -> Self {
        let user = identity.key.0.first().filter(|_| keys_name_users).map(|user| user.as_str().into());
        Self { identity, user, turns: 0, began: Instant::now(), action: None, turn: None, submitted: VecDeque::new() }
    }

    /// A turn begins.
    pub(crate) fn begin(&mut self, caller: Option<&Waiter>) {
        self.turns += 1;
        self.began = Instant::now();
        self.action = caller.and_then(Waiter::trace).cloned();
        self.turn = self.action.as_ref().map(|action| {
            tracing::info_span!(
                target: TRACE_TARGET,
                parent: action,
                "turn",
                actor = %self.identity.id,
                actor_name = %self.identity.name,
                user = self.user.as_deref(),
                generation = self.identity.generation,
                turn = self.turns,
            )
        });
    }

    /// The turn has ended.
    pub(crate) fn end(&mut self, end: &TurnEnd, meters: &ActorMeters) {
        self.turn = None;
        meters.turn_seconds.record(self.began.elapsed());
        match end {
            TurnEnd::Done { .. } => meters.turns_done.increment(1),
            TurnEnd::Failed { crashed: false, .. } => meters.turns_failed.increment(1),
            TurnEnd::Failed { crashed: true, .. } => meters.turns_crashed.increment(1),
        }
    }

    /// What a turn, or what came of a message without one, was handed to the committer.
    pub(crate) fn submitted(&mut self, ticket: u64) {
        let commit = self.action.take().map(
            |action| tracing::info_span!(target: TRACE_TARGET, parent: &action, "commit", actor = %self.identity.id),
        );
        // The core bounds how much is executed on top of what is not durable.
        self.submitted.push_back(Submitted { ticket, since: Instant::now(), _commit: commit });
    }

    /// A commit has ended, and with it all before it.
    pub(crate) fn committed(&mut self, ticket: u64, meters: &ActorMeters) {
        while let Some(submitted) = self.submitted.pop_front_if(|submitted| submitted.ticket <= ticket) {
            meters.durable_seconds.record(submitted.since.elapsed());
        }
    }

    /// The span of what is logged in the turn that runs. It is of the highest level, so that whatever is logged has it around it.
    pub(crate) fn span(&self) -> Span {
        tracing::error_span!(
            "turn",
            actor = %self.identity.id,
            actor_name = %self.identity.name,
            user = self.user.as_deref(),
            turn = %format_args!("{}.{}", self.identity.generation, self.turns),
        )
    }

    /// The same, if somebody wants every detail; else none.
    pub(crate) fn span_for_details(&self) -> Span {
        if tracing::enabled!(Level::DEBUG) { self.span() } else { Span::none() }
    }

    /// Writes what the guest has logged.
    pub(crate) fn write_log(&self, log: Vec<LogLine>) {
        if !log.iter().any(|line| is_wanted(line.level)) {
            return;
        }
        self.span().in_scope(|| {
            for LogLine { level, message } in log {
                match level {
                    LogLevel::Trace => tracing::trace!(target: "guest", "{message}"),
                    LogLevel::Debug => tracing::debug!(target: "guest", "{message}"),
                    LogLevel::Info => tracing::info!(target: "guest", "{message}"),
                    LogLevel::Warn => tracing::warn!(target: "guest", "{message}"),
                    // An author's error is nothing that the operator must look at.
                    LogLevel::Error => tracing::warn!(target: "guest", "error: {message}"),
                }
            }
        });
    }
}

fn is_wanted(level: LogLevel) -> bool {
    match level {
        LogLevel::Trace => tracing::enabled!(target: "guest", Level::TRACE),
        LogLevel::Debug => tracing::enabled!(target: "guest", Level::DEBUG),
        LogLevel::Info => tracing::enabled!(target: "guest", Level::INFO),
        LogLevel::Warn | LogLevel::Error => tracing::enabled!(target: "guest", Level::WARN),
    }
}
