//! Scripts of what is no ordinary action: cron timers, queues, calls that outlive a restart, raw sockets, migrations.

use crate::check;

cases! {
    a_cron_timer_runs_on_its_beat_and_skips_what_was_missed: "
        > start
        started
        > at 1
        > call 1 cron 10 event tick
        turn action
        commit 1: t1= alarm=10000 m=
        > committed 1
        reply 1 null
        > at 9999
        > at 10000
        turn timer
        commit 2: e1= t1= alarm=20000 m=
        > committed 2
        event 1 tick
        > at 45000
        turn timer
        commit 3: e2= t1= alarm=50000 m=
        > committed 3
        event 2 tick
        > at 50000
        turn timer
        commit 4: e3= t1= alarm=60000 m=
    ";
    a_queue_message_that_is_waited_for_is_answered_later_or_times_out: "
        > start
        started
        > queue-waiting 1 100 defer
        turn queue
        > call 2 answer 4294967297 done
        turn action
        reply 1 done
        reply 2 null
        > queue-waiting 3 100 defer
        turn queue
        > at 99
        > at 100
        reply 3 queue.timed_out
        > queue 4 defer
        turn queue
        reply 4 null
        > queue-waiting 5 100 reply now
        turn queue
        reply 5 now
    ";
    a_deferred_message_of_another_actor_is_answered_after_a_restart: "
        > start
        started
        > message 1 op 5 floor 5 defer
        turn message
        commit 1: d= h= m=
        > committed 1
        accepted 1
        > restart
        started
        > message 2 op 5 floor 5 defer
        accepted 2
        > call 3 answer 4294967297 late
        turn action
        commit 1: h=
        > committed 1
        reply 2 late
        reply 3 null
        > message 4 op 5 floor 5 defer
        accepted 4
        reply 4 late
        > message 6 op 6 floor 6 reply next
        turn message
        commit 2: d= h-
        > committed 2
        accepted 6
        reply 6 next
    ";
    frames_of_a_raw_socket_are_turns: "
        > hook socket
        > start
        started
        > open 1
        accepted 1
        turn open
        > frame 1 frame 1 hello; set a x
        turn frame
        commit 1: sa= m=
        > committed 1
        frame hello
        > frame 1 err
        turn frame
        close 1011 user.no
        drop
        > frame 1 set a y; frame 1 lost
        turn frame
        commit 2: sa=
        > lost 2
        exit
    ";
    the_end_of_a_raw_socket_is_a_turn: "
        > hook socket
        > start
        started
        > open 1
        accepted 1
        turn open
        > disconnect 1
        turn close
        commit 1: e1= m=
        > disconnect 1
    ";
    a_frame_in_a_pause_is_not_missed_in_silence: "
        > hook socket
        > start
        started
        > open 9
        accepted 9
        turn open
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
        > frame 9 event e
        close 1011 actor.crash_backoff
    ";
    a_state_of_an_old_shape_is_migrated_before_anything_else: "
        > hook create
        > start
        turn create
        commit 1: m=
        started
        > call 1 set a x
        turn action
        commit 2: sa= m=
        > committed 2
        reply 1 null
        > version 2
        > restart
        turn migrate
        commit 1: e1= m=
        started
        > committed 1
        event 1 from-0-to-2
        > restart
        started
    ";
    an_actor_that_can_not_migrate_does_not_start: "
        > hook create
        > start
        turn create
        commit 1: m=
        started
        > committed 1
        > version 2
        > hook migrate err
        > restart
        turn migrate
        drop
        exit
        > hook migrate
        > restart
        turn migrate
        commit 1: e1= m=
        started
        > committed 1
        event 1 from-0-to-2
    ";
    only_so_many_calls_are_deferred: "
        > start
        started
        > many 4097 defer
        4097 times turn action
        1 times reply 4097 limit.deferred
        1 times drop
        > call 1 answer 4294967297 x
        turn action
        reply 1 x
        reply 1 null
        > call 2 defer
        turn action
    ";
}
