//! What an actor can do during a turn.

use crate::bindings::growqr::actor::{actors, clock, config, connections, events, random, replies, state, timers};
use crate::connection::{args_of, args_of_one};
use crate::{
    Connection, Deferred, Event, Fail, Frame, Memory, ReplyHandle, Response, Result, Sandbox, Target, Timer, args, json,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use timers::Schedule;

pub use actors::SelfInfo as Identity;

/// What this turn is about.
#[derive(Default)]
pub(crate) struct Turn {
    pub connection: Option<String>,
    pub caller: Option<String>,
    pub reply: Option<ReplyHandle>,
}

impl Turn {
    pub fn of_connection(id: &str) -> Self {
        Self { connection: Some(id.to_owned()), ..Self::default() }
    }
}

/// The actor's hands: everything it can do besides changing its own struct.
///
/// What changes something durable takes `&mut self`, so a read-only action, which gets `&Ctx`, can't do it by mistake. Everything
/// takes effect after the turn, and only if the turn succeeds.
pub struct Ctx<V = ()> {
    /// What lives as long as the instance: fresh at each wake.
    pub vars: V,
    turn: Turn,
    unchanged: bool,
}

/// Entries that one call of the host's `scan` gives at most.
const SCAN_PAGE: u32 = 1000;

impl<V: Default> Ctx<V> {
    pub(crate) fn new() -> Self {
        Self { vars: V::default(), turn: Turn::default(), unchanged: false }
    }
}

impl<V> Ctx<V> {
    pub(crate) fn begin(&mut self, turn: Turn) {
        self.turn = turn;
        self.unchanged = false;
    }

    pub(crate) fn reply(&self) -> Option<ReplyHandle> {
        self.turn.reply
    }

    /// Says that the struct did not change, which saves writing it out to compare. The macro says it for methods that take `&self`.
    #[doc(hidden)]
    pub fn leave_state_unchanged(&mut self) {
        self.unchanged = true;
    }

    pub(crate) fn state_is_unchanged(&self) -> bool {
        self.unchanged
    }

    // --- who and when ------------------------------------------------------------------------------------------------

    /// The actor's id, name, key, region and generation.
    pub fn identity(&self) -> Identity {
        actors::identity()
    }

    /// Milliseconds since 1970. Stands still during a turn.
    pub fn now(&self) -> u64 {
        clock::now()
    }

    /// A random number.
    pub fn random(&self) -> u64 {
        random::number()
    }

    /// Random bytes, 64 KiB at the most.
    pub fn random_bytes(&self, length: u32) -> Vec<u8> {
        random::bytes(length)
    }

    /// A setting of this actor in `rivet.json`.
    pub fn config<T: DeserializeOwned + 'static>(&self, key: &str) -> Result<Option<T>> {
        config::get(key).map(|text| args::value(&text, key)).transpose()
    }

    // --- connections -------------------------------------------------------------------------------------------------

    /// The connection that this turn is about. None when an actor, a timer or the host is behind it.
    pub fn connection(&self) -> Option<Connection> {
        self.connection_by_id(self.turn.connection.as_deref()?)
    }

    /// The connection that this turn is about, by its id.
    pub fn connection_id(&self) -> Option<&str> {
        self.turn.connection.as_deref()
    }

    /// The actor that called the action or sent the message, by its id.
    pub fn caller(&self) -> Option<&str> {
        self.turn.caller.as_deref()
    }

    /// All connections, in the order in which they came.
    pub fn connections(&self) -> Vec<Connection> {
        connections::list().into_iter().map(Connection::from).collect()
    }

    /// One connection.
    pub fn connection_by_id(&self, id: &str) -> Option<Connection> {
        connections::get(id).map(Connection::from)
    }

    /// Sends a frame on the raw socket that this turn is about. False when it is gone.
    pub fn send_frame(&self, frame: &Frame) -> bool {
        self.connection_id().is_some_and(|id| connections::send_frame(id, frame))
    }

    /// Sends text on the raw socket that this turn is about. False when it is gone.
    pub fn send_text(&self, text: impl Into<String>) -> bool {
        self.send_frame(&Frame::Text(text.into()))
    }

    // --- events ------------------------------------------------------------------------------------------------------

    /// An event with one argument, for everyone who subscribed. An argument that JSON can't say goes to the log instead.
    pub fn broadcast(&mut self, name: &str, payload: &(impl Serialize + ?Sized)) {
        if let Ok(args) = args_of_one(payload) {
            events::broadcast(name, &args);
        }
    }

    /// An event with any number of arguments, given as a tuple; `&()` for none.
    pub fn broadcast_args(&mut self, name: &str, arguments: &(impl Serialize + ?Sized)) {
        if let Ok(args) = args_of(arguments) {
            events::broadcast(name, &args);
        }
    }

    /// A typed event, for everyone who subscribed.
    pub fn emit<E: Event>(&mut self, event: &E) {
        self.broadcast(E::NAME, event);
    }

    // --- deferred replies --------------------------------------------------------------------------------------------

    /// Ends this turn without an answer. Return what this gives, keep its handle, and answer in a later turn. In a turn that
    /// nobody waits for, an answer by this handle is ignored.
    pub fn defer(&self) -> Deferred {
        Deferred(self.turn.reply.unwrap_or(ReplyHandle(0)))
    }

    /// Answers an action, a queue message or a connection request of an earlier turn.
    pub fn answer<T: Serialize>(&self, reply: ReplyHandle, outcome: Result<T>) {
        match outcome.and_then(|value| json::encode(&value)) {
            Ok(text) => replies::answer(reply.0, Ok(&text)),
            Err(fail) => replies::answer(reply.0, Err(&fail.into())),
        }
    }

    /// Answers a raw request of an earlier turn.
    pub fn answer_request(&self, reply: ReplyHandle, response: &Response) {
        replies::answer_request(reply.0, response);
    }

    // --- timers ------------------------------------------------------------------------------------------------------

    /// Calls the timer handler `name` at this time.
    pub fn at(&mut self, due: u64, name: &str, payload: &(impl Serialize + ?Sized)) -> Result<u64> {
        set_timer(Schedule::At(due), name, json::encode(payload))
    }

    /// Calls the timer handler `name` after so many milliseconds.
    pub fn after(&mut self, ms: u64, name: &str, payload: &(impl Serialize + ?Sized)) -> Result<u64> {
        set_timer(Schedule::After(ms), name, json::encode(payload))
    }

    /// Calls the timer handler `name` every so many milliseconds.
    pub fn every(&mut self, ms: u64, name: &str, payload: &(impl Serialize + ?Sized)) -> Result<u64> {
        set_timer(Schedule::Every(ms), name, json::encode(payload))
    }

    /// Calls the timer handler `name` by a cron expression in UTC.
    pub fn cron(&mut self, expression: &str, name: &str, payload: &(impl Serialize + ?Sized)) -> Result<u64> {
        set_timer(Schedule::Cron(expression.to_owned()), name, json::encode(payload))
    }

    /// Takes a timer back. False when there is no such timer any more.
    pub fn cancel_timer(&mut self, timer: u64) -> bool {
        timers::cancel(timer)
    }

    /// All timers.
    pub fn timers(&self) -> Vec<Timer> {
        timers::list()
    }

    // --- actors ------------------------------------------------------------------------------------------------------

    /// Makes sure that an actor exists. The result comes to `on_effect_result` under the operation that this gives.
    pub fn spawn<K: Into<String>>(
        &mut self,
        name: &str,
        key: impl IntoIterator<Item = K>,
        input: &(impl Serialize + ?Sized),
    ) -> Result<u64> {
        let key: Vec<String> = key.into_iter().map(Into::into).collect();
        let input = json::encode(input)?;
        Ok(actors::spawn(name, &key, Some(input.as_str()).filter(|input| *input != "null")))
    }

    /// Sends a message to another actor's `on_message`. Delivered exactly once, in order per receiver.
    pub fn send(&mut self, target: &Target, payload: &(impl Serialize + ?Sized)) -> Result<u64> {
        Ok(actors::send(target, &json::encode(payload)?))
    }

    /// Calls another actor's action with a tuple of arguments. The result comes to `on_effect_result`.
    pub fn call(&mut self, target: &Target, action: &str, arguments: &(impl Serialize + ?Sized)) -> Result<u64> {
        Ok(actors::call(target, action, &args_of(arguments)?))
    }

    /// Destroys another actor.
    pub fn destroy(&mut self, target: &Target) -> u64 {
        actors::destroy(target)
    }

    /// Destroys this actor after the turn.
    pub fn destroy_self(&mut self) {
        actors::destroy_self();
    }

    /// Sleeps as soon as this turn and what waits behind it are done.
    pub fn sleep(&self) {
        actors::sleep();
    }

    // --- keys beside the struct --------------------------------------------------------------------------------------

    /// A value of the actor's own key-value state.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        state::get(key)
    }

    /// Sets a value.
    pub fn set(&mut self, key: &str, value: &[u8]) {
        state::set(key, value);
    }

    /// Deletes a value.
    pub fn delete(&mut self, key: &str) {
        state::delete(key);
    }

    /// A value that [`Ctx::set_json`] wrote.
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        state::get(key).map(|bytes| serde_json::from_slice(&bytes).map_err(Fail::from)).transpose()
    }

    /// Sets a value of any type.
    pub fn set_json(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> Result<()> {
        state::set(key, &serde_json::to_vec(value)?);
        Ok(())
    }

    /// Keys that start with `prefix` and come after `after`, with their values, in byte order.
    pub fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Vec<(String, Vec<u8>)> {
        state::scan(prefix, after, limit)
    }

    /// All keys that start with `prefix`, page by page, so that the host hands over no more than a page at a time.
    pub fn scan_all(&self, prefix: &str) -> impl Iterator<Item = (String, Vec<u8>)> {
        let prefix = prefix.to_owned();
        let mut page = state::scan(&prefix, None, SCAN_PAGE).into_iter();
        let mut last: Option<String> = None;
        std::iter::from_fn(move || {
            let entry = page.next().or_else(|| {
                page = state::scan(&prefix, Some(last.as_deref()?), SCAN_PAGE).into_iter();
                page.next()
            })?;
            last = Some(entry.0.clone());
            Some(entry)
        })
    }

    // --- the user's things -------------------------------------------------------------------------------------------

    /// Long-term memory.
    pub fn memory(&self) -> Memory {
        Memory(())
    }

    /// The user's sandbox.
    pub fn sandbox(&self) -> Sandbox {
        Sandbox(())
    }
}

fn set_timer(schedule: Schedule, name: &str, payload: Result<String>) -> Result<u64> {
    Ok(timers::set(&schedule, name, &payload?))
}

/// The name of the actor that this instance serves.
#[doc(hidden)]
pub fn actor_name() -> String {
    actors::identity().name
}
