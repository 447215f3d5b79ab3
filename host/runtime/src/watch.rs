//! What is measured, traced and logged of one actor's turns.
//!
//! Invariant: a turn that nobody traces, and that has nothing to log, makes no span. It costs two looks at the clock and a few
//! atomic operations.
//! Deliberately absent: any influence on what the actor does.

use crate::core::TurnEnd;
use crate::meters::ActorMeters;
use crate::waiter::Waiter;
use growqr_seam::{MirrorRow, TRACE_TARGET, TracedRows};
use growqr_turn::{Identity, LogLevel, LogLine};
use growqr_types::Seq;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tracing::{Level, Span};

/// A turn that was executed and is not durable yet.
struct Submitted {
    ticket: u64,
    since: Instant,
    traced: Option<Traced>,
}

/// A traced turn that is not durable yet.
struct Traced {
    /// The commit's part; it ends when this is dropped.
    _commit: Span,
    /// The last event that goes to the database.
    event: Option<Seq>,
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
    rows: Option<Arc<TracedRows>>,
    submitted: VecDeque<Submitted>,
}

impl Watch {
    pub(crate) fn new(identity: Arc<Identity>, keys_name_users: bool, rows: Option<Arc<TracedRows>>) -> Self {
        let user = identity.key.0.first().filter(|_| keys_name_users).map(|user| user.as_str().into());
        Self {
            identity,
            user,
            turns: 0,
            began: Instant::now(),
            action: None,
            turn: None,
            rows,
            submitted: VecDeque::new(),
        }
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

    /// What a turn, or what came of a message without one, is handed to the committer.
    pub(crate) fn submitted(&mut self, ticket: u64, rows: &[MirrorRow]) {
        let traced = self.action.take().map(|action| Traced {
            _commit: tracing::info_span!(target: TRACE_TARGET, parent: &action, "commit", actor = %self.identity.id),
            event: self.follow(&action, rows),
        });
        // The core bounds how much is executed on top of what is not durable.
        self.submitted.push_back(Submitted { ticket, since: Instant::now(), traced });
    }

    /// Follows what goes to the database of a traced turn; gives the number of its last event.
    fn follow(&self, action: &Span, rows: &[MirrorRow]) -> Option<Seq> {
        let event = rows.iter().rev().find_map(|row| row.event)?;
        self.rows.as_ref()?.submitted(self.identity.id, event, action);
        Some(event)
    }

    /// A commit has ended, and with it all before it.
    pub(crate) fn committed(&mut self, ticket: u64, durable: bool, meters: &ActorMeters) {
        while let Some(submitted) = self.submitted.pop_front_if(|submitted| submitted.ticket <= ticket) {
            meters.durable_seconds.record(submitted.since.elapsed());
            if let (false, Some(Traced { event: Some(event), .. }), Some(rows)) =
                (durable, &submitted.traced, &self.rows)
            {
                rows.lost(self.identity.id, *event);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use growqr_turn::{Answer, Effects};
    use growqr_types::{ActorId, ActorKey};
    use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
    use std::time::Duration;

    /// Turns that are measured.
    const TURNS: u32 = 100_000;
    /// What one turn may cost more at the most; on a machine that is not busy it is far less.
    const COST_MAX: Duration = Duration::from_micros(20);

    fn watch() -> Watch {
        let identity = Identity {
            id: ActorId::from_bytes([7; 16]),
            name: "a".to_owned(),
            key: ActorKey(vec!["ada".to_owned()]),
            namespace: "default".to_owned(),
            region: "default".to_owned(),
            generation: 1,
            created: 0,
        };
        Watch::new(Arc::new(identity), true, None)
    }

    /// One turn as the driver watches it.
    fn turn(watch: &mut Watch, meters: &ActorMeters, ticket: u64, end: &TurnEnd) {
        watch.begin(None);
        watch.end(end, meters);
        watch.submitted(ticket, &[]);
        watch.committed(ticket, true, meters);
    }

    /// What watching a turn costs, with these handles.
    fn cost(meters: &ActorMeters, sweep: impl Fn()) -> Duration {
        let mut watch = watch();
        let end = TurnEnd::Done { answer: Answer::None, effects: Effects::default(), next_id: 1 };
        let began = Instant::now();
        for ticket in 1..=TURNS {
            turn(&mut watch, meters, ticket.into(), &end);
            if ticket % 10_000 == 0 {
                sweep();
            }
        }
        began.elapsed() / TURNS
    }

    fn prometheus() -> (ActorMeters, PrometheusHandle) {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        (metrics::with_local_recorder(&recorder, || ActorMeters::new("a")), handle)
    }

    #[test]
    fn watching_a_turn_costs_little_and_counts_it() {
        let without = cost(&ActorMeters::new("a"), || {});
        let (meters, handle) = prometheus();
        let with = cost(&meters, || handle.run_upkeep());
        println!("a turn costs {without:?} more without metrics, {with:?} with them, sweeps included");
        assert!(with < COST_MAX && without < COST_MAX, "{without:?} {with:?}");
        let numbers = handle.render();
        for line in [
            format!("growqr_turns_total{{actor=\"a\",result=\"done\"}} {TURNS}"),
            format!("growqr_turn_seconds_count{{actor=\"a\"}} {TURNS}"),
            format!("growqr_turn_durable_seconds_count{{actor=\"a\"}} {TURNS}"),
        ] {
            assert!(numbers.contains(&line), "{line} is not in\n{numbers}");
        }
    }
}
