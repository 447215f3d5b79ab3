//! Values as they cross the boundary: JSON text that carries tags for what JSON can't say.
//!
//! A tag is an array of two whose first element is text that starts with `$` (`wit/types.wit`, type `json`). Most messages have
//! none, and cost one search for `"$`. With tags, a typed value reads them as what they stand for: `$Undefined` as null, `$Date`
//! as milliseconds, `$BigInt` as a number if it fits, `$Set` as a list. [`Bytes`] is `$Uint8Array`, and [`Json`] keeps all as it came.
//!
//! Invariant: text of the actor's own that only looks like a tag leaves with one more `$`, so that no client misreads it.

use crate::{Fail, Result};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::any::TypeId;
use std::borrow::Cow;

/// Any value, passed on exactly as it came.
#[derive(Debug, Clone)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The JSON of a value.
    pub fn new(value: &(impl Serialize + ?Sized)) -> Result<Self> {
        Self::from_text(encode(value)?)
    }

    /// Takes JSON text. Refuses what is not JSON.
    pub fn from_text(text: String) -> Result<Self> {
        RawValue::from_string(text).map(Self).map_err(Fail::internal)
    }

    /// `null`.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// Whether it is `null`, or JavaScript's `undefined`.
    pub fn is_null(&self) -> bool {
        matches!(self.text(), "null" | UNDEFINED)
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// The text.
    pub fn into_text(self) -> String {
        Box::<str>::from(self.0).into_string()
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::null()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if !self.text().contains(TAG_START) {
            return self.0.serialize(serializer);
        }
        let marked = self.text().replace(TAG_START, MARKED_START);
        RawValue::from_string(marked).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// Bytes, which a JavaScript client sees as a `Uint8Array`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        (MARKED_BYTES, to_base64(&self.0)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let (tag, text) = <(String, String)>::deserialize(deserializer)?;
        if !matches!(tag.trim_start_matches(MARK).trim_start_matches('$'), "Uint8Array" | "ArrayBuffer") {
            return Err(D::Error::custom("expected bytes"));
        }
        from_base64(&text).map(Self).ok_or_else(|| D::Error::custom("expected base64"))
    }
}

const UNDEFINED: &str = r#"["$Undefined",0]"#;
const TAG_START: &str = r#"["$"#;
const ESCAPED_START: &str = r#"["$$"#;
/// Stands before the `$` of a tag that is meant as one while a value is being written. It is a Unicode noncharacter, which no text holds.
const MARK: char = '\u{fdd0}';
const MARKED_START: &str = "[\"\u{fdd0}$";
const MARKED_BYTES: &str = "\u{fdd0}$Uint8Array";

/// Reads a value, tags included.
pub(crate) fn decode<T: DeserializeOwned + 'static>(text: &str) -> std::result::Result<T, String> {
    let plain = || serde_json::from_str(text).map_err(|error| error.to_string());
    if !text.contains(TAG_START) || TypeId::of::<T>() == TypeId::of::<Json>() {
        return plain();
    }
    let tags_meant = || serde_json::from_value(untagged(serde_json::from_str(text)?));
    // Where the actor's type can hold tags (`Bytes`, or `Json` in a field) they stay. An escape never does, and a `Value` has none.
    if text.contains(ESCAPED_START) || TypeId::of::<T>() == TypeId::of::<Value>() {
        return tags_meant().map_err(|error: serde_json::Error| error.to_string());
    }
    if text == UNDEFINED {
        return serde_json::from_str("null").map_err(|error| error.to_string());
    }
    plain().or_else(|first| tags_meant().map_err(|_| first))
}

/// Replaces the tags that plain JSON has something for.
fn untagged(value: Value) -> Value {
    match value {
        Value::Array(items) => match <[Value; 2]>::try_from(items) {
            Ok([Value::String(tag), content]) if tag.starts_with('$') => untag(tag, content),
            Ok(pair) => Value::Array(pair.into_iter().map(untagged).collect()),
            Err(items) => Value::Array(items.into_iter().map(untagged).collect()),
        },
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, untagged(value))).collect(),
        other => other,
    }
}

fn untag(tag: String, content: Value) -> Value {
    match (&tag[1..], content) {
        ("Undefined", _) => Value::Null,
        ("Date", ms) => ms,
        ("Set", items) => untagged(items),
        ("BigInt", Value::String(digits)) => match digits.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => digits.parse::<u64>().map_or(Value::String(digits), Value::from),
        },
        ("Number", Value::String(text)) if text == "-0" => (-0.0).into(),
        (rest, content) if rest.starts_with('$') => Value::Array(vec![rest.into(), untagged(content)]),
        (_, content) => Value::Array(vec![tag.into(), untagged(content)]),
    }
}

