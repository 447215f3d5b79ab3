//! From the component's exports to an actor's methods: loading, saving and answering.
//!
//! Invariant: the struct is written only when its bytes differ from what is stored, and never in a turn whose method took `&self`.

use crate::bindings::exports::growqr::actor::handlers::Guest;
use crate::bindings::growqr::actor::types as wit;
use crate::bindings::growqr::actor::{replies, state};
use crate::ctx::Turn;
use crate::{Actor, Connection, Ctx, EffectResult, Fail, Outcome, ReplyHandle, Result, log};
use std::cell::RefCell;
use wit::{Failure, RequestOutcome, Verdict};

/// Where the struct is kept in the actor's state. Other keys are the actor's own.
pub const STATE_KEY: &str = "$state";

/// What [`crate::export!`] implements: the actors of a component.
pub trait Component: 'static {
    /// What the actor of this name offers.
    fn describe(actor: &str) -> wit::Description;
    /// The actor that this instance serves.
    fn start() -> Box<dyn Turns>;
}

type Turned<T> = std::result::Result<T, Failure>;

/// The turns of one actor, whatever its type.
#[allow(missing_docs)]
pub trait Turns {
    fn create(&mut self, input: Option<String>) -> Turned<()>;
    fn wake(&mut self, reason: wit::WakeReason) -> Turned<()>;
    fn before_connect(&mut self, request: wit::ConnectionRequest) -> Turned<Verdict>;
    fn connect(&mut self, connection: wit::Connection) -> Turned<()>;
    fn disconnect(&mut self, connection: wit::Connection) -> Turned<()>;
    fn subscribe(&mut self, connection: String, event: String) -> Turned<()>;
    fn action(&mut self, call: wit::ActionCall) -> Turned<wit::Outcome>;
    fn queue_message(&mut self, message: wit::QueueMessage) -> Turned<wit::Outcome>;
    fn request(&mut self, connection: String, request: wit::HttpRequest, reply: u64) -> Turned<RequestOutcome>;
    fn socket(&mut self, connection: String, event: wit::SocketEvent) -> Turned<()>;
    fn message(&mut self, message: wit::ActorMessage) -> Turned<()>;
    fn timer(&mut self, timer: wit::TimerEvent) -> Turned<()>;
    fn sandbox_event(&mut self, event: wit::SandboxEvent) -> Turned<()>;
    fn effect_result(&mut self, result: wit::EffectResult) -> Turned<()>;
    fn migrate(&mut self, stored: u32, target: u32) -> Turned<()>;
    fn check(&mut self) -> Turned<()>;
    fn sleep(&mut self) -> Turned<()>;
    fn destroy(&mut self) -> Turned<()>;
}

/// One actor in this component's memory.
pub struct Instance<A: Actor> {
    /// None until the first turn needs it.
    actor: Option<A>,
    /// What is stored; for an actor without stored state, what its default would be.
    saved: Vec<u8>,
    ctx: Ctx<A::Vars>,
}

impl<A: Actor> Instance<A> {
    /// An instance that has not loaded its state yet.
    pub fn boxed() -> Box<dyn Turns> {
        Box::new(Self { actor: None, saved: Vec::new(), ctx: Ctx::new() })
    }

    fn turn<T>(
        &mut self,
        turn: Turn,
        run: impl FnOnce(&mut A, &mut Ctx<A::Vars>) -> Result<T>,
        deferred: Option<T>,
    ) -> Turned<T> {
        self.ctx.begin(turn);
        let actor = match self.actor.take() {
            Some(actor) => self.actor.insert(actor),
            None => {
                let (actor, saved) = load::<A>()?;
                self.saved = saved;
                self.actor.insert(actor)
            }
        };
        let result = run(actor, &mut self.ctx);
        let result = match (result, deferred) {
            (Err(fail), Some(deferred)) if fail.keep => {
                if let Some(reply) = self.ctx.reply() {
                    replies::answer(reply.0, Err(&fail.into()));
                }
                Ok(deferred)
            }
            (result, _) => result,
        };
        let value = result?;
        if !self.ctx.state_is_unchanged() {
            save(actor, &mut self.saved)?;
        }
        Ok(value)
    }

