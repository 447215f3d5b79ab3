//! The fixture actors of the official test-suite, with the official JavaScript client in all encodings.

use growqr_e2e::{Deployment, Results, behaviours, repository};
use std::sync::LazyLock;

/// The scripts run one after the other, so that what they measure is not how busy the machine is.
static RESULTS: LazyLock<[Results; 3]> = LazyLock::new(|| {
    let deployment = Deployment::read(&repository().join("tests/conformance/rivet.json"));
    ["conformance/state", "conformance/calls", "conformance/life"].map(|script| Results::of(script, &deployment))
});

mod state {
    use super::*;

    fn results() -> &'static Results {
        &RESULTS[0]
    }

    behaviours! { results;
        counter => [[5, 9, 9], [5, 9], "counter"],
        counter_conn => [[7, 0, 2], [3, 7]],
        counter_with_params => [1, [{"by": "user1", "count": 1}], ["user1", "anonymous"]],
        counter_with_lifecycle => [
            ["onWake", "onBeforeConnect", "onConnect"],
            [
                "onWake",
                "onBeforeConnect",
                "onConnect",
                "onDisconnect",
                "onBeforeConnect",
                "onConnect",
                "onDisconnect",
            ],
        ],
        input => [{"initialInput": {"n": [1], "name": "x"}, "onCreateInput": {"n": [1], "name": "x"}}, true, true],
        metadata => [
            "metadataActor",
            "metadataActor",
            {"name": "metadataActor", "region": "here", "tags": {"foo": "bar"}},
            "bar",
            null,
            {"name": "metadataActor", "region": "here", "tags": {"foo": "bar"}},
        ],
        stateless => ["pong", "x", true, false, true, false, true],
        vars => [
            {"counter": 42, "name": "test-actor"},
            {"array": [1, 2, 3, 4], "obj": {"key": "new-value"}, "value": "modified"},
            {"array": [1, 2, 3], "obj": {"key": "value"}, "value": "original"},
            "number",
            true,
            true,
            true,
        ],
        on_state_change => [[13, 26, 2], true, true],
        state_zod_coercion => {"count": 4, "label": "default"},
        state_change_recursion => [
            {"callCount": 1, "derivedValue": 10, "value": 5},
            {
                "callCount": 1,
                "derivedValue": 0,
                "errorCode": "state_mutation_reentrant",
                "errorGroup": "actor",
                "value": 2,
            },
        ],
        the_inspector_shows_the_state_to_whoever_has_the_token => [
            200,
            {"isStateEnabled": true, "state": {"count": 5}},
            {"isStateEnabled": true, "state": {"count": 5}},
            [403, 403],
        ],
        scheduled => [[1, ["second", 2], 3], [3, ["second"], true]],
        scheduled_db => 1,
        kv => ["vb1", null, 2, [{"key": "a2", "value": "va2"}], [1, 2, 255]],
        queue_receive => [
            {"body": {"hello": "world"}, "name": "greeting"},
            {"body": {"value": 42}, "name": "self"},
            [{"body": 0, "name": "a"}, {"body": 1, "name": "b"}],
            [{"body": 2, "name": "c"}],
            [],
            [],
            {"body": "first", "name": "one"},
            {"body": "second", "name": "two"},
        ],
        queue_completion => [
            {"status": "completed", "response": {"echo": {"value": 123}}},
            {"status": "timedOut"},
            {"code": "already_completed", "group": "queue"},
            {"body": {"value": "test"}, "name": "nowait"},
            {"hasComplete": true},
            {"body": {"value": "test"}, "name": "nowait"},
        ],
        queue_abort => [
            "actor.aborted",
            {"code": "aborted", "group": "actor"},
            {"code": "aborted", "group": "actor"},
            {"ok": true},
            {"code": "previous_message_not_completed", "group": "queue"},
        ],
        queue_limits => ["queue.full: Queue is full. Limit is 1 messages.", true],
        many_queues => [
            true,
            [true, true],
            true,
            64,
            32,
            {"status": "completed", "response": {"index": 64, "ok": true}},
            {"queued": true},
            1,
        ],
    }

    #[test]
    fn every_behaviour_that_is_tried_is_compared() {
        results().check_complete(COMPARED);
    }
}

mod calls {
    use super::*;

