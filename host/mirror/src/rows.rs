//! Rows as the database wants them.

use chrono::{DateTime, Utc};
use growqr_seam::{EventRecord, SpoolRow};
use serde_json::value::RawValue;

/// What can't be stored, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// SQLSTATE; the host's own reasons have one as well.
    pub sqlstate: String,
    /// For people.
    pub reason: String,
}

/// SQLSTATE "data exception", for what the host itself finds wrong.
const DATA_EXCEPTION: &str = "22000";

/// One row, read where it lies.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// What it was read from.
    pub source: &'a SpoolRow,
    /// When the turn ran.
    pub ts: DateTime<Utc>,
    /// Name.
    pub name: &'a str,
    /// JSON.
    pub payload: &'a str,
}

impl<'a> Row<'a> {
    /// Reads a row. An event with one argument, which is what the SDK makes, has that as its payload; any other has the array.
    pub fn read(source: &'a SpoolRow) -> Result<Self, Refused> {
        let refuse = |reason: String| Refused { sqlstate: DATA_EXCEPTION.to_owned(), reason };
        let (ts, name, args) = EventRecord::parts(&source.record).map_err(|error| refuse(error.to_string()))?;
        let values: Vec<&'a RawValue> = serde_json::from_str(args).map_err(|error| refuse(error.to_string()))?;
        let payload = if let [one] = values[..] { one.get() } else { args };
        let time = i64::try_from(ts).ok().and_then(DateTime::from_timestamp_millis);
        let ts = time.ok_or_else(|| refuse(format!("the time {ts} can't be stored")))?;
        Ok(Self { source, ts, name, payload })
    }

    /// The number among the actor's rows.
    pub fn seq(&self) -> i64 {
        i64::try_from(self.source.seq).unwrap_or(i64::MAX)
    }

    /// Whether the host itself tells this, and not the guest.
    pub fn is_of_host(&self) -> bool {
        self.source.event.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use growqr_types::ActorId;

    fn row(ts: u64, args: &str) -> SpoolRow {
        SpoolRow {
            place: Default::default(),
            number: 0,
            actor: ActorId::from_bytes([1; 16]),
            seq: 1,
            event: Some(1),
            name: "a".to_owned(),
            user: None,
            record: EventRecord::encode(ts, "ping", args),
        }
    }

    #[test]
    fn the_only_argument_is_the_payload() {
        for (args, payload) in [(r#"[{"a":1}]"#, r#"{"a":1}"#), ("[]", "[]"), ("[1,2]", "[1,2]"), ("[[1]]", "[1]")] {
            let row = row(5, args);
            assert_eq!(Row::read(&row).unwrap().payload, payload);
        }
    }

    #[test]
    fn what_can_not_be_stored_is_refused_with_the_reason() {
        assert!(Row::read(&row(5, "{")).is_err());
        assert!(Row::read(&row(u64::MAX, "[]")).unwrap_err().reason.contains("time"));
        let damaged = SpoolRow { record: Default::default(), ..row(5, "[]") };
        assert!(Row::read(&damaged).is_err());
    }
}
