//! Parts that several messages share: the value inside an envelope, and the fields of an error.

use crate::bare;
use crate::from_cbor::FromCbor;
use crate::json;
use crate::portable::push_json_value;
use crate::to_cbor::{self, write_head};
use crate::values::{self, CborFlavor, cbor_to_json, check_json};
use crate::{ActorSpecifier, DecodeError};
use growqr_types::{Failure, Json};
use minicbor::data::Type;
use serde_json::value::RawValue;

/// The list of arguments that a JSON value stands for: nothing is none, and what is no list is the only one.
pub(crate) fn json_args(args: Option<&RawValue>) -> Result<Json, DecodeError> {
    let Some(args) = args else { return Ok("[]".to_owned()) };
    let args = args.get();
    check_json(args)?;
    Ok(match args.as_bytes().first() {
        Some(b'[') => args.to_owned(),
        Some(b'n') => "[]".to_owned(),
        _ => format!("[{args}]"),
    })
}

/// A JSON value, checked.
pub(crate) fn json_value(value: Option<&RawValue>) -> Result<Json, DecodeError> {
    let Some(value) = value else { return Ok("null".to_owned()) };
    check_json(value.get())?;
    Ok(value.get().to_owned())
}

/// The same leniency for the value at the reader's position.
pub(crate) fn cbor_args(reader: &mut FromCbor<'_>) -> Result<Json, DecodeError> {
    let kind = reader.next_type()?;
    let mut args = String::new();
    reader.value(&mut args)?;
    Ok(match kind {
        Type::Array | Type::ArrayIndef => args,
        Type::Null | Type::Undefined => "[]".to_owned(),
        _ => format!("[{args}]"),
    })
}

/// The same for the CBOR inside a BARE message.
pub(crate) fn bare_args(data: &[u8]) -> Result<Json, DecodeError> {
    // The first three bits of an array's head are its type.
    if data.first().is_some_and(|byte| byte & 0xe0 == to_cbor::MAJOR_ARRAY) {
        return Ok(cbor_to_json(data, CborFlavor::Compat)?);
    }
    let mut reader = FromCbor::new(data, CborFlavor::Compat);
    let args = cbor_args(&mut reader)?;
    reader.end()?;
    Ok(args)
}

/// Calls `field` with the name of each field of the map at the reader's position; it takes the value.
pub(crate) fn cbor_fields<'b>(
    reader: &mut FromCbor<'b>,
    mut field: impl FnMut(&str, &mut FromCbor<'b>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let len = reader.map_head()?;
    let mut count = 0;
    let mut name = String::new();
    while reader.more(len, count)? {
        name.clear();
        reader.text(&mut name)?;
        field(&name, reader)?;
        count += 1;
    }
    Ok(())
}

/// Takes a text, or nothing.
pub(crate) fn cbor_optional_text(reader: &mut FromCbor<'_>) -> Result<Option<String>, DecodeError> {
    if is_nothing(reader)? {
        return Ok(None);
    }
    let mut text = String::new();
    reader.text(&mut text)?;
    Ok(Some(text))
}

/// Takes a truth value; nothing is false.
pub(crate) fn cbor_boolean(reader: &mut FromCbor<'_>) -> Result<bool, DecodeError> {
    if is_nothing(reader)? { Ok(false) } else { Ok(reader.boolean()?) }
}

/// Takes a whole number that is not negative, or nothing.
pub(crate) fn cbor_optional_number(reader: &mut FromCbor<'_>) -> Result<Option<u64>, DecodeError> {
    if is_nothing(reader)? {
        return Ok(None);
    }
    let number = match reader.next_type()? {
        Type::F16 | Type::F32 | Type::F64 => whole_number(reader.float()?),
        Type::Array | Type::ArrayIndef => tagged_number(reader)?,
        _ => u64::try_from(reader.integer()?).ok(),
    };
    number.map(Some).ok_or(DecodeError::Envelope("a number is not a whole number of 64 bits"))
}

