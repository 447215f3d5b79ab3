//! Messages of other actors: delivered once for each (sender, operation), and answered the same way when they come again.

use super::batch::SystemWrites;
use super::deferred::Deferred;
use super::job::{EnvelopeJob, Job};
use super::record::{InboxRecord, InboxState};
use super::settle::outcome;
use super::turn::Step;
use super::{Core, Release, Reply};
use growqr_seam::EnvelopeContent;
use growqr_turn::{ActionCall, ActorMessage, Answer, Message, Outcome};
use growqr_types::{TimestampMs, codes};

impl<R> Core<R> {
    pub(super) fn open_envelope(
        &mut self,
        envelope: growqr_seam::Envelope,
        stored: Option<InboxRecord>,
        accepted: R,
        reply: R,
        now: TimestampMs,
    ) -> Option<Step<R>> {
        let sender = envelope.sender;
        let record = self.inbox.get(&sender).map(|(record, _)| record.clone()).or(stored).unwrap_or_default();
        let known = record.operations.get(&envelope.operation).cloned();
        let answer = match known {
            _ if envelope.operation < record.floor => Some(Err(codes::FENCED.failure())),
            Some(InboxState::Answered(result)) => Some(result),
            Some(InboxState::Deferred(handle)) => match self.handles.get(&handle) {
                Some(Some(result)) => Some(result.clone()),
                _ => {
                    self.defer(handle, Deferred::Envelope { reply });
                    return Some(self.after_pending(vec![Release::Reply(accepted, Reply::Accepted(Ok(())))], None));
                }
            },
            None => None,
        };
        if let Some(answer) = answer {
            let releases =
                vec![Release::Reply(accepted, Reply::Accepted(Ok(()))), Release::Reply(reply, Reply::Value(answer))];
            return Some(self.after_pending(releases, None));
        }
        let handle = self.new_handle();
        let failure = match &envelope.content {
            EnvelopeContent::Call(action, _) if !self.offer.actions.contains_key(action) => {
                Some(codes::ACTION_NOT_FOUND.with(format!("Action `{action}` was not found.")))
            }
            EnvelopeContent::Message(_) if !self.offer.hooks.message => Some(codes::NO_HANDLER.failure()),
            _ => None,
        };
        if let Some(failure) = failure {
            return Some(Step::releases(vec![
                Release::Reply(accepted, Reply::Accepted(Ok(()))),
                Release::Reply(reply, Reply::Value(Err(failure))),
            ]));
        }
        let message = match envelope.content {
            EnvelopeContent::Message(payload) => {
                Message::Actor(ActorMessage { sender, sender_name: envelope.sender_name, payload })
            }
            EnvelopeContent::Call(name, args) => {
                Message::Action(ActionCall { name, args, connection: None, caller: Some(sender), reply: handle })
            }
        };
        let mut record = record;
        record.floor = record.floor.max(envelope.floor);
        let operation = envelope.operation;
        let job = EnvelopeJob { sender, operation, record, message: Some(message), handle, accepted, reply };
        self.begin(Job::Envelope(job), now)
    }

    pub(super) fn envelope_done(
        &mut self,
        job: EnvelopeJob<R>,
        answer: Answer,
        system: &mut SystemWrites,
        replies: &mut Vec<Release<R>>,
    ) {
        let EnvelopeJob { sender, operation, mut record, handle, accepted, reply, .. } = job;
        let kept = record.operations.split_off(&record.floor);
        for state in std::mem::replace(&mut record.operations, kept).into_values() {
            if let InboxState::Deferred(handle) = state {
                self.handles.remove(&handle);
                self.take_deferred(handle);
                system.handles_gone.push(handle);
            }
        }
        replies.push(Release::Reply(accepted, Reply::Accepted(Ok(()))));
        match outcome(answer) {
            Outcome::Deferred => {
                record.operations.insert(operation, InboxState::Deferred(handle));
                self.handles.insert(handle, None);
                system.handles.push((handle, None));
                self.defer(handle, Deferred::Envelope { reply });
            }
            outcome => {
                let result = self.value(outcome);
                record.operations.insert(operation, InboxState::Answered(result.clone()));
                replies.push(Release::Reply(reply, Reply::Value(result)));
            }
        }
        system.inbox = Some((sender, record));
    }
}
