//! What requests may hold: checked before anything else sees it.

use crate::problem::Problem;
use crate::{BODY_BYTES_MAX, BODY_TIMEOUT, PAGE_ENTRIES, PAGE_ENTRIES_MAX, QUERY_BYTES_MAX};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use growqr_types::{Failure, codes};
use http::request::Parts;
use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

/// Letters of an id in a path.
const ID_BYTES_MAX: usize = 128;
/// Bytes of a user's id.
const USER_BYTES_MAX: usize = 256;

/// Text that a column can hold and a log can show.
fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Refuses queries that are too long, not UTF-8, or hold control characters: what decodes them afterwards would let them through.
pub(crate) fn check_query(query: &str) -> Result<(), Failure> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(codes::API_BAD_REQUEST.with("The query is too long."));
    }
    let broken = |text: &str| {
        let mut rest = text.split('%').skip(1);
        rest.any(|escaped| !(escaped.len() >= 2 && escaped.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit)))
    };
    if broken(query) {
        return Err(codes::API_BAD_REQUEST.with("The percent-encoding of a parameter is broken."));
    }
    match percent_decode_str(query).decode_utf8() {
        Err(_) => Err(codes::API_BAD_REQUEST.with("The query is not UTF-8.")),
        Ok(text) if !is_plain(&text) => Err(codes::VALIDATION.with("A parameter has control characters.")),
        Ok(_) => Ok(()),
    }
}

/// The parameters of a query. Unknown ones are refused by the type.
pub(crate) struct Parameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        check_query(parts.uri.query().unwrap_or_default())?;
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => Err(codes::VALIDATION.with(rejection.body_text()).into()),
        }
    }
}

/// The id in a path.
pub(crate) struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let bad = || codes::API_BAD_REQUEST.with("The id in the path is not valid.");
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| bad())?;
        match (1..=ID_BYTES_MAX).contains(&id.len()) && is_plain(&id) {
            true => Ok(Self(id)),
            false => Err(bad().into()),
        }
    }
}

/// A JSON object as body. Unknown fields are refused by the type.
pub(crate) struct Fields<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Fields<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(codes::API_BAD_REQUEST.with("The body must be JSON: content-type application/json.").into());
        }
        let body = body(request).await?;
        let mut reader = serde_json::Deserializer::from_slice(&body);
        let fields: T = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| Problem::from(codes::VALIDATION.with(error.to_string())))?;
        reader.end().map_err(|_| codes::API_BAD_REQUEST.with("There is something behind the JSON value."))?;
        Ok(Self(fields))
    }
}

async fn body(request: Request) -> Result<bytes::Bytes, Failure> {
    let read = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX);
    match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_long(&error) => Err(codes::INVALID_REQUEST_BODY.failure()),
        Ok(Err(_)) => Err(codes::API_BAD_REQUEST.with("The body broke off.")),
        Err(_) => Err(codes::REQUEST_TIMEOUT.failure()),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    use std::error::Error as _;
    error.source().is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// How many entries a page is to have.
pub(crate) fn limit(asked: Option<u32>) -> Result<u32, Failure> {
    match asked.unwrap_or(PAGE_ENTRIES) {
        limit if (1..=PAGE_ENTRIES_MAX).contains(&limit) => Ok(limit),
        _ => Err(codes::VALIDATION.with(format!("limit is between 1 and {PAGE_ENTRIES_MAX}."))),
    }
}

/// A user's id.
pub(crate) fn user(id: &str) -> Result<(), Failure> {
    match (1..=USER_BYTES_MAX).contains(&id.len()) && is_plain(id) {
        true => Ok(()),
        false => Err(codes::VALIDATION.with("user is not the id of a user.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_that_is_not_plain_text_is_refused() {
        for bad in ["q=%ff", "q=%c3%28", "q=%00", "q=a%0ab", "q=%7f", "q=%", "q=%1", "q=%zz", &"x".repeat(5000)] {
            assert!(check_query(bad).is_err(), "{bad}");
        }
        for good in ["", "q=a", "q=%C3%BC&limit=1", "q=';--", "q=%25"] {
            assert!(check_query(good).is_ok(), "{good}");
        }
    }
}
