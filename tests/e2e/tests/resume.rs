//! Clients that come back: event resume with `after`, and restarts of the host under open connections.

use growqr_e2e::{Deployment, Host, Results, Script, behaviours, component};
use serde_json::json;
use std::sync::LazyLock;

fn results() -> &'static Results {
    static RESULTS: LazyLock<Results> = LazyLock::new(|| {
        let forgetful = json!({ "component": component("counter"), "options": { "eventRetentionCount": 3 } });
        Results::of("resume", &Deployment::of(&["counter"]).with("forgetful", forgetful))
    });
    &RESULTS
}

behaviours! { results;
    from_the_beginning => [[1, 1], [2, 2], [3, 3], [4, 4], [5, 5]],
    from_a_number => [[3, 3], [4, 4], [5, 5]],
    from_the_last_number => [[4, 4], [5, 5]],
    from_now_on => [[4, 4], [5, 5]],
    without_the_parameter => [[4], [5]],
    with_other_parameters_only => [[4], [5]],
    outside_the_window => ["resync", 1, [11, 11]],
    a_long_replay_under_new_events_has_no_gap_and_no_repeat => [2000, true],
    each_reconnect_goes_on_where_the_last_one_ended => [
        [1, 1], [2, 2], [3, 3], [4, 4], [5, 5], [6, 6], [7, 7], [8, 8], [9, 9]
    ],
}

#[test]
fn every_behaviour_that_is_tried_is_compared() {
    results().check_complete(COMPARED);
}

#[test]
fn a_connection_lives_through_restarts_with_its_subscriptions() {
    let mut host = Host::start(&Deployment::of(&["counter"]));
    let mut script = Script::start("restart", &json!({ "url": host.url() }));
    script.expect("ready");
    for round in 1..=3 {
        // Cleanly the first time, then as a power cut would.
        if round == 1 {
            let status = host.stop();
            assert!(status.success(), "a clean stop ended with {status}");
        } else {
            host.kill9();
        }
        host.restart();
        script.send("again");
        let report = json!({ "reply": true, "heard": [round], "overHttp": round + 1, "overSocket": round + 1 });
        assert_eq!(script.expect("report"), json!([report, report, report]), "round {round}");
    }
    script.send("end");
    assert_eq!(script.finish(), Vec::<serde_json::Value>::new());
}
