//! The batch of one turn: everything that becomes durable with it.

use super::deferred::Deferred;
use super::record::{ConnectionRecord, EventRecord, InboxRecord, JsonRecord, key};
use super::{Core, Finish, Hooks, Pending, Release, Reply};
use bytes::Bytes;
use growqr_seam::{ACTOR_CRASHED, Batch, MirrorRow, NOT_MIRRORED};
use growqr_turn::{Connection, Effects, Outgoing};
use growqr_types::{
    ActorId, ConnectionId, Failure, Json, OperationId, ReplyHandle, Seq, TimerId, TimestampMs, codes, limits,
};
use std::sync::Arc;

/// Writes that follow from the kind of turn, not from what the guest did.
#[derive(Default)]
pub(super) struct SystemWrites {
    pub timer_ran: Option<TimerId>,
    pub effect_done: Option<OperationId>,
    pub inbox: Option<(ActorId, InboxRecord)>,
    pub handles: Vec<(ReplyHandle, Option<Result<Json, Failure>>)>,
    pub handles_gone: Vec<ReplyHandle>,
    pub connection: Option<(ConnectionId, Option<ConnectionRecord>)>,
    /// The actor's own numbers must be stored even if nothing else is: a hook has run that runs once.
    pub meta: bool,
    /// Events that are too old are removed, even if none is added.
    pub trim: bool,
}

impl SystemWrites {
    /// A connection came in. It is stored only when somebody will want to hear of its end.
    pub fn connection_record(&mut self, hooks: &Hooks, connection: &Connection, effects: &Effects) {
        if hooks.disconnect {
            let state = effects.connection_state.get(&connection.id).or(connection.state.as_ref());
            let record = ConnectionRecord {
                kind: connection.kind,
                params: connection.params.to_string(),
                state: state.map(|state| state.to_string()),
            };
            self.connection = Some((connection.id, Some(record)));
        }
    }

    /// A connection is gone.
    pub fn connection_gone(&mut self, hooks: &Hooks, id: ConnectionId) {
        if hooks.disconnect {
            self.connection = Some((id, None));
        }
    }
}

impl<R> Core<R> {
    /// Keys that the turn wrote and whose stored size is not known yet. The driver looks them up before [`Core::finish`].
    pub fn unknown_state_sizes(&self, effects: &Effects) -> Vec<String> {
        if self.meta.state_bytes == 0 {
            return Vec::new();
        }
        effects.state.keys().filter(|key| !self.state_sizes.contains_key(*key)).cloned().collect()
    }

    /// The stored size of a key's value; none when there is none.
    pub fn note_state_size(&mut self, key: String, size: Option<usize>) {
        if let Some(size) = size {
            let bytes = key.len() + size;
            self.state_sizes.insert(key, bytes);
        }
    }

    /// Refuses a batch that is over a limit of the whole actor, before anything is changed.
    pub(super) fn check_batch(&self, effects: &Effects, deferred: bool) -> Result<(), Failure> {
        let mut bytes = self.meta.state_bytes;
        for (key, value) in &effects.state {
            bytes = bytes.saturating_sub(self.state_sizes.get(key).copied().unwrap_or(0) as u64);
            bytes += value.as_ref().map_or(0, |value| (key.len() + value.len()) as u64);
        }
        let max = self.actor_limits.state_bytes;
        if bytes > max {
            return Err(codes::LIMIT_STATE_SIZE.with(format!("bytes of state: {bytes}, and at most {max} are allowed")));
        }
        if self.outbox.len() + effects.effects.len() > limits::OUTBOX_OPERATIONS_MAX {
            return Err(codes::LIMIT_EFFECTS
                .with(format!("effects that are not finished: more than {}", limits::OUTBOX_OPERATIONS_MAX)));
        }
        if deferred && self.deferred.len() >= limits::DEFERRED_MAX {
            return Err(codes::LIMIT_DEFERRED.failure());
        }
        Ok(())
    }