    fn hook(&mut self, turn: Turn, run: impl FnOnce(&mut A, &mut Ctx<A::Vars>) -> Result<()>) -> Turned<()> {
        self.turn(turn, run, None)
    }
}

/// A struct without fields has nothing to store.
const fn is_stateless<A>() -> bool {
    size_of::<A>() == 0
}

fn load<A: Actor>() -> Turned<(A, Vec<u8>)> {
    if is_stateless::<A>() {
        return Ok((A::default(), Vec::new()));
    }
    match state::get(STATE_KEY) {
        Some(bytes) => match serde_json::from_slice(&bytes) {
            Ok(actor) => Ok((actor, bytes)),
            Err(error) => {
                let cause = ["the stored state does not fit this version of the actor: ", &error.to_string()].concat();
                Err(Fail::of("actor", "state_invalid", cause).into())
            }
        },
        None => {
            let actor = A::default();
            let bytes = bytes_of(&actor)?;
            Ok((actor, bytes))
        }
    }
}

fn save<A: Actor>(actor: &A, saved: &mut Vec<u8>) -> Turned<()> {
    if is_stateless::<A>() {
        return Ok(());
    }
    let bytes = bytes_of(actor)?;
    if bytes != *saved {
        state::set(STATE_KEY, &bytes);
        *saved = bytes;
    }
    Ok(())
}

fn bytes_of<A: Actor>(actor: &A) -> Turned<Vec<u8>> {
    serde_json::to_vec(actor).map_err(|error| {
        Fail::of("actor", "state_invalid", ["the state can't be stored: ", &error.to_string()].concat()).into()
    })
}

/// The text that is stored for a state that a migration gives.
#[doc(hidden)]
pub fn state_text(state: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string(state)?)
}

/// A timer of an earlier version of the code may have lost its handler; that must not fail its turn again and again.
#[doc(hidden)]
pub fn unknown_timer(name: &str) -> Result<()> {
    log::warn(&["no handler for the timer `", name, "`"].concat());
    Ok(())
}

impl From<Outcome> for wit::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Reply(text) if text == "null" => Self::Done,
            Outcome::Reply(text) => Self::Reply(text),
            Outcome::Deferred => Self::Deferred,
        }
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Reply(text) if text == "null" => Self::Accept(None),
            Outcome::Reply(text) => Self::Accept(Some(text)),
            Outcome::Deferred => Self::Deferred,
        }
    }
}

impl<A: Actor> Turns for Instance<A> {
    fn create(&mut self, input: Option<String>) -> Turned<()> {
        self.hook(Turn::default(), |actor, ctx| actor.create(ctx, input))
    }

    fn wake(&mut self, reason: wit::WakeReason) -> Turned<()> {
        self.hook(Turn::default(), |actor, ctx| actor.wake(ctx, reason))
    }

    fn before_connect(&mut self, request: wit::ConnectionRequest) -> Turned<Verdict> {
        let turn = Turn { reply: Some(ReplyHandle(request.reply)), ..Turn::default() };
        let run = |actor: &mut A, ctx: &mut _| actor.before_connect(ctx, request);
        self.turn(turn, run, Some(Outcome::Deferred)).map(Verdict::from)
    }

    fn connect(&mut self, connection: wit::Connection) -> Turned<()> {
        let connection = Connection::from(connection);
        let turn = Turn::of_connection(&connection.id);
        self.hook(turn, |actor, ctx| actor.connect(ctx, connection))
    }

    fn disconnect(&mut self, connection: wit::Connection) -> Turned<()> {
        let connection = Connection::from(connection);
        let turn = Turn::of_connection(&connection.id);
        self.hook(turn, |actor, ctx| actor.disconnect(ctx, connection))
    }

    fn subscribe(&mut self, connection: String, event: String) -> Turned<()> {
        let turn = Turn { connection: Some(connection), ..Turn::default() };
        self.hook(turn, |actor, ctx| actor.subscribe(ctx, event))
    }

