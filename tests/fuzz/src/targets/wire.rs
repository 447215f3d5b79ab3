//! The messages of the client protocol: frames of a socket and bodies of requests.

use super::shape;
use super::value::{is_json, stays};
use growqr_types::{Failure, codes};
use growqr_wire::{ActorSpecifier, CborFlavor, DecodeError, Encoding, ToServer};

/// Pieces of text that mean something in an envelope.
pub const WORDS: &[&str] = &[
    "\"args\":",
    "\"body\":",
    "\"tag\":",
    "\"val\":",
    "\"id\":",
    "\"timeout\":1.5e3",
    "ActionRequest",
    "SubscriptionRequest",
    "[\"$BigInt\",\"18446744073709551615\"]",
    "\u{4}\0",
];

/// Everything that a client can send in one encoding.
pub fn all(encoding: Encoding, input: &[u8]) -> String {
    let message = growqr_wire::decode_to_server(encoding, input);
    if let Ok(message) = &message {
        frame(encoding, message);
    }
    let action = growqr_wire::decode_action_request(encoding, input);
    if let Ok(args) = &action {
        list(args);
        body_comes_back(args);
    }
    let queue = growqr_wire::decode_queue_send(encoding, input);
    if let Ok(send) = &queue {
        is_json(&send.body);
        assert!(growqr_wire::encode_queue_response(encoding, "completed", Some(&send.body)).is_ok());
    }
    let message = message.map(|message| match message {
        ToServer::Action { id, args, .. } => format!("action {id} {}", shape(&args)),
        ToServer::Subscription { subscribe, .. } => format!("subscription {subscribe}"),
    });
    let queue =
        queue.map(|send| format!("{} {} {} {:?}", shape(&send.body), send.name.is_some(), send.wait, send.timeout_ms));
    [said(message), said(action.map(|args| shape(&args))), said(queue)].concat()
}

fn said(read: Result<String, DecodeError>) -> String {
    read.unwrap_or_else(|error| format!("{error:?}"))
}

fn list(args: &str) {
    is_json(args);
    assert!(args.starts_with('['), "arguments that are no list: {args}");
}

/// A message that was understood can be answered, and says the same when it is written as the official client writes it.
fn frame(encoding: Encoding, message: &ToServer) {
    match message {
        ToServer::Action { id, name, args } => {
            list(args);
            for encoding in [Encoding::Json, Encoding::Cbor, Encoding::Bare] {
                assert!(
                    growqr_wire::encode_response(encoding, *id, args).is_ok(),
                    "an answer that can't be written: {args}"
                );
                assert!(
                    growqr_wire::encode_event(encoding, name, args).is_ok(),
                    "an event that can't be written: {args}"
                );
            }
            refusals(encoding, *id, name, args);
        }
        ToServer::Subscription { event, .. } => {
            assert!(growqr_wire::encode_event(encoding, event, "[]").is_ok());
        }
    }
    let json = json_frame(message);
    let again = growqr_wire::decode_to_server(Encoding::Json, json.as_bytes());
    assert_eq!(again.as_ref(), Ok(message), "{json}");
    if let Some(bare) = bare_frame(message) {
        let again = growqr_wire::decode_to_server(Encoding::Bare, &bare);
        assert_eq!(again.map(without_args), Ok(without_args(message.clone())), "in bytes");
    }
}

/// The error of an action can be written whatever the client called it, and whatever it says beside.
fn refusals(encoding: Encoding, id: u64, name: &str, metadata: &str) {
    let failure: Failure =
        codes::ACTION_NOT_FOUND.with(format!("Action `{name}` was not found.")).metadata(metadata.to_owned());
    let actor = ActorSpecifier { actor_id: name, generation: u32::MAX, key: Some(name) };
    let frame = growqr_wire::encode_error(encoding, Some(id), &failure, Some(&actor));
    let body = growqr_wire::encode_http_error(encoding, &failure, Some(&actor));
    match encoding {
        Encoding::Json => [&frame[..], &body].iter().for_each(|bytes| is_json(&String::from_utf8_lossy(bytes))),
        Encoding::Cbor => [&frame[..], &body]
            .iter()
            .for_each(|bytes| assert!(growqr_wire::cbor_to_json(bytes, CborFlavor::Direct).is_ok(), "{bytes:02x?}")),
        Encoding::Bare => {}
    }
}

/// In binary form the answer of an action has the layout of its arguments, so that one reads what the other wrote.
fn body_comes_back(args: &str) {
    let body =
        growqr_wire::encode_action_response(Encoding::Bare, args).unwrap_or_else(|error| panic!("{args}: {error}"));
    let read = growqr_wire::decode_action_request(Encoding::Bare, &body);
    let read = read.unwrap_or_else(|error| panic!("{args} can't be read again: {error}"));
    let cbor = growqr_wire::json_to_cbor(&read, CborFlavor::Compat).unwrap_or_else(|error| panic!("{read}: {error}"));
    stays(&cbor, &read);
}

fn json_frame(message: &ToServer) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    match message {
        ToServer::Action { id, name, args } => format!(
            r#"{{"body":{{"tag":"ActionRequest","val":{{"id":["$BigInt","{id}"],"name":{},"args":{args}}}}}}}"#,
            text(name)
        ),
        ToServer::Subscription { event, subscribe } => format!(
            r#"{{"body":{{"tag":"SubscriptionRequest","val":{{"eventName":{},"subscribe":{subscribe}}}}}}}"#,
            text(event)
        ),
    }
}

/// None when the arguments need an escape to stay a list.
fn bare_frame(message: &ToServer) -> Option<Vec<u8>> {
    let mut out = vec![4, 0];
    match message {
        ToServer::Action { id, name, args } => {
            out.push(0);
            uint(&mut out, *id);
            data(&mut out, name.as_bytes());
            let cbor = growqr_wire::json_to_cbor(args, CborFlavor::Compat).ok()?;
            data(&mut out, &cbor);
        }
        ToServer::Subscription { event, subscribe } => {
            out.push(1);
            data(&mut out, event.as_bytes());
            out.push(u8::from(*subscribe));
        }
    }
    Some(out)
}

fn uint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn data(out: &mut Vec<u8>, data: &[u8]) {
    uint(out, data.len() as u64);
    out.extend_from_slice(data);
}

/// The arguments may be spelled in another way afterwards; `stays` looks after them.
fn without_args(message: ToServer) -> ToServer {
    match message {
        ToServer::Action { id, name, .. } => ToServer::Action { id, name, args: String::new() },
        other => other,
    }
}
