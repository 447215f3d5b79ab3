//! Reads a set of public keys (RFC 7517).
//!
//! Keys that can't sign session tokens are left out, so that an issuer may publish others beside them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;

/// Keys of one set.
const KEYS_MAX: usize = 64;
/// Bytes of a modulus: 2048 to 8192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Public keys by their ids.
pub type KeySet = HashMap<String, Arc<DecodingKey>>;

#[derive(Deserialize)]
struct Published {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct PublishedKey {
    kty: String,
    kid: String,
    n: String,
    e: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
}

/// Reads a key set; one without a usable key is refused, because it would lock everybody out.
pub fn read(bytes: &[u8]) -> Result<KeySet, String> {
    let published: Published = serde_json::from_slice(bytes).map_err(|error| format!("it is no key set: {error}"))?;
    if published.keys.len() > KEYS_MAX {
        return Err(format!("it has more than {KEYS_MAX} keys"));
    }
    let keys: KeySet = published.keys.into_iter().filter_map(usable).collect();
    if keys.is_empty() { Err("it has no RSA key for RS256".to_owned()) } else { Ok(keys) }
}

fn usable(value: serde_json::Value) -> Option<(String, Arc<DecodingKey>)> {
    let key: PublishedKey = serde_json::from_value(value).ok()?;
    let is_for_signatures = key.usage.as_deref().is_none_or(|usage| usage == "sig");
    let is_for_rs256 = key.kty == "RSA" && key.alg.as_deref().is_none_or(|alg| alg == "RS256");
    let modulus = URL_SAFE_NO_PAD.decode(&key.n).ok()?;
    let exponent = URL_SAFE_NO_PAD.decode(&key.e).ok()?;
    if !is_for_signatures || !is_for_rs256 || !MODULUS_BYTES.contains(&modulus.len()) || exponent.is_empty() {
        return None;
    }
    Some((key.kid, Arc::new(DecodingKey::from_rsa_raw_components(&modulus, &exponent))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(changes: serde_json::Value) -> serde_json::Value {
        let n = URL_SAFE_NO_PAD.encode([0xC3; 256]);
        let mut key = json!({"kty": "RSA", "kid": "a", "n": n, "e": "AQAB", "use": "sig", "alg": "RS256"});
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    }

    fn ids(keys: &[serde_json::Value]) -> Vec<String> {
        let set = read(json!({"keys": keys}).to_string().as_bytes());
        set.map_or_else(|_| Vec::new(), |set| set.into_keys().collect())
    }

    #[test]
    fn keys_for_rs256_are_read_and_others_left_out() {
        assert_eq!(ids(&[key(json!({}))]), ["a"]);
        assert_eq!(ids(&[key(json!({"use": null, "alg": null}))]), ["a"]);
        let small = URL_SAFE_NO_PAD.encode([0xC3; 128]);
        for other in [
            json!({"kty": "EC"}),
            json!({"use": "enc"}),
            json!({"alg": "RS512"}),
            json!({"n": "***"}),
            json!({"n": small}),
            json!({"e": ""}),
            json!({"kid": 1}),
        ] {
            assert_eq!(ids(&[key(other.clone())]), Vec::<String>::new(), "{other}");
            assert_eq!(ids(&[key(other), key(json!({"kid": "b"}))]), ["b"]);
        }
    }

    #[test]
    fn a_set_that_is_no_set_is_refused() {
        for bad in ["", "[]", "{}", r#"{"keys": {}}"#, r#"{"keys": []}"#, "\u{0}"] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        let many: Vec<_> = (0..=KEYS_MAX).map(|index| key(json!({"kid": index.to_string()}))).collect();
        assert!(read(json!({"keys": many}).to_string().as_bytes()).is_err());
    }
}
