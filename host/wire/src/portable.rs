//! Values on their way to a client that speaks JSON.
//!
//! Such a client knows the tags of the official client and refuses a message with any other. So the tags that only this host has
//! are written as what `JSON.stringify` makes of such a value, or as close to it as keeps its content: a date as its text, a number
//! that JSON lacks as `null`, a map as the list of its pairs, a CBOR tag as what it is put on. Everything else passes as it was
//! written, and a value without such a tag is not even looked into beyond its syntax.

use crate::ValueError;
use crate::json::Reader;
use crate::tags;
use chrono::{DateTime, SecondsFormat, Utc};

/// Tags that are rewritten, as they look in the text.
const REWRITTEN: [&str; 4] = ["\"$Date\"", "\"$Map\"", "\"$Number\"", "\"$CborTag\""];

/// Appends the value.
pub(crate) fn push_json_value(out: &mut String, value: &str) -> Result<(), ValueError> {
    let mut reader = Reader::new(value)?;
    let checked = reader.skip_value(0)?;
    reader.end()?;
    if checked.contains("\"$") && REWRITTEN.iter().any(|name| checked.contains(name)) {
        Rewriter { reader: Reader::new(checked)?, out }.item(0)
    } else {
        out.push_str(checked);
        Ok(())
    }
}

struct Rewriter<'a, 'o> {
    reader: Reader<'a>,
    out: &'o mut String,
}

impl Rewriter<'_, '_> {
    fn item(&mut self, depth: usize) -> Result<(), ValueError> {
        match self.reader.peek() {
            Some(b'[') => self.array(depth),
            Some(b'{') => self.object(depth),
            _ => {
                self.out.push_str(self.reader.skip_value(depth)?);
                Ok(())
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), ValueError> {
        self.reader.open(b'{', depth)?;
        self.out.push('{');
        let mut more = !self.reader.take(b'}');
        while more {
            self.out.push_str(self.reader.skip_value(depth + 1)?);
            self.reader.expect(b':')?;
            self.out.push(':');
            self.item(depth + 1)?;
            more = self.next_item(b'}')?;
        }
        self.out.push('}');
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), ValueError> {
        self.reader.open(b'[', depth)?;
        let start = self.reader;
        if self.reader.peek() == Some(b'"') {
            let first = self.reader.string()?;
            if self.tag(&first, depth)? {
                return Ok(());
            }
        }
        self.reader = start;
        let first_is_text = self.reader.peek() == Some(b'"');
        let (first, count) = self.list(depth)?;
        // A tag that became text can make a pair look like a tag.
        if count == 2 && !first_is_text && self.out.get(first..).is_some_and(|first| first.starts_with("\"$")) {
            self.out.insert(first + 1, '$');
        }
        Ok(())
    }

    /// The items of an array after its bracket, in which they lie at `depth + 1`. Gives where the first was written, and how many.
    fn list(&mut self, depth: usize) -> Result<(usize, usize), ValueError> {
        self.out.push('[');
        let first = self.out.len();
        let mut count = 0;
        let mut more = !self.reader.take(b']');
        while more {
            self.item(depth + 1)?;
            count += 1;
            more = self.next_item(b']')?;
        }
        self.out.push(']');
        Ok((first, count))
    }

    fn next_item(&mut self, close: u8) -> Result<bool, ValueError> {
        let more = self.reader.next_item(close)?;
        if more {
            self.out.push(',');
        }
        Ok(more)
    }

    /// Writes a tag, if `name` is one that is rewritten and the array has the tag's shape.
    fn tag(&mut self, name: &str, depth: usize) -> Result<bool, ValueError> {
        let mut probe = self.reader;
        if !probe.take(b',') {
            return Ok(false);
        }
        let content = probe;
        match name {
            "$Date" => {
                let Some(ms) = tags::date(&mut probe)? else { return Ok(false) };
                self.date(ms);
            }
            "$Number" => {
                let Some(value) = tags::special_number(&mut probe)? else { return Ok(false) };
                self.out.push_str(if value == 0.0 { "0" } else { "null" });
            }
            "$Map" => {
                if tags::map(&mut probe, depth)?.is_none() {
                    return Ok(false);
                }
                self.reader = content;
                self.map(depth)?;
            }
            "$CborTag" => {
                let Some((_, content)) = tags::cbor_tag(&mut probe, depth)? else { return Ok(false) };
                self.reader = content;
                self.item(depth + 2)?;
            }
            // The list of a set is no array of the client: it never counts as a tag, whatever its items are.
            "$Set" => {
                if probe.peek() != Some(b'[') {
                    return Ok(false);
                }
                probe.skip_value(depth + 1)?;
                if !probe.take(b']') {
                    return Ok(false);
                }
                self.reader = content;
                self.reader.open(b'[', depth + 1)?;
                self.out.push_str("[\"$Set\",");
                self.list(depth + 1)?;
                self.out.push(']');
            }
            _ => return Ok(false),
        }
        self.reader = probe;
        Ok(true)
    }

    /// A date that the calendar does not reach is `null`, as an invalid one is.
    fn date(&mut self, ms: i64) {
        let Some(date) = DateTime::<Utc>::from_timestamp_millis(ms) else {
            self.out.push_str("null");
            return;
        };
        self.out.push('"');
        self.out.push_str(&date.to_rfc3339_opts(SecondsFormat::Millis, true));
        self.out.push('"');
    }

    /// The pairs of a map. They are real arrays now, so that one which looks like a tag needs its escape.
    fn map(&mut self, depth: usize) -> Result<(), ValueError> {
        self.reader.open(b'[', depth + 1)?;
        self.out.push('[');
        let mut more = !self.reader.take(b']');
        while more {
            self.reader.open(b'[', depth + 2)?;
            self.out.push('[');
            let key = self.out.len();
            self.item(depth + 3)?;
            if self.out.get(key..).is_some_and(|key| key.starts_with("\"$")) {
                self.out.insert(key + 1, '$');
            }
            self.reader.expect(b',')?;
            self.out.push(',');
            self.item(depth + 3)?;
            self.reader.expect(b']')?;
            self.out.push(']');
            more = self.next_item(b']')?;
        }
        self.out.push(']');
        Ok(())
    }
}
