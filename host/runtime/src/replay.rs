//! Gives a client that resumes the events that it missed, from the actor's log, as fast as it reads them.

use crate::core::record::{EventRecord, key};
use crate::hub::Event;
use crate::session::Session;
use growqr_types::{Seq, limits};
use std::sync::Arc;

/// Replays the events of one name with `after < number <= until`, then hands over to live events.
pub fn spawn(session: Arc<Session>, event: Arc<str>, after: Seq, until: Seq) {
    tokio::spawn(async move {
        if !replay(&session, &event, after, until).await {
            // What it missed is gone, or can't be read: the client fetches a snapshot instead.
            session.send_resync(after, until);
        }
        session.replay_done(&event);
    });
}

/// Whether everything that was missed could be given.
async fn replay(session: &Arc<Session>, event: &Arc<str>, after: Seq, until: Seq) -> bool {
    let input = session.input();
    let mut next = after + 1;
    while next <= until {
        input.socket.ready().await;
        if !session.is_replaying(event) {
            return true;
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
            if record.name == **event {
                session.replayed(&Event::new(Some(next), record.ts, event.clone(), record.args.into()));
            }
            next += 1;
        }
        if input.hub.window().0 > next {
            return false;
        }
    }
    true
}