/// Writes a value, so that only meant tags are tags.
pub(crate) fn encode(value: &(impl Serialize + ?Sized)) -> Result<String> {
    let text = serde_json::to_string(value).map_err(Fail::internal)?;
    Ok(if needs_escape(&text) { escaped(&text) } else { text })
}

/// The second half of [`encode`], for text that `serde_json` has written.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if needs_escape(text) { escaped(text).into() } else { text.into() }
}

fn needs_escape(text: &str) -> bool {
    text.contains(TAG_START) || text.contains(MARKED_START)
}

/// Adds a `$` to each real array of two that begins with text that starts with `$`, and takes the marks away.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    loop {
        // Strings are skipped as a whole, so that what they hold is not taken for structure.
        let Some(at) = rest.find(['[', '"']) else { return out + rest };
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with(MARKED_START) {
            out.push_str(TAG_START);
            rest = &rest[MARKED_START.len()..];
            let end = string_end(rest);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if rest.starts_with(TAG_START) && is_pair(rest) {
            out.push_str(ESCAPED_START);
            rest = &rest[TAG_START.len()..];
            let end = string_end(rest);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if let Some(inside) = rest.strip_prefix('"') {
            let end = 1 + string_end(inside);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else {
            out.push('[');
            rest = &rest[1..];
        }
    }
}

/// Where a string ends, its closing quote included; `text` begins inside it.
fn string_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Whether the array at the start of the text has two elements.
fn is_pair(text: &str) -> bool {
    let (mut depth, mut commas, mut at) = (0usize, 0, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at += string_end(&text[at + 1..]),
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 1 => return commas == 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => commas += 1,
            _ => {}
        }
        at += 1;
    }
    false
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn to_base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let digit = (bits >> (18 - 6 * index)) & 63;
            out.push(if index <= chunk.len() { char::from(ALPHABET[digit as usize]) } else { '=' });
        }
    }
    out
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.as_bytes().chunks(4) {
        let mut bits = 0u32;
        for byte in chunk {
            bits = bits << 6 | ALPHABET.iter().position(|digit| digit == byte)? as u32;
        }
        bits <<= 6 * (4 - chunk.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: DeserializeOwned + PartialEq + std::fmt::Debug + 'static>(text: &str, expected: T) {
        assert_eq!(decode::<T>(text), Ok(expected), "{text}");
    }

    #[track_caller]
    fn check_out(value: impl Serialize, expected: &str) {
        assert_eq!(encode(&value).unwrap(), expected);
    }

    #[test]
    fn a_typed_value_reads_tags_as_what_they_stand_for() {
        check::<Option<i64>>(r#"["$Undefined",0]"#, None);
        check::<i64>(r#"["$BigInt","5"]"#, 5);
        check::<u64>(r#"["$Date",1700000000000]"#, 1_700_000_000_000);
        check::<Vec<i64>>(r#"["$Set",[1,2]]"#, vec![1, 2]);
        check::<Value>(r#"{"a":["$Undefined",0]}"#, serde_json::json!({"a": null}));
    }

    #[test]
    fn text_that_only_looks_like_a_tag_comes_and_goes_unharmed() {
        check::<Vec<String>>(r#"["$$Date","5"]"#, vec!["$Date".into(), "5".into()]);
        check_out(["$Date", "5"], r#"["$$Date","5"]"#);
        check_out(["$Date", "5", "6"], r#"["$Date","5","6"]"#);
        check_out(("$x", vec!["$y", "[\"$z\",1]"]), r#"["$$x",["$$y","[\"$z\",1]"]]"#);
        check_out("[\"$x\",1]", r#""[\"$x\",1]""#);
        check_out(("$x", serde_json::json!({"a": ["]", ","]})), r#"["$$x",{"a":["]",","]}]"#);
    }

    #[test]
    fn any_value_is_passed_on_unchanged() {
        for text in [r#"["$Date",5]"#, r#"["$$x",1]"#, r#"{"a":["$Uint8Array","AQI="]}"#, r#"["$Undefined",0]"#, "null"]
        {
            let json: Json = decode(text).unwrap();
            assert_eq!(encode(&json).unwrap(), text);
            assert_eq!(encode(&(json, 1)).unwrap(), format!("[{text},1]"));
        }
    }

    #[test]
    fn bytes_are_a_tag() {
        for (bytes, text) in
            [(&b""[..], ""), (b"a", "YQ=="), (b"ab", "YWI="), (b"abc", "YWJj"), (b"\xff\xfe\xfd\xfc", "//79/A==")]
        {
            let expected = format!(r#"["$Uint8Array","{text}"]"#);
            check_out(Bytes(bytes.to_vec()), &expected);
            check(&expected, Bytes(bytes.to_vec()));
        }
        assert!(decode::<Bytes>(r#"["$Uint8Array","?"]"#).is_err());
        assert!(decode::<Bytes>(r#"["$Date",5]"#).is_err());
    }
}
