//! Alarms: an actor whose time has come is started even if nobody asks.
//!
//! The alarms lie in storage in order of time. A position moves forward through them; what lies behind it was started once. An actor
//! that runs looks after its own timers, so an alarm behind the position matters again only when the actor stops, and that is looked
//! at there. At start the position is at the beginning: overdue alarms fire once.

use crate::record;
use crate::{Engine, Inner};
use bytes::Bytes;
use futures::StreamExt;
use growqr_storage::Space;
use growqr_types::{ActorId, TimestampMs};
use std::sync::Arc;
use std::time::Duration;

/// Actors that are started at a time for their alarms.
const STARTS_AT_ONCE_MAX: usize = 64;
/// Alarms that are read at a time.
const READ_MAX: usize = 256;
/// The clock is looked at again after this time at the latest, so that one that jumps is noticed.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Waits before an actor that could not start is tried again; doubles.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest such wait.
const RETRY_MAX: Duration = Duration::from_secs(300);

/// How far the alarms have been looked at.
#[derive(Debug, Default)]
pub(crate) struct Position {
    /// The last alarm that was fired.
    fired: Option<(TimestampMs, ActorId)>,
    /// When the next one is due, as far as known.
    next: Option<TimestampMs>,
}

impl Position {
    /// Whether an alarm lies behind the position, and so will not be fired by itself any more.
    pub fn is_past(&self, at: TimestampMs, id: ActorId) -> bool {
        self.fired.is_some_and(|fired| (at, id) <= fired)
    }

    /// Starts from the beginning.
    pub fn rewind(&mut self) {
        *self = Self::default();
    }
}

/// Fires alarms until the future is dropped.
pub(crate) async fn run(inner: &Arc<Inner>) {
    loop {
        let wait = match inner.fire_due().await {
            Some(next) => Duration::from_millis(next.saturating_sub((inner.clock)())).min(WAIT_MAX),
            None => WAIT_MAX,
        };
        tokio::select! {
            biased;
            () = inner.alarm_set.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Inner {
    /// An alarm has become durable.
    pub(crate) fn alarm_was_set(&self, at: TimestampMs) {
        let sooner = self.alarms.lock().next.is_none_or(|next| at < next);
        if sooner {
            self.alarm_set.notify_one();
        }
    }

    /// Starts every actor whose alarm is due, and gives the time of the next alarm.
    async fn fire_due(self: &Arc<Self>) -> Option<TimestampMs> {
        loop {
            let now = (self.clock)();
            let start = match self.alarms.lock().fired {
                Some((at, id)) => {
                    let mut after = record::alarm_key(at, id).to_vec();
                    after.push(0);
                    Bytes::from(after)
                }
                None => Bytes::from_static(&[0]),
            };
            let found = match self.store.scan(Space::Alarms, &start, None, READ_MAX) {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, "alarms can't be read");
                    return None;
                }
            };
            let alarms: Vec<_> = found.iter().filter_map(|(key, _)| record::read_alarm_key(key)).collect();
            let due: Vec<_> = alarms.iter().copied().take_while(|(at, _)| *at <= now).collect();
            let next = alarms.get(due.len()).map(|(at, _)| *at);
            let Some(last) = due.last() else {
                self.alarms.lock().next = next;
                return next;
            };
            *self.alarms.lock() = Position { fired: Some(*last), next };
            futures::stream::iter(due)
                .for_each_concurrent(STARTS_AT_ONCE_MAX, |(_, id)| async move { self.clone().wake_for_alarm(id).await })
                .await;
        }
    }

    /// Starts an actor whose alarm is due. One that can't start is tried again later.
    pub(crate) async fn wake_for_alarm(self: &Arc<Self>, id: ActorId) {
        if !self.try_wake(id).await {
            let inner = self.clone();
            tokio::spawn(async move {
                let mut pause = RETRY_FIRST;
                loop {
                    tokio::time::sleep(pause).await;
                    if inner.try_wake(id).await {
                        return;
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                }
            });
        }
    }

    /// Whether the actor runs now, or there is no reason to try again.
    async fn try_wake(self: &Arc<Self>, id: ActorId) -> bool {
        match self.stored(id) {
            Ok(Some(actor)) if actor.destroying => match self.destroy_actor(id).await {
                Ok(()) => true,
                Err(failure) => {
                    tracing::warn!(actor = %id, %failure, "a destruction could not be finished yet");
                    false
                }
            },
            Ok(Some(_)) => match self.ensure_started(id).await {
                Ok(()) => true,
                Err(failure) => {
                    tracing::warn!(actor = %id, %failure, "an actor could not be started for its alarm");
                    self.stopping.load(std::sync::atomic::Ordering::Acquire)
                }
            },
            Ok(None) => true,
            Err(_) => false,
        }
    }
}

impl Engine {
    /// Waits until every alarm that is due now has been fired. For tests that bring their own clock.
    pub async fn fire_due_alarms(&self) {
        self.inner.fire_due().await;
    }
}
