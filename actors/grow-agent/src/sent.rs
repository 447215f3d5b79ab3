//! Which messages of clients were taken: a ring of the newest ids.

use crate::world::{World, load, store};
use growqr_actor_sdk::prelude::*;

/// Ids that are remembered. A client that repeats an older one says something new.
pub const IDS_MAX: u64 = 1000;

/// How many ids were remembered so far.
#[derive(Default, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ring(u64);

/// Where the message of an id went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub message: String,
    pub thread: String,
    pub number: u64,
}

fn key(id: &str) -> String {
    ["c/", id].concat()
}

/// What became of the message with this id, if it is remembered.
pub fn find(world: &impl World, id: &str) -> Result<Option<Sent>> {
    load(world, &key(id))
}

impl Ring {
    /// Remembers an id, in the place of the oldest one when there are too many.
    pub fn remember(&mut self, world: &mut impl World, id: &str, sent: &Sent) -> Result<()> {
        let slot = format!("r/{}", self.0 % IDS_MAX);
        if let Some(oldest) = load::<String>(world, &slot)? {
            world.delete(&key(&oldest));
        }
        store(world, &slot, &id)?;
        store(world, &key(id), sent)?;
        self.0 += 1;
        Ok(())
    }
}
