//! Bodies of HTTP requests and responses.

use crate::bare;
use crate::envelope::{
    bare_args, cbor_args, cbor_boolean, cbor_fields, cbor_metadata, cbor_optional_number, cbor_optional_text,
    json_args, json_value, push_bare_actor, push_bare_error, push_cbor_actor, push_cbor_text_field, push_json_error,
    whole_number,
};
use crate::from_cbor::FromCbor;
use crate::json;
use crate::portable::push_json_value;
use crate::to_cbor::{self, write_head};
use crate::values::{CborFlavor, append_cbor, cbor_to_json, json_to_cbor};
use crate::{DecodeError, Encoding, ValueError};
use growqr_types::{Failure, Json};
use serde::Deserialize;
use serde_json::value::RawValue;

const NOT_THE_ENVELOPE: DecodeError = DecodeError::Envelope("the body is not an object with the expected fields");

/// A message for one of an actor's queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSend {
    /// The message.
    pub body: Json,
    /// The queue, if the body names one; the path names it too.
    pub name: Option<String>,
    /// Whether the sender waits until the message is completed.
    pub wait: bool,
    /// How long it waits.
    pub timeout_ms: Option<u64>,
}

/// Which actor an error comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActorSpecifier<'a> {
    /// The actor.
    pub actor_id: &'a str,
    /// Its generation.
    pub generation: u32,
    /// Its key in the REST spelling.
    pub key: Option<&'a str>,
}

#[derive(Deserialize)]
struct JsonActionRequest<'a> {
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

/// Reads the body of an action call: the arguments as a JSON array. No arguments are `[]`, and what is no list is the only argument.
pub fn decode_action_request(encoding: Encoding, body: &[u8]) -> Result<Json, DecodeError> {
    match encoding {
        Encoding::Json => {
            let request: JsonActionRequest<'_> = serde_json::from_slice(body).map_err(|_| NOT_THE_ENVELOPE)?;
            json_args(request.args)
        }
        Encoding::Cbor => {
            let mut reader = FromCbor::new(body, CborFlavor::Direct);
            let mut args = None;
            cbor_fields(&mut reader, |name, reader| {
                match name {
                    "args" => args = Some(cbor_args(reader)?),
                    _ => reader.skip()?,
                }
                Ok(())
            })?;
            reader.end()?;
            Ok(args.unwrap_or_else(|| "[]".to_owned()))
        }
        Encoding::Bare => {
            let (mut reader, _) = bare::Reader::new(body)?;
            let args = reader.data()?;
            reader.end()?;
            bare_args(args)
        }
    }
}

/// Writes the body of an action's answer.
pub fn encode_action_response(encoding: Encoding, output: &str) -> Result<Vec<u8>, ValueError> {
    match encoding {
        Encoding::Json => {
            let mut out = String::with_capacity(output.len() + 16);
            out.push_str("{\"output\":");
            push_json_value(&mut out, output)?;
            out.push('}');
            Ok(out.into_bytes())
        }
        Encoding::Cbor => {
            let mut out = Vec::with_capacity(output.len() + 16);
            write_head(&mut out, to_cbor::MAJOR_MAP, 1);
            to_cbor::write_text(&mut out, "output");
            append_cbor(&mut out, output, CborFlavor::Direct)?;
            Ok(out)
        }
        Encoding::Bare => {
            let mut out = bare::start(output.len());
            bare::write_data(&mut out, &json_to_cbor(output, CborFlavor::Compat)?);
            Ok(out)
        }
    }
}

#[derive(Deserialize)]
struct JsonQueueSend<'a> {
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    name: Option<String>,
    wait: Option<bool>,
    timeout: Option<f64>,
}

