//! A client's value as an actor sees it, and back.
//!
//! An actor sees JSON text in which two-element arrays whose first element starts with `$` are tags (`wit/types.wit`, type
//! `json`). A client sends CBOR in one of two dialects, or such JSON text itself.

use crate::ValueError;
use crate::from_cbor::FromCbor;
use crate::json::Reader;
use crate::to_cbor::ToCbor;
use growqr_types::Json;

/// A dialect of CBOR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CborFlavor {
    /// Inside BARE messages and in an actor's input: the client writes its tags as arrays inside the CBOR, and escapes arrays that
    /// look like one. They pass as they are in both directions.
    Compat,
    /// The `cbor` encoding: the client sends its natural CBOR and escapes nothing, so arrays that look like a tag are escaped here.
    /// What it receives it treats as `Compat`, so natural CBOR and escaped arrays are sent to it.
    Direct,
}

/// Reads one CBOR value as JSON text.
///
/// Numbers follow the official JavaScript client: it writes integers beyond 32 bits as floats, so a whole float beyond 32 bits and
/// within the 53 bits that a float holds exactly reads as an integer. Other floats keep their point (`3.0`). A map key that comes
/// twice is kept twice. A text that comes in pieces is joined.
pub fn cbor_to_json(bytes: &[u8], flavor: CborFlavor) -> Result<Json, ValueError> {
    // Most values grow a little: quotes become more than CBOR's length bytes.
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 2 + 16);
    let mut reader = FromCbor::new(bytes, flavor);
    reader.value(&mut text)?;
    reader.end()?;
    Ok(text)
}

/// Writes JSON text as one CBOR value.
///
/// The inverse of `cbor_to_json`: whole numbers beyond 32 bits and within 53 are written as floats, because the official
/// JavaScript client would make a `BigInt` of them otherwise, which its users can't calculate with.
pub fn json_to_cbor(json: &str, flavor: CborFlavor) -> Result<Vec<u8>, ValueError> {
    let mut bytes = Vec::with_capacity(json.len() + 8);
    append_cbor(&mut bytes, json, flavor)?;
    Ok(bytes)
}

/// Appends the value to bytes that a message already has.
pub(crate) fn append_cbor(bytes: &mut Vec<u8>, json: &str, flavor: CborFlavor) -> Result<(), ValueError> {
    let mut writer = ToCbor::new(json, flavor, bytes)?;
    writer.value()?;
    writer.end()
}

/// Checks syntax and depth of one JSON value, which then can be passed on verbatim.
pub fn check_json(text: &str) -> Result<(), ValueError> {
    let mut reader = Reader::new(text)?;
    reader.skip_value(0)?;
    reader.end()
}

/// Reads an actor's input: the CBOR of `rvt-input` and of the REST field `input`, after base64.
pub fn input_to_json(cbor: &[u8]) -> Result<Json, ValueError> {
    cbor_to_json(cbor, CborFlavor::Compat)
}
