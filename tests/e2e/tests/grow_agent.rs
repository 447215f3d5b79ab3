//! The Grow Agent and the official JavaScript client, in all encodings.

use growqr_e2e::{Deployment, Results, behaviours, component};
use std::sync::LazyLock;

fn results() -> &'static Results {
    static RESULTS: LazyLock<Results> =
        LazyLock::new(|| Results::of("growAgent", &Deployment::of(&[]).file("growAgent", &component("grow-agent"))));
    &RESULTS
}

behaviours! { results;
    a_chat_is_heard_as_events_before_its_reply => [
        ["thread.created", {"thread": "id", "title": "Hello", "archived": false, "messages": 0, "createdAt": "time", "updatedAt": "time"}],
        ["message.completed", {
            "message": "id", "thread": "id", "number": 1, "role": "user", "status": "completed", "text": "Hello\nthere",
            "createdAt": "time", "clientMessageId": "1"
        }],
        ["message.failed", {
            "message": "id", "thread": "id", "number": 2, "role": "assistant", "status": "failed", "text": "",
            "createdAt": "time", "error": "sandbox.not_available"
        }],
        ["reply", {"message": "id", "thread": "id"}]
    ],
    a_chat_that_is_sent_again_changes_nothing => [1, 1, ["user", "assistant"]],
    threads_are_listed_renamed_archived_and_deleted => [["Uno"], ["two"], [], "user.unknown_thread"],
    messages_come_in_pages => [[[6, 7, 8], true], [[3, 4, 5], true]],
    what_was_said_is_there_after_a_sleep => "remember me",
    bad_input_has_stable_codes => [
        "user.text_empty", "user.text_control_characters", "user.text_too_long", "user.client_message_id_invalid",
        "user.unknown_thread", "actor.validation_error", "actor.validation_error", "actor.validation_error",
        "user.title_empty", "user.limit_invalid", "actor.validation_error", {"threads": 0, "messages": 0}
    ],
    a_deployment_without_a_sandbox_says_so => {"available": false, "error": "sandbox.not_available"},
    a_second_device_resumes_without_a_gap => [["first", 2], ["second", 4]],
}

#[test]
fn every_behaviour_of_the_script_is_compared() {
    results().check_complete(COMPARED);
}
