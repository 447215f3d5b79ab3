//! The state machine of an actor, driven by scripts: what goes in, and exactly what comes out, in order.
//!
//! A script is a list of lines. A line beginning with `>` is an input; the lines after it are everything that the actor did until it
//! waited again. `world.rs` says which inputs there are, and what the guest can be told to do.

mod world;

use world::World;

/// Runs a script and compares. Every input is printed as it was given, followed by what came of it.
fn check(script: &str) {
    let wanted: Vec<&str> = script.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut world = World::new();
    let mut seen = Vec::new();
    for line in wanted.iter().filter(|line| line.starts_with('>')) {
        seen.push((*line).to_owned());
        seen.extend(world.input(line[1..].trim()));
    }
    assert_eq!(seen.join("\n"), wanted.join("\n"));
}

macro_rules! cases {
    ($($name:ident: $script:literal;)*) => {
        $(#[test] fn $name() { check($script); })*
    };
}

mod kinds;

cases! {
    nothing_leaves_before_its_commit: "
        > start
        started
        > call 1 set a x; event e; effect; reply one
        turn action
        commit 1: sa= e1= o1= alarm=1 m=
        > call 2 reply two
        turn action
        > committed 1
        event 1 e
        reply 1 one
        run 1
        reply 2 two
    ";
    pipelined_turns_are_released_in_order: "
        > start
        started
        > call 1 set a x; reply one
        turn action
        commit 1: sa= m=
        > call 2 set a y; reply two
        turn action
        commit 2: sa= 
        > committed 1
        reply 1 one
        > committed 2
        reply 2 two
    ";
    a_failed_commit_tells_callers_and_nothing_else: "
        > start
        started
        > call 1 set a x; event e; effect; reply one
        turn action
        commit 1: sa= e1= o1= alarm=1 m=
        > call 2 reply two
        turn action
        > lost 1
        reply 1 actor.commit_failed
        reply 2 actor.commit_failed
        exit
    ";
    a_read_that_runs_while_the_commit_below_it_fails_is_not_answered: "
        > start
        started
        > call 1 set a x; reply one
        turn action
        commit 1: sa= m=
        > call 2 lose 1; reply two
        turn action
        reply 1 actor.commit_failed
        reply 2 actor.commit_failed
        exit
    ";
    a_failed_turn_leaves_no_writes_and_drops_the_instance: "
        > start
        started
        > call 1 set a x; event e; err
        turn action
        reply 1 user.no
        drop
        > call 2 set a x; crash
        turn action
        reply 2 actor.crashed
        drop
    ";
    rows_for_the_database_ride_in_the_commit_of_their_turn: "
        > mirror
        > start
        started
        > call 1 event e; event text.delta; event f
        turn action
        commit 1: e1= e2= e3= m= row e 1 row f 3
        > call 2 set a x; event lost; crash
        turn action
        commit 2: row actor.crashed
        drop
    ";
    calls_that_may_write_are_refused_while_the_database_is_too_far_behind: "
        > mirror
        > start
        started
        > call 1 timer 100 set t ran
        turn action
        commit 1: t1= alarm=100 m=
        > committed 1
        reply 1 null
        > full
        > call 2 set a x
        reply 2 mirror.full
        > look 3 reply seen
        turn action
        reply 3 seen
        > message 4 operation 1 floor 1 set m x
        > at 200
        > room
        turn timer
        commit 2: st= t1- alarm=- m=
        turn message
        commit 3: sm= d= m=
    ";
    an_actor_that_keeps_crashing_is_paused_and_goes_on: "
        > start
        started
        > call 1 crash
        turn action
        reply 1 actor.crashed
        drop
        > call 2 crash
        turn action
        reply 2 actor.crashed
        drop
        > call 3 crash
        turn action
        reply 3 actor.crashed
        drop
        > call 4 crash
        turn action
        reply 4 actor.crashed
        drop
        > call 5 crash
        turn action
        reply 5 actor.crashed
        drop
        > call 6 reply six
        reply 6 actor.crash_backoff
        > at 100
        > call 7 reply seven
        turn action
        reply 7 seven
    ";
    a_wake_that_goes_well_does_not_hide_crashes: "
        > hook wake
        > start
        turn wake
        started
        > calls 5 crash
        turn action
        reply 1 actor.crashed
        drop
        turn wake
        turn action
        reply 2 actor.crashed
        drop
        turn wake
        turn action
        reply 3 actor.crashed
        drop
        turn wake
        turn action
        reply 4 actor.crashed
        drop
        turn wake
        turn action
        reply 5 actor.crashed
        drop
        > call 6 reply six
        reply 6 actor.crash_backoff
        > at 100
        turn wake
    ";
    a_wake_that_keeps_failing_does_not_spin: "
        > hook wake
        > start
        turn wake
        started
        > hook wake err
        > call 1 crash
        turn action
        reply 1 actor.crashed
        drop
        turn wake
        drop
        turn wake
        drop
        turn wake
        drop
        turn wake
        drop
        > at 99
        > hook wake
        > at 100
        turn wake
    ";
    an_effect_that_ends_during_a_pause_is_not_forgotten: "
        > hook effect
        > start
        started
        > call 1 effect
        turn action
        commit 1: o1= alarm=1 m=
        > committed 1
        reply 1 null
        run 1
        > calls 5 crash
        turn action
        reply 1 actor.crashed
        drop
        turn action
        reply 2 actor.crashed
        drop
        turn action
        reply 3 actor.crashed
        drop
        turn action
        reply 4 actor.crashed
        drop
        turn action
        reply 5 actor.crashed
        drop
        > done 1
        > call 9 reply x
        reply 9 actor.crash_backoff
        > at 100
        turn effect
        commit 2: o1- alarm=-
    ";
    a_deferred_call_is_answered_by_a_later_turn: "
        > start
        started
        > call 1 defer
        turn action
        > call 2 answer 4294967297 late; reply now
        turn action
        reply 1 late
        reply 2 now
        > call 3 answer 4294967297 again; answer 77 nobody
        turn action
        reply 3 null
    ";
    a_deferred_call_ends_at_its_deadline: "
        > start
        started
        > call 1 defer
        turn action
        > at 59999
        > at 60000
        reply 1 actor.action_timed_out
        ask sleep
    ";
    a_deadline_moves_with_a_clock_that_is_set_back: "
        > at 100000
        > start
        started
        > call 1 defer
        turn action
        > at 40000
        > at 99999
        > at 100000
        reply 1 actor.action_timed_out
        ask sleep
    ";
    a_call_that_waited_too_long_does_not_run: "
        > start
        started
        > stale 1 reply one
        reply 1 actor.action_timed_out
    ";
    a_timer_runs_once_and_moves_the_alarm: "
        > start
        started
        > call 1 timer 500 set a x
        turn action
        commit 1: t1= alarm=500 m=
        > committed 1
        reply 1 null
        > at 499
        > at 9000
        turn timer
        commit 2: sa= t1- alarm=- m=
        > committed 2
        > at 20000
    ";
    an_interval_that_is_overdue_runs_once_and_keeps_its_beat: "
        > start
        started
        > call 1 every 1000 set a x
        turn action
        commit 1: t1= alarm=1000 m=
        > at 3500
        turn timer
        commit 2: sa= t1= alarm=4000 m=
        > at 4000
        turn timer
        commit 3: sa= t1= alarm=5000
    ";
    a_timer_that_keeps_failing_is_given_up: "
        > start
        started
        > call 1 timer 500 err
        turn action
        commit 1: t1= alarm=500 m=
        > at 500
        turn timer
        drop
        > at 2499
        > at 2500
        turn timer
        drop
        > at 6500
        turn timer
        commit 2: t1- alarm=-
        drop
        > at 30000
    ";
    a_cancelled_timer_does_not_run: "
        > start
        started
        > call 1 timer 500 set a x
        turn action
        commit 1: t1= alarm=500 m=
        > call 2 cancel 1
        turn action
        commit 2: t1- alarm=-
        > at 500
    ";
    a_message_of_another_actor_runs_once: "
        > start
        started
        > message 7 op 5 floor 5 set a x; reply one
        turn message
        commit 1: sa= d= m=
        > message 8 op 5 floor 5 set a x; reply two
        > committed 1
        accepted 7
        reply 7 one
        accepted 8
        reply 8 one
    ";
    a_message_that_waited_while_its_twin_became_durable_runs_once: "
        > start
        started
        > message 7 op 5 floor 5 set a x; reply one
        turn message
        commit 1: sa= d= m=
        > put message 8 op 5 floor 5 set a x; reply two
        > committed 1
        accepted 7
        reply 7 one
        accepted 8
        reply 8 one
    ";
    a_message_below_the_floor_is_refused: "
        > start
        started
        > message 7 op 5 floor 5 reply one
        turn message
        commit 1: d= m=
        > committed 1
        accepted 7
        reply 7 one
        > message 8 op 6 floor 6 reply two
        turn message
        commit 2: d=
        > committed 2
        accepted 8
        reply 8 two
        > message 9 op 5 floor 5 reply one
        accepted 9
        reply 9 actor.fenced
    ";
    the_floor_waits_for_the_commit_of_an_effects_end: "
        > start
        started
        > call 1 effect
        turn action
        commit 1: o1= alarm=1 m=
        > committed 1
        reply 1 null
        run 1
        > done 1
        commit 2: o1- alarm=-
        > floor
        floor 1
        > committed 2
        > floor
        floor 2
    ";
    a_wish_to_be_destroyed_survives_a_crash: "
        > start
        started
        > call 1 destroy
        turn action
        commit 1: alarm=1 m=
        ask destroy
        > committed 1
        reply 1 null
        > restart
        started
        ask destroy
        > stop destroy
        exit
    ";
    a_hook_that_runs_once_is_noted_even_if_it_wrote_nothing: "
        > hook create
        > start
        turn create
        commit 1: m=
        started
        > committed 1
        > restart
        started
    ";
    destruction_runs_its_hook_delivers_effects_and_refuses_mail: "
        > hook destroy effect
        > start
        started
        > put call 1 reply one
        > stop destroy
        reply 1 actor.not_found
        turn destroy
        commit 1: o1= alarm=1 m=
        > committed 1
        run 1
        > done 1
        commit 2: o1- alarm=-
        > committed 2
        exit
    ";
    an_idle_actor_asks_for_sleep_and_runs_its_hook: "
        > hook sleep set a x
        > start
        started
        > at 29999
        > at 30000
        ask sleep
        > stop sleep
        turn sleep
        commit 1: sa= m=
        > committed 1
        exit
    ";
    mail_after_the_last_hook_stays_outside_and_the_actor_resumes: "
        > hook sleep set a x
        > start
        started
        > stop sleep
        turn sleep
        commit 1: sa= m=
        > wants mail
        false
        > committed 1
        exit
        > resume
        started
        > call 1 reply one
        turn action
        reply 1 one
    ";
    sleep_waits_for_deferred_calls_and_then_ends_them: "
        > start
        started
        > call 1 defer
        turn action
        > stop sleep
        > at 14999
        > at 15000
        reply 1 actor.stopped
        exit
    ";
    only_as_many_events_are_kept_as_the_options_say: "
        > keep 2 events for 1000000
        > start
        started
        > call 1 event a; event b; event c
        turn action
        commit 1: e1= e2= e3= e1- m=
    ";
    events_that_are_too_old_are_removed: "
        > keep 100 events for 1000
        > start
        started
        > call 1 event a; event b
        turn action
        commit 1: e1= e2= m=
        > at 600
        > call 2 event c
        turn action
        commit 2: e3= m=
        > at 1000
        > call 3 event d
        turn action
        commit 3: e4= e1- e2- m=
        > committed 3
        event 1 a
        event 2 b
        reply 1 null
        event 3 c
        reply 2 null
        event 4 d
        reply 3 null
        > at 1700
        > restart
        commit 1: e3- m=
        started
    ";
    a_state_that_is_too_large_fails_the_turn: "
        > start
        started
        > call 1 set a 0123456789
        turn action
        commit 1: sa= m=
        > call 2 set b 01234567890123456789
        turn action
        drop
        > call 3 unset a; set b 01234567890123456789
        turn action
        commit 2: sa- sb= m=
        > committed 2
        reply 1 null
        reply 2 limit.state_size
        reply 3 null
    ";
    connections_with_a_hook_are_stored_and_found_dead: "
        > hook disconnect
        > start
        started
        > connect 1
        commit 1: c= m=
        > committed 1
        accepted 1
        > restart
        turn disconnect
        commit 1: c-
        started
    ";
    a_connection_can_be_refused: "
        > hook before-connect err
        > start
        started
        > connect 1
        turn before-connect
        refused 1 user.no
        drop
    ";
    a_connection_that_closes_while_it_waits_is_forgotten: "
        > hook before-connect defer
        > start
        started
        > connect 1
        turn before-connect
        > disconnect 1
        > call 2 answer 4294967297 null
        turn action
        reply 2 null
    ";
    a_connection_that_was_deferred_is_let_in_later: "
        > hook before-connect defer
        > hook connect
        > start
        started
        > connect 1
        turn before-connect
        > call 2 answer 4294967297 null
        turn action
        reply 2 null
        turn connect
        accepted 1
    ";
}
