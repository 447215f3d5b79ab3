//! What a client subscribed to: live events, and the replay of those that it missed.
//!
//! Invariant: events of one name leave in the order of their numbers, without gap or repeat, whether they come from the log or live, over a
//! loss of the actor, and when a client that resumes ends its subscription and begins it again.

use super::{Phase, RESYNC_EVENT, Resume, Session, State};
use crate::core::Mail;
use crate::hub::Event;
use crate::replay;
use crate::runtime::Refused;
use crate::waiter::Waiter;
use growqr_seam::SocketFrame;
use growqr_types::{Failure, Seq, codes, limits};
use std::sync::Arc;

/// Events that wait while a subscription is being replayed.
const REPLAY_WAITING_MAX: usize = 10_000;

pub(super) enum Subscription {
    /// Events above this number are sent as they come.
    Live(Seq),
    /// Events up to `until` come from the log, `sent` was the last of them; those above wait.
    Replaying { replay: u64, sent: Seq, until: Seq, waiting: Vec<(Seq, SocketFrame)> },
}

impl Session {
    /// A client that resumes outside of what is kept is told so, and gets new events only.
    pub(super) fn check_window(&self, state: &mut State) {
        let Some(Resume::After(after)) = state.resume else { return };
        let (first, last) = self.input.hub.window();
        if after.saturating_add(1) < first || after > last {
            // From there on nothing is missed, however long the client takes to subscribe.
            state.resume = Some(Resume::After(last));
            self.send_resync(after, last);
        }
    }

