//! One turn's view of the world: the meaning of the contract's imports.

use crate::{
    Connection, ConnectionKind, Effect, Effects, Frame, HttpResponse, Outgoing, Schedule, TargetRef, TimerRecord,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use growqr_types::{
    ActorId, ActorKey, Code, ConnectionId, Failure, Generation, Json, OperationId, ReplyHandle, TimerId, TimestampMs,
    codes,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Bounds of one turn. They come from the actor's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnLimits {
    /// Bytes of a state key.
    pub state_key_bytes_max: usize,
    /// Bytes of a state value.
    pub state_value_bytes_max: usize,
    /// State keys written in a turn.
    pub state_writes_max: usize,
    /// Bytes written to the state in a turn.
    pub state_write_bytes_max: usize,
    /// Events, frames and answers in a turn.
    pub outgoing_max: usize,
    /// Bytes of these together.
    pub outgoing_bytes_max: usize,
    /// Bytes of one event or answer.
    pub outgoing_message_bytes_max: usize,
    /// Timers of an actor.
    pub timers_max: usize,
    /// Effects in a turn.
    pub effects_max: usize,
    /// Bytes of these together.
    pub effect_bytes_max: usize,
    /// Bytes of log text in a turn.
    pub log_bytes_max: usize,
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self {
            state_key_bytes_max: 1 << 10,
            state_value_bytes_max: 1 << 20,
            state_writes_max: 10_000,
            state_write_bytes_max: 16 << 20,
            outgoing_max: 4096,
            outgoing_bytes_max: 32 << 20,
            outgoing_message_bytes_max: growqr_types::limits::OUTGOING_MESSAGE_BYTES_MAX,
            timers_max: 1024,
            effects_max: 256,
            effect_bytes_max: 8 << 20,
            log_bytes_max: 64 << 10,
        }
    }
}

/// Who the actor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Id.
    pub id: ActorId,
    /// Actor name.
    pub name: String,
    /// Key.
    pub key: ActorKey,
    /// Namespace.
    pub namespace: String,
    /// Region.
    pub region: String,
    /// Generation.
    pub generation: Generation,
    /// When it was created.
    pub created: TimestampMs,
}

/// An answer that is there, or that will come.
pub enum Read<'a, T> {
    /// Here it is.
    Ready(T),
    /// It takes I/O.
    Pending(BoxFuture<'a, T>),
}

impl<T> Read<'_, T> {
    /// Waits for it.
    pub async fn get(self) -> T {
        match self {
            Self::Ready(value) => value,
            Self::Pending(future) => future.await,
        }
    }
}

/// Keys and values in key order.
pub type StateEntries = Vec<(String, Bytes)>;

/// Reads an actor's state as the turns before this one left it, durable or not yet.
pub trait StateReader: Send + Sync {
    /// The value of a key. An error fails the turn.
    fn get(&self, key: &str) -> Read<'_, Result<Option<Bytes>, Failure>>;
    /// At most `limit` entries whose key starts with `prefix` and is greater than `after`.
    fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Read<'_, Result<StateEntries, Failure>>;
}

/// The actor's connections, as the turns before this one left them.
pub trait ConnectionsView: Send + Sync {
    /// All, in the order in which they came.
    fn list(&self) -> Vec<Connection>;
    /// One.
    fn get(&self, id: ConnectionId) -> Option<Connection>;
}

/// A layer of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLayer {
    /// The actor's own state.
    Actor,
    /// The session, in the database.
    Session,
    /// The git repository.
    Repository,
}

/// A change of a document in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryChange {
    /// The whole new content.
    Content(String),
    /// Added at the end.
    Append(String),
    /// Replaces text that occurs exactly once.
    Edit(String, String),
}

/// A document in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryEntry {
    /// Path.
    pub path: String,
    /// Layer.
    pub layer: MemoryLayer,
    /// Commit or version.
    pub version: String,
    /// Bytes.
    pub size: u64,
    /// When it changed.
    pub updated: TimestampMs,
}

/// A line that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryHit {
    /// Path.
    pub path: String,
    /// Layer.
    pub layer: MemoryLayer,
    /// Line, from 1.
    pub line: u32,
    /// The line.
    pub text: String,
}

