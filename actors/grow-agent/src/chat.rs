//! Taking a message of the user.

use crate::input::{self, Refused};
use crate::messages::{self, New, Role, Status};
use crate::sent::{self, Sent};
use crate::world::World;
use crate::{GrowAgent, answer, threads};
use growqr_actor_sdk::prelude::*;

/// What `chat` takes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    pub text: String,
    /// Goes on with this thread; a new one begins if none is given.
    pub thread: Option<String>,
    /// Made by the client for this message, and the same when it tries again.
    pub client_message_id: String,
}

/// What `chat` gives: the message is kept. Its answer comes as events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Accepted {
    pub message: String,
    pub thread: String,
}

/// Keeps the message and begins to answer it.
pub fn chat(agent: &mut GrowAgent, world: &mut impl World, request: Request) -> Result<Accepted> {
    input::text(&request.text)?;
    input::client_message_id(&request.client_message_id)?;
    if let Some(sent) = sent::find(world, &request.client_message_id)? {
        return repeated(world, &request, sent);
    }
    let mut thread = match &request.thread {
        Some(id) => threads::find(world, id)?,
        None => threads::create(agent, world, input::title_of(&request.text))?,
    };
    threads::revive(world, &mut thread);
    let new = New {
        role: Role::User,
        status: Status::Completed,
        text: request.text,
        client_message_id: Some(request.client_message_id.clone()),
        error: None,
    };
    let message = messages::append(agent, world, &mut thread, new)?;
    answer::begin(agent, world, &mut thread)?;
    thread.save(world)?;
    let sent = Sent { message: message.message, thread: message.thread, number: message.number };
    agent.sent.remember(world, &request.client_message_id, &sent)?;
    messages::make_room(agent, world)?;
    Ok(Accepted { message: sent.message, thread: sent.thread })
}

/// The answer of the first call. Another message under the same id is the client's mistake, and must not vanish silently.
fn repeated(world: &impl World, request: &Request, sent: Sent) -> Result<Accepted> {
    let elsewhere = request.thread.as_ref().is_some_and(|thread| *thread != sent.thread);
    let first = messages::find(world, &sent.thread, sent.number)?;
    let differs = first.is_some_and(|first| first.message == sent.message && first.text != request.text);
    if elsewhere || differs {
        return Err(Refused::ClientMessageIdReused.into());
    }
    Ok(Accepted { message: sent.message, thread: sent.thread })
}
