//! Around every route: request ids, CORS, one line in the log, and a fence for panics.

use crate::problem::Problem;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use growqr_types::codes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use std::any::Any;
use std::time::Instant;

/// The request's id, in requests and answers.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Letters of a request id that a client brings.
const REQUEST_ID_LEN_MAX: usize = 64;
/// What a browser may send to other origins' pages.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PATCH, DELETE, OPTIONS");
/// How long a browser may keep the answer to that question.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("86400");

/// The client's own id, if it is one, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_one = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=REQUEST_ID_LEN_MAX).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let brought = headers.get(REQUEST_ID).filter(is_one).cloned();
    brought.unwrap_or_else(|| {
        let made = uuid::Uuid::new_v4().to_string();
        HeaderValue::from_str(&made).unwrap_or(HeaderValue::from_static("unknown"))
    })
}

/// Wraps a request.
pub(crate) async fn around(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let method = request.method().clone();
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = match is_preflight(&request) {
        true => preflight(request.headers()),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id.clone());
    cors(origin, headers);
    let elapsed_us = started.elapsed().as_micros() as u64;
    let id = id.to_str().unwrap_or_default();
    // Paths and queries can hold what users wrote, so the line has none of them.
    tracing::debug!(request = id, %method, status = response.status().as_u16(), elapsed_us, "REST request");
    response
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    if let Some(asked) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}

/// A token never comes by itself, as a cookie would, so any origin may ask.
fn cors(origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("etag, retry-after, x-request-id"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.unwrap_or(HeaderValue::from_static("*")));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}

/// A defect of one route must not end the others.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a REST route panicked");
    Problem::from(codes::INTERNAL.failure()).into_response()
}

/// Nothing is served at this path.
pub(crate) async fn nowhere() -> Problem {
    codes::API_NOT_FOUND.failure().into()
}

/// Something is served at this path, by another method.
pub(crate) async fn wrong_method() -> Problem {
    codes::METHOD_NOT_ALLOWED.failure().into()
}
