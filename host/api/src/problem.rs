//! Failures as answers. Their body is the one that the gateway's failures have.

use axum::response::{IntoResponse, Response};
use growqr_types::{Failure, codes};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Seconds after which a call may be tried again that found the host or the database busy.
const RETRY_AFTER_SECONDS: u64 = 1;

/// What every failure says.
#[derive(Serialize, ToSchema)]
#[schema(as = Error, example = json!({"group": "thread", "code": "not_found", "message": "The thread does not exist or was deleted."}))]
pub(crate) struct ErrorBody<'a> {
    /// Who speaks.
    group: &'a str,
    /// Stable, for programs.
    code: &'a str,
    /// For people.
    message: &'a str,
    /// More, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<&'a RawValue>,
}

/// A failure on its way to the caller.
#[derive(Debug)]
pub(crate) struct Problem {
    failure: Failure,
    retry_after_seconds: Option<u64>,
}

impl Problem {
    /// A failure that may be tried again after so many seconds.
    pub fn retry(failure: Failure, seconds: u64) -> Self {
        Self { failure, retry_after_seconds: Some(seconds) }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let busy = failure.status() == StatusCode::SERVICE_UNAVAILABLE.as_u16();
        Self { failure, retry_after_seconds: busy.then_some(RETRY_AFTER_SECONDS) }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        tracing::debug!(%error, "a query failed");
        // What a caller may say was checked before, so a value that the database refuses is the caller's all the same.
        if growqr_postgres::is_data_error(&error) {
            return codes::VALIDATION.failure().into();
        }
        growqr_postgres::failure(&error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { failure, retry_after_seconds } = self;
        let status = StatusCode::from_u16(failure.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let metadata = failure.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let body = ErrorBody { group: &failure.group, code: &failure.code, message: &failure.message, metadata };
        let bytes = serde_json::to_vec(&body).unwrap_or_else(|_| b"{}".to_vec());
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response();
        if let Some(seconds) = retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
