//! The contract's imports: each is a thin adapter onto the turn's scope. An error of the scope fails the turn with that error.

use crate::bindings::growqr::actor::{
    actors, clock, config, connections, events, log, memory, random, replies, sandbox, state, timers, types as wit,
};
use crate::store::StoreData;
use crate::{convert, output};
use growqr_turn::{TargetRef, TurnFailure};
use growqr_types::{Failure, Json, codes};
use serde_json::json;
use serde_json::value::RawValue;
use wasmtime::Result;

impl wit::Host for StoreData {}

impl state::Host for StoreData {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>> {
        Ok(self.turn()?.state_get(&key).await?.map(Into::into))
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> Result<()> {
        Ok(self.turn()?.state_set(key, value.into())?)
    }

    fn delete(&mut self, key: String) -> Result<()> {
        Ok(self.turn()?.state_delete(key)?)
    }

    async fn scan(&mut self, prefix: String, after: Option<String>, limit: u32) -> Result<Vec<(String, Vec<u8>)>> {
        let entries = self.turn()?.state_scan(&prefix, after.as_deref(), limit).await?;
        Ok(entries.into_iter().map(|(key, value)| (key, value.into())).collect())
    }
}

impl connections::Host for StoreData {
    fn list(&mut self) -> Result<Vec<wit::Connection>> {
        Ok(self.turn()?.connections().into_iter().map(convert::connection).collect())
    }

    fn get(&mut self, id: String) -> Result<Option<wit::Connection>> {
        Ok(self.turn()?.connection(&id).map(convert::connection))
    }

    fn set_state(&mut self, id: String, state: Json) -> Result<bool> {
        Ok(self.turn()?.connection_set_state(&id, state)?)
    }

    fn send_frame(&mut self, id: String, frame: wit::Frame) -> Result<bool> {
        Ok(self.turn()?.send_frame(&id, convert::frame(frame))?)
    }

    fn disconnect(&mut self, id: String, code: Option<u16>, reason: String) -> Result<bool> {
        Ok(self.turn()?.disconnect(&id, code, reason)?)
    }
}

impl events::Host for StoreData {
    fn broadcast(&mut self, name: String, args: Json) -> Result<()> {
        Ok(self.turn()?.broadcast(&name, &args)?)
    }

    fn send(&mut self, id: String, name: String, args: Json) -> Result<bool> {
        Ok(self.turn()?.send(&id, &name, &args)?)
    }
}

impl replies::Host for StoreData {
    fn answer(&mut self, handle: u64, outcome: Result<Json, wit::Failure>) -> Result<()> {
        Ok(self.turn()?.answer(handle, outcome.map_err(output::guest_failure))?)
    }

    fn answer_request(&mut self, handle: u64, response: wit::HttpResponse) -> Result<()> {
        let response = output::response(response, growqr_types::limits::RAW_BODY_BYTES_MAX)?;
        Ok(self.turn()?.answer_request(handle, response)?)
    }
}

impl timers::Host for StoreData {
    fn set(&mut self, schedule: timers::Schedule, name: String, payload: Json) -> Result<u64> {
        Ok(self.turn()?.timer_set(convert::schedule(schedule), name, payload)?)
    }

    fn cancel(&mut self, id: u64) -> Result<bool> {
        Ok(self.turn()?.timer_cancel(id)?)
    }

    fn list(&mut self) -> Result<Vec<timers::Timer>> {
        let timers = self.turn()?.timers().into_iter();
        Ok(timers
            .map(|(id, timer)| timers::Timer { id, name: timer.name, payload: timer.payload, due: timer.due })
            .collect())
    }
}

/// An id that can't be read names no actor that ever was.
fn target(target: wit::Target) -> Result<TargetRef, TurnFailure> {
    match target {
        wit::Target::Id(id) => id
            .parse()
            .map(TargetRef::Id)
            .map_err(|_| TurnFailure(codes::INVALID_OUTPUT.with("the target of a message is not an actor id"))),
        wit::Target::Address(address) => Ok(TargetRef::Address { name: address.name, key: address.key }),
    }
}

impl actors::Host for StoreData {
    fn identity(&mut self) -> Result<actors::SelfInfo> {
        Ok(convert::identity(self.turn()?.identity()))
    }

    fn spawn(&mut self, name: String, key: Vec<String>, input: Option<Json>) -> Result<u64> {
        Ok(self.turn()?.spawn(name, key, input)?)
    }

    fn send(&mut self, to: wit::Target, payload: Json) -> Result<u64> {
        Ok(self.turn()?.send_message(target(to)?, payload)?)
    }

    fn call(&mut self, to: wit::Target, action: String, args: Json) -> Result<u64> {
        Ok(self.turn()?.call(target(to)?, action, args)?)
    }

    fn destroy(&mut self, to: wit::Target) -> Result<u64> {
        Ok(self.turn()?.destroy(target(to)?)?)
    }

    fn destroy_self(&mut self) -> Result<()> {
        Ok(self.turn()?.destroy_self()?)
    }

