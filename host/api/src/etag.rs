//! Answers that a poller need not fetch again: the tag is a hash of the answer itself, so it changes exactly when the answer does.

use crate::problem::Problem;
use axum::response::{IntoResponse, Response};
use growqr_types::codes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Bytes of the hash that the tag shows.
const TAG_BYTES: usize = 16;

/// The answer in JSON; or that it is the one which the caller has.
pub(crate) fn tagged(asked: &HeaderMap, value: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(value).map_err(|_| codes::INTERNAL.failure())?;
    let mut tag = String::from("\"");
    for byte in Sha256::digest(&body).iter().take(TAG_BYTES) {
        // Writing to a text can't fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    let mut response = match has(asked, &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::ETAG, HeaderValue::from_str(&tag).map_err(|_| codes::INTERNAL.failure())?);
    Ok(response)
}

/// Whether the caller has the answer with this tag. Proxies may have made the tag a weak one.
fn has(asked: &HeaderMap, tag: &str) -> bool {
    let lists = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(','));
    tags.any(|one| matches!(one.trim(), "*") || one.trim().trim_start_matches("W/") == tag)
}
