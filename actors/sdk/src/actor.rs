//! What the [`macro@crate::actor`] attribute implements. Nobody writes it by hand.

use crate::bindings::growqr::actor::types as wit;
use crate::{
    ActorMessage, Connection, ConnectionRequest, Ctx, EffectResult, Fail, Outcome, QueueMessage, Request, Response,
    Result, SandboxEvent, SocketEvent, TimerEvent, WakeReason,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use wit::{ActionInfo, Description, Hooks};

/// An actor: its state is the struct itself.
///
/// A method that the attribute does not write does nothing, and the host does not call it, because [`Actor::describe`] does not
/// declare it.
pub trait Actor: Default + Serialize + DeserializeOwned + Sized + 'static {
    /// The name by which a component that holds several actors tells them apart.
    const NAME: &'static str;
    /// What lives only as long as the instance: made anew at each wake.
    type Vars: Default + 'static;

    /// What it offers.
    fn describe() -> Description;

    /// `on-action`
    fn action(&mut self, ctx: &mut Ctx<Self::Vars>, name: &str, args: &str) -> Result<Outcome> {
        let _ = (ctx, args);
        Err(Fail::unknown_action(name))
    }

    /// `on-create`
    fn create(&mut self, ctx: &mut Ctx<Self::Vars>, input: Option<String>) -> Result<()> {
        let _ = (ctx, input);
        Ok(())
    }

    /// `on-wake`
    fn wake(&mut self, ctx: &mut Ctx<Self::Vars>, reason: WakeReason) -> Result<()> {
        let _ = (ctx, reason);
        Ok(())
    }

    /// `on-before-connect`
    fn before_connect(&mut self, ctx: &mut Ctx<Self::Vars>, request: ConnectionRequest) -> Result<Outcome> {
        let _ = (ctx, request);
        Ok(Outcome::Reply("null".to_owned()))
    }

    /// `on-connect`
    fn connect(&mut self, ctx: &mut Ctx<Self::Vars>, connection: Connection) -> Result<()> {
        let _ = (ctx, connection);
        Ok(())
    }

    /// `on-disconnect`
    fn disconnect(&mut self, ctx: &mut Ctx<Self::Vars>, connection: Connection) -> Result<()> {
        let _ = (ctx, connection);
        Ok(())
    }

    /// `on-subscribe`
    fn subscribe(&mut self, ctx: &mut Ctx<Self::Vars>, event: String) -> Result<()> {
        let _ = (ctx, event);
        Ok(())
    }

    /// `on-queue-message`
    fn queue_message(&mut self, ctx: &mut Ctx<Self::Vars>, message: QueueMessage) -> Result<Outcome> {
        let _ = (ctx, message);
        Ok(Outcome::Reply("null".to_owned()))
    }

    /// `on-request`. None is for a deferred response.
    fn request(&mut self, ctx: &mut Ctx<Self::Vars>, request: Request) -> Result<Option<Response>> {
        let _ = (ctx, request);
        Ok(Some(Response::status(404)))
    }

    /// `on-socket`
    fn socket(&mut self, ctx: &mut Ctx<Self::Vars>, event: SocketEvent) -> Result<()> {
        let _ = (ctx, event);
        Ok(())
    }

    /// `on-message`
    fn message(&mut self, ctx: &mut Ctx<Self::Vars>, message: ActorMessage) -> Result<()> {
        let _ = (ctx, message);
        Ok(())
    }

    /// `on-timer`
    fn timer(&mut self, ctx: &mut Ctx<Self::Vars>, timer: TimerEvent) -> Result<()> {
        let _ = ctx;
        crate::unknown_timer(&timer.name)
    }

    /// `on-sandbox-event`
    fn sandbox_event(&mut self, ctx: &mut Ctx<Self::Vars>, event: SandboxEvent) -> Result<()> {
        let _ = (ctx, event);
        Ok(())
    }

    /// `on-effect-result`
    fn effect_result(&mut self, ctx: &mut Ctx<Self::Vars>, result: EffectResult) -> Result<()> {
        let _ = (ctx, result);
        Ok(())
    }

    /// `migrate`: gives the state's JSON in its new shape.
    fn migrate(ctx: &mut Ctx<Self::Vars>, old: &str, stored: u32, target: u32) -> Result<String> {
        let _ = (ctx, stored, target);
        Ok(old.to_owned())
    }

    /// `check`
    fn check(&mut self, ctx: &mut Ctx<Self::Vars>) -> Result<()> {
        let _ = ctx;
        Ok(())
    }

    /// `on-sleep`
    fn sleep(&mut self, ctx: &mut Ctx<Self::Vars>) -> Result<()> {
        let _ = ctx;
        Ok(())
    }

    /// `on-destroy`
    fn destroy(&mut self, ctx: &mut Ctx<Self::Vars>) -> Result<()> {
        let _ = ctx;
        Ok(())
    }
}
