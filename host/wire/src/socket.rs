//! Frames of a `connect()` socket.

use crate::bare;
use crate::envelope::{
    bare_args, cbor_args, cbor_boolean, cbor_fields, cbor_metadata, cbor_optional_number, cbor_optional_text,
    json_args, push_bare_actor, push_bare_error, push_cbor_actor, push_cbor_text_field, push_json_error, whole_number,
};
use crate::from_cbor::FromCbor;
use crate::json::{self, Reader};
use crate::portable::push_json_value;
use crate::to_cbor::{self, write_head};
use crate::values::{CborFlavor, append_cbor, json_to_cbor};
use crate::{ActorSpecifier, DecodeError, Encoding, ValueError};
use bytes::Bytes;
use growqr_types::{Failure, Json};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToServer {
    /// Calls an action.
    Action {
        /// Chosen by the client; the answer carries it.
        id: u64,
        /// The action.
        name: String,
        /// A JSON array.
        args: Json,
    },
    /// Begins or ends a subscription.
    Subscription {
        /// The event.
        event: String,
        /// Begin or end.
        subscribe: bool,
    },
}

const NOT_THE_ENVELOPE: DecodeError = DecodeError::Envelope("the frame is not a message of the client protocol");

/// The fields of both messages; the tag says which of them must be there.
#[derive(Default)]
struct Fields {
    id: Option<u64>,
    name: Option<String>,
    args: Option<Json>,
    event: Option<String>,
    subscribe: bool,
}

impl Fields {
    fn message(self, tag: &str) -> Result<ToServer, DecodeError> {
        match tag {
            "ActionRequest" => Ok(ToServer::Action {
                id: self.id.ok_or(NOT_THE_ENVELOPE)?,
                name: self.name.ok_or(NOT_THE_ENVELOPE)?,
                args: self.args.unwrap_or_else(|| "[]".to_owned()),
            }),
            "SubscriptionRequest" => {
                Ok(ToServer::Subscription { event: self.event.ok_or(NOT_THE_ENVELOPE)?, subscribe: self.subscribe })
            }
            _ => Err(NOT_THE_ENVELOPE),
        }
    }
}

/// Reads a frame of a client. JSON frames come as their UTF-8 bytes.
pub fn decode_to_server(encoding: Encoding, frame: &[u8]) -> Result<ToServer, DecodeError> {
    match encoding {
        Encoding::Json => json_to_server(frame),
        Encoding::Cbor => cbor_to_server(frame),
        Encoding::Bare => bare_to_server(frame),
    }
}

#[derive(Deserialize)]
struct JsonToServer<'a> {
    #[serde(borrow)]
    body: JsonBody<'a>,
}

#[derive(Deserialize)]
struct JsonBody<'a> {
    #[serde(borrow)]
    tag: Cow<'a, str>,
    #[serde(borrow)]
    val: JsonFields<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonFields<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    name: Option<String>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    event_name: Option<String>,
    subscribe: Option<bool>,
}

fn json_to_server(frame: &[u8]) -> Result<ToServer, DecodeError> {
    let frame: JsonToServer<'_> = serde_json::from_slice(frame).map_err(|_| NOT_THE_ENVELOPE)?;
    let fields = frame.body.val;
    Fields {
        id: fields.id.map(json_id).transpose()?,
        name: fields.name,
        args: Some(json_args(fields.args)?),
        event: fields.event_name,
        subscribe: fields.subscribe.unwrap_or(false),
    }
    .message(&frame.body.tag)
}

/// Reads `["$BigInt","5"]` or `5`.
fn json_id(id: &RawValue) -> Result<u64, DecodeError> {
    let text = id.get();
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let tagged: Result<(Cow<'_, str>, Cow<'_, str>), _> = serde_json::from_str(text);
    let id = match tagged {
        Ok((tag, digits)) if tag == "$BigInt" => digits.parse().ok(),
        Ok(_) => None,
        Err(_) => serde_json::from_str(text).ok().and_then(whole_number),
    };
    id.ok_or(DecodeError::Envelope("the id of an action is not a whole number of 64 bits"))
}

