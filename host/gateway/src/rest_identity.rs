//! The part of the REST interface that is about identity: the development issuer, and the end of sessions.

use crate::rest::fields;
use crate::serve::Shared;
use growqr_identity::issuer::Wish;
use growqr_identity::{Identity, Revocation};
use growqr_types::{Failure, codes};
use http::uri::Authority;
use http::{HeaderMap, header};
use serde_json::{Value, json};

fn identity<B>(shared: &Shared<B>) -> Result<&Identity, Failure> {
    shared.options.identity.as_deref().ok_or_else(|| codes::API_NOT_FOUND.failure())
}

/// `GET /.well-known/jwks.json`: the keys of the development issuer.
pub(crate) fn key_set<B>(shared: &Shared<B>) -> Result<Value, Failure> {
    identity(shared)?.key_set().ok_or_else(|| codes::API_NOT_FOUND.failure())
}

/// `POST /development/token`: a token for whoever asks on this machine.
pub(crate) fn token<B>(shared: &Shared<B>, headers: &HeaderMap, body: &[u8]) -> Result<Value, Failure> {
    let identity = identity(shared)?;
    if identity.key_set().is_none() {
        return Err(codes::API_NOT_FOUND.failure());
    }
    // The host listens on a loopback address only, but any page that the developer visits can send requests there too.
    if !is_from_here(headers) {
        return Err(codes::FORBIDDEN.failure());
    }
    let wish: Wish = fields(body)?;
    let issued = identity.issue(&wish)?;
    serde_json::to_value(issued).map_err(|error| codes::INTERNAL.with(error.to_string()))
}

/// `POST /sessions/revoke`: ends one session, or all that a user has.
pub(crate) fn revoke<B>(shared: &Shared<B>, body: &[u8]) -> Result<Value, Failure> {
    let revocation: Revocation = fields(body)?;
    let closed = identity(shared)?.revoke(&revocation);
    tracing::info!(closed, "sessions revoked");
    Ok(json!({ "closed": closed }))
}

/// Whether a request was sent to this machine by its name, and by no page of another.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or_default());
    let host = text(header::HOST).unwrap_or_default();
    let origin = text(header::ORIGIN).map(|origin| origin.split_once("://").map_or("", |(_, host)| host));
    is_loopback(host) && origin.is_none_or(is_loopback)
}

fn is_loopback(authority: &str) -> bool {
    let host = authority.parse::<Authority>().map(|authority| authority.host().to_owned()).unwrap_or_default();
    matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(host: &'static str, origin: Option<&'static str>, expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        assert_eq!(is_from_here(&headers), expected, "{host} {origin:?}");
    }

    #[test]
    fn only_this_machine_and_its_pages_are_from_here() {
        check("127.0.0.1:6420", None, true);
        check("localhost", Some("http://localhost:3000"), true);
        check("[::1]:6420", Some("http://127.0.0.1"), true);
        check("evil.test", None, false);
        check("evil.test:6420", Some("http://localhost:3000"), false);
        check("localhost:6420", Some("https://evil.test"), false);
        check("localhost:6420", Some("null"), false);
        check("localhost.evil.test", None, false);
        check("evil@localhost.test", None, false);
        check("", None, false);
    }
}