/// Reads the body of a queue message. A timeout that is no whole number of milliseconds is rounded down.
pub fn decode_queue_send(encoding: Encoding, body: &[u8]) -> Result<QueueSend, DecodeError> {
    match encoding {
        Encoding::Json => {
            let send: JsonQueueSend<'_> = serde_json::from_slice(body).map_err(|_| NOT_THE_ENVELOPE)?;
            let timeout_ms = match send.timeout {
                Some(timeout) => Some(
                    whole_number(timeout.floor())
                        .ok_or(DecodeError::Envelope("the timeout is not a number of milliseconds"))?,
                ),
                None => None,
            };
            Ok(QueueSend {
                body: json_value(send.body)?,
                name: send.name,
                wait: send.wait.unwrap_or(false),
                timeout_ms,
            })
        }
        Encoding::Cbor => cbor_queue_send(body),
        Encoding::Bare => {
            let (mut reader, version) = bare::Reader::new(body)?;
            if version < bare::VERSION_OF_QUEUES {
                return Err(DecodeError::Version(version));
            }
            let message = reader.data()?;
            let name = reader.optional(bare::Reader::text)?;
            let wait = reader.optional(bare::Reader::boolean)?;
            let timeout_ms = reader.optional(bare::Reader::fixed_u64)?;
            reader.end()?;
            Ok(QueueSend {
                body: cbor_to_json(message, CborFlavor::Compat)?,
                name: name.map(str::to_owned),
                wait: wait.unwrap_or(false),
                timeout_ms,
            })
        }
    }
}

fn cbor_queue_send(body: &[u8]) -> Result<QueueSend, DecodeError> {
    let mut reader = FromCbor::new(body, CborFlavor::Direct);
    let mut send = QueueSend { body: String::new(), name: None, wait: false, timeout_ms: None };
    cbor_fields(&mut reader, |name, reader| {
        match name {
            "body" => {
                send.body.clear();
                reader.value(&mut send.body)?;
            }
            "name" => send.name = cbor_optional_text(reader)?,
            "wait" => send.wait = cbor_boolean(reader)?,
            "timeout" => send.timeout_ms = cbor_optional_number(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    reader.end()?;
    if send.body.is_empty() {
        send.body.push_str("null");
    }
    Ok(send)
}

/// Writes the answer to a queue message.
pub fn encode_queue_response(encoding: Encoding, status: &str, response: Option<&str>) -> Result<Vec<u8>, ValueError> {
    match encoding {
        Encoding::Json => {
            let mut out = String::from("{\"status\":");
            json::write_string(&mut out, status);
            if let Some(response) = response {
                out.push_str(",\"response\":");
                push_json_value(&mut out, response)?;
            }
            out.push('}');
            Ok(out.into_bytes())
        }
        Encoding::Cbor => {
            let mut out = Vec::new();
            write_head(&mut out, to_cbor::MAJOR_MAP, 1 + u64::from(response.is_some()));
            push_cbor_text_field(&mut out, "status", status);
            if let Some(response) = response {
                to_cbor::write_text(&mut out, "response");
                append_cbor(&mut out, response, CborFlavor::Direct)?;
            }
            Ok(out)
        }
        Encoding::Bare => {
            let response = response.map(|response| json_to_cbor(response, CborFlavor::Compat)).transpose()?;
            let mut out = bare::start(status.len());
            bare::write_text(&mut out, status);
            bare::write_optional(&mut out, response.as_deref(), bare::write_data);
            Ok(out)
        }
    }
}

/// Writes the body of an error. Metadata that can't be written is left out, because the error itself matters more.
pub fn encode_http_error(encoding: Encoding, failure: &Failure, actor: Option<&ActorSpecifier<'_>>) -> Vec<u8> {
    match encoding {
        Encoding::Json => {
            let mut out = String::from("{");
            push_json_error(&mut out, failure, actor);
            out.into_bytes()
        }
        Encoding::Cbor => {
            let metadata = cbor_metadata(failure, CborFlavor::Direct);
            let mut out = Vec::new();
            write_head(&mut out, to_cbor::MAJOR_MAP, 3 + u64::from(actor.is_some()) + u64::from(metadata.is_some()));
            if let Some(actor) = actor {
                to_cbor::write_text(&mut out, "actor");
                push_cbor_actor(&mut out, actor, false);
            }
            push_cbor_text_field(&mut out, "code", &failure.code);
            push_cbor_text_field(&mut out, "group", &failure.group);
            push_cbor_text_field(&mut out, "message", &failure.message);
            if let Some(metadata) = metadata {
                to_cbor::write_text(&mut out, "metadata");
                out.extend_from_slice(&metadata);
            }
            out
        }
        Encoding::Bare => {
            let mut out = bare::start(failure.message.len());
            push_bare_error(&mut out, failure);
            push_bare_actor(&mut out, actor);
            out
        }
    }
}