    /// Applies a turn to the actor and makes its batch.
    pub(super) fn conclude(
        &mut self,
        effects: Effects,
        next_id: u64,
        mut system: SystemWrites,
        replies: Vec<Release<R>>,
        ephemeral: Option<ConnectionId>,
        now: TimestampMs,
    ) -> Finish<R> {
        let mut batch = Batch::default();
        let mut releases = Vec::new();
        self.meta.next_id = next_id;
        self.write_state(effects.state, &mut batch);
        self.write_connections(effects.connection_state, &mut system, &mut batch);
        let last_seq = self.meta.last_seq;
        for outgoing in effects.outgoing {
            self.write_outgoing(outgoing, now, &mut system, &mut batch, &mut releases);
        }
        if let Some(failure) = self.crash.take() {
            batch.mirror.push(MirrorRow { event: None, record: crash_record(now, &failure) });
        }
        let added = self.meta.last_seq - last_seq;
        if added > 0 || system.trim {
            self.trim_events(added, now, &mut batch);
        }
        if let Some(id) = system.timer_ran {
            let record = self.timers.get(&id).map(JsonRecord::encode);
            batch.writes.push((key::timer(id), record));
        }
        self.write_timers(effects.timers, &mut batch);
        for (operation, effect) in effects.effects {
            batch.writes.push((key::outbox(operation), Some(effect.encode())));
            self.outbox.insert(operation, effect.clone());
            releases.push(Release::Run(operation, effect));
        }
        // Replies come after the events of the turn, as a Rivet client expects. A connection that the turn closes still hears its
        // reply. Effects leave at the very end.
        let is_close = |release: &mut Release<R>| matches!(release, Release::Close { .. });
        let closes: Vec<Release<R>> = releases.extract_if(.., is_close).collect();
        let effects_at =
            releases.iter().position(|release| matches!(release, Release::Run(..))).unwrap_or(releases.len());
        releases.splice(effects_at..effects_at, replies.into_iter().chain(closes));
        let must_store = system.meta || effects.destroy;
        self.write_system(system, &mut batch);
        self.wants_destroy |= effects.destroy;
        self.meta.destroy_asked |= effects.destroy;
        self.wants_sleep |= effects.sleep;
        let alarm = self.wanted_alarm();
        if alarm != self.alarm {
            self.alarm = alarm;
            batch.alarm = Some(alarm);
        }
        self.submit(batch, must_store, releases, ephemeral)
    }

    /// Removes the oldest events: those over the count that is kept, and those that are too old. A turn removes what it adds and a
    /// bounded number beyond, so that shorter limits of a new deployment take effect bit by bit.
    fn trim_events(&mut self, added: u64, now: TimestampMs, batch: &mut Batch) {
        let count = self.options.event_retention_count.max(1);
        let age = u64::try_from(self.options.event_retention.as_millis()).unwrap_or(u64::MAX);
        for _ in 0..added + EVENTS_TRIMMED_MAX {
            let kept = self.meta.last_seq + 1 - self.meta.first_seq;
            let old = self.event_times.front().is_some_and(|ts| ts.saturating_add(age) <= now);
            if kept == 0 || kept <= count && !old {
                break;
            }
            batch.writes.push((key::event(self.meta.first_seq), None));
            self.meta.first_seq += 1;
            self.event_times.pop_front();
        }
    }

    /// The oldest kept event whose time the core should be told ([`Core::note_event_times`]); none while it knows enough.
    pub fn wants_event_times(&self) -> Option<Seq> {
        (self.event_times.is_empty() && self.meta.first_seq <= self.meta.last_seq).then_some(self.meta.first_seq)
    }

    /// When the oldest kept events were made, from the first on without a gap.
    pub fn note_event_times(&mut self, times: impl IntoIterator<Item = TimestampMs>) {
        let kept = usize::try_from(self.meta.last_seq + 1 - self.meta.first_seq).unwrap_or(usize::MAX);
        self.event_times = times.into_iter().take(kept.min(EVENT_TIMES_MAX)).collect();
    }

    fn note_event_time(&mut self, ts: TimestampMs) {
        // The event's number is given already, so the window has one more than was known.
        let kept = self.meta.last_seq + 1 - self.meta.first_seq;
        if self.event_times.len() as u64 + 1 == kept && self.event_times.len() < EVENT_TIMES_MAX {
            self.event_times.push_back(ts);
        }
    }

