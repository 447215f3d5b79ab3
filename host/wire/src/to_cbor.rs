//! JSON text to CBOR.

use crate::ValueError;
use crate::from_cbor::{SAFE_INTEGER_MAX, TAG_BIG_NEGATIVE, TAG_BIG_POSITIVE, TAG_DATE, TAG_MAP, TAG_SET};
use crate::json::{Number, Reader};
use crate::tags;
use crate::values::CborFlavor;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use growqr_types::limits;
use num_bigint::{BigInt, Sign};

pub(crate) const MAJOR_UNSIGNED: u8 = 0 << 5;
pub(crate) const MAJOR_NEGATIVE: u8 = 1 << 5;
pub(crate) const MAJOR_BYTES: u8 = 2 << 5;
pub(crate) const MAJOR_TEXT: u8 = 3 << 5;
pub(crate) const MAJOR_ARRAY: u8 = 4 << 5;
pub(crate) const MAJOR_MAP: u8 = 5 << 5;
pub(crate) const MAJOR_TAG: u8 = 6 << 5;
const SIMPLE_FALSE: u8 = 0xf4;
const SIMPLE_TRUE: u8 = 0xf5;
pub(crate) const SIMPLE_NULL: u8 = 0xf6;
const SIMPLE_UNDEFINED: u8 = 0xf7;
const FLOAT_64: u8 = 0xfb;

/// Decimal digits of a big integer that are read as a number; a longer one stays an array.
const BIG_INTEGER_DIGITS_MAX: usize = limits::BIG_INTEGER_BYTES_MAX * 5 / 2;

/// Transcodes the JSON at its position.
pub(crate) struct ToCbor<'a, 'o> {
    reader: Reader<'a>,
    out: &'o mut Vec<u8>,
    /// Bytes that were there before.
    before_len: usize,
    mode: Mode,
}

/// How the client treats the bytes at a position.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It revives compat arrays. Those that it knows stay arrays.
    Compat,
    /// It revives compat arrays, and natural CBOR is wanted.
    Natural,
    /// Inside a CBOR tag: natural CBOR, and compat arrays are not revived, so that an escape must not be left in.
    Raw,
}

impl<'a, 'o> ToCbor<'a, 'o> {
    pub(crate) fn new(json: &'a str, flavor: CborFlavor, out: &'o mut Vec<u8>) -> Result<Self, ValueError> {
        let mode = match flavor {
            CborFlavor::Compat => Mode::Compat,
            CborFlavor::Direct => Mode::Natural,
        };
        Ok(Self { reader: Reader::new(json)?, before_len: out.len(), out, mode })
    }

    /// Takes one value and appends its CBOR.
    pub(crate) fn value(&mut self) -> Result<(), ValueError> {
        self.item(self.mode, 0)
    }

    /// Nothing may follow.
    pub(crate) fn end(&mut self) -> Result<(), ValueError> {
        self.reader.end()
    }

    /// Transcodes the next value, which lies in `depth` JSON arrays or objects.
    fn item(&mut self, mode: Mode, depth: usize) -> Result<(), ValueError> {
        if self.out.len() - self.before_len > limits::VALUE_BYTES_MAX {
            return Err(ValueError::TooLarge);
        }
        match self.reader.peek() {
            Some(b'"') => {
                let text = self.reader.string()?;
                write_text(self.out, &text);
            }
            Some(b'-' | b'0'..=b'9') => match self.reader.number()? {
                Number::Integer(value) => write_integer(self.out, value),
                Number::Float(value) => write_float(self.out, value),
            },
            Some(b'[') => self.array(mode, depth)?,
            Some(b'{') => self.object(mode, depth)?,
            _ => self.out.push(match self.reader.word()? {
                "true" => SIMPLE_TRUE,
                "false" => SIMPLE_FALSE,
                _ => SIMPLE_NULL,
            }),
        }
        Ok(())
    }

    fn array(&mut self, mode: Mode, depth: usize) -> Result<(), ValueError> {
        self.reader.open(b'[', depth)?;
        if self.reader.peek() != Some(b'"') {
            return self.list(mode, depth);
        }
        let start = self.reader;
        let first = self.reader.string()?;
        if !first.starts_with('$') {
            self.reader = start;
            return self.list(mode, depth);
        }
        if self.tag(&first, mode, depth)? {
            return Ok(());
        }
        if mode == Mode::Raw && first.starts_with("$$") && self.is_pair(depth)? {
            self.expect_comma()?;
            write_head(self.out, MAJOR_ARRAY, 2);
            write_text(self.out, first.strip_prefix('$').unwrap_or_default());
            self.item(mode, depth + 1)?;
            return self.reader.expect(b']');
        }
        self.reader = start;
        self.list(mode, depth)
    }

