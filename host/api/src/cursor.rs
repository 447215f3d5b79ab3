//! Cursors of pages: opaque to callers, and nothing but a place in an order. What they are compared with is always the caller's own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use growqr_types::{Failure, codes};

/// Letters of a cursor.
const CURSOR_LEN_MAX: usize = 512;

/// A place in a list that is ordered by time and id, newest first: the last entry that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Newest {
    pub time: DateTime<Utc>,
    pub id: String,
}

/// A place in a list that is ordered by number, and which way to go from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// What comes before this number, nearest last.
    Before(i64),
    /// What comes after this number.
    After(i64),
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn decode(cursor: &str) -> Option<String> {
    if cursor.len() > CURSOR_LEN_MAX {
        return None;
    }
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

fn bad() -> Failure {
    codes::API_BAD_CURSOR.failure()
}

impl Newest {
    pub fn write(&self) -> String {
        encode(&format!("n {} {}", self.time.timestamp_micros(), self.id))
    }

    pub fn read(cursor: &str) -> Result<Self, Failure> {
        let place = |text: &str| {
            let (time, id) = text.strip_prefix("n ")?.split_once(' ')?;
            let time = DateTime::from_timestamp_micros(time.parse().ok()?)?;
            (!id.is_empty() && !id.chars().any(char::is_control)).then(|| Self { time, id: id.to_owned() })
        };
        decode(cursor).as_deref().and_then(place).ok_or_else(bad)
    }
}

impl Place {
    pub fn write(self) -> String {
        encode(&match self {
            Self::Before(number) => format!("b {number}"),
            Self::After(number) => format!("a {number}"),
        })
    }

    pub fn read(cursor: &str) -> Result<Self, Failure> {
        let place = |text: &str| match text.split_once(' ')? {
            ("b", number) => number.parse().ok().map(Self::Before),
            ("a", number) => number.parse().ok().map(Self::After),
            _ => None,
        };
        decode(cursor).as_deref().and_then(place).ok_or_else(bad)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let newest = Newest { time: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(), id: "a b".into() };
        assert_eq!(Newest::read(&newest.write()), Ok(newest));
        for place in [Place::Before(0), Place::After(i64::MAX), Place::Before(i64::MIN)] {
            assert_eq!(Place::read(&place.write()), Ok(place));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = "x".repeat(CURSOR_LEN_MAX + 1);
        let mut bad: Vec<String> = ["", "x", "****", "bnVsbA", "AAAA", "_____w"].map(str::to_owned).into();
        bad.push(long);
        let odd = ["n", "n 1", "n x y", "n 1 ", "n 1 a\u{0}b", "n 99999999999999999999 a", "b", "b x", "c 1", "a 1.5"];
        bad.extend(odd.iter().map(|text| encode(text)));
        for cursor in bad {
            assert!(Newest::read(&cursor).is_err() && Place::read(&cursor).is_err(), "{cursor}");
        }
        assert!(Place::read(&encode("n 1 a")).is_err());
        assert!(Newest::read(&encode("b 1")).is_err());
    }
}
