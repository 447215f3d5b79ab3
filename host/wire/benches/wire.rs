//! What the hot messages and values take: `cargo xtask bench --micro`.
//!
//! Those called "official" do the same with the structs of `rivetkit-client-protocol`, without transcoding the value.

#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use growqr_wire::{CborFlavor, Encoding, cbor_to_json, decode_to_server, encode_event, encode_response, json_to_cbor};
use rivetkit_client_protocol as official;
use rivetkit_client_protocol::versioned;
use std::hint::black_box;
use vbare::OwnedVersionedData;

const OUTPUT: &str = r#"{"id":"01J9ZK3V","text":"hello there","done":false,"n":42}"#;
const ARGS: &str = r#"["chat",{"text":"hello there","thread":"t1"}]"#;

fn json_request() -> String {
    // The client's own bytes are these; in CBOR with longer heads and an id of eight bytes.
    format!(r#"{{"body":{{"tag":"ActionRequest","val":{{"id":["$BigInt","7"],"name":"chat","args":{ARGS}}}}}}}"#)
}

fn bare_request() -> Vec<u8> {
    let args = json_to_cbor(ARGS, CborFlavor::Compat).unwrap();
    let request = official::ActionRequest { id: serde_bare::Uint(7), name: "chat".into(), args };
    let message = official::ToServer { body: official::ToServerBody::ActionRequest(request) };
    versioned::ToServer::wrap_latest(message).serialize_with_embedded_version(official::PROTOCOL_VERSION).unwrap()
}

fn requests() -> [(Encoding, Vec<u8>); 3] {
    let cbor = json_to_cbor(&json_request(), CborFlavor::Direct).unwrap();
    [(Encoding::Json, json_request().into_bytes()), (Encoding::Cbor, cbor), (Encoding::Bare, bare_request())]
}

fn messages(criterion: &mut Criterion) {
    for (encoding, frame) in &requests() {
        let name = encoding.name();
        criterion.bench_function(&format!("decode action request, {name}"), |bench| {
            bench.iter(|| decode_to_server(*encoding, black_box(frame)).unwrap());
        });
        criterion.bench_function(&format!("encode action response, {name}"), |bench| {
            bench.iter(|| encode_response(*encoding, 7, black_box(OUTPUT)).unwrap());
        });
        criterion.bench_function(&format!("encode event, {name}"), |bench| {
            bench.iter(|| encode_event(*encoding, "message.delta", black_box(ARGS)).unwrap());
        });
    }
}

fn values(criterion: &mut Criterion) {
    let entry = r#"{"id":["$BigInt","9007199254740993"],"data":["$Uint8Array","aGVsbG8gdGhlcmU="],"text":"grüße","n":-1.5,"list":[1,2,3,null,true]}"#;
    let large = format!("[{}]", vec![entry; 100].join(","));
    for (size, json) in [("small", OUTPUT), ("large", &large)] {
        let cbor = json_to_cbor(json, CborFlavor::Compat).unwrap();
        criterion.bench_function(&format!("value from JSON to CBOR, {size}"), |bench| {
            bench.iter(|| json_to_cbor(black_box(json), CborFlavor::Compat).unwrap());
        });
        criterion.bench_function(&format!("value from CBOR to JSON, {size}"), |bench| {
            bench.iter(|| cbor_to_json(black_box(&cbor), CborFlavor::Compat).unwrap());
        });
    }
}

fn official_structs(criterion: &mut Criterion) {
    let frame = bare_request();
    criterion.bench_function("decode action request, official", |bench| {
        bench.iter(|| versioned::ToServer::deserialize_with_embedded_version(black_box(&frame)).unwrap());
    });
    let output = json_to_cbor(OUTPUT, CborFlavor::Compat).unwrap();
    criterion.bench_function("encode action response, official", |bench| {
        bench.iter(|| {
            let response = official::ActionResponse { id: serde_bare::Uint(7), output: black_box(&output).clone() };
            let message = official::ToClient { body: official::ToClientBody::ActionResponse(response) };
            versioned::ToClient::wrap_latest(message)
                .serialize_with_embedded_version(official::PROTOCOL_VERSION)
                .unwrap()
        });
    });
}

criterion_group!(benches, messages, values, official_structs);
criterion_main!(benches);