    fn expect_comma(&mut self) -> Result<(), ValueError> {
        self.reader.expect(b',')
    }

    /// Whether one more value and the end of the array follow.
    fn is_pair(&self, depth: usize) -> Result<bool, ValueError> {
        let mut probe = self.reader;
        if !probe.take(b',') {
            return Ok(false);
        }
        probe.skip_value(depth + 1)?;
        Ok(probe.take(b']'))
    }

    /// The items of an array after its bracket, in which they lie at `depth + 1`.
    fn list(&mut self, mode: Mode, depth: usize) -> Result<(), ValueError> {
        let head = self.reserve_head();
        let mut count = 0;
        let mut more = !self.reader.take(b']');
        while more {
            self.item(mode, depth + 1)?;
            count += 1;
            more = self.reader.next_item(b']')?;
        }
        self.fill_head(head, MAJOR_ARRAY, count);
        Ok(())
    }

    fn object(&mut self, mode: Mode, depth: usize) -> Result<(), ValueError> {
        self.reader.open(b'{', depth)?;
        let head = self.reserve_head();
        let mut count = 0;
        let mut more = !self.reader.take(b'}');
        while more {
            let key = self.reader.string()?;
            write_text(self.out, &key);
            self.reader.expect(b':')?;
            self.item(mode, depth + 1)?;
            count += 1;
            more = self.reader.next_item(b'}')?;
        }
        self.fill_head(head, MAJOR_MAP, count);
        Ok(())
    }

    /// Makes room for the head of an array or map whose length is not known yet.
    fn reserve_head(&mut self) -> usize {
        self.out.push(0);
        self.out.len() - 1
    }

    /// Writes the head. A long one moves what follows, once for each level of nesting.
    fn fill_head(&mut self, at: usize, major: u8, count: u64) {
        let mut head = Vec::with_capacity(9);
        write_head(&mut head, major, count);
        match (head.as_slice(), self.out.get_mut(at)) {
            ([only], Some(slot)) => *slot = *only,
            _ => drop(self.out.splice(at..at + 1, head)),
        }
    }

    /// Writes a tag as natural CBOR, if `name` is one that is written so in this mode and the array has the tag's shape. The
    /// reader is behind the name; where nothing was written, it has not moved.
    fn tag(&mut self, name: &str, mode: Mode, depth: usize) -> Result<bool, ValueError> {
        let mut probe = self.reader;
        if !probe.take(b',') {
            return Ok(false);
        }
        let written = match name {
            "$Date" => self.date(&mut probe)?,
            "$Number" => self.special_number(&mut probe)?,
            "$Map" => return self.map(probe, mode, depth),
            "$CborTag" => return self.other_tag(probe, depth),
            "$Set" => return self.set(probe, mode, depth),
            _ if mode == Mode::Compat => false,
            "$BigInt" => self.big_integer(&mut probe)?,
            "$Uint8Array" => self.bytes(&mut probe)?,
            // CBOR has no second kind of bytes, but a client that revives arrays makes an `ArrayBuffer` of this one.
            "$ArrayBuffer" if mode == Mode::Raw => self.bytes(&mut probe)?,
            "$Undefined" => self.undefined(&mut probe)?,
            _ => false,
        };
        if written {
            self.reader = probe;
        }
        Ok(written)
    }

    fn date(&mut self, probe: &mut Reader<'_>) -> Result<bool, ValueError> {
        let Some(ms) = tags::date(probe)? else { return Ok(false) };
        write_head(self.out, MAJOR_TAG, TAG_DATE);
        match u32::try_from(ms / 1000) {
            Ok(seconds) if ms % 1000 == 0 => write_head(self.out, MAJOR_UNSIGNED, seconds.into()),
            _ => write_float(self.out, ms as f64 / 1000.0),
        }
        Ok(true)
    }

    fn special_number(&mut self, probe: &mut Reader<'_>) -> Result<bool, ValueError> {
        let Some(value) = tags::special_number(probe)? else { return Ok(false) };
        write_float(self.out, value);
        Ok(true)
    }

