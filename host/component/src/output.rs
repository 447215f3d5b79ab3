//! What a guest gives back, checked before anything keeps it.

use crate::bindings::growqr::actor::types as wit;
use crate::convert;
use crate::store::InstanceLimits;
use growqr_turn::{Answer, HttpResponse, Outcome, RequestOutcome, TurnFailure, Verdict};
use growqr_types::limits::HEADER_BYTES_MAX;
use growqr_types::{Code, Failure, codes};
use http::{HeaderName, HeaderValue};
use serde::de::IgnoredAny;

/// Bytes of a failure's group or code; enough for any that a person writes.
const FAILURE_CODE_BYTES_MAX: usize = 128;
/// Bytes of a failure's message.
const FAILURE_MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Bytes of a failure's metadata.
const FAILURE_METADATA_BYTES_MAX: usize = 64 << 10;
/// Headers of one response.
const RESPONSE_HEADERS_MAX: usize = 256;

fn refused(code: &Code, message: impl Into<String>) -> TurnFailure {
    TurnFailure(code.with(message))
}

/// Refuses text that is not JSON or too long.
fn json(text: &str, bytes_max: usize) -> Result<(), TurnFailure> {
    if text.len() > bytes_max {
        let message = format!("the answer has {} bytes, and at most {bytes_max} are allowed", text.len());
        return Err(refused(&codes::OUTGOING_TOO_LONG, message));
    }
    serde_json::from_str::<IgnoredAny>(text)
        .map(|_| ())
        .map_err(|error| refused(&codes::INVALID_OUTPUT, format!("the answer is not JSON: {error}")))
}

pub(crate) fn verdict(verdict: wit::Verdict, limits: &InstanceLimits) -> Result<Answer, TurnFailure> {
    Ok(Answer::Verdict(match verdict {
        wit::Verdict::Accept(state) => {
            if let Some(state) = &state {
                json(state, limits.json_answer_bytes_max)?;
            }
            Verdict::Accept(state)
        }
        wit::Verdict::Deferred => Verdict::Deferred,
    }))
}

pub(crate) fn outcome(outcome: wit::Outcome, limits: &InstanceLimits) -> Result<Answer, TurnFailure> {
    Ok(Answer::Outcome(match outcome {
        wit::Outcome::Done => Outcome::Done,
        wit::Outcome::Reply(value) => {
            json(&value, limits.json_answer_bytes_max)?;
            Outcome::Reply(value)
        }
        wit::Outcome::Deferred => Outcome::Deferred,
    }))
}

pub(crate) fn request_outcome(outcome: wit::RequestOutcome, limits: &InstanceLimits) -> Result<Answer, TurnFailure> {
    Ok(Answer::Request(match outcome {
        wit::RequestOutcome::Response(answer) => {
            RequestOutcome::Response(response(answer, limits.response_body_bytes_max)?)
        }
        wit::RequestOutcome::Deferred => RequestOutcome::Deferred,
    }))
}

/// A response that can be sent as it is: a final status, header names and values that HTTP allows, names in lower case.
pub(crate) fn response(response: wit::HttpResponse, body_bytes_max: usize) -> Result<HttpResponse, TurnFailure> {
    if !(200..=599).contains(&response.status) {
        return Err(refused(&codes::INVALID_OUTPUT, format!("{} is not a final HTTP status", response.status)));
    }
    if response.body.len() > body_bytes_max {
        let message = format!("the body has {} bytes, and at most {body_bytes_max} are allowed", response.body.len());
        return Err(refused(&codes::OUTGOING_TOO_LONG, message));
    }
    let bytes: usize = response.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    if bytes > HEADER_BYTES_MAX || response.headers.len() > RESPONSE_HEADERS_MAX {
        return Err(refused(&codes::OUTGOING_TOO_LONG, "the response has too many headers or too long ones"));
    }
    let mut response = convert::http_response(response);
    for (name, value) in &mut response.headers {
        let Ok(checked) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(refused(&codes::INVALID_OUTPUT, "the response has a header name that HTTP does not allow"));
        };
        if HeaderValue::from_str(value).is_err() {
            let message = format!("the value of the response header {checked} is not allowed in HTTP");
            return Err(refused(&codes::INVALID_OUTPUT, message));
        }
        checked.as_str().clone_into(name);
    }
    Ok(response)
}

