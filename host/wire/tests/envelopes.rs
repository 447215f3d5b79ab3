//! What is read from envelopes that the official client would write differently, and what is refused.

use growqr_types::{Failure, codes};
use growqr_wire::CborFlavor::Direct;
use growqr_wire::{
    Encoding, QueueSend, ToServer, decode_action_request, decode_queue_send, decode_to_server, encode_action_response,
    encode_error, encode_event, encode_http_error, encode_queue_response, encode_response, json_to_cbor,
    with_extra_argument,
};

/// The text itself, or its CBOR.
fn bytes(encoding: Encoding, json: &str) -> Vec<u8> {
    if encoding == Encoding::Json { json.as_bytes().to_vec() } else { json_to_cbor(json, Direct).unwrap_or_default() }
}

const TREES: [Encoding; 2] = [Encoding::Json, Encoding::Cbor];

#[test]
fn arguments_that_are_missing_or_no_list_become_a_list() {
    let cases = [
        ("{}", "[]"),
        (r#"{"args":null}"#, "[]"),
        (r#"{"args":[]}"#, "[]"),
        (r#"{"args":5}"#, "[5]"),
        (r#"{"args":"x"}"#, r#"["x"]"#),
        (r#"{"args":{"a":1}}"#, r#"[{"a":1}]"#),
        (r#"{"other":[1,{"args":[9]}],"args":[1]}"#, "[1]"),
    ];
    for (body, args) in cases {
        for encoding in TREES {
            let read = decode_action_request(encoding, &bytes(encoding, body));
            assert_eq!(read.as_deref(), Ok(args), "{body} {encoding:?}");
        }
    }
    for (data, args) in [("f6", "[]"), ("f7", "[]"), ("05", "[5]"), ("c100", r#"[["$Date",0]]"#), ("9f01ff", "[1]")] {
        let data = hex::decode(data).unwrap_or_default();
        let body = [&[4, 0, data.len() as u8], &data[..]].concat();
        assert_eq!(decode_action_request(Encoding::Bare, &body).as_deref(), Ok(args));
    }
}

#[test]
fn json_arguments_pass_as_they_were_written() {
    let args = r#"[ 1.0e5, "\u00e9", {"a" : ["$BigInt","5"], "a":2}, 123456789012345678901234567890 ]"#;
    let body = format!(r#"{{"args": {args} }}"#);
    assert_eq!(decode_action_request(Encoding::Json, body.as_bytes()).as_deref(), Ok(args));
}

#[test]
fn the_id_of_an_action_may_be_a_plain_number() {
    for id in ["7", "7.0", r#"["$BigInt","7"]"#] {
        for encoding in TREES {
            let frame = format!(r#"{{"body":{{"val":{{"args":[],"name":"a","id":{id}}},"tag":"ActionRequest"}}}}"#);
            let action = ToServer::Action { id: 7, name: "a".into(), args: "[]".into() };
            assert_eq!(decode_to_server(encoding, &bytes(encoding, &frame)), Ok(action), "{frame} {encoding:?}");
        }
    }
    let largest =
        r#"{"body":{"tag":"ActionRequest","val":{"id":["$BigInt","18446744073709551615"],"name":"a","args":[]}}}"#;
    let action = ToServer::Action { id: u64::MAX, name: "a".into(), args: "[]".into() };
    for encoding in TREES {
        assert_eq!(decode_to_server(encoding, &bytes(encoding, largest)), Ok(action.clone()));
    }
}

#[test]
fn a_frame_of_another_shape_is_refused() {
    let cases = [
        "",
        "null",
        "[]",
        "{}",
        r#"{"body":{}}"#,
        r#"{"body":{"tag":"Init","val":{}}}"#,
        r#"{"body":{"tag":"ActionRequest","val":{}}}"#,
        r#"{"body":{"tag":"ActionRequest","val":{"id":-1,"name":"a","args":[]}}}"#,
        r#"{"body":{"tag":"ActionRequest","val":{"id":1.5,"name":"a","args":[]}}}"#,
        r#"{"body":{"tag":"ActionRequest","val":{"id":"1","name":"a","args":[]}}}"#,
        r#"{"body":{"tag":"ActionRequest","val":{"id":["$BigInt","x"],"name":"a","args":[]}}}"#,
        r#"{"body":{"tag":"ActionRequest","val":{"id":1,"name":5,"args":[]}}}"#,
        r#"{"body":{"tag":"SubscriptionRequest","val":{"subscribe":true}}}"#,
        r#"{"body":{"tag":"SubscriptionRequest","val":{"eventName":"a","subscribe":"yes"}}}"#,
    ];
    for frame in cases {
        for encoding in TREES {
            let read = decode_to_server(encoding, &bytes(encoding, frame));
            assert!(read.is_err(), "{frame} {encoding:?} {read:?}");
        }
    }
    for frame in
        ["", "04", "0400", "040002", "04000000", "040000000161018000", "040001016102", "0400008080808080808080808001"]
    {
        let read = decode_to_server(Encoding::Bare, &hex::decode(frame).unwrap_or_default());
        assert!(read.is_err(), "{frame} {read:?}");
    }
    let error = decode_to_server(Encoding::Json, b"x").map_err(|error| error.failure());
    assert!(error.is_err_and(|failure| failure.is(&codes::INVALID_REQUEST)));
}

#[test]
fn something_after_a_message_is_refused() {
    for encoding in TREES {
        let with_more = |json: &str| [bytes(encoding, json), bytes(encoding, "1")].concat();
        assert!(decode_action_request(encoding, &with_more(r#"{"args":[]}"#)).is_err());
        assert!(decode_queue_send(encoding, &with_more(r#"{"body":1}"#)).is_err());
    }
    for body in ["0400018000", "0400028000"] {
        let body = hex::decode(body).unwrap_or_default();
        assert!(decode_action_request(Encoding::Bare, &body).is_err());
    }
}

#[test]
fn a_queue_message_may_leave_out_what_it_does_not_need() {
    let send = |body: &str| QueueSend { body: body.into(), name: None, wait: false, timeout_ms: None };
    let full = QueueSend { body: r#"{"a":[1]}"#.into(), name: Some("q".into()), wait: true, timeout_ms: Some(1500) };
    let cases = [
        ("{}", send("null")),
        (r#"{"body":null}"#, send("null")),
        (r#"{"body":[1],"name":null,"wait":null,"timeout":null}"#, send("[1]")),
        (r#"{"body":{"a":[1]},"name":"q","wait":true,"timeout":1500}"#, full.clone()),
        (r#"{"timeout":1500.0,"wait":true,"name":"q","body":{"a":[1]}}"#, full),
    ];
    for (body, send) in cases {
        for encoding in TREES {
            assert_eq!(decode_queue_send(encoding, &bytes(encoding, body)), Ok(send.clone()), "{body} {encoding:?}");
        }
    }
    for body in [r#"{"body":1,"timeout":-1}"#, r#"{"body":1,"timeout":"x"}"#, r#"{"body":1,"wait":1}"#, "[]"] {
        for encoding in TREES {
            assert!(decode_queue_send(encoding, &bytes(encoding, body)).is_err(), "{body}");
        }
    }
}

#[test]
fn an_answer_that_is_not_json_is_refused_and_bad_metadata_left_out() {
    let failure = Failure { group: "g".into(), code: "c".into(), message: "m".into(), metadata: Some("[1".into()) };
    let plain = Failure { metadata: None, ..failure.clone() };
    for encoding in [Encoding::Json, Encoding::Cbor, Encoding::Bare] {
        for bad in ["", "[1", "1 2", "}", r#"1},"x":{"#] {
            assert!(encode_action_response(encoding, bad).is_err());
            assert!(encode_response(encoding, 1, bad).is_err());
            assert!(encode_event(encoding, "e", bad).is_err());
            assert!(encode_queue_response(encoding, "completed", Some(bad)).is_err());
        }
        assert_eq!(encode_http_error(encoding, &failure, None), encode_http_error(encoding, &plain, None));
        assert_eq!(encode_error(encoding, Some(1), &failure, None), encode_error(encoding, Some(1), &plain, None));
    }
}

#[test]
fn names_and_messages_are_escaped_in_json() {
    let failure = Failure { group: "g".into(), code: "c".into(), message: "\"\n\u{1}é".into(), metadata: None };
    let body = encode_http_error(Encoding::Json, &failure, None);
    assert_eq!(String::from_utf8_lossy(&body), r#"{"code":"c","group":"g","message":"\"\n\u0001é"}"#);
    let event = encode_event(Encoding::Json, "a\"b", "[]");
    assert_eq!(event.as_deref(), Ok(&br#"{"body":{"tag":"Event","val":{"args":[],"name":"a\"b"}}}"#[..]));
}

#[test]
fn one_more_argument_goes_to_the_end() {
    let cases = [
        ("[]", "[9]"),
        (" [ ] ", "[9]"),
        ("[1]", "[1,9]"),
        (r#"[ {"a":[1,2]} , "]" ]"#, r#"[{"a":[1,2]},"]",9]"#),
        ("5", "[5,9]"),
        // Two arguments of which the first starts with a dollar sign are escaped; one and three are not.
        (r#"["$x"]"#, r#"["$$x",9]"#),
        (r#"["$$x",1]"#, r#"["$x",1,9]"#),
        (r#"["$x",1,2]"#, r#"["$x",1,2,9]"#),
    ];
    for (args, longer) in cases {
        assert_eq!(with_extra_argument(args, "9"), longer);
    }
}

#[test]
fn a_json_client_gets_what_it_can_read_in_place_of_tags_that_it_does_not_know() {
    let cases = [
        (r#"["$Date",1795330187482]"#, r#""2026-11-22T06:49:47.482Z""#),
        (r#"["$Date",-1]"#, r#""1969-12-31T23:59:59.999Z""#),
        (r#"["$Date",8640000000000000]"#, "null"),
        (r#"{"a":[1,["$Number","NaN"],["$Number","-Infinity"],["$Number","-0"]]}"#, r#"{"a":[1,null,null,0]}"#),
        (r#"["$Map",[[1,"a"],["b",["$Date",0]],["$x",2]]]"#, r#"[[1,"a"],["b","1970-01-01T00:00:00.000Z"],["$$x",2]]"#),
        (r#"["$Map",[]]"#, "[]"),
        (r#"["$CborTag",[86,["$Uint8Array","AAAA"]]]"#, r#"["$Uint8Array","AAAA"]"#),
        (r#"["$CborTag",[1,["$Number","NaN"]]]"#, "null"),
        (r#"[["$CborTag",[260,"$"]],null]"#, r#"["$$",null]"#),
        (r#"[["$Set",[["$Date",0]]],["$BigInt","5"]]"#, r#"[["$Set",["1970-01-01T00:00:00.000Z"]],["$BigInt","5"]]"#),
    ];
    for (output, json) in cases {
        let body = encode_action_response(Encoding::Json, output).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&body), format!(r#"{{"output":{json}}}"#));
    }
}

#[test]
fn a_json_client_gets_everything_else_as_the_actor_wrote_it() {
    let cases = [
        r#"[ 1.50 , "\u00e9" , {"a" : ["$BigInt","5"]} ]"#,
        r#"["$$Date",5]"#,
        r#"{"$Date":5}"#,
        r#"["x","$Map"]"#,
        r#"["$Date",5,6]"#,
        r#"["$Map",[[1]]]"#,
        r#"["$Undefined",0]"#,
        r#"["$Set",["$Date",5]]"#,
    ];
    for output in cases {
        let body = encode_action_response(Encoding::Json, output).unwrap_or_default();
        let text = String::from_utf8_lossy(&body).into_owned();
        // A value with the name of a tag in it is written anew, without white space between its parts.
        let output = if output.contains("$Date") || output.contains("$Map") {
            output.replace(' ', "")
        } else {
            output.to_owned()
        };
        assert_eq!(text, format!(r#"{{"output":{output}}}"#));
    }
}
