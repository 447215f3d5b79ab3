//! Gives a client that resumes the events that it missed, from the actor's log, as fast as it reads them.

use crate::core::record::{EventRecord, key};
use crate::hub::Event;
use crate::session::Session;
use growqr_types::{Seq, limits};
use std::sync::Arc;

/// Replays the events of one name from the one after `after` on, up to where the session says, then hands over to live events.
pub fn spawn(session: Arc<Session>, event: Arc<str>, replay: u64, after: Seq) {
    tokio::spawn(async move {
        if !run(&session, &event, replay, after).await {
            // What it missed is gone, or can't be read.
            session.replay_failed(&event, replay, after);
        }
    });
}

/// Whether everything that was missed could be given, to whoever still reads it.
async fn run(session: &Arc<Session>, event: &Arc<str>, replay: u64, after: Seq) -> bool {
    let input = session.input();
    let mut next = after + 1;
    loop {
        input.socket.ready().await;
        let Some(until) = session.replay_until(event, replay, next) else { return true };
        if input.hub.window().0 > next {
            return false;
        }
        let (start, end) = (key::event(next), key::event(until + 1));
        let read = input.shared.engine.scan(input.actor, &start, &end, limits::REPLAY_CHUNK_EVENTS_MAX).get().await;
        let entries = match read {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(actor = %input.actor, %error, "the event log can't be read");
                return false;
            }
        };
        if entries.is_empty() {
            return false;
        }
        for (entry, value) in entries {
            // Numbers have no gaps, so one that is missing was removed for its age while this ran.
            if key::number(&entry) != Some(next) {
                return false;
            }
            let Ok(record) = EventRecord::decode(&value) else { return false };
            let is_read = record.name != **event
                || session.replayed(replay, &Event::new(Some(next), record.ts, event.clone(), record.args.into()));
            if !is_read {
                return true;
            }
            next += 1;
        }
    }
}
