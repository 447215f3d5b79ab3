//! Tokens that are wrong in one place, and what the verifier says to each.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use growqr_identity::issuer::Issuer;
use growqr_identity::keys::Keys;
use growqr_identity::{Organization, Session, Verifier, VerifierSettings};
use growqr_types::{Code, Failure, codes, limits};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://clerk.example.test";
const PARTY: &str = "https://app.example.test";

static SIGNER: LazyLock<Issuer> = LazyLock::new(|| Issuer::generate().unwrap());
static STRANGER: LazyLock<Issuer> = LazyLock::new(|| Issuer::generate().unwrap());

fn verifier() -> Verifier {
    let settings = VerifierSettings { issuer: ISSUER.into(), authorized_parties: vec![PARTY.into(), "other".into()] };
    Verifier::new(settings, SIGNER.keys())
}

fn header() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "ins_1", "cat": "cl_B7d4PD111AAA"})
}

/// A token as the issuer makes it, version 1.
fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "user_ada", "sid": "sess_1", "azp": PARTY,
        "iat": NOW, "nbf": NOW - 10, "exp": NOW + 60, "fva": [1, -1], "jti": "1",
    })
}

/// The object with some fields changed; `null` takes a field out, `"null"` as a text makes it null.
fn with(mut object: Value, changes: Value) -> Value {
    let fields: &mut Map<String, Value> = object.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(fields.remove(name)),
            Value::String(text) if text == "null" => drop(fields.insert(name.clone(), Value::Null)),
            value => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    object
}

async fn verify(header: Value, claims: Value) -> Result<Session, Failure> {
    verifier().verify(&SIGNER.sign(&header, &claims).unwrap(), NOW * 1000).await
}

async fn check_header(changes: Value, expected: Result<(), Code>) {
    let result = verify(with(header(), changes.clone()), claims()).await;
    compare(&changes, result, expected);
}

async fn check_claims(changes: Value, expected: Result<(), Code>) {
    let result = verify(header(), with(claims(), changes.clone())).await;
    compare(&changes, result, expected);
}

fn compare(case: &dyn std::fmt::Debug, result: Result<Session, Failure>, expected: Result<(), Code>) {
    match (result, expected) {
        (Ok(session), Ok(())) => assert_eq!(&*session.user, "user_ada", "{case:?}"),
        // The default message: no detail of what was wrong.
        (Err(failure), Err(code)) => assert_eq!(failure, code.failure(), "{case:?}"),
        (result, expected) => panic!("{case:?}: {result:?} and not {expected:?}"),
    }
}

const REFUSED: Result<(), Code> = Err(codes::TOKEN_INVALID);
const EXPIRED: Result<(), Code> = Err(codes::TOKEN_EXPIRED);
const EARLY: Result<(), Code> = Err(codes::TOKEN_EARLY);

#[tokio::test]
async fn a_good_token_gives_its_user_and_session() {
    let session = verify(header(), claims()).await.unwrap();
    assert_eq!(&*session.user, "user_ada");
    assert_eq!(session.session.as_deref(), Some("sess_1"));
    assert_eq!((session.issued, session.expires), (NOW, NOW + 60));
    assert_eq!(session.organization, None);
}

#[tokio::test]
async fn the_header_is_checked_field_by_field() {
    check_header(json!({}), Ok(())).await;
    check_header(json!({"typ": null}), Ok(())).await;
    check_header(json!({"typ": "jwt"}), Ok(())).await;
    check_header(json!({"typ": "at+jwt"}), REFUSED).await;
    check_header(json!({"typ": 1}), REFUSED).await;
    // A configured key is used whatever the header says.
    check_header(json!({"kid": null}), Ok(())).await;
    check_header(json!({"kid": "another"}), Ok(())).await;
    for alg in
        [json!("none"), json!("None"), json!("HS256"), json!("RS384"), json!("RS512"), json!("PS256"), json!("ES256")]
    {
        check_header(json!({"alg": alg}), REFUSED).await;
    }
    for alg in [json!("rs256"), json!("RS256 "), json!(""), json!(256), json!(["RS256"]), json!(null), json!("null")] {
        check_header(json!({"alg": alg}), REFUSED).await;
    }
}

#[tokio::test]
async fn machine_tokens_and_unknown_classes_are_refused() {
    check_header(json!({"cat": null}), Ok(())).await;
    check_header(json!({"cat": "cl_B7d4PD222AAA"}), Ok(())).await;
    check_header(json!({"cat": "cl_I7d4PD111III"}), Ok(())).await;
    check_header(json!({"cat": "cl_B7d4PD333AAA"}), REFUSED).await;
    check_header(json!({"cat": "cl_B7d4PD444AAA"}), REFUSED).await;
    check_header(json!({"cat": ""}), REFUSED).await;
    check_header(json!({"cat": 1}), REFUSED).await;
    check_claims(json!({"sub": "mch_service"}), REFUSED).await;
}

