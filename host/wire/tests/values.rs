//! Values between CBOR and JSON text.
#![allow(clippy::unwrap_used, reason = "a helper of a test may panic as the test itself may")]

use growqr_types::limits;
use growqr_wire::CborFlavor::{self, Compat, Direct};
use growqr_wire::{ValueError, cbor_to_json, check_json, json_to_cbor};

const BOTH: [CborFlavor; 2] = [Compat, Direct];

/// These bytes read as this text.
fn check_in(flavors: &[CborFlavor], hex: &str, json: &str) {
    for flavor in flavors {
        let bytes = hex::decode(hex).unwrap();
        assert_eq!(cbor_to_json(&bytes, *flavor).as_deref(), Ok(json), "{hex} {flavor:?}");
    }
}

/// This text is written as these bytes.
fn check_out(flavors: &[CborFlavor], json: &str, hex: &str) {
    for flavor in flavors {
        let bytes = json_to_cbor(json, *flavor).map(hex::encode);
        assert_eq!(bytes.as_deref(), Ok(hex), "{json} {flavor:?}");
    }
}

/// Both.
fn check(flavors: &[CborFlavor], hex: &str, json: &str) {
    check_in(flavors, hex, json);
    check_out(flavors, json, hex);
}

/// Neither dialect takes these bytes.
fn check_refused(hex: &str, error: ValueError) {
    for flavor in BOTH {
        assert_eq!(cbor_to_json(&hex::decode(hex).unwrap(), flavor), Err(error), "{hex} {flavor:?}");
    }
}

