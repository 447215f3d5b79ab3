//! What it costs to find out who asks, with the key at hand: `cargo run --release -p growqr-identity --example verify_cost`.
//!
//! One round takes the token out of a request's headers and verifies it, as the gateway does for every request.

#![allow(clippy::unwrap_used, reason = "a measurement may panic")]

use growqr_identity::issuer::{Issuer, Wish};
use growqr_identity::{Identity, IdentityInput, Verifier, credentials};
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const WARM_UP: usize = 1_000;
const ROUNDS: usize = 20_000;

fn main() {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let issuer = Issuer::generate().unwrap();
    let wish = Wish { user: "user_2abcdefghijklmnopqrstuvwxyz".into(), session: None, lifetime_seconds: None };
    let token = issuer.issue(&wish, clock()).unwrap().token;
    let verifier = Verifier::new(issuer.settings(&[]), issuer.keys());
    let refresh_within = Duration::from_secs(60);
    let clock = Arc::new(clock);
    let identity =
        Identity::new(IdentityInput { verifier, issuer: None, operators: None, users: None, refresh_within, clock });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bearer = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    let parameters = HeaderValue::from_str(&format!(r#"{{"room":1,"token":"{token}"}}"#)).unwrap();
    for (name, header, value) in
        [("authorization", "authorization", bearer), ("parameters", "x-rivet-conn-params", parameters)]
    {
        let mut headers = HeaderMap::new();
        for other in ["host", "user-agent", "accept", "accept-language", "content-type", "x-rivet-encoding"] {
            headers.insert(other, HeaderValue::from_static("something"));
        }
        headers.insert(header, value);
        let mut times: Vec<Duration> = Vec::with_capacity(ROUNDS);
        for round in 0..WARM_UP + ROUNDS {
            let mut headers = headers.clone();
            let start = Instant::now();
            credentials::drop_reserved(&mut headers);
            let token = credentials::take(&mut headers).unwrap();
            let principal = runtime.block_on(identity.identify_token(token.as_ref())).unwrap();
            if round >= WARM_UP {
                times.push(start.elapsed());
            }
            assert!(principal.user().is_some());
        }
        times.sort();
        println!("{name}: p50 {:?}, p99 {:?}", times[ROUNDS / 2], times[ROUNDS * 99 / 100]);
    }
}