    fn big_integer(&mut self, probe: &mut Reader<'_>) -> Result<bool, ValueError> {
        let Some(text) = tags::text(probe)? else { return Ok(false) };
        let digits = text.strip_prefix('-').unwrap_or(&text);
        if digits.is_empty()
            || digits.len() > BIG_INTEGER_DIGITS_MAX
            || !digits.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Ok(false);
        }
        let Ok(value) = text.parse::<BigInt>() else { return Ok(false) };
        let (major, tag, magnitude) = match value.sign() {
            Sign::Minus => (MAJOR_NEGATIVE, TAG_BIG_NEGATIVE, -value - 1),
            Sign::NoSign | Sign::Plus => (MAJOR_UNSIGNED, TAG_BIG_POSITIVE, value),
        };
        if let Ok(magnitude) = u64::try_from(&magnitude) {
            write_wide(self.out, major, magnitude);
        } else {
            write_head(self.out, MAJOR_TAG, tag);
            write_bytes(self.out, &magnitude.to_bytes_be().1);
        }
        Ok(true)
    }

    fn bytes(&mut self, probe: &mut Reader<'_>) -> Result<bool, ValueError> {
        let Some(text) = tags::text(probe)? else { return Ok(false) };
        let Ok(bytes) = STANDARD.decode(text.as_bytes()) else { return Ok(false) };
        write_bytes(self.out, &bytes);
        Ok(true)
    }

    fn undefined(&mut self, probe: &mut Reader<'_>) -> Result<bool, ValueError> {
        let shaped = probe.take(b'0') && probe.take(b']');
        if shaped {
            self.out.push(SIMPLE_UNDEFINED);
        }
        Ok(shaped)
    }

    /// `["$Set",[item,...]]`
    ///
    /// Its list is no array of the client, so that it never counts as a tag and carries no escape, whatever its items are.
    fn set(&mut self, mut probe: Reader<'a>, mode: Mode, depth: usize) -> Result<bool, ValueError> {
        if probe.peek() != Some(b'[') || !self.is_pair(depth)? {
            return Ok(false);
        }
        self.reader = probe;
        self.reader.open(b'[', depth + 1)?;
        if mode == Mode::Compat {
            write_head(self.out, MAJOR_ARRAY, 2);
            write_text(self.out, "$Set");
            self.list(mode, depth + 1)?;
        } else {
            write_head(self.out, MAJOR_TAG, TAG_SET);
            self.list(Mode::Raw, depth + 1)?;
        }
        self.reader.expect(b']')?;
        Ok(true)
    }

    /// `["$Map",[[key,value],...]]`
    fn map(&mut self, mut probe: Reader<'a>, mode: Mode, depth: usize) -> Result<bool, ValueError> {
        let start = probe;
        let Some(count) = tags::map(&mut probe, depth)? else { return Ok(false) };
        self.reader = start;
        self.reader.open(b'[', depth + 1)?;
        write_head(self.out, MAJOR_TAG, TAG_MAP);
        write_head(self.out, MAJOR_MAP, count);
        let mut more = !self.reader.take(b']');
        while more {
            self.reader.open(b'[', depth + 2)?;
            self.item(mode, depth + 3)?;
            self.expect_comma()?;
            self.item(mode, depth + 3)?;
            self.reader.expect(b']')?;
            more = self.reader.next_item(b']')?;
        }
        self.reader = probe;
        Ok(true)
    }

    /// `["$CborTag",[number,value]]`
    fn other_tag(&mut self, mut probe: Reader<'a>, depth: usize) -> Result<bool, ValueError> {
        let Some((tag, content)) = tags::cbor_tag(&mut probe, depth)? else { return Ok(false) };
        write_head(self.out, MAJOR_TAG, tag);
        self.reader = content;
        self.item(Mode::Raw, depth + 2)?;
        self.reader = probe;
        Ok(true)
    }
}

/// Writes the head of an item in its shortest form.
pub(crate) fn write_head(out: &mut Vec<u8>, major: u8, value: u64) {
    if value < 24 {
        out.push(major | value as u8);
    } else if let Ok(value) = u8::try_from(value) {
        out.extend_from_slice(&[major | 24, value]);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(major | 25);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(major | 26);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        write_wide(out, major, value);
    }
}

/// Writes the head of an item with eight bytes, which the official client reads as a `BigInt`.
pub(crate) fn write_wide(out: &mut Vec<u8>, major: u8, value: u64) {
    out.push(major | 27);
    out.extend_from_slice(&value.to_be_bytes());
}

/// Writes a text.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_head(out, MAJOR_TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_head(out, MAJOR_BYTES, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn write_float(out: &mut Vec<u8>, value: f64) {
    out.push(FLOAT_64);
    out.extend_from_slice(&value.to_be_bytes());
}

fn write_integer(out: &mut Vec<u8>, value: i128) {
    let (major, magnitude) = if value < 0 { (MAJOR_NEGATIVE, -1 - value) } else { (MAJOR_UNSIGNED, value) };
    if magnitude > u32::MAX.into() && value.abs() <= SAFE_INTEGER_MAX {
        write_float(out, value as f64);
    } else {
        // The reader gives no integer beyond what the head of a CBOR integer holds.
        write_head(out, major, magnitude as u64);
    }
}
