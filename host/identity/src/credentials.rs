//! Finds the token in a request, and takes it out of what others see.
//!
//! Places, in the order in which they are looked at: `Authorization: Bearer`, the field `token` of `x-rivet-conn-params`, the field
//! `token` of a subprotocol `rivet_conn_params.`, and `x-rivet-token`. Never the address: addresses are written to logs everywhere.
//!
//! Invariant: after [`take`] no header has a token any more, nor anything that only the host may say.

use growqr_types::{Failure, codes};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// Tells an actor which user asks. Only the host says so.
pub const USER: HeaderName = HeaderName::from_static("x-growqr-user");
/// What the names of headers begin with that only the host may send to an actor.
const RESERVED: &str = "x-growqr-";
/// The parameters of a connection.
const PARAMETERS: HeaderName = HeaderName::from_static("x-rivet-conn-params");
/// The same as a subprotocol.
const PARAMETERS_PROTOCOL: &str = "rivet_conn_params.";
/// The token that an official client was made with.
const CLIENT_TOKEN: HeaderName = HeaderName::from_static("x-rivet-token");
/// The field of the parameters that is the token.
const FIELD: &str = "token";
/// The scheme of `Authorization`.
const SCHEME: &str = "Bearer ";
/// What the official client leaves as it is when it encodes parameters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// A token on its way to be verified. It can't be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token that came in another way than in headers.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(...)")
    }
}

/// Finds the token of a request.
pub fn find(headers: &HeaderMap) -> Result<Option<Token>, Failure> {
    if let Some(token) = bearer(headers) {
        return Ok(Some(token));
    }
    for value in headers.get_all(&PARAMETERS) {
        if let Some(token) = Parameters::read(text(value)?)?.token()? {
            return Ok(Some(token));
        }
    }
    for encoded in protocols(headers).filter_map(|protocol| protocol.strip_prefix(PARAMETERS_PROTOCOL)) {
        if let Some(token) = Parameters::read(&decoded(encoded)?)?.token()? {
            return Ok(Some(token));
        }
    }
    let token = headers.get(&CLIENT_TOKEN).and_then(|value| value.to_str().ok());
    Ok(token.filter(|token| !token.is_empty()).map(Token::new))
}

/// Finds the token of a request, and takes it out.
pub fn take(headers: &mut HeaderMap) -> Result<Option<Token>, Failure> {
    let token = find(headers)?;
    headers.remove(header::AUTHORIZATION);
    headers.remove(&CLIENT_TOKEN);
    let parameters = changed(headers, &PARAMETERS, |value| {
        let stripped = Parameters::read(text(value)?)?.stripped()?;
        stripped.map(|text| HeaderValue::from_bytes(text.as_bytes()).map_err(|_| unreadable())).transpose()
    })?;
    replace(headers, &PARAMETERS, parameters);
    let protocols = changed(headers, &header::SEC_WEBSOCKET_PROTOCOL, without_token)?;
    replace(headers, &header::SEC_WEBSOCKET_PROTOCOL, protocols);
    Ok(token)
}

/// Takes out the headers that only the host may send.
pub fn drop_reserved(headers: &mut HeaderMap) {
    let found: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(RESERVED)).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

fn bearer(headers: &HeaderMap) -> Option<Token> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let scheme = value.get(..SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| Token::new(value[SCHEME.len()..].trim()))
}

/// All values of a header with the changed ones in their places; `None` when nothing changes.
fn changed(
    headers: &HeaderMap,
    name: &HeaderName,
    change: impl Fn(&HeaderValue) -> Result<Option<HeaderValue>, Failure>,
) -> Result<Option<Vec<HeaderValue>>, Failure> {
    let mut any = false;
    let mut values = Vec::new();
    for value in headers.get_all(name) {
        let changed = change(value)?;
        any |= changed.is_some();
        values.push(changed.unwrap_or_else(|| value.clone()));
    }
    Ok(any.then_some(values))
}

fn replace(headers: &mut HeaderMap, name: &HeaderName, values: Option<Vec<HeaderValue>>) {
    let Some(values) = values else { return };
    headers.remove(name);
    for value in values {
        headers.append(name, value);
    }
}

fn without_token(value: &HeaderValue) -> Result<Option<HeaderValue>, Failure> {
    // A header that is no text names no protocol.
    let Ok(offered) = value.to_str() else { return Ok(None) };
    if !offered.contains(PARAMETERS_PROTOCOL) {
        return Ok(None);
    }
    let mut kept = Vec::new();
    for protocol in offered.split(',').map(str::trim) {
        let Some(encoded) = protocol.strip_prefix(PARAMETERS_PROTOCOL) else {
            kept.push(protocol.to_owned());
            continue;
        };
        let stripped = Parameters::read(&decoded(encoded)?)?.stripped()?;
        let again = |text: String| format!("{PARAMETERS_PROTOCOL}{}", utf8_percent_encode(&text, ENCODED));
        kept.push(stripped.map_or_else(|| protocol.to_owned(), again));
    }
    HeaderValue::from_str(&kept.join(", ")).map(Some).map_err(|_| unreadable())
}

/// The parameters of a connection, each as it was written.
struct Parameters<'a>(Option<BTreeMap<String, &'a RawValue>>);

impl<'a> Parameters<'a> {
    /// Reads them. Any JSON is allowed; only an object can have a token.
    fn read(text: &'a str) -> Result<Self, Failure> {
        if let Ok(fields) = serde_json::from_str(text) {
            return Ok(Self(Some(fields)));
        }
        // What can't be read may still hold a token, so it must not go on to anybody.
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        if is_json { Ok(Self(None)) } else { Err(unreadable()) }
    }

    fn token(&self) -> Result<Option<Token>, Failure> {
        let Some(value) = self.0.as_ref().and_then(|fields| fields.get(FIELD)) else { return Ok(None) };
        match serde_json::from_str(value.get()) {
            Ok(Some(text)) => Ok(Some(Token(text))),
            Ok(None) => Ok(None),
            // A token that is no text is a wrong one, and not none.
            Err(_) => Err(codes::TOKEN_INVALID.failure()),
        }
    }

    /// The text without the token, if there is one.
    fn stripped(mut self) -> Result<Option<String>, Failure> {
        let had_token = self.0.as_mut().is_some_and(|fields| fields.remove(FIELD).is_some());
        if !had_token {
            return Ok(None);
        }
        serde_json::to_string(&self.0).map(Some).map_err(|_| unreadable())
    }
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

fn decoded(encoded: &str) -> Result<String, Failure> {
    percent_decode_str(encoded).decode_utf8().map(|text| text.into_owned()).map_err(|_| unreadable())
}

fn text(value: &HeaderValue) -> Result<&str, Failure> {
    std::str::from_utf8(value.as_bytes()).map_err(|_| unreadable())
}

fn unreadable() -> Failure {
    codes::API_BAD_REQUEST.with("The connection parameters are not JSON.")
}
