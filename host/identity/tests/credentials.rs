//! Where a token is found in headers, and what is left of them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use growqr_identity::credentials::{Token, drop_reserved, find, take};
use growqr_types::codes;
use http::{HeaderMap, HeaderName, HeaderValue};

fn headers(given: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(" | "))
}

fn check(given: &[(&str, &str)], token: Option<&str>, left: &[(&str, Option<&str>)]) {
    let mut headers = headers(given);
    assert_eq!(find(&headers).unwrap(), token.map(Token::new), "{given:?}");
    assert_eq!(take(&mut headers).unwrap(), token.map(Token::new), "{given:?}");
    for (name, expected) in left {
        assert_eq!(text(&headers, name).as_deref(), *expected, "{name} of {given:?}");
    }
    assert_eq!(take(&mut headers).unwrap(), None, "nothing is left of {given:?}");
}

#[test]
fn a_bearer_token_is_taken_out() {
    check(&[("authorization", "Bearer abc")], Some("abc"), &[("authorization", None)]);
    check(&[("authorization", "bearer  abc ")], Some("abc"), &[("authorization", None)]);
    check(&[("authorization", "Basic abc")], None, &[("authorization", None)]);
    check(&[("authorization", "Bearer")], None, &[("authorization", None)]);
    check(&[("authorization", "é")], None, &[("authorization", None)]);
}

#[test]
fn the_token_of_parameters_is_taken_out_and_the_rest_is_left_as_it_was() {
    let name = "x-rivet-conn-params";
    check(&[(name, r#"{"token":"abc"}"#)], Some("abc"), &[(name, Some("{}"))]);
    check(
        &[(name, r#"{"n":12345678901234567890.5,"token":"abc","é":[1, 2]}"#)],
        Some("abc"),
        &[(name, Some(r#"{"n":12345678901234567890.5,"é":[1, 2]}"#))],
    );
    // Spelled with an escape, and twice: none of it is left.
    check(&[(name, r#"{"\u0074oken":"abc"}"#)], Some("abc"), &[(name, Some("{}"))]);
    check(&[(name, r#"{"token":"abc","token":"def","x":1}"#)], Some("def"), &[(name, Some(r#"{"x":1}"#))]);
    check(&[(name, r#"{"token":null,"x":1}"#)], None, &[(name, Some(r#"{"x":1}"#))]);
    // Only the outermost object has a token.
    check(&[(name, r#"{"inner":{"token":"abc"}}"#)], None, &[(name, Some(r#"{"inner":{"token":"abc"}}"#))]);
    for other in ["null", "[\"token\"]", "\"token\"", "1", "{}"] {
        check(&[(name, other)], None, &[(name, Some(other))]);
    }
    check(&[(name, r#"{"token":"abc"}"#), (name, r#"{"token":"def"}"#)], Some("abc"), &[(name, Some("{} | {}"))]);
}

#[test]
fn the_token_of_a_subprotocol_is_taken_out() {
    let name = "sec-websocket-protocol";
    check(
        &[(
            name,
            "rivet, rivet_encoding.bare, rivet_conn_params.%7B%22token%22%3A%22a.b-c_d%22%2C%22r%22%3A%22x%2Cy%22%7D",
        )],
        Some("a.b-c_d"),
        &[(name, Some("rivet, rivet_encoding.bare, rivet_conn_params.%7B%22r%22%3A%22x%2Cy%22%7D"))],
    );
    check(&[(name, "rivet,rivet_encoding.json")], None, &[(name, Some("rivet,rivet_encoding.json"))]);
    check(
        &[
            (name, "rivet_conn_params.%7B%22token%22%3A%22a%22%7D"),
            (name, "rivet_conn_params.%7B%22token%22%3A%22b%22%7D"),
        ],
        Some("a"),
        &[(name, Some("rivet_conn_params.%7B%7D | rivet_conn_params.%7B%7D"))],
    );
}

#[test]
fn the_places_have_an_order_and_all_are_emptied() {
    let given = [
        ("x-rivet-token", "fourth"),
        ("sec-websocket-protocol", "rivet_conn_params.%7B%22token%22%3A%22third%22%7D"),
        ("x-rivet-conn-params", r#"{"token":"second"}"#),
        ("authorization", "Bearer first"),
    ];
    for (count, expected) in [(4, "first"), (3, "second"), (2, "third"), (1, "fourth")] {
        check(&given[..count], Some(expected), &[("authorization", None), ("x-rivet-token", None)]);
    }
}

#[test]
fn parameters_that_can_not_be_read_go_nowhere() {
    for (name, value) in [
        ("x-rivet-conn-params", "{\"token\": \"abc"),
        ("x-rivet-conn-params", ""),
        ("x-rivet-conn-params", "{\"token\":\"abc\"} x"),
        ("sec-websocket-protocol", "rivet_conn_params.%7B"),
        ("sec-websocket-protocol", "rivet_conn_params.%FF"),
        ("sec-websocket-protocol", "rivet_conn_params."),
    ] {
        let refused = take(&mut headers(&[(name, value)])).unwrap_err();
        assert!(refused.is(&codes::API_BAD_REQUEST) && !refused.message.contains("abc"), "{value}");
    }
    for value in [r#"{"token":1}"#, r#"{"token":["a"]}"#, r#"{"token":{}}"#] {
        let refused = take(&mut headers(&[("x-rivet-conn-params", value)])).unwrap_err();
        assert!(refused.is(&codes::TOKEN_INVALID), "{value}");
    }
}

#[test]
fn what_only_the_host_may_say_is_dropped() {
    let mut headers = headers(&[
        ("x-growqr-user", "somebody"),
        ("X-GrowQR-User", "again"),
        ("x-growqr-other", "1"),
        ("x-growq", "kept"),
        ("host", "kept"),
    ]);
    drop_reserved(&mut headers);
    assert_eq!(headers.len(), 2);
    assert!(headers.contains_key("x-growq") && headers.contains_key("host"));
}

#[test]
fn a_token_can_not_be_printed() {
    assert_eq!(format!("{:?}", Token::new("secret")), "Token(...)");
}
