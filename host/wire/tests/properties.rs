//! What holds for every value and every sequence of bytes.
#![allow(clippy::unwrap_used, reason = "a helper of a test may panic as the test itself may")]

use growqr_wire::CborFlavor::{Compat, Direct};
use growqr_wire::{
    Encoding, cbor_to_json, check_json, decode_action_request, decode_queue_send, decode_to_server,
    encode_action_response, input_to_json, json_to_cbor,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;

const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::Cbor, Encoding::Bare];

/// Where a value stands: in which dialect, and whether inside a CBOR tag, where no array of the official client is revived.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Compat,
    Direct,
    InsideTag,
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn array(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

fn base64() -> impl Strategy<Value = String> {
    use base64::Engine;
    vec(any::<u8>(), 0..9).prop_map(|bytes| base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// Floats that keep their point on the way (`integers_beyond_32_bits_are_floats_to_the_javascript_client` has the others).
fn float() -> impl Strategy<Value = String> {
    any::<f64>()
        .prop_filter("finite, and no integer to the client", |float| {
            float.is_finite()
                && (float.fract() != 0.0 || !(4_294_967_295.0..9_007_199_254_740_992.0).contains(&float.abs()))
        })
        .prop_map(|float| format!("{float:?}"))
}

fn leaf(place: Place) -> BoxedStrategy<String> {
    let integer = -9_007_199_254_740_991i64..=9_007_199_254_740_991;
    let mut all = vec![
        Just("null".to_owned()).boxed(),
        any::<bool>().prop_map(|value| value.to_string()).boxed(),
        integer.prop_map(|value| value.to_string()).boxed(),
        (-100_000i64..100_000).prop_map(|value| value.to_string()).boxed(),
        float().boxed(),
        any::<String>().prop_map(|text| quoted(&text)).boxed(),
        base64().prop_map(|bytes| format!(r#"["$Uint8Array","{bytes}"]"#)).boxed(),
        Just(r#"["$Undefined",0]"#.to_owned()).boxed(),
        (-4_294_967_296i64..4_294_967_296).prop_map(|value| format!(r#"["$BigInt","{value}"]"#)).boxed(),
        any::<i128>()
            .prop_filter("larger than an integer of the client", |value| value.unsigned_abs() >= 1 << 53)
            .prop_map(|value| format!(r#"["$BigInt","{value}"]"#))
            .boxed(),
        prop_oneof!["NaN", "Infinity", "-Infinity"].prop_map(|name| format!(r#"["$Number","{name}"]"#)).boxed(),
        (-8_640_000_000_000_000i64..=8_640_000_000_000_000).prop_map(|ms| format!(r#"["$Date",{ms}]"#)).boxed(),
    ];
    if place == Place::Compat {
        all.push(base64().prop_map(|bytes| format!(r#"["$ArrayBuffer","{bytes}"]"#)).boxed());
        all.push((9_007_199_254_740_992u64..).prop_map(|value| value.to_string()).boxed());
    }
    Union::new(all).boxed()
}

/// Values in which arrays that look like a tag are escaped, as an actor must write them.
fn value(place: Place, levels: u32) -> BoxedStrategy<String> {
    if levels == 0 {
        return leaf(place);
    }
    let inner = move || value(place, levels - 1);
    let mut all = vec![
        leaf(place),
        vec(inner(), 0..4).prop_map(|items| plain_array(&items)).boxed(),
        vec((any::<String>(), inner()), 0..4)
            .prop_map(|entries| {
                let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
                format!("{{{}}}", entries.join(","))
            })
            .boxed(),
        vec((inner(), inner()), 0..3)
            .prop_map(|pairs| {
                let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("[{key},{value}]")).collect();
                format!(r#"["$Map",{}]"#, array(&pairs))
            })
            .boxed(),
        (260u64.., value(Place::InsideTag, levels - 1))
            .prop_map(|(tag, value)| format!(r#"["$CborTag",[{tag},{value}]]"#))
            .boxed(),
        vec(value(if place == Place::Compat { place } else { Place::InsideTag }, levels - 1), 0..4)
            .prop_map(|items| format!(r#"["$Set",{}]"#, array(&items)))
            .boxed(),
        ("\\$[$a-zA-Z0-9]*|\\$Date|\\$Map|\\$CborTag", any::<u32>())
            .prop_map(|(name, value)| format!(r#"["$Set",["{name}",{value}]]"#))
            .boxed(),
    ];
    if place != Place::Direct {
        // The `cbor` encoding is escaped in one direction only, so that such an array is no identity there.
        all.push(("\\$[$a-zA-Z0-9]*", inner()).prop_map(|(name, value)| format!("[\"${name}\",{value}]")).boxed());
    }
    Union::new(all).boxed()
}

/// An array that is no tag.
fn plain_array(items: &[String]) -> String {
    match items {
        [first, second] if first.starts_with("\"$") => format!("[{second}]"),
        items => array(items),
    }
}

/// One item of CBOR after another, most of them with a head that fits.
fn cbor_like() -> impl Strategy<Value = Vec<u8>> {
    let scalar = prop_oneof![
        (0u8..24).prop_map(|byte| vec![byte]),
        any::<u16>().prop_map(|value| [&[0x19][..], &value.to_be_bytes()].concat()),
        any::<u64>().prop_map(|value| [&[0x1b][..], &value.to_be_bytes()].concat()),
        any::<u64>().prop_map(|value| [&[0x3b][..], &value.to_be_bytes()].concat()),
        any::<u64>().prop_map(|value| [&[0xfb][..], &value.to_be_bytes()].concat()),
        any::<u16>().prop_map(|value| [&[0xf9][..], &value.to_be_bytes()].concat()),
        (0xf4u8..0xf8).prop_map(|byte| vec![byte]),
        vec(any::<u8>(), 0..6).prop_map(|bytes| [vec![0x40 | bytes.len() as u8], bytes].concat()),
        "[$a-z\"\\\\]{0,6}".prop_map(|text| [vec![0x60 | text.len() as u8], text.into_bytes()].concat()),
        Just(vec![0x61, b'$']),
    ];
    scalar.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| [vec![0x80 | items.len() as u8], items.concat()].concat()),
            vec(inner.clone(), 0..4).prop_map(|items| [vec![0x9f], items.concat(), vec![0xff]].concat()),
            vec((inner.clone(), inner.clone()), 0..4).prop_map(|entries| {
                let items: Vec<u8> =
                    entries.iter().flat_map(|(key, value)| [key.clone(), value.clone()].concat()).collect();
                [vec![0xa0 | entries.len() as u8], items].concat()
            }),
            (prop_oneof![0u64..6, 60u64..90, 255u64..262], inner).prop_map(|(tag, item)| [
                vec![0xd9, (tag >> 8) as u8, tag as u8],
                item
            ]
            .concat()),
        ]
    })
}

fn check_bytes(bytes: &[u8]) -> Result<(), TestCaseError> {
    for flavor in [Compat, Direct] {
        let Ok(json) = cbor_to_json(bytes, flavor) else { continue };
        prop_assert_eq!(check_json(&json), Ok(()));
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok());
        prop_assert!(json_to_cbor(&json, flavor).is_ok());
    }
    Ok(())
}

/// Whether the official client, which knows these tags and fails at others, can read the value.
fn is_read_by_the_client(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Array(items) => {
            // The list of a set is not looked at as an array.
            if let [Value::String(name), Value::Array(items)] = items.as_slice()
                && name == "$Set"
            {
                return items.iter().all(is_read_by_the_client);
            }
            let known = match items.as_slice() {
                [Value::String(name), _] if name.starts_with('$') => {
                    name.starts_with("$$")
                        || ["$BigInt", "$ArrayBuffer", "$Uint8Array", "$Undefined", "$Set"].contains(&name.as_str())
                }
                _ => true,
            };
            known && items.iter().all(is_read_by_the_client)
        }
        Value::Object(fields) => fields.values().all(is_read_by_the_client),
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_in_a_bare_message_comes_back(json in value(Place::Compat, 4)) {
        prop_assert_eq!(check_json(&json), Ok(()));
        let cbor = json_to_cbor(&json, Compat).unwrap();
        prop_assert_eq!(cbor_to_json(&cbor, Compat), Ok(json));
    }

    #[test]
    fn a_value_in_the_cbor_encoding_comes_back(json in value(Place::Direct, 4)) {
        let cbor = json_to_cbor(&json, Direct).unwrap();
        prop_assert_eq!(cbor_to_json(&cbor, Direct), Ok(json));
    }

    #[test]
    fn a_json_client_can_read_every_value(json in value(Place::Compat, 4)) {
        let body = encode_action_response(Encoding::Json, &json).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        prop_assert!(is_read_by_the_client(&body["output"]), "{}", body);
    }

    #[test]
    fn any_well_formed_cbor_is_text_that_can_be_written_again(bytes in cbor_like()) {
        check_bytes(&bytes)?;
        prop_assert!(cbor_to_json(&bytes, Compat).is_ok());
    }

    #[test]
    fn what_a_bare_message_brought_does_not_change_again(bytes in cbor_like()) {
        let once = cbor_to_json(&json_to_cbor(&cbor_to_json(&bytes, Compat).unwrap(), Compat).unwrap(), Compat).unwrap();
        let twice = cbor_to_json(&json_to_cbor(&once, Compat).unwrap(), Compat).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn damaged_cbor_is_a_value_or_an_error(mut bytes in cbor_like(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let at = at.index(bytes.len());
        bytes[at] = byte;
        check_bytes(&bytes)?;
        bytes.truncate(at);
        check_bytes(&bytes)?;
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in vec(any::<u8>(), 0..80)) {
        check_bytes(&bytes)?;
        drop(input_to_json(&bytes));
        for encoding in ENCODINGS {
            for version in [vec![], vec![4, 0], vec![4, 0, 0]] {
                let bytes = [version, bytes.clone()].concat();
                drop(decode_action_request(encoding, &bytes));
                drop(decode_queue_send(encoding, &bytes));
                drop(decode_to_server(encoding, &bytes));
            }
        }
    }

    #[test]
    fn json_is_accepted_exactly_where_serde_json_accepts_it(text in "[\\[\\]{}:,\"\\\\u0-9aeE+.\\-trufalsn $\n]{0,24}") {
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        prop_assert_eq!(check_json(&text).is_ok(), theirs, "{}", text);
        prop_assert_eq!(json_to_cbor(&text, Compat).is_ok(), theirs);
        prop_assert_eq!(json_to_cbor(&text, Direct).is_ok(), theirs);
    }

    #[test]
    fn a_mutated_value_is_written_or_refused(json in value(Place::Compat, 3), at in any::<prop::sample::Index>(), byte in 32u8..127) {
        let mut bytes = json.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes) {
            let valid = check_json(&text).is_ok();
            prop_assert_eq!(valid, serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
            prop_assert_eq!(json_to_cbor(&text, Compat).is_ok(), valid);
            prop_assert_eq!(json_to_cbor(&text, Direct).is_ok(), valid);
        }
    }
}
