//! Reading an actor's state from outside, for a developer's tools.
//!
//! Invariant: nothing is told to somebody without the deployment's token, and a deployment without a token tells nobody anything.
//! Deliberately absent: changing state from outside, which the actor would not see happen.

use crate::core::record::key;
use crate::runtime::Shared;
use bytes::Bytes;
use growqr_types::{ActorId, Failure, codes};
use serde_json::{Value, json};

/// Where the SDKs keep an actor's fields.
const STATE_KEY: &str = "$state";

/// `GET /inspector/state`: the durable state, as the original's inspector shows it.
pub async fn state(shared: &Shared, actor: ActorId, request: &http::Request<Bytes>) -> Result<String, Failure> {
    let Some(token) = shared.inspector_token.get() else {
        return Err(codes::ACTOR_NOT_FOUND.with("This deployment has no inspector."));
    };
    let bearer = request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if !is_same(given.as_bytes(), token.as_bytes()) {
        return Err(codes::FORBIDDEN.failure());
    }
    if request.method() != http::Method::GET {
        return Err(codes::METHOD_NOT_ALLOWED.failure());
    }
    let read = shared.engine.get(actor, &key::state(STATE_KEY)).get().await;
    let stored = read.map_err(|error| codes::INTERNAL.with(error.to_string()))?;
    let state: Value = stored.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
    Ok(json!({ "state": state, "isStateEnabled": stored.is_some() }).to_string())
}

/// Compares without telling by its duration how much of it was right.
fn is_same(given: &[u8], token: &[u8]) -> bool {
    given.len() == token.len()
        && given.iter().zip(token).fold(0, |different, (left, right)| different | (left ^ right)) == 0
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn only_the_whole_token_is_the_token() {
        assert!(is_same(b"token", b"token"));
        for wrong in ["", "toke", "tokens", "tokeN", "Token"] {
            assert!(!is_same(wrong.as_bytes(), b"token"), "{wrong}");
        }
    }
}
