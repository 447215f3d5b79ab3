//! Bytes of the Rivet client protocol and of client values.
//!
//! A client speaks one of three encodings (`Encoding`), an actor reads and writes JSON text (`growqr_types::Json`). This crate is
//! the edge between them: the envelopes of HTTP bodies (`decode_action_request` and its neighbours) and of socket frames
//! (`decode_to_server`, `encode_event` and its neighbours), and the transcoding of the values inside (`cbor_to_json`,
//! `json_to_cbor`).
//!
//! Invariant: any bytes produce a value or an error, within `limits::VALUE_DEPTH_MAX` and `limits::VALUE_BYTES_MAX`, and in time
//! that grows at most with the product of the two. Invariant: what an actor passes on unchanged means the same to the next client.
//!
//! Deliberately absent: sockets, HTTP headers other than the two that name an encoding, and any tree of values; transcoding goes
//! from text to text.

mod bare;
mod encoding;
mod envelope;
mod error;
mod from_cbor;
mod http;
mod json;
mod portable;
mod socket;
mod tags;
mod to_cbor;
mod values;

pub use encoding::Encoding;
pub use error::{DecodeError, ValueError};
pub use http::{
    ActorSpecifier, QueueSend, decode_action_request, decode_queue_send, encode_action_response, encode_http_error,
    encode_queue_response,
};
pub use socket::{
    ToServer, decode_to_server, encode_error, encode_event, encode_init, encode_response, with_extra_argument,
};
pub use values::{CborFlavor, cbor_to_json, check_json, input_to_json, json_to_cbor};
