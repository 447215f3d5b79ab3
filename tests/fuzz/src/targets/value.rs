//! The values inside messages: CBOR in two dialects, and JSON text with the compatibility tags.

use super::shape;
use growqr_wire::CborFlavor::{Compat, Direct};
use growqr_wire::{CborFlavor, Encoding};

/// Pieces of text that mean something in a value.
pub const TAGS: &[&str] = &[
    "[\"$Undefined\",0]",
    "[\"$BigInt\",\"-12345678901234567890\"]",
    "[\"$Date\",0]",
    "[\"$Map\",[[",
    "[\"$Set\",[",
    "[\"$Number\",\"NaN\"]",
    "[\"$Uint8Array\",\"AQL/\"]",
    "[\"$ArrayBuffer\",\"\"]",
    "[\"$CborTag\",[300,",
    "[\"$$",
    "\"\\ud800\"",
    "1e999",
    "-0.0",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

/// How much larger a value may become: one byte of CBOR can stand for a tag around the next one.
const GROWTH_MAX: usize = 24;
/// What a value may gain, however small it is.
const GROWTH_BYTES: usize = 64;

/// CBOR as a client sends it.
pub fn cbor(input: &[u8]) -> String {
    // What a client sends as an actor's input is the same dialect.
    assert_eq!(growqr_wire::input_to_json(input), growqr_wire::cbor_to_json(input, Compat));
    [Compat, Direct].map(|flavor| cbor_in(input, flavor)).concat()
}

fn cbor_in(input: &[u8], flavor: CborFlavor) -> String {
    let read = growqr_wire::cbor_to_json(input, flavor);
    if let Ok(json) = &read {
        assert!(json.len() <= GROWTH_MAX * input.len() + GROWTH_BYTES, "{} bytes became {}", input.len(), json.len());
        is_json(json);
        let written = growqr_wire::json_to_cbor(json, flavor);
        let written = written.unwrap_or_else(|error| panic!("{json} can't be written: {error}"));
        if flavor == Compat {
            stays(&written, json);
        }
    }
    read.map_or_else(|error| format!("{error:?}"), |json| shape(&json))
}

/// The text is JSON by our own rules and by those of everybody else.
pub fn is_json(text: &str) {
    assert_eq!(growqr_wire::check_json(text), Ok(()), "{text}");
    let theirs = serde_json::from_str::<serde::de::IgnoredAny>(text);
    assert!(theirs.is_ok(), "{text} is refused by others: {theirs:?}");
}

/// What was transcoded once does not change when it is transcoded again.
pub fn stays(cbor: &[u8], json: &str) {
    let read = |bytes: &[u8]| growqr_wire::cbor_to_json(bytes, Compat);
    let once = read(cbor).unwrap_or_else(|error| panic!("{json} comes back as an error: {error}"));
    let again = growqr_wire::json_to_cbor(&once, Compat).unwrap_or_else(|error| panic!("{once}: {error}"));
    assert_eq!(read(&again).as_ref(), Ok(&once), "a value changed on its way");
}

/// JSON text with the compatibility tags, as a guest writes it.
pub fn json(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let checked = growqr_wire::check_json(&text);
    let written = [Compat, Direct].map(|flavor| growqr_wire::json_to_cbor(&text, flavor));
    for (written, flavor) in written.iter().zip([Compat, Direct]) {
        assert_eq!(written.is_ok(), checked.is_ok(), "{text:?} is written by another rule than it is checked by");
        if let Ok(cbor) = written {
            assert!(cbor.len() <= GROWTH_MAX * text.len() + GROWTH_BYTES, "{text:?} became {} bytes", cbor.len());
            if flavor == Compat {
                stays(cbor, &text);
            }
        }
    }
    let portable = growqr_wire::encode_action_response(Encoding::Json, &text);
    assert_eq!(portable.is_ok(), checked.is_ok(), "{text:?} is sent by another rule than it is checked by");
    if let Ok(body) = &portable {
        let body = String::from_utf8(body.clone());
        is_json(&body.unwrap_or_else(|error| panic!("{text:?} is sent as no text: {error}")));
    }
    // An event that is given one more argument is a list with that argument at its end.
    if checked.is_ok() && text.trim_start().starts_with('[') {
        let longer = growqr_wire::with_extra_argument(&text, "{\"seq\":1}");
        is_json(&longer);
        assert!(longer.ends_with(",{\"seq\":1}]") || longer == "[{\"seq\":1}]", "{text:?} became {longer:?}");
    }
    let read = |index: usize, flavor| {
        let cbor = written[index].as_deref().ok()?;
        Some(growqr_wire::cbor_to_json(cbor, flavor).map_or_else(|error| format!("{error:?}"), |json| shape(&json)))
    };
    format!("{checked:?}{:?}{:?}", read(0, Compat), read(1, Direct))
}