/// The guest's own failure, bounded. A group or code that clients take as "it certainly did not run, try again" is not the guest's to
/// say, so it becomes the guest's own.
pub(crate) fn guest_failure(failure: wit::Failure) -> Failure {
    let wit::Failure { group, code, message, metadata } = failure;
    let retried = group == "guard"
        || [codes::RESTARTING, codes::ACTOR_NOT_FOUND].iter().any(|host| (host.group, host.code) == (&group, &code));
    let group = if group.is_empty() || retried { "user".to_owned() } else { bounded(group, FAILURE_CODE_BYTES_MAX) };
    let code = if code.is_empty() { "error".to_owned() } else { bounded(code, FAILURE_CODE_BYTES_MAX) };
    Failure {
        group: group.into(),
        code: code.into(),
        message: bounded(message, FAILURE_MESSAGE_BYTES_MAX),
        metadata: metadata.filter(|metadata| json(metadata, FAILURE_METADATA_BYTES_MAX).is_ok()),
    }
}

/// Cuts text at a character's border.
pub(crate) fn bounded(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(group: &str, code: &str) -> wit::Failure {
        wit::Failure { group: group.into(), code: code.into(), message: "m".into(), metadata: None }
    }

    #[test]
    fn a_guest_can_not_ask_clients_to_retry() {
        let cases = [
            (("", "broke"), ("user", "broke")),
            (("user", ""), ("user", "error")),
            (("guard", "actor_ready_timeout"), ("user", "actor_ready_timeout")),
            (("actor", "restarting"), ("user", "restarting")),
            (("actor", "not_found"), ("user", "not_found")),
            (("memory", "not_found"), ("memory", "not_found")),
        ];
        for ((group, code), expected) in cases {
            let got = guest_failure(failure(group, code));
            assert_eq!((got.group.as_ref(), got.code.as_ref()), expected);
        }
    }

    #[test]
    fn a_failure_is_bounded() {
        let long = "ä".repeat(FAILURE_MESSAGE_BYTES_MAX);
        let got = guest_failure(wit::Failure {
            group: long.clone(),
            code: long.clone(),
            message: long.clone(),
            metadata: Some("{".into()),
        });
        assert!(got.group.len() <= FAILURE_CODE_BYTES_MAX && got.code.len() <= FAILURE_CODE_BYTES_MAX);
        assert!(got.message.len() <= FAILURE_MESSAGE_BYTES_MAX);
        assert_eq!(got.metadata, None);
    }

    fn check(status: u16, header: (&str, &str), body: usize, expected: Result<&str, &Code>) {
        let answer = wit::HttpResponse {
            status,
            headers: vec![wit::Header { name: header.0.into(), value: header.1.into() }],
            body: vec![0; body],
        };
        match (response(answer, 10), expected) {
            (Ok(response), Ok(name)) => assert_eq!(response.headers[0].0, name),
            (Err(failure), Err(code)) => assert!(failure.0.is(code), "{failure:?}"),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn a_response_must_be_http() {
        check(200, ("Content-Type", "text/plain"), 10, Ok("content-type"));
        check(101, ("a", "b"), 0, Err(&codes::INVALID_OUTPUT));
        check(999, ("a", "b"), 0, Err(&codes::INVALID_OUTPUT));
        check(200, ("a b", "c"), 0, Err(&codes::INVALID_OUTPUT));
        check(200, ("", "c"), 0, Err(&codes::INVALID_OUTPUT));
        check(200, ("a", "b\r\nx: y"), 0, Err(&codes::INVALID_OUTPUT));
        check(200, ("a", &"b".repeat(HEADER_BYTES_MAX)), 0, Err(&codes::OUTGOING_TOO_LONG));
        check(200, ("a", "b"), 11, Err(&codes::OUTGOING_TOO_LONG));
    }
}
