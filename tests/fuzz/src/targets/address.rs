//! What says which actor is meant, and what a WebSocket's handshake brings.

use super::kind;
use growqr_identity::credentials;
use growqr_types::{ActorId, ActorKey, ConnectionId};

/// Pieces of text that mean something in the address of an actor.
pub const ROUTE_WORDS: &[&str] = &[
    "rvt-namespace=default",
    "rvt-method=getOrCreate",
    "rvt-method=get",
    "rvt-key=a,b",
    "rvt-runner=default",
    "rvt-input=gA",
    "rvt-token=",
    "rvt-crash-policy=sleep",
    "/gateway/",
    "/api/rivet",
    "/p/",
    "%2f",
    "%",
    "@",
    "//",
    "&",
    "/request/",
    "\nx-rivet-target:actor",
    "\nx-rivet-token:t",
    "\nsec-websocket-protocol:rivet, rivet_token.t",
];
/// The same for the REST interface.
pub const REST_WORDS: &[&str] = &[
    "&limit=",
    "&cursor=",
    "&actor_ids=",
    "&key=",
    "\n{\"name\":",
    "\"input\":\"gA==\"",
    "\"crash_policy\":\"sleep\"",
    "%",
];
/// The same for a handshake.
pub const HANDSHAKE_WORDS: &[&str] =
    &["rivet_encoding.", "rivet_conn_params.", "%22token%22", "%22after%22%3A", "\\u0074oken", "{\"token\":1}", ", "];

/// The same for headers that bring a token.
pub const CREDENTIAL_WORDS: &[&str] = &[
    "\nauthorization:Bearer x",
    "\nx-rivet-conn-params:{\"token\":\"x\"}",
    "\nsec-websocket-protocol:rivet, rivet_conn_params.%7B%22token%22%3A%22x%22%7D",
    "\nx-rivet-token:x",
    "\nx-growqr-user:x",
    "\\u0074oken",
    "{\"a\":",
];

/// Line by line: path with query, then headers as `name: value`.
pub fn route(input: &[u8]) -> String {
    let mut lines = input.split(|byte| *byte == b'\n');
    // A server does not even see what is no address.
    let Ok(uri) = http::Uri::try_from(lines.next().unwrap_or_default()) else { return "no address".to_owned() };
    let headers = headers(lines);
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    let routes = [false, true].map(|is_upgrade| growqr_gateway::fuzzing::route(path, query, &headers, is_upgrade));
    routes.concat()
}

fn headers<'a>(lines: impl Iterator<Item = &'a [u8]>) -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    for line in lines.take(16) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = line[colon + 1..].trim_ascii();
        if let (Ok(name), Ok(value)) =
            (http::HeaderName::from_bytes(&line[..colon]), http::HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    headers
}

/// The query of a request, and its body behind the first line's end.
pub fn rest(input: &[u8]) -> String {
    let (query, body) = match input.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &[][..]),
    };
    growqr_gateway::fuzzing::rest(&String::from_utf8_lossy(query), body)
}

/// The two spellings of a key, and ids.
pub fn key(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let rest = ActorKey::from_rest(&text);
    if let Ok(key) = &rest {
        assert_eq!(ActorKey::from_rest(&key.to_rest()).as_ref(), Ok(key), "a key changed in its REST spelling");
    }
    let query = ActorKey::from_query(&text);
    if let Ok(key) = &query {
        assert_eq!(key.0.join(","), text, "a key changed in its query spelling");
        assert_eq!(ActorKey::from_rest(&key.to_rest()).as_ref(), Ok(key), "a key changed in its REST spelling");
    }
    let actor = text.parse::<ActorId>();
    if let Ok(id) = &actor {
        assert_eq!(id.to_string(), text, "an id has two spellings");
    }
    let connection = text.parse::<ConnectionId>();
    if let Ok(id) = &connection {
        assert_eq!(id.to_string().parse(), Ok(*id), "the id of a connection changed");
    }
    let shape = |key: &ActorKey| key.0.iter().map(|part| if part.is_empty() { 'e' } else { 'p' }).take(5).collect();
    let keys = [rest, query].map(|read| read.as_ref().map_or_else(kind, shape)).concat();
    format!("{keys} {} {}", actor.is_ok(), connection.is_ok())
}

/// What stands in the header of a WebSocket's subprotocols.
pub fn handshake(input: &[u8]) -> String {
    let headers = headers([b"sec-websocket-protocol:", input].concat().split(|byte| *byte == b'\n'));
    let accepted = growqr_gateway::fuzzing::handshake(&headers);
    format!("{accepted} {}", growqr_runtime::fuzzing::handshake(&headers))
}

/// Headers, line by line, as they come with a request: what is left of them has no token.
pub fn credentials(input: &[u8]) -> String {
    let mut headers = headers(input.split(|byte| *byte == b'\n'));
    let found = credentials::find(&headers);
    let taken = credentials::take(&mut headers);
    let Ok(token) = &taken else { return format!("{taken:?}") };
    assert_eq!(found.as_ref(), Ok(token), "another token was found than was taken");
    let left = credentials::find(&headers);
    assert_eq!(left, Ok(None), "a token is left in {headers:?}");
    credentials::drop_reserved(&mut headers);
    assert!(!headers.contains_key(credentials::USER), "a client says who the user is");
    let seen = growqr_runtime::fuzzing::handshake(&headers);
    format!("{} {} {seen}", token.is_some(), headers.len())
}
