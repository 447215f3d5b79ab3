//! The id that a request carries through logs, actors and error messages.

use growqr_types::ActorId;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Header of the ray id, in requests and answers.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-rivet-ray-id");

/// Letters of a ray id.
const RAY_LEN: usize = 30;

/// The id of one request: 30 letters and digits, in the shape of the engine's other ids.
#[derive(Debug, Clone)]
pub(crate) struct Ray(HeaderValue);

impl Ray {
    /// The id that the client brought, if it is one, or a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let brought = headers.get(HEADER).filter(|value| {
            value.len() == RAY_LEN
                && value.as_bytes().iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
        });
        match brought {
            Some(value) => Self(value.clone()),
            None => {
                let text = ActorId::from_bytes(uuid::Uuid::new_v4().into_bytes()).to_string();
                Self(HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("unknown")))
            }
        }
    }

    /// For headers.
    pub(crate) fn value(&self) -> HeaderValue {
        self.0.clone()
    }

    /// For logs and close reasons.
    pub(crate) fn text(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}