    /// Tells the client that what it missed up to `latest` is not kept any more.
    pub(crate) fn send_resync(&self, after: Seq, latest: Seq) {
        let (oldest, _) = self.input.hub.window();
        let args = format!(r#"[{{"after":{after},"oldest":{oldest},"latest":{latest}}}]"#);
        let event = Event::new(Some(latest), (self.input.shared.clock)(), RESYNC_EVENT.into(), args.into());
        if let Some(frame) = event.frame(self.input.encoding, true) {
            self.input.socket.send(frame.clone());
        }
    }

    /// An event of the actor, for everybody.
    pub fn event(&self, event: &Event) {
        let Some(seq) = event.seq else { return };
        let mut state = self.state.lock();
        let phase = state.phase;
        let frame = match state.subscriptions.get_mut(&event.name) {
            None => return,
            Some(Subscription::Live(after)) if seq <= *after => return,
            Some(Subscription::Live(after)) => {
                *after = seq;
                event.frame(self.input.encoding, self.numbered()).cloned()
            }
            Some(Subscription::Replaying { until, .. }) if seq <= *until => return,
            Some(Subscription::Replaying { waiting, .. }) => {
                if waiting.len() < REPLAY_WAITING_MAX {
                    waiting
                        .extend(event.frame(self.input.encoding, self.numbered()).cloned().map(|frame| (seq, frame)));
                    return;
                }
                drop(state);
                self.close(&codes::SLOW_READER);
                return;
            }
        };
        if phase == Phase::Open
            && let Some(frame) = frame
        {
            // Under the lock, so that events leave in order.
            self.input.socket.send(frame);
        }
    }

    pub(super) fn subscribe(self: &Arc<Self>, event: String, frame: SocketFrame) -> Result<(), SocketFrame> {
        let event: Arc<str> = event.into();
        if !self.input.served.offer.hooks.subscribe {
            self.subscribed(event);
            return Ok(());
        }
        let reply = Waiter::Subscription(self.clone(), event.clone());
        let mail = Mail::Subscribe { connection: self.input.id, event: event.to_string(), reply };
        match self.input.shared.deliver(self.input.actor, mail) {
            Ok(()) => Ok(()),
            Err(Refused::Full(_)) => {
                self.close(&codes::OVERLOADED);
                Ok(())
            }
            Err(Refused::NotRunning) => Err(frame),
        }
    }

    /// The actor has decided whether the client may have an event.
    pub fn subscription_decided(self: &Arc<Self>, event: Arc<str>, accepted: Result<(), Failure>) {
        match accepted {
            Ok(()) => self.subscribed(event),
            Err(failure) => self.close_for(&failure),
        }
    }

    fn subscribed(self: &Arc<Self>, event: Arc<str>) {
        let mut state = self.state.lock();
        if state.subscriptions.contains_key(&event) {
            return;
        }
        let left = state.left.remove(&event);
        if state.subscriptions.len() + state.left.len() >= limits::SUBSCRIPTIONS_MAX {
            drop(state);
            self.close(&codes::LIMIT_SUBSCRIPTIONS);
            return;
        }
        let (_, released) = self.input.hub.window();
        match state.resume {
            Some(Resume::After(after)) if left.unwrap_or(after) < released => {
                self.replay(&mut state, event, left.unwrap_or(after), released);
            }
            _ => {
                state.subscriptions.insert(event, Subscription::Live(released));
            }
        }
    }

    /// A client that resumes and subscribes once more goes on where it left.
    pub(super) fn unsubscribe(&self, event: &str) {
        let mut state = self.state.lock();
        let resumes = matches!(state.resume, Some(Resume::After(_)));
        if let Some((event, subscription)) = state.subscriptions.remove_entry(event)
            && resumes
        {
            let (Subscription::Live(sent) | Subscription::Replaying { sent, .. }) = subscription;
            state.left.insert(event, sent);
        }
    }

    fn replay(self: &Arc<Self>, state: &mut State, event: Arc<str>, after: Seq, until: Seq) {
        state.replays += 1;
        let replay = state.replays;
        let replaying = Subscription::Replaying { replay, sent: after, until, waiting: Vec::new() };
        state.subscriptions.insert(event.clone(), replaying);
        replay::spawn(self.clone(), event, replay, after);
    }

    /// The actor starts anew, and events after `released` became durable without being released: they come from the log.
    pub fn catch_up(self: &Arc<Self>, released: Seq, last: Seq) {
        if last <= released {
            return;
        }
        let mut state = self.state.lock();
        let mut missed = Vec::new();
        for (event, subscription) in &mut state.subscriptions {
            match subscription {
                Subscription::Live(after) => missed.push((event.clone(), (*after).max(released))),
                // What waits is in the log as well.
                Subscription::Replaying { until, waiting, .. } => {
                    *until = last;
                    waiting.clear();
                }
            }
        }
        for (event, after) in missed {
            self.replay(&mut state, event, after, last);
        }
    }

    /// Up to where a replay goes that is about to read `next`. None when it is over: nobody reads it any more, or everything was given;
    /// then what waited follows, and live events.
    pub(crate) fn replay_until(&self, event: &Arc<str>, replay: u64, next: Seq) -> Option<Seq> {
        let mut state = self.state.lock();
        let until = state.replaying(event, replay).map(|(_, until)| *until)?;
        if next <= until {
            return Some(until);
        }
        self.end_replay(&mut state, event);
        None
    }

    /// An event from the log. False when nobody reads it any more.
    pub(crate) fn replayed(&self, replay: u64, event: &Event) -> bool {
        let mut state = self.state.lock();
        let Some((sent, _)) = state.replaying(&event.name, replay) else { return false };
        *sent = event.seq.unwrap_or(*sent);
        // Under the lock, so that events leave in order.
        if let Some(frame) = event.frame(self.input.encoding, self.numbered()) {
            self.input.socket.send(frame.clone());
        }
        true
    }

    /// The log does not hold what was missed: the client fetches a snapshot instead, and goes on from there.
    pub(crate) fn replay_failed(&self, event: &Arc<str>, replay: u64, after: Seq) {
        let mut state = self.state.lock();
        let Some(until) = state.replaying(event, replay).map(|(_, until)| *until) else { return };
        self.send_resync(after, until);
        self.end_replay(&mut state, event);
    }

    fn end_replay(&self, state: &mut State, event: &Arc<str>) {
        if let Some(Subscription::Replaying { until, waiting, .. }) = state.subscriptions.remove(event) {
            let last = waiting.last().map_or(until, |(seq, _)| *seq);
            for (_, frame) in waiting {
                self.input.socket.send(frame);
            }
            state.subscriptions.insert(event.clone(), Subscription::Live(last));
        }
    }
}

impl State {
    /// The last number that this replay gave, and up to where it goes; none when it is over.
    fn replaying(&mut self, event: &str, which: u64) -> Option<(&mut Seq, &mut Seq)> {
        match self.subscriptions.get_mut(event) {
            Some(Subscription::Replaying { replay, sent, until, .. })
                if self.phase == Phase::Open && *replay == which =>
            {
                Some((sent, until))
            }
            _ => None,
        }
    }
}