    fn submit(
        &mut self,
        mut batch: Batch,
        must_store: bool,
        releases: Vec<Release<R>>,
        ephemeral: Option<ConnectionId>,
    ) -> Finish<R> {
        let durable_change =
            must_store || !batch.writes.is_empty() || batch.alarm.is_some() || !batch.mirror.is_empty();
        if durable_change && self.lost {
            // The turns that this one stands on are not there.
            return self.after_pending(releases, ephemeral).finish.unwrap_or_default();
        }
        if durable_change && self.stored_meta.as_ref() != Some(&self.meta) {
            batch.writes.push((Bytes::from_static(key::META), Some(self.meta.encode())));
            self.stored_meta = Some(self.meta.clone());
        }
        if durable_change {
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            for (_, written) in self.inbox.values_mut() {
                if *written == 0 {
                    *written = ticket;
                }
            }
            let floor = self.executed_floor();
            self.pending.push_back(Pending { ticket, releases, ephemeral, floor });
            return Finish { commit: Some((ticket, batch)), releases: Vec::new(), drop_instance: false };
        }
        self.after_pending(releases, ephemeral).finish.unwrap_or_default()
    }

    fn write_state(&mut self, state: std::collections::BTreeMap<String, Option<Bytes>>, batch: &mut Batch) {
        for (name, value) in state {
            let old = self.state_sizes.get(&name).copied().unwrap_or(0) as u64;
            let new = value.as_ref().map_or(0, |value| name.len() + value.len());
            self.meta.state_bytes = self.meta.state_bytes.saturating_sub(old) + new as u64;
            batch.writes.push((key::state(&name), value));
            self.state_sizes.insert(name, new);
        }
        if self.state_sizes.len() > STATE_SIZES_MAX {
            self.state_sizes.clear();
        }
    }

    fn write_connections(
        &mut self,
        states: std::collections::BTreeMap<ConnectionId, Arc<str>>,
        system: &mut SystemWrites,
        batch: &mut Batch,
    ) {
        for (id, state) in states {
            self.connections.set_state(id, state);
            let own = system.connection.as_ref().is_some_and(|(own, _)| *own == id);
            let Some(connection) = growqr_turn::ConnectionsView::get(&*self.connections, id) else { continue };
            if self.offer.hooks.disconnect && !own {
                let mut one = SystemWrites::default();
                one.connection_record(&self.offer.hooks, &connection, &Effects::default());
                write_connection(one.connection, batch);
            }
        }
    }

    fn write_outgoing(
        &mut self,
        outgoing: Outgoing,
        ts: TimestampMs,
        system: &mut SystemWrites,
        batch: &mut Batch,
        releases: &mut Vec<Release<R>>,
    ) {
        match outgoing {
            Outgoing::Broadcast { name, args } => {
                self.meta.last_seq += 1;
                let seq = self.meta.last_seq;
                let record = EventRecord::encode(ts, &name, &args);
                if self.mirror && !name.ends_with(NOT_MIRRORED) {
                    batch.mirror.push(MirrorRow { event: Some(seq), record: record.clone() });
                }
                batch.writes.push((key::event(seq), Some(record)));
                self.note_event_time(ts);
                releases.push(Release::Broadcast { seq, ts, name, args });
            }
            Outgoing::Send { connection, name, args } => releases.push(Release::Send { connection, ts, name, args }),
            Outgoing::Frame { connection, frame } => releases.push(Release::Frame(connection, frame)),
            Outgoing::Disconnect { connection, code, reason } => {
                releases.push(Release::Close { connection, code, reason })
            }
            Outgoing::Answer { reply, outcome } => self.answer(reply, outcome, system, releases),
            Outgoing::AnswerRequest { reply, response } => match self.take_deferred(reply) {
                Some(Deferred::Response { reply, ephemeral, .. }) => {
                    self.end_ephemeral(ephemeral);
                    releases.push(Release::Reply(reply, Reply::Response(Ok(response))));
                }
                // The guest mixed up its handles: whoever waits there goes on waiting.
                Some(other) => self.defer(reply, other),
                None => {}
            },
        }
    }

