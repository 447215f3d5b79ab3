//! Reads JSON text one token at a time, so that a value can be checked or transcoded without a tree of it.
//!
//! The grammar is RFC 8259's; `tests/values.rs` compares what is accepted with `serde_json`. That crate does not do this job
//! itself: it does not say where a value ends without building one, and it rounds integers that CBOR can hold.

use crate::ValueError;
use growqr_types::limits;
use std::borrow::Cow;

/// A position in JSON text.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    position: usize,
}

/// A number as it was written.
#[derive(Debug, PartialEq)]
pub(crate) enum Number {
    /// Without point and exponent, within the 65 bits that a CBOR integer has.
    Integer(i128),
    /// With point or exponent, or too large for an integer.
    Float(f64),
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Result<Self, ValueError> {
        if text.len() > limits::VALUE_BYTES_MAX {
            return Err(ValueError::TooLarge);
        }
        Ok(Self { text, position: 0 })
    }

    /// What is wrong at the present position.
    pub(crate) fn bad(&self) -> ValueError {
        if self.position >= self.text.len() { ValueError::Truncated } else { ValueError::BadJson { at: self.position } }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    /// The next byte that is not white space, without taking it. None at the end.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.position += 1;
        }
        self.byte()
    }

    /// Takes the byte if it comes next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.position += 1;
        }
        found
    }

    /// Takes the byte, or fails.
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), ValueError> {
        if self.take(byte) { Ok(()) } else { Err(self.bad()) }
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), ValueError> {
        if self.peek().is_none() { Ok(()) } else { Err(ValueError::Trailing) }
    }

    /// Takes `null`, `true` or `false`.
    pub(crate) fn word(&mut self) -> Result<&'static str, ValueError> {
        let rest = self.text.get(self.position..).unwrap_or_default();
        for word in ["null", "true", "false"] {
            if rest.starts_with(word) {
                self.position += word.len();
                return Ok(word);
            }
        }
        Err(self.bad())
    }

    /// Takes a string. Half a surrogate pair, which UTF-8 can't say, becomes the replacement character.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, ValueError> {
        self.peek();
        let start = self.position + 1;
        if self.skip_string()? {
            self.unescape(start, self.position - 1).map(Cow::Owned)
        } else {
            Ok(Cow::Borrowed(self.slice(start, self.position - 1)))
        }
    }

    /// Takes a string without building it, and says whether it has escapes. They are checked.
    fn skip_string(&mut self) -> Result<bool, ValueError> {
        self.expect(b'"')?;
        let mut escaped = false;
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.position += 1;
                    self.skip_escape()?;
                }
                Some(0x20..) => self.position += 1,
                _ => return Err(self.bad()),
            }
        }
    }

    fn skip_escape(&mut self) -> Result<(), ValueError> {
        match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.position += 1,
            Some(b'u') => {
                self.position += 1;
                for _ in 0..4 {
                    if !self.byte().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.bad());
                    }
                    self.position += 1;
                }
            }
            _ => return Err(self.bad()),
        }
        Ok(())
    }

    /// The text between two positions, which lie at ASCII characters.
    fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// Resolves the escapes of a string whose syntax has been checked.
    fn unescape(&self, start: usize, end: usize) -> Result<String, ValueError> {
        let mut rest = self.slice(start, end);
        let mut out = String::with_capacity(rest.len());
        while let Some(at) = rest.find('\\') {
            out.push_str(&rest[..at]);
            let escape = rest.as_bytes().get(at + 1).copied().ok_or_else(|| self.bad())?;
            rest = rest.get(at + 2..).unwrap_or_default();
            match escape {
                b'b' => out.push('\u{8}'),
                b'f' => out.push('\u{c}'),
                b'n' => out.push('\n'),
                b'r' => out.push('\r'),
                b't' => out.push('\t'),
                b'u' => rest = unescape_unit(rest, &mut out),
                other => out.push(char::from(other)),
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Takes a number.
    pub(crate) fn number(&mut self) -> Result<Number, ValueError> {
        let start = self.position;
        let whole = self.skip_number()?;
        let text = self.slice(start, self.position);
        if whole && text != "-0" {
            // Most integers fit into 64 bits, which are read faster.
            if let Ok(value) = text.parse::<i64>() {
                return Ok(Number::Integer(value.into()));
            }
            if let Ok(value) = text.parse::<i128>()
                && (-(1i128 << 64)..1i128 << 64).contains(&value)
            {
                return Ok(Number::Integer(value));
            }
        }
        text.parse().map(Number::Float).map_err(|_| ValueError::BadJson { at: start })
    }

    /// Takes a number without reading it, and says whether it has neither point nor exponent.
    fn skip_number(&mut self) -> Result<bool, ValueError> {
        if self.byte() == Some(b'-') {
            self.position += 1;
        }
        match self.byte() {
            Some(b'0') => self.position += 1,
            Some(b'1'..=b'9') => self.skip_digits()?,
            _ => return Err(self.bad()),
        }
        let mut whole = true;
        if self.byte() == Some(b'.') {
            whole = false;
            self.position += 1;
            self.skip_digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            whole = false;
            self.position += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.position += 1;
            }
            self.skip_digits()?;
        }
        Ok(whole)
    }

    /// Takes one digit or more.
    fn skip_digits(&mut self) -> Result<(), ValueError> {
        let start = self.position;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
        if self.position == start { Err(self.bad()) } else { Ok(()) }
    }

    /// Takes a value that lies in `depth` others, checking it, and gives its text.
    pub(crate) fn skip_value(&mut self, depth: usize) -> Result<&'a str, ValueError> {
        let first = self.peek();
        let start = self.position;
        match first {
            Some(b'"') => drop(self.skip_string()?),
            Some(b'-' | b'0'..=b'9') => drop(self.skip_number()?),
            Some(b'[') => {
                self.open(b'[', depth)?;
                let mut more = !self.take(b']');
                while more {
                    self.skip_value(depth + 1)?;
                    more = self.next_item(b']')?;
                }
            }
            Some(b'{') => {
                self.open(b'{', depth)?;
                let mut more = !self.take(b'}');
                while more {
                    self.peek();
                    self.skip_string()?;
                    self.expect(b':')?;
                    self.skip_value(depth + 1)?;
                    more = self.next_item(b'}')?;
                }
            }
            _ => drop(self.word()?),
        }
        Ok(self.slice(start, self.position))
    }

    /// Enters an array or an object that lies in `depth` others.
    pub(crate) fn open(&mut self, bracket: u8, depth: usize) -> Result<(), ValueError> {
        if depth >= limits::VALUE_DEPTH_MAX {
            return Err(ValueError::TooDeep);
        }
        self.expect(bracket)
    }

    /// After an item: whether another follows. Takes the comma or the closing bracket.
    pub(crate) fn next_item(&mut self, close: u8) -> Result<bool, ValueError> {
        if self.take(b',') {
            return Ok(true);
        }
        self.expect(close)?;
        Ok(false)
    }
}

/// Resolves `\uXXXX` (the four digits are first in `rest`), together with the second half of a surrogate pair.
fn unescape_unit<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let Some((unit, rest)) = unit(rest) else { return rest };
    if let Some(char) = char::from_u32(unit) {
        out.push(char);
        return rest;
    }
    let second = rest.strip_prefix("\\u").and_then(self::unit);
    if let (0xd800..0xdc00, Some((low @ 0xdc00..0xe000, after))) = (unit, second) {
        let char = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        out.push(char::from_u32(char).unwrap_or(char::REPLACEMENT_CHARACTER));
        return after;
    }
    out.push(char::REPLACEMENT_CHARACTER);
    rest
}

fn unit(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

/// Appends a JSON string.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    write_string_part(out, text);
    out.push('"');
}

/// Appends text inside a JSON string.
pub(crate) fn write_string_part(out: &mut String, text: &str) {
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(text.get(start..at).unwrap_or_default());
        if escape.is_empty() {
            let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
            out.push_str("\\u00");
            out.push(digit(byte >> 4));
            out.push(digit(byte & 15));
        } else {
            out.push_str(escape);
        }
        start = at + 1;
    }
    out.push_str(text.get(start..).unwrap_or_default());
}