#[tokio::test]
async fn an_extension_that_must_be_understood_is_refused() {
    for crit in [json!(["b64"]), json!(["exp"]), json!([]), json!("null"), json!(false), json!({})] {
        check_header(json!({"crit": crit}), REFUSED).await;
    }
}

#[tokio::test]
async fn a_key_that_the_token_brings_is_not_looked_at() {
    let own = STRANGER.key_set()["keys"][0].clone();
    let bringing = with(
        header(),
        json!({"jwk": own, "jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/key", "x5c": ["AAAA"]}),
    );
    compare(
        &"signed by the brought key",
        verifier().verify(&STRANGER.sign(&bringing, &claims()).unwrap(), NOW * 1000).await,
        REFUSED,
    );
    compare(&"signed by the right key", verify(bringing, claims()).await, Ok(()));
}

#[tokio::test]
async fn the_issuer_must_be_the_configured_one() {
    for iss in [
        json!(null),
        json!("null"),
        json!(""),
        json!("https://clerk.example.test/"),
        json!("http://clerk.example.test"),
    ] {
        check_claims(json!({"iss": iss}), REFUSED).await;
    }
    check_claims(json!({"iss": [ISSUER]}), REFUSED).await;
    check_claims(json!({"iss": 1}), REFUSED).await;
}

#[tokio::test]
async fn the_origin_must_be_there_and_allowed() {
    check_claims(json!({"azp": "other"}), Ok(())).await;
    for azp in [
        json!(null),
        json!("null"),
        json!(""),
        json!("https://evil.test"),
        json!("https://app.example.test/"),
        json!(1),
    ] {
        check_claims(json!({"azp": azp}), REFUSED).await;
    }
    check_claims(json!({"azp": [PARTY]}), REFUSED).await;
    let settings = VerifierSettings { issuer: ISSUER.into(), authorized_parties: Vec::new() };
    let nobody = Verifier::new(settings, SIGNER.keys());
    compare(
        &"no origin allowed",
        nobody.verify(&SIGNER.sign(&header(), &claims()).unwrap(), NOW * 1000).await,
        REFUSED,
    );
}

#[tokio::test]
async fn the_user_must_be_a_name() {
    for sub in [
        json!(null),
        json!("null"),
        json!(""),
        json!(" "),
        json!("a b"),
        json!("a\nb"),
        json!("a\u{0}"),
        json!("ü"),
        json!(1),
    ] {
        check_claims(json!({"sub": sub}), REFUSED).await;
    }
    check_claims(json!({"sub": "x".repeat(256)}), REFUSED).await;
    check_claims(json!({"sid": ""}), REFUSED).await;
    check_claims(json!({"sid": "a\r\nb"}), REFUSED).await;
    check_claims(json!({"sid": 1}), REFUSED).await;
    check_claims(json!({"sid": null}), Ok(())).await;
}

#[tokio::test]
async fn a_session_must_be_active() {
    check_claims(json!({"sts": "active"}), Ok(())).await;
    for sts in [json!("pending"), json!(""), json!("Active"), json!(1), json!(["active"])] {
        check_claims(json!({"sts": sts}), REFUSED).await;
    }
}

#[tokio::test]
async fn the_end_is_needed_and_holds_with_five_seconds_of_leeway() {
    check_claims(json!({"exp": NOW - 4}), Ok(())).await;
    check_claims(json!({"exp": NOW as f64 - 4.5}), Ok(())).await;
    check_claims(json!({"exp": NOW - 5}), EXPIRED).await;
    check_claims(json!({"exp": 0}), EXPIRED).await;
    check_claims(json!({"exp": -1}), EXPIRED).await;
    check_claims(json!({"exp": 1e300}), Ok(())).await;
    for exp in [json!(null), json!("null"), json!("1900000000"), json!([NOW + 60]), json!(true)] {
        check_claims(json!({"exp": exp}), REFUSED).await;
    }
}

#[tokio::test]
async fn the_beginning_holds_with_five_seconds_of_leeway() {
    for name in ["nbf", "iat"] {
        check_claims(json!({name: null}), Ok(())).await;
        check_claims(json!({name: NOW + 5}), Ok(())).await;
        check_claims(json!({name: NOW + 6}), EARLY).await;
        check_claims(json!({name: NOW as f64 + 5.1}), EARLY).await;
        for wrong in [json!("1"), json!([1]), json!(true), json!({})] {
            check_claims(json!({name: wrong}), REFUSED).await;
        }
    }
}

