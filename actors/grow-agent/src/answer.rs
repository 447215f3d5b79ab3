//! Where an answer to the user's message begins.
//!
//! An answer is made in the user's sandbox, which works for minutes, so [`begin`] only starts it and later turns bring it to its end.
//! A deployment without a sandbox can't answer; then the answer is a message that failed, with the code that says so, and the user's
//! own message is kept all the same.

use crate::GrowAgent;
use crate::messages::{self, Error, New, Role, Status};
use crate::threads::Thread;
use crate::world::World;
use growqr_actor_sdk::prelude::*;

/// Why there is no answer although the deployment has a sandbox.
fn unable() -> Fail {
    Fail::of("sandbox", "not_used", "this version of the Grow Agent does not work with a sandbox")
}

fn sandbox(world: &impl World) -> Result<()> {
    world.sandbox()?;
    Err(unable())
}

/// Begins to answer the newest message of a thread. The thread is not saved here.
pub fn begin(agent: &mut GrowAgent, world: &mut impl World, thread: &mut Thread) -> Result<()> {
    let Err(fail) = sandbox(world) else { return Ok(()) };
    let new = New {
        role: Role::Assistant,
        status: Status::Failed,
        text: String::new(),
        client_message_id: None,
        error: Some(Error::from(fail)),
    };
    messages::append(agent, world, thread, new).map(drop)
}

/// Whether messages can be answered.
#[derive(Serialize)]
pub struct Readiness {
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
}

/// Whether messages can be answered, and if not, why.
pub fn readiness(world: &impl World) -> Readiness {
    let error = sandbox(world).err().map(Error::from);
    Readiness { available: error.is_none(), error }
}