    fn answer(
        &mut self,
        handle: ReplyHandle,
        outcome: Result<Json, Failure>,
        system: &mut SystemWrites,
        releases: &mut Vec<Release<R>>,
    ) {
        if let Some(result) = self.handles.get_mut(&handle)
            && result.is_none()
        {
            *result = Some(outcome.clone());
            system.handles.push((handle, Some(outcome.clone())));
        }
        match self.take_deferred(handle) {
            Some(Deferred::Value { reply, ephemeral, .. }) => {
                self.end_ephemeral(ephemeral);
                releases.push(Release::Reply(reply, Reply::Value(outcome)));
            }
            Some(Deferred::Envelope { reply }) => releases.push(Release::Reply(reply, Reply::Value(outcome))),
            Some(Deferred::Response { reply, ephemeral, .. }) => {
                self.end_ephemeral(ephemeral);
                let failure = outcome.err().unwrap_or_else(|| codes::INVALID_OUTPUT.failure());
                releases.push(Release::Reply(reply, Reply::Response(Err(failure))));
            }
            Some(Deferred::Connect { mut connection, request, reply, .. }) => match outcome {
                Ok(state) => {
                    connection.state = (state != "null").then(|| state.into());
                    let mut replies = Vec::new();
                    let mut own = SystemWrites::default();
                    self.accept(connection, request, reply, &mut own, &mut replies);
                    if own.connection.is_some() {
                        system.connection = own.connection;
                    }
                    releases.extend(replies);
                }
                Err(failure) => releases.push(Release::Reply(reply, Reply::Accepted(Err(failure)))),
            },
            None => {}
        }
    }

    fn end_ephemeral(&self, connection: Option<ConnectionId>) {
        if let Some(connection) = connection {
            self.connections.remove(connection);
        }
    }

    fn write_timers(
        &mut self,
        timers: std::collections::BTreeMap<TimerId, growqr_turn::TimerWrite>,
        batch: &mut Batch,
    ) {
        if timers.is_empty() {
            return;
        }
        let known = Arc::make_mut(&mut self.timers);
        for (id, write) in timers {
            batch.writes.push((key::timer(id), write.as_ref().map(JsonRecord::encode)));
            match write {
                Some(record) => known.insert(id, record),
                None => known.remove(&id),
            };
        }
        self.timer_due = self.next_timer_due();
    }

    fn write_system(&mut self, system: SystemWrites, batch: &mut Batch) {
        if let Some(operation) = system.effect_done {
            self.outbox.remove(&operation);
            batch.writes.push((key::outbox(operation), None));
        }
        if let Some((sender, record)) = system.inbox {
            batch.writes.push((key::inbox(sender), Some(record.encode())));
            // The ticket is filled in when the batch gets one.
            self.inbox.insert(sender, (record, 0));
        }
        for (handle, result) in system.handles {
            batch.writes.push((key::handle(handle), Some(super::record::HandleRecord(result).encode())));
        }
        for handle in system.handles_gone {
            batch.writes.push((key::handle(handle), None));
        }
        write_connection(system.connection, batch);
    }
}

/// What the database is told about a crash.
fn crash_record(now: TimestampMs, failure: &Failure) -> Bytes {
    let payload = serde_json::json!([{"group": failure.group, "code": failure.code, "message": failure.message}]);
    EventRecord::encode(now, ACTOR_CRASHED, &payload.to_string())
}

fn write_connection(connection: Option<(ConnectionId, Option<ConnectionRecord>)>, batch: &mut Batch) {
    if let Some((id, record)) = connection {
        batch.writes.push((key::connection(id), record.as_ref().map(JsonRecord::encode)));
    }
}

/// Events that one turn removes beyond as many as it adds.
const EVENTS_TRIMMED_MAX: u64 = 256;
/// Oldest events whose times are remembered; when they are used up, more are read.
pub const EVENT_TIMES_MAX: usize = 256;
/// State keys whose size is remembered; beyond that they are looked up again.
const STATE_SIZES_MAX: usize = 4096;
