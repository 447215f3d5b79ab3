//! The official JavaScript client and the example's actor, in all encodings.

use growqr_e2e::{Deployment, ENCODINGS, Results, behaviours, component};
use serde_json::{Value, json};
use std::sync::LazyLock;

fn results() -> &'static Results {
    static RESULTS: LazyLock<Results> = LazyLock::new(|| Results::of("counter", &Deployment::of(&["counter"])));
    &RESULTS
}

behaviours! { results;
    action => [2, 5, 5],
    action_without_arguments_uses_the_default => 1,
    action_by_name => 7,
    many_actions_at_once_are_all_counted => [true, 50],
    many_actions_at_once_on_a_socket_are_all_counted => true,
    get_finds_what_get_or_create_made => 5,
    get_of_a_missing_actor_fails => {"error": "actor.not_found"},
    create_makes_an_actor_once => [4, "actor.duplicate_key", true],
    resolve_gives_the_same_id_every_time => [true, false, 30],
    resolve_of_a_missing_actor_fails => {"error": "actor.not_found"},
    an_actor_answers_by_its_id => 6,
    a_malformed_id_is_not_found => {"error": "actor.not_found"},
    an_unknown_action_fails => {"error": "actor.action_not_found"},
    an_unknown_dotted_action_fails_with_its_whole_name => true,
    an_unknown_actor_name_fails => {"error": "actor.not_registered"},
    a_key_may_have_slashes_and_percent_signs_and_umlauts => [1, 2, 3, 4, 5, 6, 7],
    a_comma_in_a_key_splits_it_as_the_official_engine_does => 1,
    a_key_may_be_a_text_or_nothing => [1, true, true],
    an_oversized_key_is_refused => {"error": "actor.key_too_large"},
    a_connection_answers_and_hears_events_before_the_reply => [["event", {"x": [1, "two", null]}], ["reply", true]],
    an_event_reaches_every_connection_that_subscribed_and_no_other => [[1, 2], [1, 2], []],
    once_hears_one_event_and_unsubscribe_ends_the_rest => [["once", 1], ["on", 1], ["on", 2]],
    a_connection_by_id_answers => 8,
    an_unknown_action_on_a_connection_leaves_it_open => [{"error": "actor.action_not_found"}, 1],
    a_connection_to_a_destroyed_actor_fails => {"error": "actor.not_found"},
    an_oversized_message_is_refused => {"error": "message.incoming_too_long"},
    a_message_within_the_limit_passes => 60000,
}

/// What a value is after a round trip, where it is the same in every encoding.
fn kept() -> Vec<(&'static str, Value)> {
    vec![
        ("null", json!(null)),
        ("true", json!(true)),
        ("integer", json!(42)),
        ("negative", json!(-7)),
        ("large", json!(1_u64 << 40)),
        ("unsafe", json!(9_007_199_254_740_992_u64)),
        ("fraction", json!(1.5)),
        ("text", json!("é\u{0}\"\\😀")),
        ("empty_array", json!([])),
        ("nested", json!({"a": [1, {"b": null}], "c": "d"})),
        ("bigint", json!({"$bigint": "5"})),
        ("huge_bigint", json!({"$bigint": "1180591620717411303424"})),
        ("negative_bigint", json!({"$bigint": "-9223372036854775808"})),
        ("bytes", json!({"$bytes": [0, 1, 255]})),
        ("no_bytes", json!({"$bytes": []})),
        ("looks_like_a_tag", json!(["$BigInt", "5"])),
        ("looks_like_another", json!(["$x", 1])),
        ("escaped", json!(["$$x", 1])),
    ]
}

/// Where the client itself can't say the value in an encoding, and sends another: what comes back in json, in cbor, in bare.
fn by_encoding() -> Vec<(&'static str, [Value; 3])> {
    let undefined = json!({"u": {"$undefined": true}, "n": 1});
    let date = json!({"$date": 1_700_000_000_123_u64});
    let map = json!({"$map": [["k", 1]]});
    let set = json!({"$set": [1, "x"]});
    let nan = json!({"$number": "NaN"});
    let infinity = json!({"$number": "Infinity"});
    vec![
        ("undefined_field", [json!({"n": 1}), undefined.clone(), undefined]),
        ("date", [json!("2023-11-14T22:13:20.123Z"), date.clone(), date]),
        ("buffer", [json!({"$buffer": [9, 8]}), json!({"$bytes": [9, 8]}), json!({"$buffer": [9, 8]})]),
        ("map", [json!({}), map.clone(), map]),
        ("set", [json!({}), set.clone(), set]),
        ("not_a_number", [json!(null), nan.clone(), nan]),
        ("infinite", [json!(null), infinity.clone(), infinity]),
    ]
}

#[test]
fn values_come_back_as_they_were_sent() {
    for way in ["", " on a socket"] {
        for (name, expected) in kept() {
            results().check(&format!("echo {name}{way}"), |_| expected.clone());
        }
        for (name, expected) in by_encoding() {
            let expected = |encoding: &str| match ENCODINGS.iter().position(|known| *known == encoding) {
                Some(index) => expected[index].clone(),
                None => panic!("{encoding} is no encoding"),
            };
            results().check(&format!("echo {name}{way}"), expected);
        }
    }
}

#[test]
fn every_behaviour_that_is_tried_is_compared() {
    let mut names: Vec<String> = COMPARED.iter().map(|name| (*name).to_owned()).collect();
    let values = kept().into_iter().map(|(name, _)| name).chain(by_encoding().into_iter().map(|(name, _)| name));
    names.extend(values.flat_map(|name| [format!("echo {name}"), format!("echo {name} on a socket")]));
    results().check_complete(&names.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_same_actor_in_javascript_behaves_the_same() {
    let deployment = Deployment::of(&[]).file("counter", &component("counter-js"));
    let mut differences = results().differences(&Results::of("counter", &deployment));
    // A number of JavaScript can't hold more than 53 bits, so the actor is given a BigInt, and gives it back.
    differences.retain(|(name, ..)| !name.starts_with("echo unsafe"));
    assert_eq!(differences, []);
}
