//! Builds answers: JSON, failures, CORS headers.

use crate::ray::{self, Ray};
use bytes::Bytes;
use futures::future::BoxFuture;
use growqr_types::Failure;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use serde_json::value::RawValue;
use std::sync::Arc;

/// The body of an answer: bytes at hand, or a stream of somebody else's routes.
pub type ReplyBody = Either<Full<Bytes>, UnsyncBoxBody<Bytes, std::io::Error>>;

/// Serves the paths below `/api` that are not the gateway's.
pub type ExtraRoutes = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<ReplyBody>> + Send + Sync>;

/// Tells that the gateway itself failed, and how.
const ERROR: HeaderName = HeaderName::from_static("x-rivet-error");
/// What a preflight allows at an actor.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS, PATCH");
/// How long a browser may keep a preflight's answer.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("86400");

/// An answer with these bytes.
pub(crate) fn bytes(status: StatusCode, body: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = status;
    response
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<ReplyBody> {
    let body = serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec());
    let mut response = bytes(status, body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[derive(serde::Serialize)]
struct FailureBody<'a> {
    group: &'a str,
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
}

/// The answer that tells of a failure. Always JSON: the client sees that in the content type, whatever encoding it asked for.
pub(crate) fn failure(failure: &Failure) -> Response<ReplyBody> {
    let status = StatusCode::from_u16(failure.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let metadata = failure.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let body = FailureBody { group: &failure.group, code: &failure.code, message: &failure.message, metadata };
    let mut response = json(status, &body);
    if let Ok(value) = HeaderValue::from_str(&format!("{}.{}", failure.group, failure.code)) {
        response.headers_mut().insert(ERROR, value);
    }
    response
}

/// What of a request decides on the CORS headers of its answer.
pub(crate) struct Cors {
    origin: Option<HeaderValue>,
}

impl Cors {
    /// Reads it from the request.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self { origin: headers.get(header::ORIGIN).cloned() }
    }

    /// Adds the headers that every answer has, refusals included. They take the place of an actor's own.
    pub(crate) fn apply(self, ray: &Ray, headers: &mut HeaderMap) {
        headers.insert(ray::HEADER, ray.value());
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
        match self.origin {
            Some(origin) => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                headers.append(header::VARY, HeaderValue::from_static("Origin"));
            }
            None => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
        }
    }
}

/// Whether a request is a browser's question, to be answered without an actor.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight. The REST interface mirrors the method that was asked for; actors take the usual ones.
pub(crate) fn preflight(headers: &HeaderMap, mirror_method: bool) -> Response<ReplyBody> {
    let mut response = bytes(StatusCode::NO_CONTENT, Bytes::new());
    let reply = response.headers_mut();
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD).filter(|_| mirror_method);
    reply.insert(header::ACCESS_CONTROL_ALLOW_METHODS, asked.cloned().unwrap_or(METHODS));
    if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        reply.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    reply.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    response
}
