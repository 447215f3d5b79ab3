//! What the agent needs of its host, as a trait, so that everything it does can be tried natively.

use growqr_actor_sdk::prelude::*;
use serde::de::DeserializeOwned;

/// State, time, randomness and events.
pub trait World {
    /// Milliseconds since 1970; stands still in a turn.
    fn now(&self) -> u64;
    /// A random number.
    fn random(&self) -> u64;
    /// A value of the state.
    fn get(&self, key: &str) -> Option<Vec<u8>>;
    /// Sets a value of the state.
    fn set(&mut self, key: &str, value: &[u8]);
    /// Deletes a value of the state.
    fn delete(&mut self, key: &str);
    /// Keys that start with `prefix` and come after `after`, in byte order.
    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Vec<(String, Vec<u8>)>;
    /// An event for everyone who listens.
    fn emit(&mut self, name: &str, payload: &impl Serialize);
    /// Whether a sandbox can be asked, and if not, why.
    fn sandbox(&self) -> Result<()>;
}

/// A value that [`store`] wrote.
pub fn load<T: DeserializeOwned>(world: &impl World, key: &str) -> Result<Option<T>> {
    world.get(key).map(|bytes| serde_json::from_slice(&bytes).map_err(Fail::from)).transpose()
}

/// Stores a value; gives its size.
pub fn store(world: &mut impl World, key: &str, value: &impl Serialize) -> Result<usize> {
    let bytes = serde_json::to_vec(value)?;
    world.set(key, &bytes);
    Ok(bytes.len())
}

impl World for Ctx {
    fn now(&self) -> u64 {
        Ctx::now(self)
    }
    fn random(&self) -> u64 {
        Ctx::random(self)
    }
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        Ctx::get(self, key)
    }
    fn set(&mut self, key: &str, value: &[u8]) {
        Ctx::set(self, key, value);
    }
    fn delete(&mut self, key: &str) {
        Ctx::delete(self, key);
    }
    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Vec<(String, Vec<u8>)> {
        Ctx::scan(self, prefix, after, limit)
    }
    fn emit(&mut self, name: &str, payload: &impl Serialize) {
        self.broadcast(name, payload);
    }
    fn sandbox(&self) -> Result<()> {
        Ctx::sandbox(self).status().map(drop)
    }
}
