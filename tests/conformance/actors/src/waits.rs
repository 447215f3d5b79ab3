//! Waiting, in a contract where no turn can wait: a durable timer carries the answer to a later turn.

use growqr_actor_sdk::prelude::*;
use serde_json::Value;

/// Name of the timer that answers.
pub const ANSWER: &str = "answer";

/// An answer that a timer carries.
#[derive(Serialize, Deserialize)]
pub struct Later {
    reply: ReplyHandle,
    value: Value,
}

/// Answers with this value after so many milliseconds. The actor needs an `#[on_timer]` called `answer` that gives it to [`answer`].
pub fn answer_after<V>(ctx: &mut Ctx<V>, delay_ms: u64, value: impl Into<Value>) -> Result<Deferred> {
    let deferred = ctx.defer();
    ctx.after(delay_ms, ANSWER, &Later { reply: deferred.handle(), value: value.into() })?;
    Ok(deferred)
}

/// The timer of [`answer_after`] is due.
pub fn answer<V>(ctx: &Ctx<V>, later: &Later) {
    ctx.answer(later.reply, Ok(&later.value));
}

/// The action by which an actor calls itself to stay awake.
pub const HOLD: &str = "$hold";

/// Keeps the actor awake for so many milliseconds. A call that is not answered does that, so the actor calls its own action
/// [`HOLD`], whose answer a timer gives. The actor needs that action, which returns what [`held`] gives, and the timer `answer`.
pub fn hold<V>(ctx: &mut Ctx<V>, duration_ms: u64) -> Result<()> {
    let own = Target::Id(ctx.identity().id);
    ctx.call(&own, HOLD, &(duration_ms,))?;
    Ok(())
}

/// The body of the action [`HOLD`].
pub fn held<V>(ctx: &mut Ctx<V>, duration_ms: u64) -> Result<Deferred> {
    answer_after(ctx, duration_ms, Value::Null)
}
