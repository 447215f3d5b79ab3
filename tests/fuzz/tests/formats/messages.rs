//! Samples of every message of the client protocol, in each encoding.
//!
//! What clients send is written here as the official client was seen to write it; what is sent to them is written by this code.

use crate::Sample;
use growqr_types::Failure;
use growqr_wire::{
    ActorSpecifier, CborFlavor, Encoding, encode_action_response, encode_error, encode_event, encode_http_error,
    encode_init, encode_queue_response, encode_response, json_to_cbor,
};

const ACTOR: ActorSpecifier<'_> =
    ActorSpecifier { actor_id: "pmxfvowlqwqr1q1pjnrl2hxqm6bl00", generation: 3, key: Some("a/b\\/c") };
/// A value with every tag of the client.
const VALUE: &str = r#"{"u":["$Undefined",0],"big":["$BigInt","12345678901234567890123"],"n":null,"f":1.5,"i":5000000000,"s":"é","bytes":["$Uint8Array","AQL/"],"set":["$Set",[1,"x"]],"map":["$Map",[[1,2]]],"date":["$Date",1500],"nan":["$Number","NaN"],"other":["$CborTag",[300,1]],"escaped":["$$Date",0]}"#;

/// All of them.
pub fn samples() -> Vec<Sample> {
    [sent_by_clients(), sent_to_clients(), inputs()].into_iter().flatten().collect()
}

fn sent_by_clients() -> Vec<Sample> {
    let hex = |text: &str| hex::decode(text).expect("hexadecimal");
    let json = |kind: &'static str, name: &str, text: &str| Sample::new(kind, name, text);
    let bytes = |kind: &'static str, name: &str, text: &str| Sample::new(kind, name, hex(text));
    vec![
        json(
            "wire.frame-json",
            "action",
            r#"{"body":{"tag":"ActionRequest","val":{"id":["$BigInt","0"],"name":"increment","args":[3]}}}"#,
        ),
        json(
            "wire.frame-json",
            "subscription",
            r#"{"body":{"tag":"SubscriptionRequest","val":{"eventName":"ping","subscribe":true}}}"#,
        ),
        bytes(
            "wire.frame-cbor",
            "action",
            "b9000164626f6479b90002637461676d416374696f6e526571756573746376616cb900036269641b0000000000000000646e616d6569696e6372656d656e7464617267738103",
        ),
        bytes(
            "wire.frame-cbor",
            "subscription",
            "b9000164626f6479b900026374616773537562736372697074696f6e526571756573746376616cb90002696576656e744e616d65656f7468657269737562736372696265f4",
        ),
        bytes("wire.frame-bare", "action", "0400000009696e6372656d656e74028103"),
        bytes("wire.frame-bare", "action-of-version-1", "0100000009696e6372656d656e74028103"),
        bytes("wire.frame-bare", "subscription", "0400010470696e6701"),
        json("wire.action-json", "one", r#"{"args":[2]}"#),
        bytes(
            "wire.action-cbor",
            "many-kinds",
            "b90001646172677381b900066175f7636269671b0000000000000005616ef66166fb3ff8000000000000617362c3a9616182016178",
        ),
        bytes(
            "wire.action-bare",
            "many-kinds",
            "04005381b900076175826a24556e646566696e65640063626967826724426967496e746135616ef66166fb3ff8000000000000617362c3a9616182016178656279746573826b2455696e743841727261796441514c2f",
        ),
        bytes("wire.action-bare", "of-version-1", "0100028102"),
        json("wire.queue-json", "waiting", r#"{"body":{"x":1},"wait":true,"name":"q1","timeout":1500.5}"#),
        bytes("wire.queue-cbor", "plain", "a264626f6479a1617801646e616d65627131"),
        bytes("wire.queue-bare", "plain", "040006b9000161780101027131010000"),
    ]
}

fn failure() -> Failure {
    Failure { group: "user".into(), code: "my_code".into(), message: "näh".into(), metadata: Some(VALUE.to_owned()) }
}

fn sent_to_clients() -> Vec<Sample> {
    let encodings =
        [("wire.sent-json", Encoding::Json), ("wire.sent-cbor", Encoding::Cbor), ("wire.sent-bare", Encoding::Bare)];
    let mut samples = Vec::new();
    for (kind, encoding) in encodings {
        let args = format!("[{VALUE},1]");
        let sent = [
            ("init", encode_init(encoding, ACTOR.actor_id, "67e55044-10b1-426f-9247-bb680e5fe0c8").to_vec()),
            ("response", encode_response(encoding, 7, VALUE).expect("a value").to_vec()),
            ("event", encode_event(encoding, "ping", &args).expect("a value").to_vec()),
            ("error", encode_error(encoding, None, &failure(), None).to_vec()),
            ("error-of-an-action", encode_error(encoding, Some(u64::MAX), &failure(), Some(&ACTOR)).to_vec()),
            ("action-body", encode_action_response(encoding, VALUE).expect("a value")),
            ("queue-body", encode_queue_response(encoding, "completed", Some(VALUE)).expect("a value")),
            ("queue-body-timed-out", encode_queue_response(encoding, "timedOut", None).expect("a value")),
            ("error-body", encode_http_error(encoding, &failure(), Some(&ACTOR))),
        ];
        samples.extend(sent.into_iter().map(|(name, bytes)| Sample::new(kind, name, bytes)));
    }
    samples
}

fn inputs() -> Vec<Sample> {
    vec![Sample::new("wire.input", "many-kinds", json_to_cbor(VALUE, CborFlavor::Compat).expect("a value"))]
}
