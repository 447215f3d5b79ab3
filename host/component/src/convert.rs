//! Between the types of the bindings and those of a turn.

use crate::bindings::growqr::actor::{actors, log, memory, timers, types as wit};
use growqr_turn as turn;
use growqr_types::Failure;

pub(crate) fn failure_to_wit(failure: Failure) -> wit::Failure {
    wit::Failure {
        group: failure.group.into_owned(),
        code: failure.code.into_owned(),
        message: failure.message,
        metadata: failure.metadata,
    }
}

pub(crate) fn connection(connection: turn::Connection) -> wit::Connection {
    wit::Connection {
        id: connection.id.to_string(),
        kind: connection_kind(connection.kind),
        params: connection.params.as_ref().to_owned(),
        state: connection.state.map(|state| state.as_ref().to_owned()),
        hibernatable: connection.hibernatable,
    }
}

fn connection_kind(kind: turn::ConnectionKind) -> wit::ConnectionKind {
    match kind {
        turn::ConnectionKind::Socket => wit::ConnectionKind::Socket,
        turn::ConnectionKind::Request => wit::ConnectionKind::Request,
        turn::ConnectionKind::RawSocket => wit::ConnectionKind::RawSocket,
        turn::ConnectionKind::RawRequest => wit::ConnectionKind::RawRequest,
    }
}

pub(crate) fn connection_request(request: turn::ConnectionRequest) -> wit::ConnectionRequest {
    wit::ConnectionRequest {
        id: request.id.to_string(),
        kind: connection_kind(request.kind),
        params: request.params.as_ref().to_owned(),
        request: http_request(request.request.as_ref().clone()),
        reply: request.reply,
    }
}

pub(crate) fn http_request(request: turn::HttpRequest) -> wit::HttpRequest {
    wit::HttpRequest {
        method: request.method,
        url: request.url,
        headers: request.headers.into_iter().map(|(name, value)| wit::Header { name, value }).collect(),
        body: request.body.into(),
    }
}

pub(crate) fn http_response(response: wit::HttpResponse) -> turn::HttpResponse {
    turn::HttpResponse {
        status: response.status,
        headers: response.headers.into_iter().map(|header| (header.name, header.value)).collect(),
        body: response.body.into(),
    }
}

pub(crate) fn action_call(call: turn::ActionCall) -> wit::ActionCall {
    wit::ActionCall {
        name: call.name,
        args: call.args,
        connection: call.connection.map(|id| id.to_string()),
        caller: call.caller.map(|id| id.to_string()),
        reply: call.reply,
    }
}

pub(crate) fn queue_message(message: turn::QueueMessage) -> wit::QueueMessage {
    wit::QueueMessage {
        queue: message.queue,
        body: message.body,
        connection: message.connection.map(|id| id.to_string()),
        waiting: message.waiting,
        reply: message.reply,
    }
}

pub(crate) fn socket_event(event: turn::SocketEvent) -> wit::SocketEvent {
    match event {
        turn::SocketEvent::Open(request) => wit::SocketEvent::Open(http_request(request.as_ref().clone())),
        turn::SocketEvent::Message(frame, index) => {
            let frame = match frame {
                turn::Frame::Text(text) => wit::Frame::Text(text),
                turn::Frame::Binary(bytes) => wit::Frame::Binary(bytes.into()),
            };
            wit::SocketEvent::Message(wit::SocketMessage { frame, index })
        }
        turn::SocketEvent::Close(code, reason) => wit::SocketEvent::Close(wit::SocketClose { code, reason }),
    }
}

pub(crate) fn frame(frame: wit::Frame) -> turn::Frame {
    match frame {
        wit::Frame::Text(text) => turn::Frame::Text(text),
        wit::Frame::Binary(bytes) => turn::Frame::Binary(bytes.into()),
    }
}

pub(crate) fn actor_message(message: turn::ActorMessage) -> wit::ActorMessage {
    wit::ActorMessage { sender: message.sender.to_string(), sender_name: message.sender_name, payload: message.payload }
}

pub(crate) fn timer_event(timer: turn::TimerEvent) -> wit::TimerEvent {
    wit::TimerEvent { id: timer.id, name: timer.name, payload: timer.payload, due: timer.due }
}

pub(crate) fn sandbox_event(event: turn::SandboxEvent) -> wit::SandboxEvent {
    wit::SandboxEvent { session: event.session, kind: event.kind, payload: event.payload }
}

pub(crate) fn effect_result(result: turn::EffectResult) -> wit::EffectResult {
    wit::EffectResult { operation: result.operation, outcome: result.outcome.map_err(failure_to_wit) }
}

pub(crate) fn wake_reason(reason: turn::WakeReason) -> wit::WakeReason {
    match reason {
        turn::WakeReason::Created => wit::WakeReason::Created,
        turn::WakeReason::Woken => wit::WakeReason::Woken,
        turn::WakeReason::Restarted => wit::WakeReason::Restarted,
        turn::WakeReason::Swapped => wit::WakeReason::Swapped,
    }
}

pub(crate) fn schedule(schedule: timers::Schedule) -> turn::Schedule {
    match schedule {
        timers::Schedule::At(at) => turn::Schedule::At(at),
        timers::Schedule::After(delay) => turn::Schedule::After(delay),
        timers::Schedule::Every(interval) => turn::Schedule::Every(interval),
        timers::Schedule::Cron(expression) => turn::Schedule::Cron(expression),
    }
}

pub(crate) fn identity(identity: &turn::Identity) -> actors::SelfInfo {
    actors::SelfInfo {
        id: identity.id.to_string(),
        name: identity.name.clone(),
        key: identity.key.0.clone(),
        namespace: identity.namespace.clone(),
        region: identity.region.clone(),
        generation: identity.generation,
        created: identity.created,
    }
}

pub(crate) fn layer(layer: memory::Layer) -> turn::MemoryLayer {
    match layer {
        memory::Layer::Actor => turn::MemoryLayer::Actor,
        memory::Layer::Session => turn::MemoryLayer::Session,
        memory::Layer::Repository => turn::MemoryLayer::Repository,
    }
}

fn layer_to_wit(layer: turn::MemoryLayer) -> memory::Layer {
    match layer {
        turn::MemoryLayer::Actor => memory::Layer::Actor,
        turn::MemoryLayer::Session => memory::Layer::Session,
        turn::MemoryLayer::Repository => memory::Layer::Repository,
    }
}

pub(crate) fn change(change: memory::Change) -> turn::MemoryChange {
    match change {
        memory::Change::Content(text) => turn::MemoryChange::Content(text),
        memory::Change::Append(text) => turn::MemoryChange::Append(text),
        memory::Change::Edit((old, new)) => turn::MemoryChange::Edit(old, new),
    }
}

pub(crate) fn entry(entry: turn::MemoryEntry) -> memory::Entry {
    memory::Entry {
        path: entry.path,
        layer: layer_to_wit(entry.layer),
        version: entry.version,
        size: entry.size,
        updated: entry.updated,
    }
}

pub(crate) fn hit(hit: turn::MemoryHit) -> memory::Hit {
    memory::Hit { path: hit.path, layer: layer_to_wit(hit.layer), line: hit.line, text: hit.text }
}

pub(crate) fn log_level(level: log::Level) -> turn::LogLevel {
    match level {
        log::Level::Trace => turn::LogLevel::Trace,
        log::Level::Debug => turn::LogLevel::Debug,
        log::Level::Info => turn::LogLevel::Info,
        log::Level::Warn => turn::LogLevel::Warn,
        log::Level::Error => turn::LogLevel::Error,
    }
}