#[tokio::test]
async fn clocks_that_differ_by_more_than_the_leeway_are_told_apart() {
    let token = SIGNER.sign(&header(), &claims()).unwrap();
    for (host_clock, expected) in
        [(NOW - 16, EARLY), (NOW - 6, EARLY), (NOW - 5, Ok(())), (NOW, Ok(())), (NOW + 64, Ok(())), (NOW + 65, EXPIRED)]
    {
        compare(&host_clock, verifier().verify(&token, host_clock * 1000).await, expected);
    }
}

#[tokio::test]
async fn both_versions_of_the_claims_give_the_same_organization() {
    let expected =
        Some(Box::new(Organization { id: "org_1".into(), slug: Some("acme".into()), role: Some("admin".into()) }));
    let first = json!({"org_id": "org_1", "org_slug": "acme", "org_role": "org:admin", "org_permissions": ["org:a:b"]});
    assert_eq!(verify(header(), with(claims(), first)).await.unwrap().organization, expected);
    let second = json!({"v": 2, "fea": "o:a", "pla": "u:free", "o": {"id": "org_1", "slg": "acme", "rol": "admin", "per": "b", "fpm": "1"}});
    assert_eq!(verify(header(), with(claims(), second)).await.unwrap().organization, expected);
    check_claims(json!({"v": 1}), Ok(())).await;
    check_claims(json!({"v": 2}), Ok(())).await;
    for wrong in
        [json!({"v": 3}), json!({"v": 0}), json!({"v": "2"}), json!({"v": 2, "o": {}}), json!({"v": 2, "o": 1})]
    {
        check_claims(wrong, REFUSED).await;
    }
}

#[tokio::test]
async fn a_token_that_is_no_token_is_refused() {
    let good = SIGNER.sign(&header(), &claims()).unwrap();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (head, body) = signed.split_once('.').unwrap();
    let stranger = STRANGER.sign(&header(), &claims()).unwrap();
    let other = SIGNER.sign(&header(), &with(claims(), json!({"sub": "user_bob"}))).unwrap();
    let other_signature = other.rsplit_once('.').unwrap().1;
    let none =
        format!("{}.{body}.", SIGNER.sign(&json!({"alg": "none"}), &json!({})).unwrap().split_once('.').unwrap().0);
    let mut flipped = good.clone().into_bytes();
    flipped[good.len() - signature.len() / 2] ^= 1;
    let cases = [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "a.b.c".into(),
        good[1..].into(),
        signed.into(),
        format!("{signed}."),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!("{good}="),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{head}.{body}.{other_signature}"),
        format!("{body}.{head}.{signature}"),
        String::from_utf8(flipped).unwrap(),
        stranger,
        none,
        "\u{0}.\u{0}.\u{0}".into(),
        "é.é.é".into(),
        "x".repeat(limits::TOKEN_BYTES_MAX + 1),
    ];
    for case in cases {
        compare(&case, verifier().verify(&case, NOW * 1000).await, REFUSED);
    }
}

#[tokio::test]
async fn a_token_may_have_sixteen_kibibytes_and_not_more() {
    let padded = |len: usize| SIGNER.sign(&header(), &with(claims(), json!({"padding": "x".repeat(len)}))).unwrap();
    let small = padded(11_000);
    assert!(small.len() > 15_000 && small.len() <= limits::TOKEN_BYTES_MAX, "{}", small.len());
    compare(&"just below", verifier().verify(&small, NOW * 1000).await, Ok(()));
    compare(&"above", verifier().verify(&padded(12_000), NOW * 1000).await, REFUSED);
}

#[tokio::test]
async fn a_field_that_is_there_twice_is_refused() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    // A signer that lets a user add claims must not let that user be somebody else.
    let claims = claims().to_string();
    let twice = claims.replacen('{', r#"{"sub":"user_bob","#, 1);
    let value: Value = serde_json::from_str(&twice).unwrap();
    assert_eq!(value["sub"], "user_ada");
    let head = r#"{"alg":"none","alg":"RS256","typ":"JWT"}"#;
    let forged = format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(twice));
    compare(&"twice", verifier().verify(&forged, NOW * 1000).await, REFUSED);
}

#[tokio::test]
async fn a_key_in_pem_is_taken_and_anything_else_refused() {
    // Made for this test with `openssl genrsa`; the private half was thrown away.
    let pem = include_str!("support/public.pem");
    assert!(Keys::pem(pem).is_ok());
    for bad in
        ["", "AAAA", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", include_str!("support/elliptic.pem")]
    {
        assert!(Keys::pem(bad).is_err(), "{bad}");
    }
}
