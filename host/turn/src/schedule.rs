//! When a timer is due.

use cron::Schedule as CronSchedule;
use growqr_types::TimestampMs;
use serde::{Deserialize, Serialize};

/// What a guest asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// Once, at this time.
    At(TimestampMs),
    /// Once, so many milliseconds from the turn's clock.
    After(u64),
    /// Again and again, so many milliseconds apart.
    Every(u64),
    /// By a cron expression in UTC.
    Cron(String),
}

/// How a timer goes on after it was due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repeat {
    /// It does not.
    Once,
    /// So many milliseconds apart.
    Every(u64),
    /// By a cron expression.
    Cron(String),
}

/// The schedule can't be read, or never comes true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSchedule(String);

impl Schedule {
    /// The first time it is due, and how it goes on.
    pub fn start(self, now: TimestampMs) -> Result<(TimestampMs, Repeat), BadSchedule> {
        match self {
            Self::At(at) => Ok((at, Repeat::Once)),
            Self::After(delay) => Ok((now.saturating_add(delay), Repeat::Once)),
            Self::Every(0) => Err(BadSchedule("an interval must be 1 ms at least".to_owned())),
            Self::Every(interval) => Ok((now.saturating_add(interval), Repeat::Every(interval))),
            Self::Cron(expression) => {
                let repeat = Repeat::Cron(expression);
                let first = repeat
                    .next(now, now)?
                    .ok_or_else(|| BadSchedule("the cron expression never comes true".to_owned()))?;
                Ok((first, repeat))
            }
        }
    }
}

impl Repeat {
    /// The next time after one that was due at `due` and ran at `now`; none when it is over.
    ///
    /// Missed times are skipped: an overdue timer runs once.
    pub fn next(&self, due: TimestampMs, now: TimestampMs) -> Result<Option<TimestampMs>, BadSchedule> {
        match self {
            Self::Once => Ok(None),
            Self::Every(interval) => {
                let interval = (*interval).max(1);
                let missed = now.saturating_sub(due) / interval;
                Ok(Some(due.saturating_add(interval.saturating_mul(missed + 1))))
            }
            Self::Cron(expression) => cron_next(expression, now),
        }
    }
}

/// Bytes of a cron expression; enough for any that a person writes.
const CRON_BYTES_MAX: usize = 256;

/// The first time after `now` that fits a cron expression of five fields, or of six with seconds first.
fn cron_next(expression: &str, now: TimestampMs) -> Result<Option<TimestampMs>, BadSchedule> {
    if expression.len() > CRON_BYTES_MAX {
        return Err(BadSchedule(format!("a cron expression has at most {CRON_BYTES_MAX} bytes")));
    }
    let text = match expression.split_whitespace().count() {
        5 => format!("0 {expression}"),
        6 => expression.to_owned(),
        count => return Err(BadSchedule(format!("a cron expression has five or six fields, not {count}"))),
    };
    let schedule: CronSchedule =
        text.parse().map_err(|error| BadSchedule(format!("cron expression {expression:?}: {error}")))?;
    let now = i64::try_from(now).ok().and_then(chrono::DateTime::from_timestamp_millis);
    let Some(now) = now else { return Err(BadSchedule("the clock is out of range".to_owned())) };
    Ok(schedule.after(&now).next().and_then(|next| u64::try_from(next.timestamp_millis()).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2026-01-01T00:00:30Z, a Thursday.
    const NOW: TimestampMs = 1_767_225_630_000;

    #[test]
    fn a_timer_starts_where_its_schedule_says() {
        let cases = [
            (Schedule::At(5), 5),
            (Schedule::After(20), NOW + 20),
            (Schedule::Every(20), NOW + 20),
            (Schedule::Cron("* * * * *".to_owned()), NOW + 30_000),
            (Schedule::Cron("*/10 * * * * *".to_owned()), NOW + 10_000),
        ];
        for (schedule, due) in cases {
            assert_eq!(schedule.clone().start(NOW).map(|(due, _)| due), Ok(due), "{schedule:?}");
        }
    }

    #[test]
    fn a_bad_schedule_is_refused() {
        for schedule in [
            Schedule::Every(0),
            Schedule::Cron(String::new()),
            Schedule::Cron("a b c d e".to_owned()),
            Schedule::Cron("* ".repeat(200)),
            Schedule::Cron("0 0 30 2 *".to_owned()),
        ] {
            assert!(schedule.clone().start(NOW).is_err(), "{schedule:?}");
        }
    }

    #[test]
    fn an_overdue_interval_runs_once_and_keeps_its_beat() {
        let every = Repeat::Every(100);
        assert_eq!(every.next(1000, 1000), Ok(Some(1100)));
        assert_eq!(every.next(1000, 1099), Ok(Some(1100)));
        assert_eq!(every.next(1000, 1350), Ok(Some(1400)));
        assert_eq!(Repeat::Once.next(1000, 5000), Ok(None));
    }
}
