//! Timers, the alarm that the engine keeps, and sleep for lack of work.

use super::job::Job;
use super::{Core, Phase};
use growqr_turn::TimerRecord;
use growqr_types::{Failure, TimerId, TimestampMs};
use std::sync::Arc;

/// How often a timer or an effect's result is tried before it is given up.
pub(super) const ATTEMPTS_MAX: u32 = 3;
/// Failed turns in a row before the actor is paused.
const FAILURES_BEFORE_PAUSE: u32 = 5;
/// The first pause; it doubles with every further failure.
const PAUSE_FIRST_MS: u64 = 100;
/// The longest pause.
const PAUSE_MAX_MS: u64 = 30_000;
/// An alarm that is always due: there are effects to be run, or the actor is to be destroyed.
const ALARM_NOW: TimestampMs = 1;

impl<R> Core<R> {
    pub(super) fn next_timer_due(&self) -> Option<TimestampMs> {
        self.timers.iter().map(|(id, timer)| self.due(*id, timer)).min()
    }

    fn due(&self, id: TimerId, timer: &TimerRecord) -> TimestampMs {
        let not_before = self.timer_failures.get(&id).map_or(0, |(_, not_before)| *not_before);
        timer.due.max(not_before)
    }

    /// The timer that is due first, taken out if it runs once only.
    pub(super) fn take_due_timer(&mut self, now: TimestampMs) -> Option<Job<R>> {
        if self.timer_due? > now {
            return None;
        }
        let (id, _) = self
            .timers
            .iter()
            .map(|(id, timer)| (*id, self.due(*id, timer)))
            .filter(|(_, due)| *due <= now)
            .min_by_key(|(id, due)| (*due, *id))?;
        let record = self.timers.get(&id)?.clone();
        let timers = Arc::make_mut(&mut self.timers);
        // A cron expression was read when the timer was set, so it can be read again.
        match record.repeat.next(record.due, now) {
            Ok(Some(next)) => {
                timers.insert(id, TimerRecord { due: next, ..record.clone() });
            }
            Ok(None) | Err(_) => {
                timers.remove(&id);
            }
        }
        self.timer_due = self.next_timer_due();
        Some(Job::Timer(id, record))
    }

    /// A timer's turn failed: it is tried again later, or given up. Gives whether it was given up.
    pub(super) fn timer_failed(&mut self, id: TimerId, record: TimerRecord, now: TimestampMs) -> bool {
        let attempts = self.timer_failures.get(&id).map_or(0, |(attempts, _)| *attempts) + 1;
        if attempts >= ATTEMPTS_MAX {
            self.timer_failures.remove(&id);
            return true;
        }
        self.timer_failures.insert(id, (attempts, now.saturating_add(1000 << attempts)));
        Arc::make_mut(&mut self.timers).insert(id, record);
        self.timer_due = self.next_timer_due();
        false
    }

    pub(super) fn wanted_alarm(&self) -> Option<TimestampMs> {
        if self.outbox.is_empty() && !self.wants_destroy {
            self.timers.values().map(|timer| timer.due).min()
        } else {
            Some(ALARM_NOW)
        }
    }

    /// Waits are meant as lengths of time: when the clock was set back, their ends move with it. A timer's time is a time of day and
    /// stays. A clock that was set forward can't be told from time that has passed; waits end early then.
    pub(super) fn observe(&mut self, now: TimestampMs) {
        let back = self.last_now.saturating_sub(now);
        self.last_now = now;
        if back == 0 {
            return;
        }
        let shift = |at: &mut TimestampMs| *at = at.saturating_sub(back);
        shift(&mut self.paused_until);
        shift(&mut self.last_activity);
        self.stop_deadline.iter_mut().for_each(shift);
        self.queue.iter_mut().for_each(|(_, arrived)| shift(arrived));
        self.timer_failures.values_mut().for_each(|(_, not_before)| shift(not_before));
        self.timer_due = self.next_timer_due();
        self.deadlines.clear();
        for (handle, deferred) in &mut self.deferred {
            if let Some(deadline) = deferred.deadline_mut() {
                shift(deadline);
                self.deadlines.insert((*deadline, *handle));
            }
        }
    }

    /// A turn crashed. After several in a row the actor is paused, so that it cannot keep a core busy.
    pub(super) fn note_crash(&mut self, now: TimestampMs) {
        self.failures = self.failures.saturating_add(1);
        if let Some(extra) = self.failures.checked_sub(FAILURES_BEFORE_PAUSE) {
            let pause = PAUSE_FIRST_MS.saturating_mul(1 << extra.min(16)).min(PAUSE_MAX_MS);
            self.paused_until = now.saturating_add(pause);
        }
    }

    /// When the actor may be put to sleep; none while something keeps it awake.
    pub(super) fn sleep_at(&self) -> Option<TimestampMs> {
        let busy = !self.queue.is_empty()
            || !self.deferred.is_empty()
            || !self.outbox.is_empty()
            || !self.pending.is_empty()
            || self.asked_sleep
            || self.phase != Phase::Running;
        if busy {
            return None;
        }
        if self.wants_sleep {
            return Some(0);
        }
        if self.options.no_sleep || self.connections.any_awake() {
            return None;
        }
        let timeout = u64::try_from(self.options.sleep_timeout.as_millis()).unwrap_or(u64::MAX);
        Some(self.last_activity.saturating_add(timeout))
    }

    /// Gives up on starting.
    pub(super) fn fail_start(&mut self, failure: Failure) {
        self.start_failure = Some(failure);
        self.urgent.clear();
        self.phase = Phase::Exited;
    }
}
