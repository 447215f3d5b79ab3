//! Bytes that the official client and server were seen to send.
#![allow(clippy::unwrap_used, reason = "a helper of a test may panic as the test itself may")]

use growqr_types::Failure;
use growqr_wire::*;

const ACTOR: ActorSpecifier<'_> =
    ActorSpecifier { actor_id: "pmxfvowlqwqr1q1pjnrl2hxqm6bl00", generation: 1, key: Some("jvvy74/bare/a\\/b/c") };
const CBOR_ACTOR: ActorSpecifier<'_> =
    ActorSpecifier { actor_id: "t534xskz4zi2llzhgnh163swbbcl00", generation: 1, key: Some("jvvy74/cbor/a\\/b/c") };
const JSON_ACTOR: ActorSpecifier<'_> =
    ActorSpecifier { actor_id: "t53k6w1y7y2v69wsxal36zd4bual00", generation: 1, key: Some("jvvy74/json/a\\/b/c") };

/// Bytes from hex, or from text when it is JSON.
fn bytes(text: &str) -> Vec<u8> {
    if text.starts_with('{') { text.as_bytes().to_vec() } else { hex::decode(text).unwrap() }
}

fn shown(encoding: Encoding, bytes: &[u8]) -> String {
    if encoding.is_text() { String::from_utf8(bytes.to_vec()).unwrap() } else { hex::encode(bytes) }
}

fn failure(group: &'static str, code: &'static str, message: &str, metadata: Option<&str>) -> Failure {
    Failure { group: group.into(), code: code.into(), message: message.into(), metadata: metadata.map(Into::into) }
}

