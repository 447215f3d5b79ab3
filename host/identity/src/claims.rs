//! The parts of a session token, and what its claims must say.
//!
//! Pure: text and time in, a session or a refusal out. What is checked follows the token's issuer (`docs/identity.md`), and is stricter
//! where the issuer's own library is lenient.
//!
//! Invariant: nothing of a token chooses how it is checked. The algorithm is fixed, and keys that a token brings are not looked at.

use crate::principal::{Organization, Session};
use crate::verifier::{Refusal, VerifierSettings};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use growqr_types::limits;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::sync::Arc;

/// Seconds by which the clocks of issuer and host may differ.
pub const LEEWAY_SECONDS: u64 = 5;
/// Bytes of a user's id.
const USER_BYTES_MAX: usize = 255;
/// Bytes of a session's id.
const SESSION_BYTES_MAX: usize = 255;
/// The only algorithm.
const ALGORITHM: &str = "RS256";
/// Classes of tokens that speak for a signed-in user: session, template, and "says nothing". Everything else, and above all the class
/// of machine tokens, is refused.
const CATEGORIES: [&str; 3] = ["cl_B7d4PD111AAA", "cl_B7d4PD222AAA", "cl_I7d4PD111III"];
/// What the subject of a machine token begins with. The category does not always tell.
const MACHINE_SUBJECT: &str = "mch_";

/// A token whose signature is still to be checked.
#[derive(Debug)]
pub struct Parts<'a> {
    /// What is signed.
    pub signed: &'a str,
    /// The claims, in base64.
    claims: &'a str,
    /// The signature, in base64.
    pub signature: &'a str,
    /// Which key is said to have signed it.
    pub key_id: Option<String>,
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    typ: Option<Cow<'a, str>>,
    kid: Option<String>,
    #[serde(borrow)]
    cat: Option<Cow<'a, str>>,
    /// Extensions that must be understood. None is.
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

fn is_there<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

/// Takes a token apart and checks its header.
pub fn read(token: &str) -> Result<Parts<'_>, Refusal> {
    if token.len() > limits::TOKEN_BYTES_MAX {
        return Err(Refusal::Invalid("size"));
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Invalid("shape"))?;
    let (header, claims) = signed.split_once('.').ok_or(Refusal::Invalid("shape"))?;
    if claims.contains('.') || signature.is_empty() {
        return Err(Refusal::Invalid("shape"));
    }
    let bytes = URL_SAFE_NO_PAD.decode(header).map_err(|_| Refusal::Invalid("header"))?;
    let header: Header<'_> = serde_json::from_slice(&bytes).map_err(|_| Refusal::Invalid("header"))?;
    if header.alg != ALGORITHM {
        return Err(Refusal::Invalid("alg"));
    }
    if header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(Refusal::Invalid("typ"));
    }
    if header.crit {
        return Err(Refusal::Invalid("crit"));
    }
    if header.cat.is_some_and(|category| !CATEGORIES.contains(&&*category)) {
        return Err(Refusal::Invalid("cat"));
    }
    Ok(Parts { signed, claims, signature, key_id: header.kid })
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    #[serde(borrow)]
    sub: Cow<'a, str>,
    #[serde(borrow)]
    azp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sts: Option<Cow<'a, str>>,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    v: Option<u32>,
    // Version 1 is flat, version 2 has an object.
    org_id: Option<String>,
    org_slug: Option<String>,
    org_role: Option<String>,
    o: Option<ClaimedOrganization>,
}

#[derive(Deserialize)]
struct ClaimedOrganization {
    id: String,
    slg: Option<String>,
    rol: Option<String>,
}

/// Checks the claims of a token whose signature is right.
pub fn check(parts: &Parts<'_>, settings: &VerifierSettings, now_ms: u64) -> Result<Session, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(parts.claims).map_err(|_| Refusal::Invalid("claims"))?;
    let claims: Claims<'_> = serde_json::from_slice(&bytes).map_err(|_| Refusal::Invalid("claims"))?;
    if claims.iss != settings.issuer {
        return Err(Refusal::Invalid("iss"));
    }
    let is_allowed = |party: &Cow<'_, str>| settings.authorized_parties.iter().any(|allowed| allowed == party);
    if !claims.azp.as_ref().is_some_and(is_allowed) {
        return Err(Refusal::Invalid("azp"));
    }
    if claims.sts.as_ref().is_some_and(|status| status != "active") {
        return Err(Refusal::Invalid("sts"));
    }
    if !is_name(&claims.sub, USER_BYTES_MAX) || claims.sub.starts_with(MACHINE_SUBJECT) {
        return Err(Refusal::Invalid("sub"));
    }
    if claims.sid.as_ref().is_some_and(|session| !is_name(session, SESSION_BYTES_MAX)) {
        return Err(Refusal::Invalid("sid"));
    }
    check_times(&claims, now_ms / 1000)?;
    let user: Arc<str> = claims.sub.as_ref().into();
    let session = claims.sid.as_deref().map(Arc::from);
    let (issued, expires) = (seconds(claims.iat.unwrap_or_default()), seconds(claims.exp));
    Ok(Session { user, session, issued, expires, organization: organization(claims)?.map(Box::new) })
}

/// Whether a text can be an id: it goes into headers, keys and logs.
pub fn is_name(text: &str, bytes_max: usize) -> bool {
    !text.is_empty() && text.len() <= bytes_max && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn check_times(claims: &Claims<'_>, now: u64) -> Result<(), Refusal> {
    let (now, leeway) = (now as f64, LEEWAY_SECONDS as f64);
    if claims.exp <= now - leeway {
        return Err(Refusal::Expired);
    }
    if [claims.nbf, claims.iat].into_iter().flatten().any(|start| start > now + leeway) {
        return Err(Refusal::Early);
    }
    Ok(())
}

/// Whole seconds; what is out of range is cut to it.
fn seconds(number: f64) -> u64 {
    number as u64
}

fn organization(claims: Claims<'_>) -> Result<Option<Organization>, Refusal> {
    Ok(match claims.v.unwrap_or(1) {
        1 => claims.org_id.map(|id| Organization {
            id,
            slug: claims.org_slug,
            role: claims.org_role.map(|role| role.strip_prefix("org:").map(str::to_owned).unwrap_or(role)),
        }),
        2 => claims.o.map(|claimed| Organization { id: claimed.id, slug: claimed.slg, role: claimed.rol }),
        _ => return Err(Refusal::Invalid("v")),
    })
}