/// Long-term memory as a turn sees it. Every call is bounded by the turn's deadline.
pub trait MemoryReader: Send + Sync {
    /// Checks a change and gives the effect that carries it out.
    fn commit(&self, layer: MemoryLayer, path: &str, change: MemoryChange, message: &str) -> Result<Json, Failure>;
    /// Checks a restore and gives the effect that carries it out.
    fn restore(&self, path: &str, version: &str) -> Result<Json, Failure>;
    /// Reads a document.
    fn read<'a>(
        &'a self,
        layer: MemoryLayer,
        path: &'a str,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<String>, Failure>>;
    /// Lists documents.
    fn list<'a>(
        &'a self,
        layer: Option<MemoryLayer>,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<MemoryEntry>, Failure>>;
    /// Searches documents.
    fn search<'a>(&'a self, query: &'a str, limit: u32) -> BoxFuture<'a, Result<Vec<MemoryHit>, Failure>>;
    /// Versions of a document, newest first.
    fn history<'a>(&'a self, path: &'a str, limit: u32) -> BoxFuture<'a, Result<Vec<Json>, Failure>>;
}

/// The user's sandbox as a turn sees it.
pub trait SandboxReader: Send + Sync {
    /// Checks a call (`open-session`, `prompt`, `abort`, `reply-permission`, `reply-question`) and gives the effect that carries it out.
    fn submit(&self, call: &str, arguments: Json) -> Result<Json, Failure>;
    /// Sessions that the host knows.
    fn list_sessions(&self) -> BoxFuture<'_, Result<Vec<Json>, Failure>>;
    /// Skills.
    fn skills(&self) -> BoxFuture<'_, Result<Vec<Json>, Failure>>;
    /// State of the stack.
    fn status(&self) -> BoxFuture<'_, Result<Json, Failure>>;
}

/// The answer of a deployment without memory.
pub struct NoMemory;

impl MemoryReader for NoMemory {
    fn commit(&self, _: MemoryLayer, _: &str, _: MemoryChange, _: &str) -> Result<Json, Failure> {
        Err(codes::MEMORY_NOT_AVAILABLE.failure())
    }
    fn restore(&self, _: &str, _: &str) -> Result<Json, Failure> {
        Err(codes::MEMORY_NOT_AVAILABLE.failure())
    }
    fn read<'a>(
        &'a self,
        _: MemoryLayer,
        _: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(async { Err(codes::MEMORY_NOT_AVAILABLE.failure()) })
    }
    fn list<'a>(&'a self, _: Option<MemoryLayer>, _: &'a str) -> BoxFuture<'a, Result<Vec<MemoryEntry>, Failure>> {
        Box::pin(async { Err(codes::MEMORY_NOT_AVAILABLE.failure()) })
    }
    fn search<'a>(&'a self, _: &'a str, _: u32) -> BoxFuture<'a, Result<Vec<MemoryHit>, Failure>> {
        Box::pin(async { Err(codes::MEMORY_NOT_AVAILABLE.failure()) })
    }
    fn history<'a>(&'a self, _: &'a str, _: u32) -> BoxFuture<'a, Result<Vec<Json>, Failure>> {
        Box::pin(async { Err(codes::MEMORY_NOT_AVAILABLE.failure()) })
    }
}

/// The answer of a deployment without a sandbox.
pub struct NoSandbox;

impl SandboxReader for NoSandbox {
    fn submit(&self, _: &str, _: Json) -> Result<Json, Failure> {
        Err(codes::SANDBOX_NOT_AVAILABLE.failure())
    }
    fn list_sessions(&self) -> BoxFuture<'_, Result<Vec<Json>, Failure>> {
        Box::pin(async { Err(codes::SANDBOX_NOT_AVAILABLE.failure()) })
    }
    fn skills(&self) -> BoxFuture<'_, Result<Vec<Json>, Failure>> {
        Box::pin(async { Err(codes::SANDBOX_NOT_AVAILABLE.failure()) })
    }
    fn status(&self) -> BoxFuture<'_, Result<Json, Failure>> {
        Box::pin(async { Err(codes::SANDBOX_NOT_AVAILABLE.failure()) })
    }
}

/// Weight of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Finest.
    Trace,
    /// For the author.
    Debug,
    /// A change of state.
    Info,
    /// Something odd.
    Warn,
    /// Somebody must look.
    Error,
}

/// A line from the guest for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Weight.
    pub level: LogLevel,
    /// Text.
    pub message: String,
}

/// Why a turn failed: the failure that its caller sees.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct TurnFailure(#[from] pub Failure);

impl TurnFailure {
    fn code(code: &Code, message: String) -> Self {
        Self(code.with(message))
    }
}