    fn action(&mut self, call: wit::ActionCall) -> Turned<wit::Outcome> {
        let turn = Turn { connection: call.connection, caller: call.caller, reply: Some(ReplyHandle(call.reply)) };
        let run = |actor: &mut A, ctx: &mut _| actor.action(ctx, &call.name, &call.args);
        self.turn(turn, run, Some(Outcome::Deferred)).map(wit::Outcome::from)
    }

    fn queue_message(&mut self, message: wit::QueueMessage) -> Turned<wit::Outcome> {
        let reply = Some(ReplyHandle(message.reply));
        let turn = Turn { connection: message.connection.clone(), caller: None, reply };
        let run = |actor: &mut A, ctx: &mut _| actor.queue_message(ctx, message);
        self.turn(turn, run, Some(Outcome::Deferred)).map(wit::Outcome::from)
    }

    fn request(&mut self, connection: String, request: wit::HttpRequest, reply: u64) -> Turned<RequestOutcome> {
        let turn = Turn { connection: Some(connection), caller: None, reply: Some(ReplyHandle(reply)) };
        let response = self.turn(turn, |actor, ctx| actor.request(ctx, request), None)?;
        Ok(response.map_or(RequestOutcome::Deferred, RequestOutcome::Response))
    }

    fn socket(&mut self, connection: String, event: wit::SocketEvent) -> Turned<()> {
        let turn = Turn { connection: Some(connection), ..Turn::default() };
        self.hook(turn, |actor, ctx| actor.socket(ctx, event))
    }

    fn message(&mut self, message: wit::ActorMessage) -> Turned<()> {
        let turn = Turn { caller: Some(message.sender.clone()), ..Turn::default() };
        self.hook(turn, |actor, ctx| actor.message(ctx, message))
    }

    fn timer(&mut self, timer: wit::TimerEvent) -> Turned<()> {
        self.hook(Turn::default(), |actor, ctx| actor.timer(ctx, timer))
    }

    fn sandbox_event(&mut self, event: wit::SandboxEvent) -> Turned<()> {
        self.hook(Turn::default(), |actor, ctx| actor.sandbox_event(ctx, event))
    }

    fn effect_result(&mut self, result: wit::EffectResult) -> Turned<()> {
        let result = EffectResult::from(result);
        self.hook(Turn::default(), |actor, ctx| actor.effect_result(ctx, result))
    }

    fn migrate(&mut self, stored: u32, target: u32) -> Turned<()> {
        self.ctx.begin(Turn::default());
        let old = state::get(STATE_KEY);
        let text = match &old {
            Some(bytes) => std::str::from_utf8(bytes).map_err(Fail::from)?,
            None => "null",
        };
        let new = A::migrate(&mut self.ctx, text, stored, target)?;
        // Only what was there, or what the actor made, is stored; an actor that never changed stays without stored state.
        if old.is_some() || new != "null" {
            state::set(STATE_KEY, new.as_bytes());
        }
        self.actor = None;
        Ok(())
    }

    fn check(&mut self) -> Turned<()> {
        self.hook(Turn::default(), |actor, ctx| {
            ctx.leave_state_unchanged();
            actor.check(ctx)
        })
    }

    fn sleep(&mut self) -> Turned<()> {
        self.hook(Turn::default(), |actor, ctx| actor.sleep(ctx))
    }

    fn destroy(&mut self) -> Turned<()> {
        self.hook(Turn::default(), |actor, ctx| actor.destroy(ctx))
    }
}

thread_local! {
    /// The one actor that this component instance serves.
    static TURNS: RefCell<Option<Box<dyn Turns>>> = const { RefCell::new(None) };
}

fn with<C: Component, T>(run: impl FnOnce(&mut dyn Turns) -> T) -> T {
    TURNS.with_borrow_mut(|turns| {
        let turns = turns.get_or_insert_with(|| {
            log::install_panic_hook();
            C::start()
        });
        run(turns.as_mut())
    })
}

