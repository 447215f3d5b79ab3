//! The WebSocket handshake over HTTP.

use crate::reply::{self, ReplyBody};
use crate::route;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use growqr_types::codes;
use growqr_wire::Encoding;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

/// What a server mixes into the client's key (RFC 6455 section 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a client's key.
const KEY_LEN: usize = 16;
/// The only version there is.
const VERSION: HeaderValue = HeaderValue::from_static("13");
/// The subprotocol of Rivet clients. It is selected when it is offered; a plain client gets none.
const PROTOCOL: &str = "rivet";
/// What the subprotocol that names an encoding starts with.
const ENCODING_PROTOCOL: &str = "rivet_encoding.";

/// Whether a request asks for a WebSocket.
pub(crate) fn is_wanted(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::GET
        && lists(headers, &header::UPGRADE, "websocket")
        && lists(headers, &header::CONNECTION, "upgrade")
}

fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// The answer that accepts a WebSocket, or the one that refuses it.
pub(crate) fn answer(headers: &HeaderMap) -> Result<Response<ReplyBody>, Box<Response<ReplyBody>>> {
    if headers.get(header::SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        let mut refusal = reply::failure(&codes::API_BAD_REQUEST.with("The WebSocket version is not 13."));
        *refusal.status_mut() = StatusCode::UPGRADE_REQUIRED;
        refusal.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, VERSION);
        return Err(Box::new(refusal));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if STANDARD.decode(key).map_or(0, |bytes| bytes.len()) != KEY_LEN {
        let failure = codes::API_BAD_REQUEST.with("The WebSocket key is missing or not valid.");
        return Err(Box::new(reply::failure(&failure)));
    }
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key);
    hash.update(MAGIC);
    let accept = HeaderValue::from_str(&STANDARD.encode(hash.digest().bytes()))
        .map_err(|_| Box::new(reply::failure(&codes::INTERNAL.failure())))?;
    let mut response = reply::bytes(StatusCode::SWITCHING_PROTOCOLS, Bytes::new());
    let reply = response.headers_mut();
    reply.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    reply.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    reply.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if route::protocols(headers).any(|protocol| protocol == PROTOCOL) {
        reply.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    Ok(response)
}

/// Whether the encoding that the client asks for exists, or it asks for none.
pub(crate) fn has_known_encoding(headers: &HeaderMap) -> bool {
    let asked = route::protocols(headers).find(|protocol| protocol.starts_with(ENCODING_PROTOCOL));
    asked.is_none_or(|protocol| Encoding::from_subprotocol(protocol).is_some())
}
