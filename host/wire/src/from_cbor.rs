//! CBOR to JSON text.

use crate::ValueError;
use crate::json::write_string_part;
use crate::values::CborFlavor;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use growqr_types::limits;
use minicbor::data::Type;
use minicbor::decode::{self, Decoder};
use num_bigint::BigUint;
use std::fmt::Write;

/// The largest magnitude up to which a float holds every integer.
pub(crate) const SAFE_INTEGER_MAX: i128 = (1 << 53) - 1;
/// Milliseconds from the epoch that a JavaScript date can have.
pub(crate) const DATE_MS_MAX: f64 = 8.64e15;

pub(crate) const TAG_DATE: u64 = 1;
pub(crate) const TAG_BIG_POSITIVE: u64 = 2;
pub(crate) const TAG_BIG_NEGATIVE: u64 = 3;
pub(crate) const TAG_UINT8_ARRAY: u64 = 64;
pub(crate) const TAG_SET: u64 = 258;
pub(crate) const TAG_MAP: u64 = 259;

/// Levels of JSON arrays that `["$Map",[[key,value]]]` puts around a key.
const MAP_LEVELS: usize = 3;
/// Levels of JSON arrays that `["$CborTag",[number,value]]` puts around a value.
const CBOR_TAG_LEVELS: usize = 2;

/// Transcodes the CBOR at its position.
pub(crate) struct FromCbor<'b> {
    decoder: Decoder<'b>,
    flavor: CborFlavor,
    /// The deepest JSON nesting inside the map that is being read.
    deepest: usize,
    /// Where keys and their colons lie in the output, for the maps that are being read.
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    key: usize,
    colon: usize,
}

impl<'b> FromCbor<'b> {
    pub(crate) fn new(bytes: &'b [u8], flavor: CborFlavor) -> Self {
        Self { decoder: Decoder::new(bytes), flavor, deepest: 0, entries: Vec::new() }
    }

    /// Takes one value and appends its text.
    pub(crate) fn value(&mut self, out: &mut String) -> Result<(), ValueError> {
        self.item(out, 0)?;
        if out.len() > limits::VALUE_BYTES_MAX { Err(ValueError::TooLarge) } else { Ok(()) }
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), ValueError> {
        if self.decoder.position() == self.decoder.input().len() { Ok(()) } else { Err(ValueError::Trailing) }
    }

    /// What comes next, without taking it.
    pub(crate) fn next_type(&self) -> Result<Type, ValueError> {
        self.check(self.decoder.datatype())
    }

    /// Takes the number of entries of a map; None if it ends with a break.
    pub(crate) fn map_head(&mut self) -> Result<Option<u64>, ValueError> {
        let len = self.decoder.map();
        self.check(len)
    }

    /// Takes an integer, however wide it was written.
    pub(crate) fn integer(&mut self) -> Result<i128, ValueError> {
        let value = self.decoder.int();
        self.check(value).map(i128::from)
    }

    /// Takes a truth value.
    pub(crate) fn boolean(&mut self) -> Result<bool, ValueError> {
        let value = self.decoder.bool();
        self.check(value)
    }

    /// Takes a float of any width.
    pub(crate) fn float(&mut self) -> Result<f64, ValueError> {
        let value = match self.next_type()? {
            Type::F16 => self.decoder.f16().map(f64::from),
            Type::F32 => self.decoder.f32().map(f64::from),
            _ => self.decoder.f64(),
        };
        self.check(value)
    }

    /// Takes a text, which may come in pieces.
    pub(crate) fn text(&mut self, out: &mut String) -> Result<(), ValueError> {
        let part = self.each_text_part(|part| out.push_str(part));
        self.check(part)
    }

    /// Takes a value that nobody wants.
    pub(crate) fn skip(&mut self) -> Result<(), ValueError> {
        // The transcoder is used for it: it is bounded and checks what it reads.
        self.item(&mut String::new(), 0)
    }

    /// Whether a list or map that has `len` entries, or ends with a break, has another one after `count`. Takes the break.
    pub(crate) fn more(&mut self, len: Option<u64>, count: u64) -> Result<bool, ValueError> {
        match len {
            Some(len) => Ok(count < len),
            None if self.next_type()? == Type::Break => {
                self.decoder.set_position(self.decoder.position() + 1);
                Ok(false)
            }
            None => Ok(true),
        }
    }