#[test]
fn plain_values_go_both_ways() {
    let cases = [
        ("f6", "null"),
        ("f5", "true"),
        ("f4", "false"),
        ("00", "0"),
        ("17", "23"),
        ("1818", "24"),
        ("18ff", "255"),
        ("190100", "256"),
        ("1affffffff", "4294967295"),
        ("20", "-1"),
        ("3903e7", "-1000"),
        ("3affffffff", "-4294967296"),
        ("60", r#""""#),
        ("62c3a9", r#""é""#),
        ("67225c0a0d09007f", "\"\\\"\\\\\\n\\r\\t\\u0000\u{7f}\""),
        ("80", "[]"),
        ("a0", "{}"),
        ("8301820203a161788104", r#"[1,[2,3],{"x":[4]}]"#),
        ("a2616101616202", r#"{"a":1,"b":2}"#),
    ];
    for (hex, json) in cases {
        check(&BOTH, hex, json);
    }
}

#[test]
fn a_list_or_map_of_any_length_gets_the_shortest_head() {
    for (count, head) in [(23, "97"), (24, "9818"), (255, "98ff"), (256, "990100"), (65_536, "9a00010000")] {
        let json = format!("[{}]", vec!["1"; count].join(","));
        check(&BOTH, &format!("{head}{}", "01".repeat(count)), &json);
    }
    let entries: Vec<_> = (0..300).map(|index| format!("\"{index:03}\":1")).collect();
    let json = format!("{{{}}}", entries.join(","));
    let bytes = json_to_cbor(&json, Compat).unwrap();
    assert_eq!(bytes[..3], [0xb9, 1, 44]);
    assert_eq!(cbor_to_json(&bytes, Compat), Ok(json));
}

#[test]
fn floats_keep_their_point() {
    let cases = [
        ("fb4008000000000000", "3.0"),
        ("fb3ff8000000000000", "1.5"),
        ("fb3fb999999999999a", "0.1"),
        ("fb8000000000000000", "-0.0"),
        ("fb7e37e43c8800759c", "1e300"),
        ("fb0000000000000001", "5e-324"),
        ("fb4340000000000000", "9007199254740992.0"),
    ];
    for (hex, json) in cases {
        check(&BOTH, hex, json);
    }
    check_in(&BOTH, "f93e00", "1.5");
    check_in(&BOTH, "f90001", "5.960464477539063e-8");
    check_in(&BOTH, "fa3fc00000", "1.5");
    check_out(&BOTH, "1E3", "fb408f400000000000");
    check_out(&BOTH, "-0", "fb8000000000000000");
}

#[test]
fn integers_beyond_32_bits_are_floats_to_the_javascript_client() {
    check(&BOTH, "fb41f0000000000000", "4294967296");
    check(&BOTH, "fbc1f0000000100000", "-4294967297");
    check(&BOTH, "fb427a203aca9eb000", "1795357977067");
    check(&BOTH, "fb433fffffffffffff", "9007199254740991");
    check(&BOTH, "fbc33fffffffffffff", "-9007199254740991");
    // Other clients write them as integers.
    check_in(&BOTH, "1b0000000100000000", "4294967296");
    check_in(&BOTH, "3b0000000100000000", "-4294967297");
}

#[test]
fn integers_beyond_53_bits_keep_every_bit() {
    check(&[Compat], "1b0020000000000000", "9007199254740992");
    check(&[Compat], "1bffffffffffffffff", "18446744073709551615");
    check(&[Compat], "3b7fffffffffffffff", "-9223372036854775808");
    check(&[Direct], "1b0020000000000000", r#"["$BigInt","9007199254740992"]"#);
    check(&[Direct], "3bffffffffffffffff", r#"["$BigInt","-18446744073709551616"]"#);
    check_in(&[Compat], "3bffffffffffffffff", r#"["$BigInt","-18446744073709551616"]"#);
    check_out(&BOTH, "-18446744073709551616", "3bffffffffffffffff");
    check_out(&BOTH, "18446744073709551616", "fb43f0000000000000");
    check_out(&BOTH, &"9".repeat(400), "fb7ff0000000000000");
}

#[test]
fn tags_of_the_official_client_stay_arrays_in_bare_messages() {
    let cases = [
        ("826724426967496e746135", r#"["$BigInt","5"]"#),
        ("826b2455696e743841727261796441514c2f", r#"["$Uint8Array","AQL/"]"#),
        ("826c2441727261794275666665726441514c2f", r#"["$ArrayBuffer","AQL/"]"#),
        ("826a24556e646566696e656400", r#"["$Undefined",0]"#),
        ("82642453657481826724426967496e746135", r#"["$Set",[["$BigInt","5"]]]"#),
        ("826324247801", r#"["$$x",1]"#),
        ("8262247801", r#"["$x",1]"#),
    ];
    for (hex, json) in cases {
        check(&[Compat], hex, json);
    }
}

#[test]
fn natural_cbor_of_the_cbor_encoding_is_tagged_for_the_actor() {
    let cases = [
        ("430102ff", r#"["$Uint8Array","AQL/"]"#),
        ("f7", r#"["$Undefined",0]"#),
        ("1b0000000000000005", r#"["$BigInt","5"]"#),
        ("3b0000000000000004", r#"["$BigInt","-5"]"#),
        ("c249010000000000000000", r#"["$BigInt","18446744073709551616"]"#),
        ("c349010000000000000000", r#"["$BigInt","-18446744073709551617"]"#),
        ("d90102820162c3a9", r#"["$Set",[1,"é"]]"#),
        ("d901028262247801", r#"["$Set",["$x",1]]"#),
    ];
    for (hex, json) in cases {
        check(&[Direct], hex, json);
    }
    check_in(&[Direct], "d840430102ff", r#"["$Uint8Array","AQL/"]"#);
    // The JavaScript client makes an `ArrayBuffer` of the array, and could not tell it from an `Uint8Array` otherwise.
    check_out(&[Direct], r#"["$ArrayBuffer","AQL/"]"#, "826c2441727261794275666665726441514c2f");
}

#[test]
fn natural_cbor_without_a_tag_of_the_official_client_has_one_for_the_actor() {
    let cases = [
        ("fb7ff8000000000000", r#"["$Number","NaN"]"#),
        ("fb7ff0000000000000", r#"["$Number","Infinity"]"#),
        ("fbfff0000000000000", r#"["$Number","-Infinity"]"#),
        ("c11a5bab6dc9", r#"["$Date",1537961417000]"#),
        ("c1fb41d6eadb727f7cee", r#"["$Date",1537961417992]"#),
        ("c1fb3ff0008000000000", r#"["$CborTag",[1,1.0001220703125]]"#),
        ("c1fb7ff8000000000000", r#"["$CborTag",[1,["$Number","NaN"]]]"#),
        ("c1fbbff8000000000000", r#"["$Date",-1500]"#),
        ("d90103a2016161616202", r#"["$Map",[[1,"a"],["b",2]]]"#),
        ("d90103a0", r#"["$Map",[]]"#),
        ("d90103a1616101", r#"["$Map",[["a",1]]]"#),
        ("d8564400000000", r#"["$CborTag",[86,["$Uint8Array","AAAAAA=="]]]"#),
        ("d81b836552616e6765616df7", r#"["$CborTag",[27,["Range","m",["$Undefined",0]]]]"#),
        ("dbffffffffffffffff00", r#"["$CborTag",[18446744073709551615,0]]"#),
        ("d903e88262247801", r#"["$CborTag",[1000,["$$x",1]]]"#),
        ("d903e81b0000000000000005", r#"["$CborTag",[1000,["$BigInt","5"]]]"#),
    ];
    for (hex, json) in cases {
        check(&BOTH, hex, json);
    }
    check_in(&BOTH, "f97e00", r#"["$Number","NaN"]"#);
    check_in(&[Compat], "430102ff", r#"["$Uint8Array","AQL/"]"#);
    check_in(&[Compat], "f7", r#"["$Undefined",0]"#);
    check_in(&[Compat], "c249010000000000000000", r#"["$BigInt","18446744073709551616"]"#);
    check_out(&BOTH, r#"["$Number","-0"]"#, "fb8000000000000000");
}

#[test]
fn an_array_that_looks_like_a_tag_is_escaped_for_the_actor() {
    check_in(&[Direct], "8262247801", r#"["$$x",1]"#);
    check_in(&[Direct], "826724426967496e746135", r#"["$$BigInt","5"]"#);
    check_in(&[Direct], "9f62247801ff", r#"["$$x",1]"#);
    check_in(&[Direct], "827f61246178ff01", r#"["$$x",1]"#);
    check_in(&[Direct], "8362247801f6", r#"["$x",1,null]"#);
    check_in(&[Direct], "81622478", r#"["$x"]"#);
    check_in(&[Direct], "828162247801", r#"[["$x"],1]"#);
    // What the client receives it reads with escapes, so they stay.
    check_out(&BOTH, r#"["$$x",1]"#, "826324247801");
    check_out(&BOTH, r#"[ "$$x" , 1 ]"#, "826324247801");
    // Except where it does not look.
    check_out(&BOTH, r#"["$CborTag",[1000,["$$x",1]]]"#, "d903e88262247801");
}

#[test]
fn the_list_of_a_set_is_never_a_tag_itself() {
    check(&[Compat], "8264245365748265244461746505", r#"["$Set",["$Date",5]]"#);
    check(&[Direct], "d901028265244461746505", r#"["$Set",["$Date",5]]"#);
    check(&[Direct], "d90102826324247801", r#"["$Set",["$$x",1]]"#);
}

#[test]
fn an_array_with_the_name_of_a_tag_and_another_shape_stays_an_array() {
    let cases = [
        (r#"["$Date"]"#, "81652444617465"),
        (r#"["$Date",1,2]"#, "836524446174650102"),
        (r#"["$Date","x"]"#, "826524446174656178"),
        (r#"["$Map",5]"#, "8264244d617005"),
        (r#"["$Map",[[1]]]"#, "8264244d6170818101"),
        (r#"["$Map",[[]]]"#, "8264244d61708180"),
        (r#"["$Map",[[1,2,3]]]"#, "8264244d61708183010203"),
        (r#"["$Set",5]"#, "82642453657405"),
        (r#"["$Undefined",1]"#, "826a24556e646566696e656401"),
        (r#"["$BigInt","x"]"#, "826724426967496e746178"),
        (r#"["$BigInt",5]"#, "826724426967496e7405"),
        (r#"["$Uint8Array","?"]"#, "826b2455696e74384172726179613f"),
        (r#"["$CborTag",[-1,2]]"#, "82682443626f72546167822002"),
        (r#"["$CborTag",[1]]"#, "82682443626f725461678101"),
        (r#"["$Number","x"]"#, "8267244e756d6265726178"),
    ];
    for (json, hex) in cases {
        check_out(&BOTH, json, hex);
    }
}

#[test]
fn a_map_with_other_keys_than_texts_becomes_a_tag_at_the_first_of_them() {
    check_in(&BOTH, "a10102", r#"["$Map",[[1,2]]]"#);
    check_in(&BOTH, "a36161016162020304", r#"["$Map",[["a",1],["b",2],[3,4]]]"#);
    check_in(&BOTH, "a26161a261620102038004", r#"["$Map",[["a",["$Map",[["b",1],[2,3]]]],[[],4]]]"#);
    check_in(&BOTH, "bf61610102f5ff", r#"["$Map",[["a",1],[2,true]]]"#);
}

#[test]
fn pieces_and_open_ends_are_joined() {
    check_in(&BOTH, "9f0102ff", "[1,2]");
    check_in(&BOTH, "9fff", "[]");
    check_in(&BOTH, "bf616101ff", r#"{"a":1}"#);
    check_in(&BOTH, "7f61616162ff", r#""ab""#);
    check_in(&BOTH, "bf7f61616162ff01ff", r#"{"ab":1}"#);
    check_in(&BOTH, "5f41014202ffff", r#"["$Uint8Array","AQL/"]"#);
}

#[test]
fn a_key_that_comes_twice_is_kept_twice() {
    check(&BOTH, "a2616101616102", r#"{"a":1,"a":2}"#);
}

#[test]
fn escapes_in_text_are_resolved() {
    check_out(&BOTH, r#""\u00e9\/\u0024\ud83d\ude00""#, "68c3a92f24f09f9880");
    // Half a surrogate pair has no UTF-8.
    check_out(&BOTH, r#""\ud83d""#, "63efbfbd");
    check_out(&BOTH, r#""\ude00\ud83dx""#, "67efbfbdefbfbd78");
}

#[test]
fn damaged_bytes_are_refused() {
    for hex in [
        "",
        "18",
        "61",
        "8201",
        "a16161",
        "9f01",
        "7f6161",
        "c1",
        "1b00",
        "fb00",
        "9bffffffffffffffff",
        "5bffffffffffffffff00",
    ] {
        check_refused(hex, ValueError::Truncated);
    }
    check_refused("0000", ValueError::Trailing);
    for hex in ["ff", "e0", "f8ff", "1c", "61ff", "7f4101ff", "82ff"] {
        let bytes = hex::decode(hex).unwrap();
        assert!(matches!(cbor_to_json(&bytes, Compat), Err(ValueError::BadCbor { .. })), "{hex}");
    }
}

#[test]
fn damaged_text_is_refused() {
    for json in ["", " ", "[", "[1", "[1,", "{\"a\"", "{\"a\":", "\"a", "\"\\u00", "-", "1.", "1e", "tru"] {
        assert!(check_json(json).is_err() && json_to_cbor(json, Direct).is_err(), "{json}");
    }
    for json in [
        "[1 2]",
        "{1:2}",
        "{\"a\" 1}",
        "01",
        "+1",
        ".5",
        "nulL",
        "\"\\x\"",
        "\"\n\"",
        "[1,]",
        "{\"a\":1,}",
        "1 2",
        "\u{a0}1",
    ] {
        assert!(check_json(json).is_err() && json_to_cbor(json, Compat).is_err(), "{json}");
    }
}

#[test]
fn nesting_is_bounded_in_both_directions() {
    let max = limits::VALUE_DEPTH_MAX;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let nested_cbor = |depth: usize| [vec![0x81; depth - 1], vec![0x80]].concat();
    for flavor in BOTH {
        assert!(check_json(&nested(max)).is_ok());
        assert_eq!(json_to_cbor(&nested(max), flavor), Ok(nested_cbor(max)));
        assert_eq!(cbor_to_json(&nested_cbor(max), flavor), Ok(nested(max)));
        assert_eq!(check_json(&nested(max + 1)), Err(ValueError::TooDeep));
        assert_eq!(json_to_cbor(&nested(max + 1), flavor), Err(ValueError::TooDeep));
        assert_eq!(cbor_to_json(&nested_cbor(max + 1), flavor), Err(ValueError::TooDeep));
        for deep in [[vec![0xc9; 1 << 16], vec![0]].concat(), vec![0x9f; 1 << 16], vec![0xa1; 1 << 16]] {
            assert_eq!(cbor_to_json(&deep, flavor), Err(ValueError::TooDeep));
        }
    }
}

#[test]
fn a_map_that_becomes_a_tag_counts_its_levels() {
    let max = limits::VALUE_DEPTH_MAX;
    // A text key with `depth` arrays in it, then a number key, which puts two more levels around them.
    let map = |depth: usize| [vec![0xa2, 0x61, b'a'], vec![0x81; depth - 1], vec![0x80, 1, 1]].concat();
    let json = cbor_to_json(&map(max - 3), Compat).unwrap();
    assert!(check_json(&json).is_ok());
    assert_eq!(cbor_to_json(&map(max - 2), Compat), Err(ValueError::TooDeep));
}

#[test]
fn a_long_integer_stays_bytes_because_its_digits_take_quadratic_time() {
    let number = |len: usize| {
        let len = u16::try_from(len).unwrap();
        [&[0xc2, 0x59], &len.to_be_bytes()[..], &vec![0xff; usize::from(len)]].concat()
    };
    for flavor in BOTH {
        let json = cbor_to_json(&number(limits::BIG_INTEGER_BYTES_MAX), flavor).unwrap();
        assert!(json.starts_with("[\"$BigInt\""));
        let json = cbor_to_json(&number(limits::BIG_INTEGER_BYTES_MAX + 1), flavor).unwrap();
        assert!(json.starts_with("[\"$CborTag\",[2,"));
        assert_eq!(json_to_cbor(&json, flavor), Ok(number(limits::BIG_INTEGER_BYTES_MAX + 1)));
    }
    let json = cbor_to_json(&number(limits::BIG_INTEGER_BYTES_MAX), Direct).unwrap();
    assert_eq!(json_to_cbor(&json, Direct), Ok(number(limits::BIG_INTEGER_BYTES_MAX)));
}

#[test]
fn the_size_is_bounded_in_both_directions() {
    // An undefined is one byte of CBOR and 16 of text.
    let many = vec![0xf7; limits::VALUE_BYTES_MAX / 8];
    let len = u32::try_from(many.len()).unwrap();
    let bytes = [&[0x9a], &len.to_be_bytes()[..], &many].concat();
    assert_eq!(cbor_to_json(&bytes, Compat), Err(ValueError::TooLarge));
    let long = format!("\"{}\"", "x".repeat(limits::VALUE_BYTES_MAX));
    assert_eq!(json_to_cbor(&long, Compat), Err(ValueError::TooLarge));
    assert_eq!(check_json(&long), Err(ValueError::TooLarge));
    // A float is 4 bytes of text and 9 of CBOR.
    let floats = format!("[{}0]", "1e9,".repeat(limits::VALUE_BYTES_MAX / 8));
    assert_eq!(json_to_cbor(&floats, Compat), Err(ValueError::TooLarge));
}
