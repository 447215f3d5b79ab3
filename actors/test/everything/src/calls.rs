//! Answers that come in a later turn.

use crate::{Context, Everything, other};
use growqr_actor_sdk::prelude::*;

/// A timer carries the reply's handle to the turn that answers.
pub fn wait_for(ctx: &mut Context, ms: u64) -> Result<Deferred> {
    let deferred = ctx.defer();
    ctx.after(ms, "waited", &deferred.handle())?;
    Ok(deferred)
}

impl Everything {
    /// The caller waits until the effect's result comes.
    pub fn call_other(&mut self, ctx: &mut Context, key: &str, action: &str, args: &[Json]) -> Result<Deferred> {
        let operation = ctx.call(&other(key), action, args)?;
        let deferred = ctx.defer();
        self.calls.insert(operation, deferred.handle());
        Ok(deferred)
    }
}
