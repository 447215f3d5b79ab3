//! The gateway's decoders, for the fuzzer in `tests/fuzz`. No part of the public interface.

use crate::rest::Parameters;
use crate::route::{self, Head, Route, Shortcut, Target};
use crate::{handshake, query, rest_actors};
use growqr_types::{ActorKey, Failure};
use http::HeaderMap;

/// The actor of the short address. Its requests are not the gateway's, so that they keep every parameter.
const SHORT: &str = "short";

/// Finds the route of a request and says what it is. Panics when a route breaks a rule.
pub fn route(path: &str, query: &str, headers: &HeaderMap, is_upgrade: bool) -> String {
    let shortcuts = [Shortcut { prefix: "/p".to_owned(), namespace: "default".to_owned(), actor: SHORT.to_owned() }];
    let found = route::find(&Head { path, query, headers, is_upgrade, shortcuts: &shortcuts });
    let mut stripped = headers.clone();
    route::strip_tokens(&mut stripped);
    let kept = route::protocols(&stripped).any(|protocol| protocol.starts_with("rivet_token."));
    assert!(!kept && !stripped.contains_key(route::TOKEN), "an actor sees a token");
    if let Route::Actor { target: Ok(target), path, .. } = &found {
        assert!(path.starts_with('/'), "an actor sees the path {path:?}");
        if let Target::Named(named) = target {
            assert!(!named.name.is_empty(), "an actor without a name");
            assert!(named.key.clone().checked().is_ok(), "a key that is too large");
            let parameters = path.split_once('?').map_or("", |(_, parameters)| parameters);
            let is_short = named.name == SHORT;
            assert!(is_short || !query::is_query_form(parameters), "an actor sees {path:?}");
        }
    }
    match found {
        Route::Actor { target: Ok(Target::Id(_)), .. } => "id".to_owned(),
        Route::Actor { target: Ok(Target::Named(named)), .. } => format!("named {}", kind(&named.method)),
        Route::Actor { target: Err(failure), .. } => format!("{}.{} {}", failure.group, failure.code, failure.message),
        Route::Rest { .. } => "rest".to_owned(),
        Route::Extra => "extra".to_owned(),
    }
}

fn kind(method: &query::Method) -> &'static str {
    match method {
        query::Method::Get => "get",
        query::Method::GetOrCreate(None) => "create",
        query::Method::GetOrCreate(Some(_)) => "create with input",
    }
}

/// Reads the query and the body of a REST request, and says what became of them. Panics when a bound does not hold.
pub fn rest(query: &str, body: &[u8]) -> String {
    let made = match rest_actors::New::read(body) {
        Ok((name, key, input)) => {
            assert!(!name.is_empty(), "an actor without a name");
            assert!(key.clone().is_none_or(|key| key.checked().is_ok()), "a key that is too large");
            format!("{} {}", key.is_some(), input.is_some())
        }
        Err(failure) => failure.message.to_string(),
    };
    format!("{made} {}", listed(query).unwrap_or_else(|failure| failure.message.to_string()))
}

fn listed(query: &str) -> Result<String, Failure> {
    let parameters = Parameters::read(query, &rest_actors::LIST_PARAMETERS)?;
    let limit = rest_actors::limit(&parameters)?;
    assert!(limit > 0, "a page without actors");
    let ids = rest_actors::ids(&parameters)?;
    let key = parameters.one("key")?.map(|key| ActorKey::from_rest(key).map_err(|error| query::key_failure(&error)));
    Ok(format!("{} {}", ids.is_empty(), key.transpose()?.is_some()))
}

/// Reads a handshake and says whether it would be accepted.
pub fn handshake(headers: &HeaderMap) -> String {
    format!("{} {}", handshake::has_known_encoding(headers), handshake::answer(headers).is_ok())
}