impl<C: Component> Guest for C {
    fn describe(actor: String) -> wit::Description {
        log::install_panic_hook();
        <C as Component>::describe(&actor)
    }
    fn on_create(input: Option<String>) -> Turned<()> {
        with::<C, _>(|turns| turns.create(input))
    }
    fn on_wake(reason: wit::WakeReason) -> Turned<()> {
        with::<C, _>(|turns| turns.wake(reason))
    }
    fn on_before_connect(request: wit::ConnectionRequest) -> Turned<Verdict> {
        with::<C, _>(|turns| turns.before_connect(request))
    }
    fn on_connect(connection: wit::Connection) -> Turned<()> {
        with::<C, _>(|turns| turns.connect(connection))
    }
    fn on_disconnect(connection: wit::Connection) -> Turned<()> {
        with::<C, _>(|turns| turns.disconnect(connection))
    }
    fn on_subscribe(connection: String, event: String) -> Turned<()> {
        with::<C, _>(|turns| turns.subscribe(connection, event))
    }
    fn on_action(call: wit::ActionCall) -> Turned<wit::Outcome> {
        with::<C, _>(|turns| turns.action(call))
    }
    fn on_queue_message(message: wit::QueueMessage) -> Turned<wit::Outcome> {
        with::<C, _>(|turns| turns.queue_message(message))
    }
    fn on_request(connection: String, request: wit::HttpRequest, reply: u64) -> Turned<RequestOutcome> {
        with::<C, _>(|turns| turns.request(connection, request, reply))
    }
    fn on_socket(connection: String, event: wit::SocketEvent) -> Turned<()> {
        with::<C, _>(|turns| turns.socket(connection, event))
    }
    fn on_message(message: wit::ActorMessage) -> Turned<()> {
        with::<C, _>(|turns| turns.message(message))
    }
    fn on_timer(timer: wit::TimerEvent) -> Turned<()> {
        with::<C, _>(|turns| turns.timer(timer))
    }
    fn on_sandbox_event(event: wit::SandboxEvent) -> Turned<()> {
        with::<C, _>(|turns| turns.sandbox_event(event))
    }
    fn on_effect_result(result: wit::EffectResult) -> Turned<()> {
        with::<C, _>(|turns| turns.effect_result(result))
    }
    fn migrate(stored: u32, target: u32) -> Turned<()> {
        with::<C, _>(|turns| turns.migrate(stored, target))
    }
    fn check() -> Turned<()> {
        with::<C, _>(|turns| turns.check())
    }
    fn on_sleep() -> Turned<()> {
        with::<C, _>(|turns| turns.sleep())
    }
    fn on_destroy() -> Turned<()> {
        with::<C, _>(|turns| turns.destroy())
    }
}

/// Makes the crate a component that implements these actors. Several are told apart by their names.
#[macro_export]
macro_rules! export {
    ($actor:ty $(,)?) => {
        $crate::export!(@component
            |_name| <$actor as $crate::Actor>::describe(),
            || $crate::Instance::<$actor>::boxed()
        );
    };
    ($($actor:ty),+ $(,)?) => {
        $crate::export!(@component
            |name| match name {
                $(<$actor as $crate::Actor>::NAME => <$actor as $crate::Actor>::describe(),)+
                other => ::std::panic!("this component has no actor named {other}"),
            },
            || match $crate::actor_name().as_str() {
                $(<$actor as $crate::Actor>::NAME => $crate::Instance::<$actor>::boxed(),)+
                other => ::std::panic!("this component has no actor named {other}"),
            }
        );
    };
    (@component $describe:expr, $start:expr) => {
        // The exported symbols of a component need `unsafe`; the bindings generator writes them.
        #[allow(unsafe_code, missing_docs, unused_qualifications, dead_code)]
        mod growqr_component {
            use super::*;
            struct Exported;
            impl $crate::Component for Exported {
                fn describe(actor: &str) -> $crate::Description {
                    let describe: fn(&str) -> $crate::Description = $describe;
                    describe(actor)
                }
                fn start() -> ::std::boxed::Box<dyn $crate::Turns> {
                    let start: fn() -> ::std::boxed::Box<dyn $crate::Turns> = $start;
                    start()
                }
            }
            // Native linkers do not take the names of a component's exports; a native build is for checks and unit tests.
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::export_component!(Exported with_types_in $crate::bindings);
        }
    };
}
