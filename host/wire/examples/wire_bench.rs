//! Prints how long the hot messages take: `cargo run --release -p growqr-wire --example wire_bench`.
//!
//! The lines called "official" do the same with the structs of `rivetkit-client-protocol`, without transcoding the value.

use growqr_wire::{
    CborFlavor, DecodeError, Encoding, ValueError, decode_to_server, encode_event, encode_response, json_to_cbor,
};
use rivetkit_client_protocol as official;
use rivetkit_client_protocol::versioned;
use std::hint::black_box;
use std::time::Instant;
use vbare::OwnedVersionedData;

/// Calls in one measurement.
const CALLS: u32 = 200_000;
/// Measurements, of which the fastest counts, because the others were disturbed.
const MEASUREMENTS: usize = 7;

const OUTPUT: &str = r#"{"id":"01J9ZK3V","text":"hello there","done":false,"n":42}"#;
const ARGS: &str = r#"["chat",{"text":"hello there","thread":"t1"}]"#;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn measure<T, E>(label: &str, mut call: impl FnMut() -> Result<T, E>) -> Result<(), E> {
    let mut best = f64::INFINITY;
    for _ in 0..MEASUREMENTS {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(call()?);
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    println!("{label:<40} {best:>8.0} ns");
    Ok(())
}

fn cbor_request() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    // The client's own bytes are these with longer heads and an id of eight bytes.
    let text =
        format!(r#"{{"body":{{"tag":"ActionRequest","val":{{"id":["$BigInt","7"],"name":"chat","args":{ARGS}}}}}}}"#);
    Ok(json_to_cbor(&text, CborFlavor::Direct)?)
}

fn bare_request() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let args = json_to_cbor(ARGS, CborFlavor::Compat)?;
    let body = official::ToServerBody::ActionRequest(official::ActionRequest {
        id: serde_bare::Uint(7),
        name: "chat".into(),
        args,
    });
    let message = versioned::ToServer::wrap_latest(official::ToServer { body });
    Ok(message.serialize_with_embedded_version(official::PROTOCOL_VERSION)?)
}

fn main() -> Outcome {
    let json =
        format!(r#"{{"body":{{"tag":"ActionRequest","val":{{"id":["$BigInt","7"],"name":"chat","args":{ARGS}}}}}}}"#);
    let requests =
        [(Encoding::Json, json.into_bytes()), (Encoding::Cbor, cbor_request()?), (Encoding::Bare, bare_request()?)];
    for (encoding, frame) in &requests {
        let label = format!("decode ActionRequest, {}", encoding.name());
        measure::<_, DecodeError>(&label, || decode_to_server(*encoding, black_box(frame)))?;
    }
    for (encoding, _) in &requests {
        let label = format!("encode ActionResponse, {}", encoding.name());
        measure::<_, ValueError>(&label, || encode_response(*encoding, 7, black_box(OUTPUT)))?;
    }
    for (encoding, _) in &requests {
        let label = format!("encode Event, {}", encoding.name());
        measure::<_, ValueError>(&label, || encode_event(*encoding, "message.delta", black_box(ARGS)))?;
    }
    let frame = bare_request()?;
    measure("decode ActionRequest, official", || {
        versioned::ToServer::deserialize_with_embedded_version(black_box(&frame))
    })?;
    let output = json_to_cbor(OUTPUT, CborFlavor::Compat)?;
    measure("encode ActionResponse, official", || {
        let response = official::ActionResponse { id: serde_bare::Uint(7), output: black_box(&output).clone() };
        let body = official::ToClientBody::ActionResponse(response);
        versioned::ToClient::wrap_latest(official::ToClient { body })
            .serialize_with_embedded_version(official::PROTOCOL_VERSION)
    })?;
    Ok(())
}
