//! Attribute macro of the GrowQR actor SDK. Its documentation is in `growqr-actor-sdk`, which re-exports it.
//!
//! Invariant: what the macro declares in `describe` is exactly what the block has, so the host runs no turn in vain.
//! Deliberately absent: any look at types beyond their last name; the compiler checks the generated code.

mod attributes;
mod derive;
mod expand;
mod method;
mod names;

use proc_macro::TokenStream;

/// Makes an actor of an `impl` block.
///
/// On the block: `#[actor(name = "counter", vars = Vars, state_version = 2, migrates_from = 1, migrates_back_to = 1,
/// events("ping", NewCount), queues("jobs"), requires("sandbox"), options(sleep_timeout = "1s", no_sleep = true))]`, all optional.
/// The name is the struct's name in lowerCamelCase unless it is given.
///
/// On its methods, each at most once where no name tells them apart:
///
/// | attribute | arguments after `&self` or `&mut self` and an optional `ctx: &mut Ctx` | result |
/// |---|---|---|
/// | `#[action]`, `#[action(read_only)]`, `#[action(name = "calculator.add")]` | the action's, an `Option` may be missing | anything that serialises, `Reply<T>`, `Deferred` |
/// | `#[on_create]` | the creation input, of any type | nothing |
/// | `#[on_wake]` | `WakeReason` | nothing |
/// | `#[on_before_connect]` | `ConnectionRequest` | nothing, the connection's state, or `Deferred` |
/// | `#[on_connect]`, `#[on_disconnect]` | `Connection` | nothing |
/// | `#[on_subscribe]` | the event's name as `&str` | nothing |
/// | `#[on_queue]`, `#[on_queue(name = "jobs")]`, `#[on_queue(any)]` | the body, of any type, or `QueueMessage` | as for an action |
/// | `#[on_request]` | `Request` | `Response`, `Deferred` |
/// | `#[on_socket]` | `SocketEvent` | nothing |
/// | `#[on_message]` | the payload, of any type, or `ActorMessage` | nothing |
/// | `#[on_timer]`, `#[on_timer(name = "tick")]`, `#[on_timer(any)]` | the payload, of any type, or `TimerEvent` | nothing |
/// | `#[on_sandbox_event]`, `#[on_effect_result]` | `SandboxEvent`, `EffectResult` | nothing |
/// | `#[check]`, `#[on_sleep]`, `#[on_destroy]` | none | nothing |
/// | `#[migrate]` (without `self`) | the old state, of any type, then the stored and the wanted version | the new state |
///
/// Every method may give a `Result` instead. Arguments may be taken by reference.
#[proc_macro_attribute]
pub fn actor(attributes: TokenStream, block: TokenStream) -> TokenStream {
    let attributes = syn::parse_macro_input!(attributes as attributes::ActorAttributes);
    let block = syn::parse_macro_input!(block as syn::ItemImpl);
    expand::actor(attributes, block).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a typed event. Its name is the type's name in lowerCamelCase, unless `#[event(name = "...")]` gives one.
#[proc_macro_derive(Event, attributes(event))]
pub fn event(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    derive::event(input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes an enum an error that an action may give. Each variant has a stable code: its name in snake_case, unless
/// `#[fail(code = "...")]` gives one; `message = "..."` may name the variant's fields.
#[proc_macro_derive(ActorError, attributes(fail))]
pub fn actor_error(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    derive::actor_error(input).unwrap_or_else(syn::Error::into_compile_error).into()
}