    fn sleep(&mut self) -> Result<()> {
        self.turn()?.sleep();
        Ok(())
    }
}

/// What a guest is told of an operation: its id or a failure. The outer error fails the turn.
type Answer<T> = Result<std::result::Result<T, wit::Failure>>;

fn answer<T>(result: Result<T, Failure>) -> Answer<T> {
    Ok(result.map_err(convert::failure_to_wit))
}

impl memory::Host for StoreData {
    fn commit(&mut self, layer: memory::Layer, path: String, change: memory::Change, message: String) -> Answer<u64> {
        answer(self.turn()?.memory_commit(convert::layer(layer), &path, convert::change(change), &message)?)
    }

    fn restore(&mut self, path: String, version: String) -> Answer<u64> {
        answer(self.turn()?.memory_restore(&path, &version)?)
    }

    async fn read(&mut self, layer: memory::Layer, path: String, version: Option<String>) -> Answer<Option<String>> {
        answer(self.turn()?.memory().read(convert::layer(layer), &path, version.as_deref()).await)
    }

    async fn list(&mut self, layer: Option<memory::Layer>, prefix: String) -> Answer<Vec<memory::Entry>> {
        let entries = self.turn()?.memory().list(layer.map(convert::layer), &prefix).await;
        answer(entries.map(|entries| entries.into_iter().map(convert::entry).collect()))
    }

    async fn search(&mut self, query: String, limit: u32) -> Answer<Vec<memory::Hit>> {
        let hits = self.turn()?.memory().search(&query, limit).await;
        answer(hits.map(|hits| hits.into_iter().map(convert::hit).collect()))
    }

    async fn history(&mut self, path: String, limit: u32) -> Answer<Vec<Json>> {
        answer(self.turn()?.memory().history(&path, limit).await)
    }
}

/// JSON text of the guest as a part of the host's own; text that is not JSON fails the turn.
fn raw(text: String) -> Result<Box<RawValue>, TurnFailure> {
    RawValue::from_string(text).map_err(|error| TurnFailure(codes::INVALID_OUTPUT.with(format!("not JSON: {error}"))))
}

/// The arguments of a sandbox call: an object with the names of the contract's parameters.
fn sandbox_arguments(arguments: impl serde::Serialize) -> Result<Json, TurnFailure> {
    serde_json::to_string(&arguments)
        .map_err(|error| TurnFailure(codes::INVALID_OUTPUT.with(format!("not JSON: {error}"))))
}

#[derive(serde::Serialize)]
struct OpenSession {
    title: String,
    options: Box<RawValue>,
}

#[derive(serde::Serialize)]
struct Prompt {
    session: String,
    parts: Box<RawValue>,
}

#[derive(serde::Serialize)]
struct ReplyQuestion {
    session: String,
    question: String,
    answers: Box<RawValue>,
}

impl sandbox::Host for StoreData {
    fn open_session(&mut self, title: String, options: Json) -> Answer<u64> {
        let arguments = sandbox_arguments(OpenSession { title, options: raw(options)? })?;
        answer(self.turn()?.sandbox_submit("open-session", arguments)?)
    }

    fn prompt(&mut self, session: String, parts: Json) -> Answer<u64> {
        let arguments = sandbox_arguments(Prompt { session, parts: raw(parts)? })?;
        answer(self.turn()?.sandbox_submit("prompt", arguments)?)
    }

    fn abort(&mut self, session: String) -> Answer<u64> {
        let arguments = sandbox_arguments(json!({ "session": session }))?;
        answer(self.turn()?.sandbox_submit("abort", arguments)?)
    }

    fn reply_permission(
        &mut self,
        session: String,
        permission: String,
        reply: sandbox::PermissionReply,
    ) -> Answer<u64> {
        let reply = match reply {
            sandbox::PermissionReply::Once => "once",
            sandbox::PermissionReply::Always => "always",
            sandbox::PermissionReply::Reject => "reject",
        };
        let arguments = json!({ "session": session, "permission": permission, "reply": reply });
        answer(self.turn()?.sandbox_submit("reply-permission", sandbox_arguments(arguments)?)?)
    }

    fn reply_question(&mut self, session: String, question: String, answers: Json) -> Answer<u64> {
        let arguments = sandbox_arguments(ReplyQuestion { session, question, answers: raw(answers)? })?;
        answer(self.turn()?.sandbox_submit("reply-question", arguments)?)
    }

    async fn list_sessions(&mut self) -> Answer<Vec<Json>> {
        answer(self.turn()?.sandbox().list_sessions().await)
    }

    async fn skills(&mut self) -> Answer<Vec<Json>> {
        answer(self.turn()?.sandbox().skills().await)
    }

    async fn status(&mut self) -> Answer<Json> {
        answer(self.turn()?.sandbox().status().await)
    }
}

impl log::Host for StoreData {
    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        self.scope()?.log(convert::log_level(level), message);
        Ok(())
    }
}

impl clock::Host for StoreData {
    fn now(&mut self) -> Result<u64> {
        Ok(self.turn()?.now())
    }
}

impl random::Host for StoreData {
    fn bytes(&mut self, length: u32) -> Result<Vec<u8>> {
        Ok(self.turn()?.random_bytes(length))
    }

    fn number(&mut self) -> Result<u64> {
        Ok(self.turn()?.random_number())
    }
}

impl config::Host for StoreData {
    fn get(&mut self, key: String) -> Result<Option<Json>> {
        Ok(self.scope()?.config(&key))
    }
}