    fn results() -> &'static Results {
        &RESULTS[1]
    }

    behaviours! { results;
        timeouts => [
            "quick response",
            true,
            "delayed response",
            "normal response",
            "sync response",
            "Quick action completed",
            true,
        ],
        sync_and_async_actions => [[5, 6, 6], 0, 5, "id1", "number", "Success", "user.user_error: Intentional error"],
        actions_of_one_actor_overlap => [["slow", "fast"], ["start:slow", "start:fast", "finish:fast", "finish:slow"]],
        a_name_with_a_dot_is_an_action => [5, 5, "actor.validation_error"],
        promises => ["resolved value", "delayed value", "user.user_error: promised rejection", ["delayed"]],
        errors => [
            "user.user_error: Simple error message",
            true,
            "user.detailed_error: Detailed error message",
            "test",
            "internal_error",
            "An internal error occurred",
            "success",
            true,
            "Completed after 100ms",
            ["one"],
            [],
        ],
        errors_on_a_connection_leave_it_open => ["user.user_error: Simple error message", "success"],
        large_payloads => [800, 800, "message.incoming_too_long", "message.outgoing_too_long", {"a": 1}],
        large_payloads_on_a_connection => [
            800,
            "message.outgoing_too_long",
            "still here",
            "message.incoming_too_long",
            "failed",
        ],
        connection_state => [
            [["connectedFromOnConnect", "anonymous"], ["connectedFromOnConnectConns", "anonymous"]],
            ["anonymous", "user", 5, false],
            ["u2", "admin"],
            [true, false],
            true,
            "hi",
            "new",
            "user",
            2,
            true,
            [true],
            1,
        ],
        a_connection_can_close_itself => [true, true],
        a_connection_is_invisible_until_it_is_accepted => [
            ["first"],
            ["first", "second"],
            {"label": "second", "ownVisible": true, "visibleLabels": ["first", "second"]},
            ["user.connection_rejected", "user.connection_rejected"],
            ["first", "second"],
            [],
        ],
        refused_connections => [
            "connection.custom_error",
            0,
            "user.connection_rejected",
            ["user.connection_rejected: Connection rejected by policy", {"reason": "test"}],
            "pong",
            "core.internal_error",
            "pong",
            "actor.callback_timed_out",
            "user.rejected",
        ],
        access_control => [
            "allowed:a",
            true,
            true,
            [1, null],
            "auth.forbidden",
            true,
            [{"$undefined": true}, {"status": "completed"}],
            "auth.forbidden",
            403,
            1011,
            [200, {"ok": true}],
            null,
        ],
        request_access => [
            [true, "GET", true],
            true,
            [true, "POST", true],
            {"hasRequest": false, "requestHeaders": {}, "requestMethod": null, "requestUrl": null},
            ["GET", "/some/path", "yes"],
        ],
        the_actor_sees_that_nobody_waits_for_it_to_be_ready => "1",
    }

    #[test]
    fn every_behaviour_that_is_tried_is_compared() {
        results().check_complete(COMPARED);
    }
}

mod life {
    use super::*;

    fn results() -> &'static Results {
        &RESULTS[2]
    }

    behaviours! { results;
        raw_http => [[200, {"message": "Hello from actor!"}], [200, {"a": 1}, "yes"], "here", 404, 5],
        raw_http_without_an_answer => [404, 500, true],
        raw_http_routes => [
            [200, {"message": "Welcome to Hono actor!"}],
            [200, [{"id": 1, "name": "Alice"}, {"id": 2, "name": "Bob"}]],
            [200, {"id": 1, "name": "Alice"}],
            [201, {"id": 3, "name": "New"}],
            [200, {"id": 2, "name": "Changed"}],
            [200, {"message": "User 2 deleted"}],
            404,
        ],
        raw_http_request_properties => [
            ["/a/b", "?x=1&y=two%20words&x=3", {"x": "3", "y": "two words"}, "", "GET", null],
            [{"k": "v"}, "application/json"],
            ["plain", "plain"],
            700000,
            200,
            204,
            "PROPFIND",
        ],
        raw_websocket => [
            [
                {"connectionCount": 1, "type": "welcome"},
                "pong",
                [true, "?a=1"],
                "plain text",
                [1, 2, 3],
                {"payload": "p", "rivetMessageIndex": 5, "type": "indexedEcho"},
                {"payloadSize": 5, "rivetMessageIndex": 6, "type": "indexedAckProbe"},
                {"connectionCount": 1, "messageCount": 7, "type": "stats"},
                {"order": [5, 6], "type": "indexedMessageOrder"},
            ],
            {"connectionCount": 0, "messageCount": 8},
        ],
        a_raw_websocket_stays_open_over_a_sleep => [2, [1, 2]],
        other_raw_websockets => [[3, 2, 1], {"openCount": 1, "type": "async-open"}, 200, true, 1, true],
        destroy => [[42, "kept", "queued", null], 42, "actor.not_found", 0, "fresh", true],
        destroy_is_no_part_of_the_action => {
            "abortEventCountAfterDestroy": 0,
            "afterDestroyAborted": false,
            "afterDestroySignalAborted": false,
            "beforeDestroyAborted": false,
            "beforeDestroySignalAborted": false,
        },
        start_and_stop_race => [true, true, true, "pong", ["started", "destroy"]],
        run_handlers => [
            [true, false],
            [true, true, true, true],
            true,
            [false, true],
            ["slept", true, true],
            [{"body": {"n": 1}, "name": "messages"}, {"body": {"n": 2}, "name": "messages"}],
            true,
        ],
        an_actor_destroys_itself_when_it_starts => true,
        sleep_and_alarms => [{"startCount": 1, "sleepCount": 0}, [true, true, true], true],
        what_keeps_an_actor_awake => [
            true,
            [200, {"completed": true}],
            [[1, 0], [1, 0], [1, 0], [1, 0]],
            [true, true, true, false],
        ],
        what_is_said_before_a_sleep_arrives => [
            {"sleepCount": 0, "startCount": 1},
            1,
            [{"sleepCount": 1, "type": "sleeping"}, {"sleepCount": 1, "type": "sleeping"}],
        ],
        a_running_handler_delays_the_sleep => [
            {
                "startCount": 2,
                "sleepCount": 1,
                "messageStarted": 1,
                "messageFinished": 1,
                "closeStarted": 1,
                "closeFinished": 1,
            },
            {
                "startCount": 2,
                "sleepCount": 1,
                "messageStarted": 1,
                "messageFinished": 1,
                "closeStarted": 1,
                "closeFinished": 1,
            },
        ],
        a_connection_hibernates => [
            [1, 2],
            ["pong", 2, {"connectCount": 1, "disconnectCount": 0}, true],
            true,
            true,
            true,
        ],
        an_action_in_the_window_of_a_sleep_is_answered => ["pong", true, true],
        a_connection_that_closes_during_a_sleep_is_told_after_the_wake => [true, []],
        a_namespace_is_made_on_request => [200, 200],
    }

    #[test]
    fn every_behaviour_that_is_tried_is_compared() {
        results().check_complete(COMPARED);
    }
}