fn tagged_number(reader: &mut FromCbor<'_>) -> Result<Option<u64>, DecodeError> {
    let mut text = String::new();
    reader.value(&mut text)?;
    Ok(text
        .strip_prefix("[\"$BigInt\",\"")
        .and_then(|text| text.strip_suffix("\"]"))
        .and_then(|text| text.parse().ok()))
}

fn is_nothing(reader: &mut FromCbor<'_>) -> Result<bool, DecodeError> {
    let nothing = matches!(reader.next_type()?, Type::Null | Type::Undefined);
    if nothing {
        reader.skip()?;
    }
    Ok(nothing)
}

/// The number as an integer, if it is one.
pub(crate) fn whole_number(value: f64) -> Option<u64> {
    (value.fract() == 0.0 && (0.0..u64::MAX as f64).contains(&value)).then_some(value as u64)
}

/// The metadata of a failure as CBOR, if it has any that can be written.
pub(crate) fn cbor_metadata(failure: &Failure, flavor: CborFlavor) -> Option<Vec<u8>> {
    values::json_to_cbor(failure.metadata.as_deref()?, flavor).ok()
}

/// The fields of an error in JSON after those that only a socket has, in the order of the official server, and the closing brace.
pub(crate) fn push_json_error(out: &mut String, failure: &Failure, actor: Option<&ActorSpecifier<'_>>) {
    if let Some(actor) = actor {
        out.push_str("\"actor\":{\"actorId\":");
        json::write_string(out, actor.actor_id);
        out.push_str(",\"generation\":");
        out.push_str(&actor.generation.to_string());
        if let Some(key) = actor.key {
            out.push_str(",\"key\":");
            json::write_string(out, key);
        }
        out.push_str("},");
    }
    for (name, text) in
        [("\"code\":", &*failure.code), (",\"group\":", &*failure.group), (",\"message\":", &failure.message)]
    {
        out.push_str(name);
        json::write_string(out, text);
    }
    if let Some(metadata) = &failure.metadata {
        let len = out.len();
        out.push_str(",\"metadata\":");
        if push_json_value(out, metadata).is_err() {
            out.truncate(len);
        }
    }
    out.push('}');
}

/// The specifier in CBOR. A socket's client reads the generation as a `BigInt`.
pub(crate) fn push_cbor_actor(out: &mut Vec<u8>, actor: &ActorSpecifier<'_>, wide: bool) {
    write_head(out, to_cbor::MAJOR_MAP, 2 + u64::from(actor.key.is_some()));
    push_cbor_text_field(out, "actorId", actor.actor_id);
    to_cbor::write_text(out, "generation");
    let write = if wide { to_cbor::write_wide } else { write_head };
    write(out, to_cbor::MAJOR_UNSIGNED, actor.generation.into());
    if let Some(key) = actor.key {
        push_cbor_text_field(out, "key", key);
    }
}

/// A field that is a text.
pub(crate) fn push_cbor_text_field(out: &mut Vec<u8>, name: &str, text: &str) {
    to_cbor::write_text(out, name);
    to_cbor::write_text(out, text);
}

/// The fields that a BARE error has first: group, code, message, metadata.
pub(crate) fn push_bare_error(out: &mut Vec<u8>, failure: &Failure) {
    bare::write_text(out, &failure.group);
    bare::write_text(out, &failure.code);
    bare::write_text(out, &failure.message);
    let metadata = cbor_metadata(failure, CborFlavor::Compat);
    bare::write_optional(out, metadata.as_deref(), bare::write_data);
}

/// The specifier in BARE, which is optional.
pub(crate) fn push_bare_actor(out: &mut Vec<u8>, actor: Option<&ActorSpecifier<'_>>) {
    bare::write_optional(out, actor, |out, actor| {
        bare::write_text(out, actor.actor_id);
        bare::write_uint(out, actor.generation.into());
        bare::write_optional(out, actor.key, bare::write_text);
    });
}
