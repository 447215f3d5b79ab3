//! Long-term memory and the sandbox. A deployment without them answers `memory.not_available` and `sandbox.not_available`.

use crate::bindings::growqr::actor::{memory, sandbox, types::Failure};
use crate::{Fail, Json, Result, json};
use serde::Serialize;

pub use memory::{Change, Entry, Hit, Layer};
pub use sandbox::PermissionReply;

fn fail<T>(result: std::result::Result<T, Failure>) -> Result<T> {
    result.map_err(Fail::from)
}

fn values(result: std::result::Result<Vec<String>, Failure>) -> Result<Vec<Json>> {
    fail(result)?.into_iter().map(Json::from_text).collect()
}

/// Long-term memory. From `ctx.memory()`.
pub struct Memory(pub(crate) ());

impl Memory {
    /// Changes a document. The result comes to `on_effect_result` under the operation that this gives.
    pub fn commit(&self, layer: Layer, path: &str, change: &Change, message: &str) -> Result<u64> {
        fail(memory::commit(layer, path, change, message))
    }

    /// Brings a document back to an earlier version.
    pub fn restore(&self, path: &str, version: &str) -> Result<u64> {
        fail(memory::restore(path, version))
    }

    /// Reads a document.
    pub fn read(&self, layer: Layer, path: &str, version: Option<&str>) -> Result<Option<String>> {
        fail(memory::read(layer, path, version))
    }

    /// Lists documents whose path starts with a prefix.
    pub fn list(&self, layer: Option<Layer>, prefix: &str) -> Result<Vec<Entry>> {
        fail(memory::list(layer, prefix))
    }

    /// Searches all layers.
    pub fn search(&self, query: &str, limit: u32) -> Result<Vec<Hit>> {
        fail(memory::search(query, limit))
    }

    /// Versions of a document, newest first.
    pub fn history(&self, path: &str, limit: u32) -> Result<Vec<Json>> {
        values(memory::history(path, limit))
    }
}

/// The user's sandbox. From `ctx.sandbox()`. What takes time is an effect; its result comes to `on_effect_result`.
pub struct Sandbox(pub(crate) ());

impl Sandbox {
    /// Opens a session.
    pub fn open_session(&self, title: &str, options: &(impl Serialize + ?Sized)) -> Result<u64> {
        fail(sandbox::open_session(title, &json::encode(options)?))
    }

    /// Gives the model something to do.
    pub fn prompt(&self, session: &str, parts: &(impl Serialize + ?Sized)) -> Result<u64> {
        fail(sandbox::prompt(session, &json::encode(parts)?))
    }

    /// Stops what the model is doing.
    pub fn abort(&self, session: &str) -> Result<u64> {
        fail(sandbox::abort(session))
    }

    /// Answers a request for permission.
    pub fn reply_permission(&self, session: &str, permission: &str, reply: PermissionReply) -> Result<u64> {
        fail(sandbox::reply_permission(session, permission, reply))
    }

    /// Answers a question of the model.
    pub fn reply_question(&self, session: &str, question: &str, answers: &(impl Serialize + ?Sized)) -> Result<u64> {
        fail(sandbox::reply_question(session, question, &json::encode(answers)?))
    }

    /// Sessions that the host knows.
    pub fn list_sessions(&self) -> Result<Vec<Json>> {
        values(sandbox::list_sessions())
    }

    /// What the model can be taught.
    pub fn skills(&self) -> Result<Vec<Json>> {
        values(sandbox::skills())
    }

    /// State of the user's stack.
    pub fn status(&self) -> Result<Json> {
        fail(sandbox::status()).and_then(Json::from_text)
    }
}
