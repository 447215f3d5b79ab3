//! The parts of the table `events`: one for each week, made ahead and dropped when it is too old.
//!
//! A new part is made beside the table and then attached, which holds nobody up; making it in place would lock the whole table.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// What every host that changes the parts takes first.
const LOCK: i64 = 0x6772_6f77_7061_7274;
/// How long dropping a part may wait for those who read the table; it is tried again later.
const DROP_LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '3s'";

/// A week: days since 1970-01-05, a Monday, divided by 7. In UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Week(i64);

const MONDAY_DAYS: i64 = 4;
const DAY_SECONDS: i64 = 86_400;
/// Weeks that Postgres and `chrono` can both tell, and far more than anybody needs: to the year 9999.
const WEEK_MAX: i64 = 418_000;

impl Week {
    /// The week of a moment; none before 1970 or after 9980.
    pub fn of(time: DateTime<Utc>) -> Option<Self> {
        let week = (time.timestamp().div_euclid(DAY_SECONDS) - MONDAY_DAYS).div_euclid(7);
        (-1..=WEEK_MAX).contains(&week).then_some(Self(week))
    }

    /// The week after.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    fn day(self) -> NaiveDate {
        NaiveDate::default() + TimeDelta::days(self.0 * 7 + MONDAY_DAYS)
    }

    fn table(self) -> String {
        format!("events_{}", self.day().format("%Y%m%d"))
    }

    fn read(table: &str) -> Option<Self> {
        let day = NaiveDate::parse_from_str(table.strip_prefix("events_")?, "%Y%m%d").ok()?;
        Self::of(day.and_hms_opt(0, 0, 0)?.and_utc())
    }
}

/// Makes the part of a week if it is missing. True when it was made.
pub async fn ensure(connection: &mut PgConnection, week: Week) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    let table = week.table();
    let there: bool =
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(&table).fetch_one(&mut *transaction).await?;
    if there {
        return Ok(false);
    }
    let (from, to) = (week.day(), week.next().day());
    let statements = [
        format!("CREATE TABLE {table} (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)"),
        format!(
            "ALTER TABLE events ATTACH PARTITION {table} FOR VALUES FROM ('{from} 00:00:00+00') TO ('{to} 00:00:00+00')"
        ),
    ];
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// Drops the parts that end before a moment, and gives their names.
pub async fn drop_before(connection: &mut PgConnection, time: DateTime<Utc>) -> Result<Vec<String>, sqlx::Error> {
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass")
            .fetch_all(&mut *connection)
            .await?;
    let mut dropped = Vec::new();
    for table in tables {
        let old = Week::read(&table)
            .is_some_and(|week| week.next().day().and_hms_opt(0, 0, 0).is_some_and(|end| end.and_utc() <= time));
        if !old {
            continue;
        }
        let mut transaction = connection.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
        sqlx::query(DROP_LOCK_TIMEOUT).execute(&mut *transaction).await?;
        sqlx::query(AssertSqlSafe(format!("DROP TABLE IF EXISTS {table}"))).execute(&mut *transaction).await?;
        transaction.commit().await?;
        dropped.push(table);
    }
    Ok(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_begins_on_monday() {
        let at = |text: &str| Week::of(text.parse().unwrap());
        assert_eq!(at("2026-11-22T23:59:59Z").unwrap().table(), "events_20261116");
        assert_eq!(at("2026-11-23T00:00:00Z").unwrap().table(), "events_20261123");
        assert_eq!(at("1970-01-01T00:00:00Z").unwrap().table(), "events_19691229");
        assert_eq!(at("1960-01-01T00:00:00Z"), None);
        assert_eq!(Week::of(DateTime::from_timestamp_millis(i64::from(u32::MAX) * 1_000_000).unwrap()), None);
        assert_eq!(Week::read("events_20261116"), at("2026-11-22T00:00:00Z"));
        assert_eq!(Week::read("events_other"), None);
    }
}