/// Everything that a scope needs from outside.
pub struct ScopeInput {
    /// The turn's clock; it stands still.
    pub now: TimestampMs,
    /// The turn's randomness.
    pub seed: [u8; 32],
    /// Who the actor is.
    pub identity: Arc<Identity>,
    /// Settings of the actor.
    pub config: Arc<BTreeMap<String, Json>>,
    /// Bounds.
    pub limits: Arc<TurnLimits>,
    /// State as the turns before left it.
    pub state: Arc<dyn StateReader>,
    /// Connections as the turns before left them.
    pub connections: Arc<dyn ConnectionsView>,
    /// Timers as the turns before left them.
    pub timers: Arc<BTreeMap<TimerId, TimerRecord>>,
    /// Memory, or [`NoMemory`].
    pub memory: Arc<dyn MemoryReader>,
    /// Sandbox, or [`NoSandbox`].
    pub sandbox: Arc<dyn SandboxReader>,
    /// The next free operation and timer id of this actor.
    pub next_id: u64,
    /// A write fails the turn.
    pub read_only: bool,
}

/// One turn's view of the world. See the crate's documentation.
pub struct Scope {
    input: ScopeInput,
    rng: ChaCha12Rng,
    effects: Effects,
    log: Vec<LogLine>,
    log_bytes: usize,
    state_bytes: usize,
    outgoing_bytes: usize,
    effect_bytes: usize,
}

/// What came of a turn, when it did not fail.
pub struct Finished {
    /// What it did.
    pub effects: Effects,
    /// The next free operation and timer id.
    pub next_id: u64,
}

impl Scope {
    /// A fresh scope for one turn.
    pub fn new(input: ScopeInput) -> Self {
        let rng = ChaCha12Rng::from_seed(input.seed);
        Self {
            input,
            rng,
            effects: Effects::default(),
            log: Vec::new(),
            log_bytes: 0,
            state_bytes: 0,
            outgoing_bytes: 0,
            effect_bytes: 0,
        }
    }

    /// Takes what the turn did. What the guest logged is kept apart, because it counts for a failed turn as well.
    pub fn finish(self) -> (Finished, Vec<LogLine>) {
        (Finished { effects: self.effects, next_id: self.input.next_id }, self.log)
    }

    fn writable(&self) -> Result<(), TurnFailure> {
        if self.input.read_only { Err(codes::READ_ONLY.failure().into()) } else { Ok(()) }
    }

    fn take_id(&mut self) -> u64 {
        let id = self.input.next_id;
        self.input.next_id += 1;
        id
    }

    // --- state -------------------------------------------------------------------------------------------------------

    /// `state.get`
    pub async fn state_get(&self, key: &str) -> Result<Option<Bytes>, TurnFailure> {
        match self.effects.state.get(key) {
            Some(written) => Ok(written.clone()),
            None => Ok(self.input.state.get(key).get().await?),
        }
    }

    /// `state.set`
    pub fn state_set(&mut self, key: String, value: Bytes) -> Result<(), TurnFailure> {
        self.writable()?;
        let limits = &self.input.limits;
        check(&codes::LIMIT_STATE_KEY, "bytes of a state key", key.len(), limits.state_key_bytes_max)?;
        check(&codes::LIMIT_STATE_VALUE, "bytes of a state value", value.len(), limits.state_value_bytes_max)?;
        self.state_bytes += key.len() + value.len();
        check(&codes::LIMIT_WRITES, "bytes of state writes in a turn", self.state_bytes, limits.state_write_bytes_max)?;
        self.effects.state.insert(key, Some(value));
        check(
            &codes::LIMIT_WRITES,
            "state writes in a turn",
            self.effects.state.len(),
            self.input.limits.state_writes_max,
        )
    }

    /// `state.delete`
    pub fn state_delete(&mut self, key: String) -> Result<(), TurnFailure> {
        self.writable()?;
        check(&codes::LIMIT_STATE_KEY, "bytes of a state key", key.len(), self.input.limits.state_key_bytes_max)?;
        self.effects.state.insert(key, None);
        check(
            &codes::LIMIT_WRITES,
            "state writes in a turn",
            self.effects.state.len(),
            self.input.limits.state_writes_max,
        )
    }