    fn check<T>(&self, result: Result<T, decode::Error>) -> Result<T, ValueError> {
        result.map_err(|error| {
            if error.is_end_of_input() {
                ValueError::Truncated
            } else {
                ValueError::BadCbor { at: error.position().unwrap_or_else(|| self.decoder.position()) }
            }
        })
    }

    fn bad<T>(&self) -> Result<T, ValueError> {
        Err(ValueError::BadCbor { at: self.decoder.position() })
    }

    /// Notes that text goes `levels` arrays or objects deeper than `depth`.
    fn enter(&mut self, depth: usize, levels: usize) -> Result<usize, ValueError> {
        let inside = depth + levels;
        if inside > limits::VALUE_DEPTH_MAX {
            return Err(ValueError::TooDeep);
        }
        self.deepest = self.deepest.max(inside);
        Ok(inside)
    }

    fn each_text_part(&mut self, mut each: impl FnMut(&str)) -> Result<(), decode::Error> {
        if self.decoder.datatype()? == Type::StringIndef {
            for part in self.decoder.str_iter()? {
                each(part?);
            }
        } else {
            each(self.decoder.str()?);
        }
        Ok(())
    }

    /// Transcodes the next item, whose text lies in `depth` arrays or objects.
    fn item(&mut self, out: &mut String, depth: usize) -> Result<(), ValueError> {
        if out.len() > limits::VALUE_BYTES_MAX {
            return Err(ValueError::TooLarge);
        }
        match self.next_type()? {
            Type::Bool => out.push_str(if self.boolean()? { "true" } else { "false" }),
            Type::Null => {
                let null = self.decoder.null();
                self.check(null)?;
                out.push_str("null");
            }
            Type::Undefined => {
                let undefined = self.decoder.undefined();
                self.check(undefined)?;
                self.enter(depth, 1)?;
                out.push_str("[\"$Undefined\",0]");
            }
            Type::F16 | Type::F32 | Type::F64 => {
                let value = self.float()?;
                self.write_float(out, value, depth)?;
            }
            Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
                self.write_integer(out, depth)?;
            }
            Type::Bytes | Type::BytesIndef => self.bytes(out, depth)?,
            Type::String | Type::StringIndef => self.string(out)?,
            Type::Array | Type::ArrayIndef => self.array(out, depth, self.flavor == CborFlavor::Direct)?,
            Type::Map | Type::MapIndef => self.map(out, depth, false)?,
            Type::Tag => self.tagged(out, depth)?,
            Type::Simple | Type::Break | Type::Unknown(_) => return self.bad(),
        }
        Ok(())
    }

    fn string(&mut self, out: &mut String) -> Result<(), ValueError> {
        out.push('"');
        let parts = self.each_text_part(|part| write_string_part(out, part));
        self.check(parts)?;
        out.push('"');
        Ok(())
    }

    fn write_integer(&mut self, out: &mut String, depth: usize) -> Result<(), ValueError> {
        let wide = matches!(self.decoder.input().get(self.decoder.position()), Some(0x1b | 0x3b));
        let value = self.integer()?;
        let big = match self.flavor {
            // The JavaScript client writes a BigInt with eight bytes however small it is, and no number with eight bytes. Other
            // clients write the shortest form.
            CborFlavor::Direct => {
                wide && (value.unsigned_abs() > SAFE_INTEGER_MAX.unsigned_abs()
                    || (-(1 << 32)..1 << 32).contains(&value))
            }
            // A BigInt is an array in this flavor. Only what no integer type of an actor can hold is made one.
            CborFlavor::Compat => value < i64::MIN.into(),
        };
        if big { self.write_big(out, depth, &value.to_string()) } else { write_display(out, value) }
    }

    fn write_big(&mut self, out: &mut String, depth: usize, digits: &str) -> Result<(), ValueError> {
        self.enter(depth, 1)?;
        out.push_str("[\"$BigInt\",\"");
        out.push_str(digits);
        out.push_str("\"]");
        Ok(())
    }

    fn write_float(&mut self, out: &mut String, value: f64, depth: usize) -> Result<(), ValueError> {
        let whole = value.fract() == 0.0 && value.abs() <= SAFE_INTEGER_MAX as f64;
        if !value.is_finite() {
            self.enter(depth, 1)?;
            let name = match () {
                () if value.is_nan() => "NaN",
                () if value > 0.0 => "Infinity",
                () => "-Infinity",
            };
            out.push_str("[\"$Number\",\"");
            out.push_str(name);
            out.push_str("\"]");
            Ok(())
        } else if whole && (value > f64::from(u32::MAX) || value < -f64::from(u32::MAX) - 1.0) {
            // The JavaScript client writes whole numbers so that need more than 32 bits.
            write_display(out, value as i64)
        } else {
            // The debug form is the shortest that reads back the same, and always has a point or an exponent.
            write_display(out, format_args!("{value:?}"))
        }
    }

    fn bytes(&mut self, out: &mut String, depth: usize) -> Result<(), ValueError> {
        self.enter(depth, 1)?;
        out.push_str("[\"$Uint8Array\",\"");
        if self.next_type()? == Type::Bytes {
            let bytes = self.decoder.bytes();
            STANDARD.encode_string(self.check(bytes)?, out);
        } else {
            STANDARD.encode_string(self.bytes_in_pieces()?, out);
        }
        out.push_str("\"]");
        Ok(())
    }

    fn bytes_in_pieces(&mut self) -> Result<Vec<u8>, ValueError> {
        let mut bytes = Vec::new();
        let mut join = || {
            for part in self.decoder.bytes_iter()? {
                bytes.extend_from_slice(part?);
            }
            Ok(())
        };
        let joined = join();
        self.check(joined)?;
        Ok(bytes)
    }

    /// Transcodes an array. With `escape`, one that looks like a tag gets one more `$`.
    fn array(&mut self, out: &mut String, depth: usize, escape: bool) -> Result<(), ValueError> {
        let len = self.decoder.array();
        let len = self.check(len)?;
        let inside = self.enter(depth, 1)?;
        out.push('[');
        let first = out.len();
        let mut count = 0;
        while self.more(len, count)? {
            if count > 0 {
                out.push(',');
            }
            self.item(out, inside)?;
            count += 1;
        }
        if escape && count == 2 && out.get(first..).is_some_and(|text| text.starts_with("\"$")) {
            out.insert(first + 1, '$');
        }
        out.push(']');
        Ok(())
    }

    /// Transcodes a map: to an object as long as all keys are texts, otherwise (or with `pairs`) to a `$Map`.
    fn map(&mut self, out: &mut String, depth: usize, mut pairs: bool) -> Result<(), ValueError> {
        let len = self.map_head()?;
        let start = out.len();
        let entries = self.entries.len();
        let deepest_outside = std::mem::take(&mut self.deepest);
        self.enter(depth, if pairs { MAP_LEVELS } else { 1 })?;
        out.push_str(if pairs { MAP_OPEN } else { "{" });
        let mut count = 0;
        while self.more(len, count)? {
            if !pairs && !matches!(self.next_type()?, Type::String | Type::StringIndef) {
                self.entries_to_pairs(out, start, entries)?;
                pairs = true;
            }
            if count > 0 {
                out.push(',');
            }
            if pairs {
                out.push('[');
                self.item(out, depth + MAP_LEVELS)?;
                out.push(',');
                self.item(out, depth + MAP_LEVELS)?;
                out.push(']');
            } else {
                let key = out.len();
                self.string(out)?;
                self.entries.push(Entry { key, colon: out.len() });
                out.push(':');
                self.item(out, depth + 1)?;
            }
            count += 1;
        }
        out.push_str(if pairs { "]]" } else { "}" });
        self.entries.truncate(entries);
        self.deepest = self.deepest.max(deepest_outside);
        Ok(())
    }

    /// Rewrites an object that is not closed yet as an unfinished `$Map`. It happens at most once to each map, so that a client
    /// can't make this slower than the depth times the size.
    fn entries_to_pairs(&mut self, out: &mut String, start: usize, entries: usize) -> Result<(), ValueError> {
        let deepest = self.deepest;
        self.enter(deepest, MAP_LEVELS - 1)?;
        let object = out.split_off(start);
        let part = |from: usize, to: usize| object.get(from - start..to - start).unwrap_or_default();
        let entries = self.entries.get(entries..).unwrap_or_default();
        out.push_str(MAP_OPEN);
        for (index, entry) in entries.iter().enumerate() {
            let end = entries.get(index + 1).map_or(start + object.len(), |next| next.key - 1);
            out.push_str(if index > 0 { ",[" } else { "[" });
            out.push_str(part(entry.key, entry.colon));
            out.push(',');
            out.push_str(part(entry.colon + 1, end));
            out.push(']');
        }
        Ok(())
    }

    fn tagged(&mut self, out: &mut String, depth: usize) -> Result<(), ValueError> {
        let tag = self.decoder.tag();
        let tag = self.check(tag)?.as_u64();
        let content = self.decoder.position();
        match (tag, self.next_type()?) {
            (TAG_BIG_POSITIVE | TAG_BIG_NEGATIVE, Type::Bytes) => {
                let magnitude = self.decoder.bytes();
                let magnitude = self.check(magnitude)?;
                if magnitude.len() <= limits::BIG_INTEGER_BYTES_MAX {
                    return self.write_big(out, depth, &big_to_text(tag, magnitude));
                }
                self.decoder.set_position(content);
            }
            (TAG_DATE, _) => {
                if let Some(ms) = self.date_ms()? {
                    self.enter(depth, 1)?;
                    return write_display(out, format_args!("[\"$Date\",{ms}]"));
                }
                self.decoder.set_position(content);
            }
            (TAG_UINT8_ARRAY, Type::Bytes | Type::BytesIndef) => return self.bytes(out, depth),
            (TAG_SET, Type::Array | Type::ArrayIndef) => {
                let inside = self.enter(depth, 1)?;
                out.push_str("[\"$Set\",");
                self.array(out, inside, false)?;
                out.push(']');
                return Ok(());
            }
            (TAG_MAP, Type::Map | Type::MapIndef) => return self.map(out, depth, true),
            _ => {}
        }
        self.other_tag(out, depth, tag)
    }

    fn other_tag(&mut self, out: &mut String, depth: usize, tag: u64) -> Result<(), ValueError> {
        let inside = self.enter(depth, CBOR_TAG_LEVELS)?;
        write_display(out, format_args!("[\"$CborTag\",[{tag},"))?;
        // The client writes its compat arrays only outside of such tags.
        let flavor = std::mem::replace(&mut self.flavor, CborFlavor::Direct);
        self.item(out, inside)?;
        self.flavor = flavor;
        out.push_str("]]");
        Ok(())
    }

    /// Takes seconds since 1970, if they are whole milliseconds that a date can have.
    fn date_ms(&mut self) -> Result<Option<i64>, ValueError> {
        let seconds = match self.next_type()? {
            Type::F16 | Type::F32 | Type::F64 => self.float()?,
            Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
                self.integer()? as f64
            }
            _ => return Ok(None),
        };
        // Far from 1970 the product is off by one, because the seconds have no bits left below the millisecond.
        let about = (seconds * 1000.0).round();
        let ms = [about, about - 1.0, about + 1.0].into_iter().find(|ms| ms / 1000.0 == seconds);
        Ok(ms.filter(|ms| ms.abs() <= DATE_MS_MAX).map(|ms| ms as i64))
    }
}

const MAP_OPEN: &str = "[\"$Map\",[";

fn big_to_text(tag: u64, magnitude: &[u8]) -> String {
    let magnitude = BigUint::from_bytes_be(magnitude);
    if tag == TAG_BIG_NEGATIVE { format!("-{}", magnitude + 1u8) } else { magnitude.to_string() }
}

/// Appends what the value looks like.
fn write_display(out: &mut String, value: impl std::fmt::Display) -> Result<(), ValueError> {
    // Writing to a string fails only if the value's own formatting does.
    write!(out, "{value}").map_err(|_| ValueError::TooLarge)
}
