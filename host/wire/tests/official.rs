//! The BARE messages against the structs of the official crate, which this host's own code stands beside.
#![allow(clippy::unwrap_used, reason = "a helper of a test may panic as the test itself may")]

use growqr_types::Failure;
use growqr_wire::{
    ActorSpecifier, CborFlavor, DecodeError, Encoding, QueueSend, ToServer, decode_action_request, decode_queue_send,
    decode_to_server, encode_action_response, encode_error, encode_event, encode_http_error, encode_init,
    encode_queue_response, encode_response, json_to_cbor,
};
use proptest::prelude::*;
use rivetkit_client_protocol as official;
use rivetkit_client_protocol::versioned;
use vbare::OwnedVersionedData;

const VALUE: &str = r#"{"text":"x","list":[1,2.5,null],"big":["$BigInt","5"]}"#;
const ARGS: &str = r#"[1,{"a":true}]"#;

fn cbor(json: &str) -> Vec<u8> {
    json_to_cbor(json, CborFlavor::Compat).unwrap()
}

/// The message in the version that this host writes.
fn theirs<V: OwnedVersionedData>(message: V::Latest) -> Vec<u8> {
    V::wrap_latest(message).serialize_with_embedded_version(official::PROTOCOL_VERSION).unwrap()
}

/// A frame to a client.
fn frame(body: official::ToClientBody) -> Vec<u8> {
    theirs::<versioned::ToClient>(official::ToClient { body })
}

fn failure(metadata: Option<&str>) -> Failure {
    Failure { group: "user".into(), code: "my_code".into(), message: "näh".into(), metadata: metadata.map(Into::into) }
}

proptest! {
    #[test]
    fn what_a_client_sends_in_any_version_is_read(
        id in any::<u64>(),
        name in any::<String>(),
        subscribe in any::<bool>(),
        version in 1u16..=4,
    ) {
        let body = official::ToServerBody::ActionRequest(official::ActionRequest {
            id: serde_bare::Uint(id),
            name: name.clone(),
            args: cbor(ARGS),
        });
        let bytes = versioned::ToServer::wrap_latest(official::ToServer { body }).serialize_with_embedded_version(version).unwrap();
        let action = ToServer::Action { id, name: name.clone(), args: ARGS.into() };
        prop_assert_eq!(decode_to_server(Encoding::Bare, &bytes), Ok(action));

        let body = official::ToServerBody::SubscriptionRequest(official::SubscriptionRequest {
            event_name: name.clone(),
            subscribe,
        });
        let bytes = versioned::ToServer::wrap_latest(official::ToServer { body }).serialize_with_embedded_version(version).unwrap();
        prop_assert_eq!(decode_to_server(Encoding::Bare, &bytes), Ok(ToServer::Subscription { event: name, subscribe }));

        let bytes = versioned::HttpActionRequest::wrap_latest(official::HttpActionRequest { args: cbor(ARGS) })
            .serialize_with_embedded_version(version)
            .unwrap();
        prop_assert_eq!(decode_action_request(Encoding::Bare, &bytes), Ok(ARGS.to_owned()));
    }

    #[test]
    fn a_queue_message_is_read(
        name in any::<Option<String>>(),
        wait in any::<Option<bool>>(),
        timeout in any::<Option<u64>>(),
        version in 3u16..=4,
    ) {
        let send = official::HttpQueueSendRequest { body: cbor(VALUE), name: name.clone(), wait, timeout };
        let bytes = versioned::HttpQueueSendRequest::wrap_latest(send).serialize_with_embedded_version(version).unwrap();
        let send = QueueSend { body: VALUE.into(), name, wait: wait.unwrap_or(false), timeout_ms: timeout };
        prop_assert_eq!(decode_queue_send(Encoding::Bare, &bytes), Ok(send));
    }

    #[test]
    fn frames_to_a_client_are_the_same(
        id in any::<u64>(),
        text in any::<String>(),
        generation in any::<u32>(),
        key in any::<Option<String>>(),
        metadata in any::<bool>(),
        action in any::<bool>(),
        with_actor in any::<bool>(),
    ) {
        let init = official::Init { actor_id: text.clone(), connection_id: "id".into() };
        prop_assert_eq!(encode_init(Encoding::Bare, &text, "id").to_vec(), frame(official::ToClientBody::Init(init)));

        let response = official::ActionResponse { id: serde_bare::Uint(id), output: cbor(VALUE) };
        let ours = encode_response(Encoding::Bare, id, VALUE).unwrap();
        prop_assert_eq!(ours.to_vec(), frame(official::ToClientBody::ActionResponse(response)));

        let event = official::Event { name: text.clone(), args: cbor(ARGS) };
        let ours = encode_event(Encoding::Bare, &text, ARGS).unwrap();
        prop_assert_eq!(ours.to_vec(), frame(official::ToClientBody::Event(event)));

        let metadata = metadata.then_some(VALUE);
        let failure = failure(metadata);
        let actor = with_actor.then_some(ActorSpecifier { actor_id: &text, generation, key: key.as_deref() });
        let their_actor = with_actor.then(|| official::ActorSpecifier {
            actor_id: text.clone(),
            generation: serde_bare::Uint(generation.into()),
            key: key.clone(),
        });
        let error = official::Error {
            group: failure.group.to_string(),
            code: failure.code.to_string(),
            message: failure.message.clone(),
            metadata: metadata.map(cbor),
            action_id: action.then_some(serde_bare::Uint(id)),
            actor: their_actor.clone(),
        };
        let ours = encode_error(Encoding::Bare, action.then_some(id), &failure, actor.as_ref());
        prop_assert_eq!(ours.to_vec(), frame(official::ToClientBody::Error(error)));

        let error = official::HttpResponseError {
            group: failure.group.to_string(),
            code: failure.code.to_string(),
            message: failure.message.clone(),
            metadata: metadata.map(cbor),
            actor: their_actor,
        };
        let ours = encode_http_error(Encoding::Bare, &failure, actor.as_ref());
        prop_assert_eq!(ours, theirs::<versioned::HttpResponseError>(error));
    }
}

#[test]
fn bodies_to_a_client_are_the_same() {
    let response = official::HttpActionResponse { output: cbor(VALUE) };
    assert_eq!(
        encode_action_response(Encoding::Bare, VALUE).unwrap(),
        theirs::<versioned::HttpActionResponse>(response)
    );
    for value in [None, Some(VALUE)] {
        let response = official::HttpQueueSendResponse { status: "timedOut".into(), response: value.map(cbor) };
        let ours = encode_queue_response(Encoding::Bare, "timedOut", value).unwrap();
        assert_eq!(ours, theirs::<versioned::HttpQueueSendResponse>(response));
    }
}

#[test]
fn a_version_that_is_not_known_is_refused() {
    for version in [0u16, 5, 0x0100, u16::MAX] {
        let bytes = [&version.to_le_bytes()[..], &[1, 0x80]].concat();
        assert_eq!(decode_action_request(Encoding::Bare, &bytes), Err(DecodeError::Version(version)));
        assert_eq!(decode_to_server(Encoding::Bare, &bytes), Err(DecodeError::Version(version)));
    }
    // Queues came with version 3.
    assert_eq!(decode_queue_send(Encoding::Bare, &[2, 0, 1, 0x80, 0, 0, 0]), Err(DecodeError::Version(2)));
}