    /// `state.scan`
    pub async fn state_scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Bytes)>, TurnFailure> {
        let limit = (limit as usize).min(STATE_SCAN_MAX);
        let overlay = || {
            self.effects
                .state
                .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
                .take_while(|(key, _)| key.starts_with(prefix))
                .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
        };
        // The overlay can delete stored entries, so more of them may be needed than are asked for.
        let deleted = overlay().filter(|(_, value)| value.is_none()).count();
        let stored = self.input.state.scan(prefix, after, limit + deleted).get().await?;
        let mut merged: BTreeMap<String, Bytes> = stored.into_iter().collect();
        for (key, value) in overlay() {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        Ok(merged.into_iter().take(limit).collect())
    }

    // --- connections and events --------------------------------------------------------------------------------------

    /// `connections.list`
    pub fn connections(&self) -> Vec<Connection> {
        let mut connections = self.input.connections.list();
        for connection in &mut connections {
            if let Some(state) = self.effects.connection_state.get(&connection.id) {
                connection.state = Some(state.clone());
            }
        }
        connections
    }

    /// `connections.get`
    pub fn connection(&self, id: &str) -> Option<Connection> {
        let mut connection = self.input.connections.get(id.parse().ok()?)?;
        if let Some(state) = self.effects.connection_state.get(&connection.id) {
            connection.state = Some(state.clone());
        }
        Some(connection)
    }

    /// `connections.set-state`
    pub fn connection_set_state(&mut self, id: &str, state: Json) -> Result<bool, TurnFailure> {
        self.writable()?;
        let limits = &self.input.limits;
        check(&codes::LIMIT_STATE_VALUE, "bytes of a connection's state", state.len(), limits.state_value_bytes_max)?;
        json(&state)?;
        let Some(connection) = self.connection(id) else { return Ok(false) };
        self.effects.connection_state.insert(connection.id, state.into());
        check(
            &codes::LIMIT_WRITES,
            "connection states written in a turn",
            self.effects.connection_state.len(),
            self.input.limits.state_writes_max,
        )?;
        Ok(true)
    }

    /// `connections.send-frame`
    pub fn send_frame(&mut self, id: &str, frame: Frame) -> Result<bool, TurnFailure> {
        let Some(connection) = self.connection(id) else { return Ok(false) };
        if connection.kind != ConnectionKind::RawSocket {
            return Ok(false);
        }
        let len = match &frame {
            Frame::Text(text) => text.len(),
            Frame::Binary(bytes) => bytes.len(),
        };
        self.outgoing(len, Outgoing::Frame { connection: connection.id, frame })?;
        Ok(true)
    }

    /// `connections.disconnect`
    pub fn disconnect(&mut self, id: &str, code: Option<u16>, reason: String) -> Result<bool, TurnFailure> {
        let Some(connection) = self.connection(id) else { return Ok(false) };
        // A close frame may carry 1000, or what applications define; the codes between are the protocol's own.
        let code = match code.unwrap_or(1000) {
            code @ (1000 | 1001 | 1003 | 1007..=1014 | 3000..=4999) => code,
            _ => 1011,
        };
        let reason = truncated(reason, CLOSE_REASON_BYTES_MAX);
        self.outgoing(reason.len(), Outgoing::Disconnect { connection: connection.id, code, reason })?;
        Ok(true)
    }

    /// `events.broadcast`
    pub fn broadcast(&mut self, name: &str, args: &str) -> Result<(), TurnFailure> {
        self.writable()?;
        self.event_size(name, args)?;
        self.outgoing(name.len() + args.len(), Outgoing::Broadcast { name: name.into(), args: args.into() })
    }

    /// `events.send`
    pub fn send(&mut self, id: &str, name: &str, args: &str) -> Result<bool, TurnFailure> {
        self.event_size(name, args)?;
        let Some(connection) = self.connection(id) else { return Ok(false) };
        let event = Outgoing::Send { connection: connection.id, name: name.into(), args: args.into() };
        self.outgoing(name.len() + args.len(), event)?;
        Ok(true)
    }

    fn event_size(&self, name: &str, args: &str) -> Result<(), TurnFailure> {
        check(
            &codes::OUTGOING_TOO_LONG,
            "bytes of an event",
            name.len() + args.len(),
            self.input.limits.outgoing_message_bytes_max,
        )?;
        json_array(args)
    }

    fn outgoing(&mut self, bytes: usize, outgoing: Outgoing) -> Result<(), TurnFailure> {
        self.outgoing_bytes += bytes;
        self.effects.outgoing.push(outgoing);
        let limits = &self.input.limits;
        check(
            &codes::LIMIT_OUTPUT,
            "bytes of events and frames in a turn",
            self.outgoing_bytes,
            limits.outgoing_bytes_max,
        )?;
        check(
            &codes::LIMIT_EVENTS,
            "events, frames and answers in a turn",
            self.effects.outgoing.len(),
            limits.outgoing_max,
        )
    }

    // --- replies -----------------------------------------------------------------------------------------------------

    /// `replies.answer`
    pub fn answer(&mut self, reply: ReplyHandle, outcome: Result<Json, Failure>) -> Result<(), TurnFailure> {
        let len = match &outcome {
            Ok(value) => {
                json(value)?;
                value.len()
            }
            Err(failure) => failure.message.len(),
        };
        self.outgoing(len, Outgoing::Answer { reply, outcome })
    }

    /// `replies.answer-request`
    pub fn answer_request(&mut self, reply: ReplyHandle, response: HttpResponse) -> Result<(), TurnFailure> {
        self.outgoing(response.body.len(), Outgoing::AnswerRequest { reply, response })
    }

    // --- timers ------------------------------------------------------------------------------------------------------

    /// `timers.set`
    pub fn timer_set(&mut self, schedule: Schedule, name: String, payload: Json) -> Result<TimerId, TurnFailure> {
        self.writable()?;
        json(&payload)?;
        self.effect_size(name.len() + payload.len())?;
        let (due, repeat) = schedule
            .start(self.input.now)
            .map_err(|error| TurnFailure::code(&codes::TIMER_SCHEDULE, error.to_string()))?;
        let id = self.take_id();
        self.effects.timers.insert(id, Some(TimerRecord { name, payload, due, repeat }));
        let timers = self.timers().len();
        check(&codes::LIMIT_TIMERS, "timers", timers, self.input.limits.timers_max)?;
        Ok(id)
    }

    /// `timers.cancel`
    pub fn timer_cancel(&mut self, id: TimerId) -> Result<bool, TurnFailure> {
        self.writable()?;
        let known = match self.effects.timers.get(&id) {
            Some(write) => write.is_some(),
            None => self.input.timers.contains_key(&id),
        };
        if known {
            self.effects.timers.insert(id, None);
        }
        Ok(known)
    }

    /// `timers.list`
    pub fn timers(&self) -> Vec<(TimerId, TimerRecord)> {
        let mut timers: BTreeMap<TimerId, &TimerRecord> =
            self.input.timers.iter().map(|(id, timer)| (*id, timer)).collect();
        for (id, write) in &self.effects.timers {
            match write {
                Some(timer) => timers.insert(*id, timer),
                None => timers.remove(id),
            };
        }
        timers.into_iter().map(|(id, timer)| (id, timer.clone())).collect()
    }

    // --- actors ------------------------------------------------------------------------------------------------------

    /// `actors.identity`
    pub fn identity(&self) -> &Arc<Identity> {
        &self.input.identity
    }

    /// `actors.spawn`
    pub fn spawn(&mut self, name: String, key: Vec<String>, input: Option<Json>) -> Result<OperationId, TurnFailure> {
        if let Some(input) = &input {
            json(input)?;
        }
        let len = name.len() + key.iter().map(String::len).sum::<usize>() + input.as_ref().map_or(0, String::len);
        self.effect(len, Effect::Spawn { name, key, input })
    }

    /// `actors.send`
    pub fn send_message(&mut self, target: TargetRef, payload: Json) -> Result<OperationId, TurnFailure> {
        json(&payload)?;
        self.effect(payload.len(), Effect::Send { target, payload })
    }

    /// `actors.call`
    pub fn call(&mut self, target: TargetRef, action: String, args: Json) -> Result<OperationId, TurnFailure> {
        json_array(&args)?;
        self.effect(action.len() + args.len(), Effect::Call { target, action, args })
    }

    /// `actors.destroy`
    pub fn destroy(&mut self, target: TargetRef) -> Result<OperationId, TurnFailure> {
        self.effect(0, Effect::Destroy { target })
    }

    /// `actors.destroy-self`
    pub fn destroy_self(&mut self) -> Result<(), TurnFailure> {
        self.writable()?;
        self.effects.destroy = true;
        Ok(())
    }

    /// `actors.sleep`
    pub fn sleep(&mut self) {
        self.effects.sleep = true;
    }

    fn effect(&mut self, bytes: usize, effect: Effect) -> Result<OperationId, TurnFailure> {
        self.writable()?;
        self.effect_size(bytes)?;
        let id = self.take_id();
        self.effects.effects.push((id, effect));
        check(&codes::LIMIT_EFFECTS, "effects in a turn", self.effects.effects.len(), self.input.limits.effects_max)?;
        Ok(id)
    }

    fn effect_size(&mut self, bytes: usize) -> Result<(), TurnFailure> {
        self.effect_bytes += bytes;
        check(
            &codes::LIMIT_EFFECTS,
            "bytes of effects in a turn",
            self.effect_bytes,
            self.input.limits.effect_bytes_max,
        )
    }

    // --- memory and sandbox ------------------------------------------------------------------------------------------

    /// `memory.commit`. The outer error fails the turn, the inner one goes to the guest.
    pub fn memory_commit(
        &mut self,
        layer: MemoryLayer,
        path: &str,
        change: MemoryChange,
        message: &str,
    ) -> Result<Result<OperationId, Failure>, TurnFailure> {
        match self.input.memory.commit(layer, path, change, message) {
            Ok(effect) => Ok(Ok(self.effect(effect.len(), Effect::Memory(effect))?)),
            Err(failure) => Ok(Err(failure)),
        }
    }

    /// `memory.restore`. The outer error fails the turn, the inner one goes to the guest.
    pub fn memory_restore(&mut self, path: &str, version: &str) -> Result<Result<OperationId, Failure>, TurnFailure> {
        match self.input.memory.restore(path, version) {
            Ok(effect) => Ok(Ok(self.effect(effect.len(), Effect::Memory(effect))?)),
            Err(failure) => Ok(Err(failure)),
        }
    }

    /// The reading half of `memory`.
    pub fn memory(&self) -> &Arc<dyn MemoryReader> {
        &self.input.memory
    }

    /// The submitting half of `sandbox`. The outer error fails the turn, the inner one goes to the guest.
    pub fn sandbox_submit(&mut self, call: &str, arguments: Json) -> Result<Result<OperationId, Failure>, TurnFailure> {
        match self.input.sandbox.submit(call, arguments) {
            Ok(effect) => Ok(Ok(self.effect(effect.len(), Effect::Sandbox(effect))?)),
            Err(failure) => Ok(Err(failure)),
        }
    }

    /// The reading half of `sandbox`.
    pub fn sandbox(&self) -> &Arc<dyn SandboxReader> {
        &self.input.sandbox
    }

    // --- log, clock, random, config ----------------------------------------------------------------------------------

    /// `log.write`
    pub fn log(&mut self, level: LogLevel, message: String) {
        let left = self.input.limits.log_bytes_max.saturating_sub(self.log_bytes);
        if left == 0 {
            return;
        }
        let message = truncated(message, left);
        // An empty line costs as well, so that a flood of them ends.
        self.log_bytes += message.len().max(16);
        self.log.push(LogLine { level, message });
    }

    /// `clock.now`
    pub fn now(&self) -> TimestampMs {
        self.input.now
    }

    /// `random.bytes`
    pub fn random_bytes(&mut self, length: u32) -> Vec<u8> {
        let mut bytes = vec![0; (length as usize).min(RANDOM_BYTES_MAX)];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// `random.number`
    pub fn random_number(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// `config.get`
    pub fn config(&self, key: &str) -> Option<Json> {
        self.input.config.get(key).cloned()
    }
}

/// Entries that one scan gives.
const STATE_SCAN_MAX: usize = 1000;
/// Bytes that one call of `random.bytes` gives.
const RANDOM_BYTES_MAX: usize = 64 << 10;
/// Bytes of a close reason (RFC 6455 section 5.5: 125 bytes of payload, two of them the code).
const CLOSE_REASON_BYTES_MAX: usize = 123;

fn check(code: &Code, what: &str, have: usize, max: usize) -> Result<(), TurnFailure> {
    if have > max {
        return Err(TurnFailure::code(code, format!("{what}: {have}, and at most {max} are allowed")));
    }
    Ok(())
}

/// Refuses text that is not JSON, so that nothing later has to expect it.
fn json(text: &str) -> Result<(), TurnFailure> {
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map(|_| ())
        .map_err(|error| TurnFailure::code(&codes::INVALID_OUTPUT, format!("not JSON: {error}")))
}

fn json_array(text: &str) -> Result<(), TurnFailure> {
    if !text.trim_start().starts_with('[') {
        return Err(TurnFailure::code(&codes::INVALID_OUTPUT, "arguments must be a JSON array".to_owned()));
    }
    json(text)
}

fn truncated(mut text: String, max: usize) -> String {
    if text.len() > max {
        let end = (0..=max).rev().find(|&index| text.is_char_boundary(index)).unwrap_or(0);
        text.truncate(end);
    }
    text
}
