//! The official JavaScript client and an actor that uses every hook, in all encodings.

use growqr_e2e::{Deployment, Results, behaviours};
use std::sync::LazyLock;

fn results() -> &'static Results {
    static RESULTS: LazyLock<Results> =
        LazyLock::new(|| Results::of("everything", &Deployment::of(&["everything", "counter"])));
    &RESULTS
}

behaviours! { results;
    an_error_of_the_actor_has_its_code_and_metadata => [{"error": "user.my_code", "metadata": {"a": 1}}, "nope"],
    an_error_of_the_actor_on_a_socket_has_them_too => [{"error": "user.my_code", "metadata": {"a": 1}}, "nope"],
    an_internal_error_tells_no_details => [false, "internal_error"],
    input_reaches_the_actor_once => [{"text": "é", "list": [1, null]}, {"text": "é", "list": [1, null]}],
    input_of_create_reaches_the_actor => [1, {"b": "c"}],
    no_input_is_null => null,
    connection_parameters_reach_the_actor => ["Ada", "Grace", "anonymous"],
    connection_state_lives_as_long_as_the_connection => [1, 2, 1],
    a_refused_connection_gets_the_reason => {"error": "user.refused"},
    a_refused_socket_gets_the_reason => {"error": "user.refused"},
    a_connection_may_be_accepted_later => "late",
    an_event_to_one_connection_reaches_it_without_a_subscription => [true, [[{"x": 1}], []]],
    a_broadcast_may_have_any_number_of_arguments => [[], [1, "two", {"three": 3}]],
    a_refused_subscription_says_so_and_hears_nothing => [{"error": "user.forbidden"}, []],
    a_connection_that_was_closed_comes_back_with_its_subscriptions => ["heard"],
    disconnects_are_counted => true,
    a_deferred_reply_comes_when_it_is_ready => [5, "waited"],
    an_action_of_another_actor_answers_through_this_one => true,
    a_queue_message_completes => {"status": "completed", "response": {"echo": {"n": 1}}},
    a_queue_message_without_waiting_is_taken => {"n": 2},
    a_queue_message_may_complete_later => [true, {"status": "completed", "response": {"done": true}}],
    a_queue_message_may_time_out => {"status": "timedOut"},
    raw_requests_keep_method_path_headers_and_body => [207, "yes", "PUT", "/foo/bar?x=1&y=%20", "/foo/bar", "b", "hi"],
    raw_requests_carry_bytes => [200, "image/png", 100000, true],
    raw_requests_keep_the_status => [200, 204, 404, 418, 500, 503],
    raw_requests_may_be_answered_later => [200, "later"],
    raw_sockets_carry_text_and_bytes => [["hello from actor", "text", {"$buffer": [1, 2, 255]}, ""], [1000, "bye"]],
    raw_sockets_count_their_messages_and_reach_each_other => [
        ["hello", "1", "2", "broadcast:x", "to all"], ["hello", "broadcast:x", "to all"], 2
    ],
    a_call_that_meets_a_sleep_is_answered_all_the_same => ["\"done\""],
    state_survives_sleep_and_connections_stay => ["kept", "connected", ["after the sleep"], 2, 1],
    timers_fire_in_order_also_after_a_sleep => [[true, false], [["first", true], ["second", true]], 0],
    messages_between_actors_come_in_order => [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    a_failed_action_keeps_nothing_unless_it_says_so => [{"error": "user.forgotten"}, 1, {"error": "user.kept"}, 3],
    bytes_from_an_actor_are_bytes_at_the_client => [true, 8],
    an_actor_knows_who_it_is => ["everything", "identity", "default", true],
    a_destroyed_actor_is_gone_and_its_key_is_free => [null, false],
    an_actor_may_be_destroyed_by_another => 1,
}

#[test]
fn every_behaviour_that_is_tried_is_compared() {
    results().check_complete(COMPARED);
}