fn cbor_to_server(frame: &[u8]) -> Result<ToServer, DecodeError> {
    let mut reader = FromCbor::new(frame, CborFlavor::Direct);
    let mut tag = None;
    let mut fields = Fields::default();
    cbor_fields(&mut reader, |name, reader| match name {
        "body" => cbor_fields(reader, |name, reader| {
            match name {
                "tag" => tag = cbor_optional_text(reader)?,
                "val" => fields = cbor_message_fields(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        }),
        _ => Ok(reader.skip()?),
    })?;
    reader.end()?;
    fields.message(tag.as_deref().unwrap_or_default())
}

fn cbor_message_fields(reader: &mut FromCbor<'_>) -> Result<Fields, DecodeError> {
    let mut fields = Fields::default();
    cbor_fields(reader, |name, reader| {
        match name {
            "id" => fields.id = cbor_optional_number(reader)?,
            "name" => fields.name = cbor_optional_text(reader)?,
            "args" => fields.args = Some(cbor_args(reader)?),
            "eventName" => fields.event = cbor_optional_text(reader)?,
            "subscribe" => fields.subscribe = cbor_boolean(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(fields)
}

/// Which member of the union `ToServer` follows.
const TO_SERVER_ACTION_REQUEST: u64 = 0;
const TO_SERVER_SUBSCRIPTION_REQUEST: u64 = 1;
/// Which member of the union `ToClient` follows. Below 128 such a number is one byte.
const TO_CLIENT_INIT: u8 = 0;
const TO_CLIENT_ERROR: u8 = 1;
const TO_CLIENT_ACTION_RESPONSE: u8 = 2;
const TO_CLIENT_EVENT: u8 = 3;

fn bare_to_server(frame: &[u8]) -> Result<ToServer, DecodeError> {
    let (mut reader, _) = bare::Reader::new(frame)?;
    match reader.uint()? {
        TO_SERVER_ACTION_REQUEST => {
            let id = reader.uint()?;
            let name = reader.text()?;
            let args = reader.data()?;
            reader.end()?;
            Ok(ToServer::Action { id, name: name.to_owned(), args: bare_args(args)? })
        }
        TO_SERVER_SUBSCRIPTION_REQUEST => {
            let event = reader.text()?.to_owned();
            let subscribe = reader.boolean()?;
            reader.end()?;
            Ok(ToServer::Subscription { event, subscribe })
        }
        _ => Err(NOT_THE_ENVELOPE),
    }
}

/// Starts `{"body":{"tag":...,"val":...` in CBOR; the value follows.
fn cbor_start(tag: &str, bytes_about: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes_about + 64);
    write_head(&mut out, to_cbor::MAJOR_MAP, 1);
    to_cbor::write_text(&mut out, "body");
    write_head(&mut out, to_cbor::MAJOR_MAP, 2);
    push_cbor_text_field(&mut out, "tag", tag);
    to_cbor::write_text(&mut out, "val");
    out
}

/// Starts a BARE message of the union's member.
fn bare_start(member: u8, bytes_about: usize) -> Vec<u8> {
    let mut out = bare::start(bytes_about);
    out.push(member);
    out
}

/// Writes the first frame of a connection.
pub fn encode_init(encoding: Encoding, actor_id: &str, connection_id: &str) -> Bytes {
    match encoding {
        Encoding::Json => {
            let mut out = String::from("{\"body\":{\"tag\":\"Init\",\"val\":{\"actorId\":");
            json::write_string(&mut out, actor_id);
            out.push_str(",\"connectionId\":");
            json::write_string(&mut out, connection_id);
            out.push_str("}}}");
            out.into()
        }
        Encoding::Cbor => {
            let mut out = cbor_start("Init", actor_id.len() + connection_id.len());
            write_head(&mut out, to_cbor::MAJOR_MAP, 2);
            push_cbor_text_field(&mut out, "actorId", actor_id);
            push_cbor_text_field(&mut out, "connectionId", connection_id);
            out.into()
        }
        Encoding::Bare => {
            let mut out = bare_start(TO_CLIENT_INIT, actor_id.len() + connection_id.len());
            bare::write_text(&mut out, actor_id);
            bare::write_text(&mut out, connection_id);
            out.into()
        }
    }
}

/// Writes an action's answer.
pub fn encode_response(encoding: Encoding, id: u64, output: &str) -> Result<Bytes, ValueError> {
    Ok(match encoding {
        Encoding::Json => {
            let mut out = String::with_capacity(output.len() + 80);
            out.push_str("{\"body\":{\"tag\":\"ActionResponse\",\"val\":{\"id\":[\"$BigInt\",\"");
            out.push_str(&id.to_string());
            out.push_str("\"],\"output\":");
            push_json_value(&mut out, output)?;
            out.push_str("}}}");
            out.into()
        }
        Encoding::Cbor => {
            let mut out = cbor_start("ActionResponse", output.len());
            write_head(&mut out, to_cbor::MAJOR_MAP, 2);
            to_cbor::write_text(&mut out, "id");
            to_cbor::write_wide(&mut out, to_cbor::MAJOR_UNSIGNED, id);
            to_cbor::write_text(&mut out, "output");
            append_cbor(&mut out, output, CborFlavor::Direct)?;
            out.into()
        }
        Encoding::Bare => {
            let output = json_to_cbor(output, CborFlavor::Compat)?;
            let mut out = bare_start(TO_CLIENT_ACTION_RESPONSE, output.len());
            bare::write_uint(&mut out, id);
            bare::write_data(&mut out, &output);
            out.into()
        }
    })
}

/// Writes the error of an action, or of the whole connection when there is no action. Metadata that can't be written is left out.
pub fn encode_error(
    encoding: Encoding,
    action_id: Option<u64>,
    failure: &Failure,
    actor: Option<&ActorSpecifier<'_>>,
) -> Bytes {
    match encoding {
        Encoding::Json => {
            let mut out = String::from("{\"body\":{\"tag\":\"Error\",\"val\":{\"actionId\":");
            match action_id {
                Some(id) => out.push_str(&format!("[\"$BigInt\",\"{id}\"],")),
                None => out.push_str("null,"),
            }
            push_json_error(&mut out, failure, actor);
            out.push_str("}}");
            out.into()
        }
        Encoding::Cbor => cbor_error(action_id, failure, actor),
        Encoding::Bare => {
            let mut out = bare_start(TO_CLIENT_ERROR, failure.message.len());
            push_bare_error(&mut out, failure);
            bare::write_optional(&mut out, action_id, bare::write_uint);
            push_bare_actor(&mut out, actor);
            out.into()
        }
    }
}

fn cbor_error(action_id: Option<u64>, failure: &Failure, actor: Option<&ActorSpecifier<'_>>) -> Bytes {
    let metadata = cbor_metadata(failure, CborFlavor::Direct);
    let mut out = cbor_start("Error", failure.message.len());
    write_head(&mut out, to_cbor::MAJOR_MAP, 4 + u64::from(metadata.is_some()) + u64::from(actor.is_some()));
    push_cbor_text_field(&mut out, "group", &failure.group);
    push_cbor_text_field(&mut out, "code", &failure.code);
    push_cbor_text_field(&mut out, "message", &failure.message);
    if let Some(metadata) = metadata {
        to_cbor::write_text(&mut out, "metadata");
        out.extend_from_slice(&metadata);
    }
    if let Some(actor) = actor {
        to_cbor::write_text(&mut out, "actor");
        push_cbor_actor(&mut out, actor, true);
    }
    to_cbor::write_text(&mut out, "actionId");
    match action_id {
        Some(id) => to_cbor::write_wide(&mut out, to_cbor::MAJOR_UNSIGNED, id),
        None => out.push(to_cbor::SIMPLE_NULL),
    }
    out.into()
}

/// Writes an event; `args` is a JSON array.
pub fn encode_event(encoding: Encoding, name: &str, args: &str) -> Result<Bytes, ValueError> {
    Ok(match encoding {
        Encoding::Json => {
            let mut out = String::with_capacity(args.len() + name.len() + 64);
            out.push_str("{\"body\":{\"tag\":\"Event\",\"val\":{\"args\":");
            push_json_value(&mut out, args)?;
            out.push_str(",\"name\":");
            json::write_string(&mut out, name);
            out.push_str("}}}");
            out.into()
        }
        Encoding::Cbor => {
            let mut out = cbor_start("Event", args.len() + name.len());
            write_head(&mut out, to_cbor::MAJOR_MAP, 2);
            push_cbor_text_field(&mut out, "name", name);
            to_cbor::write_text(&mut out, "args");
            append_cbor(&mut out, args, CborFlavor::Direct)?;
            out.into()
        }
        Encoding::Bare => {
            let args = json_to_cbor(args, CborFlavor::Compat)?;
            let mut out = bare_start(TO_CLIENT_EVENT, args.len() + name.len());
            bare::write_text(&mut out, name);
            bare::write_data(&mut out, &args);
            out.into()
        }
    })
}

/// Appends one value to a JSON array. Text that is no array counts as the only argument before it.
///
/// The escape of arrays that look like a tag depends on their length, so it is added or taken away where the length changes.
pub fn with_extra_argument(args: &str, extra: &str) -> String {
    let Some(items) = items_of(args) else { return format!("[{},{extra}]", args.trim()) };
    match items.as_slice() {
        [] => format!("[{extra}]"),
        [only] if only.starts_with("\"$") => format!("[{},{extra}]", only.replacen('$', "$$", 1)),
        [first, second] if first.starts_with("\"$$") => format!("[{},{second},{extra}]", first.replacen("$$", "$", 1)),
        items => format!("[{},{extra}]", items.join(",")),
    }
}

fn items_of(args: &str) -> Option<Vec<&str>> {
    let mut reader = Reader::new(args).ok()?;
    reader.peek();
    reader.open(b'[', 0).ok()?;
    let mut items = Vec::new();
    let mut more = !reader.take(b']');
    while more {
        items.push(reader.skip_value(1).ok()?);
        more = reader.next_item(b']').ok()?;
    }
    reader.end().ok()?;
    Some(items)
}