#[test]
fn the_arguments_of_an_action_over_http() {
    let cases = [
        (Encoding::Json, r#"{"args":[2]}"#, "[2]"),
        (Encoding::Cbor, "b9000164617267738102", "[2]"),
        (Encoding::Cbor, "b90001646172677382016178", r#"[1,"x"]"#),
        (Encoding::Cbor, "b90001646172677380", "[]"),
        (Encoding::Bare, "0400028102", "[2]"),
        (Encoding::Bare, "04000482016178", r#"[1,"x"]"#),
        (Encoding::Bare, "04000180", "[]"),
        (Encoding::Bare, "0100028102", "[2]"),
        (
            Encoding::Cbor,
            "b90001646172677381b900066175f7636269671b0000000000000005616ef66166fb3ff8000000000000617362c3a9616182016178",
            r#"[{"u":["$Undefined",0],"big":["$BigInt","5"],"n":null,"f":1.5,"s":"é","a":[1,"x"]}]"#,
        ),
        (
            Encoding::Bare,
            "04005381b900076175826a24556e646566696e65640063626967826724426967496e746135616ef66166fb3ff8000000000000617362\
             c3a9616182016178656279746573826b2455696e743841727261796441514c2f",
            r#"[{"u":["$Undefined",0],"big":["$BigInt","5"],"n":null,"f":1.5,"s":"é","a":[1,"x"],"bytes":["$Uint8Array","AQL/"]}]"#,
        ),
    ];
    for (encoding, body, args) in cases {
        let body = bytes(&body.replace(char::is_whitespace, ""));
        assert_eq!(decode_action_request(encoding, &body).as_deref(), Ok(args), "{encoding:?}");
    }
}

#[test]
fn the_answer_of_an_action_over_http() {
    let cases = [
        (Encoding::Json, "2", r#"{"output":2}"#),
        (Encoding::Cbor, "2", "a1666f757470757402"),
        (Encoding::Bare, "2", "04000102"),
        (Encoding::Bare, "true", "040001f5"),
        (Encoding::Bare, "null", "040001f6"),
    ];
    for (encoding, output, body) in cases {
        assert_eq!(shown(encoding, &encode_action_response(encoding, output).unwrap()), body);
    }
}

#[test]
fn queue_messages() {
    let send = QueueSend { body: r#"{"x":1}"#.into(), name: Some("q1".into()), wait: false, timeout_ms: None };
    let json = r#"{"body":{"x":1},"wait":false,"name":"q1"}"#;
    assert_eq!(decode_queue_send(Encoding::Json, json.as_bytes()), Ok(send.clone()));
    assert_eq!(decode_queue_send(Encoding::Bare, &bytes("040006b9000161780101027131010000")), Ok(send));
    assert_eq!(encode_queue_response(Encoding::Json, "completed", None).unwrap(), br#"{"status":"completed"}"#);
    let bare = encode_queue_response(Encoding::Bare, "completed", None).unwrap();
    assert_eq!(hex::encode(bare), "040009636f6d706c6574656400");
}

#[test]
fn errors_over_http() {
    let nope = failure("user", "my_code", "nope", Some(r#"{"a":1}"#));
    let internal = failure("rivetkit", "internal_error", "An internal error occurred", None);
    let cases = [
        (
            Encoding::Json,
            &nope,
            &JSON_ACTOR,
            r#"{"actor":{"actorId":"t53k6w1y7y2v69wsxal36zd4bual00","generation":1,"key":"jvvy74/json/a\\/b/c"},"code":"my_code","group":"user","message":"nope","metadata":{"a":1}}"#,
        ),
        (
            Encoding::Cbor,
            &nope,
            &CBOR_ACTOR,
            "a5656163746f72a3676163746f724964781e7435333478736b7a347a69326c6c7a68676e6831363373776262636c30306a67656e65726174696f6e01636b6579726a76767937342f63626f722f615c2f622f6364636f6465676d795f636f64656567726f75706475736572676d657373616765646e6f7065686d65746164617461a1616101",
        ),
        (
            Encoding::Bare,
            &nope,
            &ACTOR,
            "04000475736572076d795f636f6465046e6f70650104a1616101011e706d7866766f776c71777172317131706a6e726c326878716d36626c30300101126a76767937342f626172652f615c2f622f63",
        ),
        (
            Encoding::Bare,
            &internal,
            &ACTOR,
            "04000872697665746b69740e696e7465726e616c5f6572726f721a416e20696e7465726e616c206572726f72206f6363757272656400011e706d7866766f776c71777172317131706a6e726c326878716d36626c30300101126a76767937342f626172652f615c2f622f63",
        ),
    ];
    for (encoding, failure, actor, body) in cases {
        assert_eq!(shown(encoding, &encode_http_error(encoding, failure, Some(actor))), body);
    }
}

#[test]
fn frames_of_a_client() {
    let action = |id, name: &str, args: &str| ToServer::Action { id, name: name.into(), args: args.into() };
    let subscription = |event: &str, subscribe| ToServer::Subscription { event: event.into(), subscribe };
    let cases = [
        (
            Encoding::Json,
            r#"{"body":{"tag":"ActionRequest","val":{"id":["$BigInt","0"],"name":"increment","args":[3]}}}"#,
            action(0, "increment", "[3]"),
        ),
        (
            Encoding::Json,
            r#"{"body":{"tag":"SubscriptionRequest","val":{"eventName":"ping","subscribe":true}}}"#,
            subscription("ping", true),
        ),
        (
            Encoding::Cbor,
            "b9000164626f6479b90002637461676d416374696f6e526571756573746376616cb900036269641b0000000000000000646e616d6569696e6372656d656e7464617267738103",
            action(0, "increment", "[3]"),
        ),
        (
            Encoding::Cbor,
            "b9000164626f6479b90002637461676d416374696f6e526571756573746376616cb900036269641b0000000000000002646e616d656d62726f61646361737450696e67646172677381b90001617801",
            action(2, "broadcastPing", r#"[{"x":1}]"#),
        ),
        (
            Encoding::Cbor,
            "b9000164626f6479b900026374616773537562736372697074696f6e526571756573746376616cb90002696576656e744e616d65656f7468657269737562736372696265f4",
            subscription("other", false),
        ),
        (Encoding::Bare, "0400000009696e6372656d656e74028103", action(0, "increment", "[3]")),
        (Encoding::Bare, "0400000108676574436f756e740180", action(1, "getCount", "[]")),
        (
            Encoding::Bare,
            "040000020d62726f61646361737450696e670781b90001617801",
            action(2, "broadcastPing", r#"[{"x":1}]"#),
        ),
        (Encoding::Bare, "0400010470696e6701", subscription("ping", true)),
        (Encoding::Bare, "040001056f7468657200", subscription("other", false)),
    ];
    for (encoding, frame, message) in cases {
        assert_eq!(decode_to_server(encoding, &bytes(frame)), Ok(message));
    }
}

#[test]
fn the_first_frame_of_a_connection() {
    let cases = [
        (
            Encoding::Json,
            "xkdddhrr2mfrzrti8id85a7xyeal00",
            "80c23cd2-b15d-4743-8cba-e21d7710bcb0",
            r#"{"body":{"tag":"Init","val":{"actorId":"xkdddhrr2mfrzrti8id85a7xyeal00","connectionId":"80c23cd2-b15d-4743-8cba-e21d7710bcb0"}}}"#,
        ),
        (
            Encoding::Cbor,
            "hgb0rlhoitwefq1oh2xwaa70r2dl00",
            "81e9c0dd-407a-4ace-94e8-a351fb9d583a",
            "a164626f6479a26374616764496e69746376616ca2676163746f724964781e68676230726c686f697477656671316f68327877616137307232646c30306c636f6e6e656374696f6e4964782438316539633064642d343037612d346163652d393465382d613335316662396435383361",
        ),
        (
            Encoding::Bare,
            "dh98rxxt0t81p9dg103xihzw20cl00",
            "60a31f99-4d4d-43b5-9975-3630700ca717",
            "0400001e646839387278787430743831703964673130337869687a773230636c30302436306133316639392d346434642d343362352d393937352d333633303730306361373137",
        ),
    ];
    for (encoding, actor_id, connection_id, frame) in cases {
        assert_eq!(shown(encoding, &encode_init(encoding, actor_id, connection_id)), frame);
    }
}

#[test]
fn answers_and_events() {
    let cases = [
        (Encoding::Json, r#"{"body":{"tag":"ActionResponse","val":{"id":["$BigInt","0"],"output":6}}}"#),
        (
            Encoding::Cbor,
            "a164626f6479a2637461676e416374696f6e526573706f6e73656376616ca26269641b0000000000000000666f757470757406",
        ),
        (Encoding::Bare, "040002000106"),
    ];
    for (encoding, frame) in cases {
        assert_eq!(shown(encoding, &encode_response(encoding, 0, "6").unwrap()), frame);
    }
    let cases = [
        (Encoding::Json, r#"{"body":{"tag":"Event","val":{"args":[{"x":1}],"name":"ping"}}}"#),
        // The official server kept the 16-bit length of the client's map (`b90001`); this one writes the short form.
        (Encoding::Cbor, "a164626f6479a263746167654576656e746376616ca2646e616d656470696e67646172677381a1617801"),
        (Encoding::Bare, "0400030470696e670581a1617801"),
    ];
    for (encoding, frame) in cases {
        assert_eq!(shown(encoding, &encode_event(encoding, "ping", r#"[{"x":1}]"#).unwrap()), frame);
    }
}

#[test]
fn errors_on_a_socket() {
    let nope = failure("user", "my_code", "nope", Some(r#"{"a":1}"#));
    let internal = failure("rivetkit", "internal_error", "An internal error occurred", None);
    let cases = [
        (
            Encoding::Json,
            3,
            &nope,
            &JSON_ACTOR,
            r#"{"body":{"tag":"Error","val":{"actionId":["$BigInt","3"],"actor":{"actorId":"t53k6w1y7y2v69wsxal36zd4bual00","generation":1,"key":"jvvy74/json/a\\/b/c"},"code":"my_code","group":"user","message":"nope","metadata":{"a":1}}}}"#,
        ),
        (
            Encoding::Json,
            4,
            &internal,
            &JSON_ACTOR,
            r#"{"body":{"tag":"Error","val":{"actionId":["$BigInt","4"],"actor":{"actorId":"t53k6w1y7y2v69wsxal36zd4bual00","generation":1,"key":"jvvy74/json/a\\/b/c"},"code":"internal_error","group":"rivetkit","message":"An internal error occurred"}}}"#,
        ),
        (
            Encoding::Cbor,
            3,
            &nope,
            &CBOR_ACTOR,
            "a164626f6479a263746167654572726f726376616ca66567726f7570647573657264636f6465676d795f636f6465676d657373616765646e6f7065686d65746164617461a1616101656163746f72a3676163746f724964781e7435333478736b7a347a69326c6c7a68676e6831363373776262636c30306a67656e65726174696f6e1b0000000000000001636b6579726a76767937342f63626f722f615c2f622f6368616374696f6e49641b0000000000000003",
        ),
        (
            Encoding::Cbor,
            4,
            &internal,
            &CBOR_ACTOR,
            "a164626f6479a263746167654572726f726376616ca56567726f75706872697665746b697464636f64656e696e7465726e616c5f6572726f72676d657373616765781a416e20696e7465726e616c206572726f72206f63637572726564656163746f72a3676163746f724964781e7435333478736b7a347a69326c6c7a68676e6831363373776262636c30306a67656e65726174696f6e1b0000000000000001636b6579726a76767937342f63626f722f615c2f622f6368616374696f6e49641b0000000000000004",
        ),
        (
            Encoding::Bare,
            3,
            &nope,
            &ACTOR,
            "0400010475736572076d795f636f6465046e6f70650104a16161010103011e706d7866766f776c71777172317131706a6e726c326878716d36626c30300101126a76767937342f626172652f615c2f622f63",
        ),
        (
            Encoding::Bare,
            4,
            &internal,
            &ACTOR,
            "0400010872697665746b69740e696e7465726e616c5f6572726f721a416e20696e7465726e616c206572726f72206f63637572726564000104011e706d7866766f776c71777172317131706a6e726c326878716d36626c30300101126a76767937342f626172652f615c2f622f63",
        ),
    ];
    for (encoding, id, failure, actor, frame) in cases {
        assert_eq!(shown(encoding, &encode_error(encoding, Some(id), failure, Some(actor))), frame);
    }
}

#[test]
fn the_error_of_a_connection_says_that_there_is_no_action() {
    let failure = failure("a", "b", "c", None);
    let cases = [
        (Encoding::Json, r#"{"body":{"tag":"Error","val":{"actionId":null,"code":"b","group":"a","message":"c"}}}"#),
        (
            Encoding::Cbor,
            "a164626f6479a263746167654572726f726376616ca46567726f7570616164636f64656162676d657373616765616368616374696f6e4964f6",
        ),
        (Encoding::Bare, "040001016101620163000000"),
    ];
    for (encoding, frame) in cases {
        assert_eq!(shown(encoding, &encode_error(encoding, None, &failure, None)), frame);
    }
}

#[test]
fn the_input_of_a_new_actor() {
    assert_eq!(input_to_json(&hex::decode("b900016568656c6c6f01").unwrap()).as_deref(), Ok(r#"{"hello":1}"#));
}
