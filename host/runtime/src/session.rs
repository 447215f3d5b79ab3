//! One client socket at an actor: the connection protocol (`reference/rivet-client-wire.md` section 6), or a raw WebSocket.
//!
//! Invariant: nothing reaches the client before the connection is let in, and `Init` is the first thing that does. Events of one name
//! reach the client in the order of their numbers, without gap or repeat, also when it resumes.
//! Deliberately absent: the network (the gateway's), and the decision who is let in (the actor's).

mod subscriptions;

use crate::core::{Caller, Mail};
use crate::hub::{Event, Hub, frame};
use crate::runtime::{Refused, Shared};
use crate::served::Served;
use crate::waiter::Waiter;
use growqr_seam::{GATEWAY_ACTIONS, NotRunning, Socket, SocketFrame, SocketHandler};
use growqr_turn::{ConnectionKind, Frame, SocketEvent};
use growqr_types::{ActorId, Code, ConnectionId, Failure, Json, Seq, codes, limits};
use growqr_wire::{ActorSpecifier, Encoding, ToServer};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Frames that a client may send before it is let in.
const EARLY_FRAMES_MAX: usize = 64;
/// Bytes of such frames.
const EARLY_BYTES_MAX: usize = 1 << 20;
/// The event that tells a client that what it missed is not kept any more.
pub const RESYNC_EVENT: &str = "resync";

/// What a socket is made of.
pub struct SessionInput {
    /// Whose.
    pub actor: ActorId,
    /// The actor's key in its REST spelling, for error messages.
    pub key: Arc<str>,
    /// Identity.
    pub id: ConnectionId,
    /// Connection protocol or raw.
    pub kind: ConnectionKind,
    /// Encoding of the connection protocol.
    pub encoding: Encoding,
    /// The client resumes.
    pub resume: Option<Resume>,
    /// The client's end.
    pub socket: Arc<dyn Socket>,
    /// The runtime.
    pub shared: Arc<Shared>,
    /// The actor's sockets.
    pub hub: Arc<Hub>,
    /// What the actor is.
    pub served: Arc<Served>,
    /// The client's `traceparent`, under which its actions are traced.
    pub traceparent: Option<Box<str>>,
}

/// Where a client resumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// After this event.
    After(Seq),
    /// Only new events, but with numbers.
    Now,
}

/// See the module's documentation.
pub struct Session {
    input: SessionInput,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// Frames for the client that came before it was let in.
    outgoing: Vec<SocketFrame>,
    /// Frames of the client that came before it was let in.
    incoming: Vec<SocketFrame>,
    incoming_bytes: usize,
    subscriptions: HashMap<Arc<str>, subscriptions::Subscription>,
    /// Subscriptions that a client which resumes has ended, with the last number that it was given.
    left: HashMap<Arc<str>, Seq>,
    /// Counts the replays.
    replays: u64,
    resume: Option<Resume>,
    unanswered: usize,
    frames: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Closed,
}

impl Session {
    /// A socket that is not let in yet.
    pub fn new(input: SessionInput) -> Arc<Self> {
        let state = State {
            phase: Phase::Opening,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            incoming_bytes: 0,
            subscriptions: HashMap::new(),
            left: HashMap::new(),
            replays: 0,
            resume: input.resume,
            unanswered: 0,
            frames: 0,
        };
        Arc::new(Self { input, state: Mutex::new(state) })
    }

    /// Identity of the connection.
    pub fn id(&self) -> ConnectionId {
        self.input.id
    }

    /// Whether the socket may stay open while the actor sleeps.
    pub fn hibernatable(&self) -> bool {
        self.input.kind == ConnectionKind::Socket || self.input.served.options.hibernatable_web_sockets
    }

    fn is_raw(&self) -> bool {
        self.input.kind == ConnectionKind::RawSocket
    }

    fn numbered(&self) -> bool {
        self.input.resume.is_some()
    }

    // --- from the actor ----------------------------------------------------------------------------------------------

    /// The actor has decided whether the client is let in.
    pub fn decided(self: &Arc<Self>, accepted: Result<(), Failure>) {
        match accepted {
            Ok(()) => self.opened(),
            Err(failure) => {
                if !self.is_raw() {
                    self.input.socket.send(self.error_frame(None, &failure));
                }
                self.close_for(&failure);
                self.input.hub.remove(self.input.id);
            }
        }
    }

    fn opened(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.phase != Phase::Opening {
            return;
        }
        state.phase = Phase::Open;
        if !self.is_raw() {
            let init = growqr_wire::encode_init(
                self.input.encoding,
                &self.input.actor.to_string(),
                &self.input.id.to_string(),
            );
            self.input.socket.send(frame(self.input.encoding, init));
            self.check_window(&mut state);
        }
        for frame in std::mem::take(&mut state.outgoing) {
            self.input.socket.send(frame);
        }
        state.incoming_bytes = 0;
        let incoming = std::mem::take(&mut state.incoming);
        drop(state);
        for frame in incoming {
            // The actor runs: it has just decided.
            if let Err(frame) = self.take(frame) {
                self.refuse_frame(&frame, &codes::RESTARTING.failure());
            }
        }
    }

    /// The reply to an action.
    pub fn answer(&self, id: u64, value: Result<Json, Failure>) {
        let encoding = self.input.encoding;
        let sent = match value {
            Ok(value) => growqr_wire::encode_response(encoding, id, &value)
                .map_err(|error| codes::INVALID_OUTPUT.with(error.to_string()))
                .and_then(|bytes| {
                    let max = self.input.served.options.max_outgoing_message_size;
                    if bytes.len() > max + RESPONSE_ENVELOPE_BYTES_MAX {
                        Err(codes::OUTGOING_TOO_LONG.failure())
                    } else {
                        Ok(bytes)
                    }
                })
                .map(|bytes| frame(encoding, bytes)),
            Err(failure) => Err(failure),
        };
        let sent = sent.unwrap_or_else(|failure| self.error_frame(Some(id), &failure));
        let mut state = self.state.lock();
        state.unanswered = state.unanswered.saturating_sub(1);
        drop(state);
        self.input.socket.send(sent);
    }

    fn error_frame(&self, action: Option<u64>, failure: &Failure) -> SocketFrame {
        let id = self.input.actor.to_string();
        let generation = self.input.shared.generation(self.input.actor);
        let actor = ActorSpecifier { actor_id: &id, generation, key: Some(&self.input.key) };
        let bytes = growqr_wire::encode_error(self.input.encoding, action, failure, Some(&actor));
        frame(self.input.encoding, bytes)
    }

    /// An event for this connection alone, subscribed or not.
    pub fn direct_event(&self, event: &Event) {
        if !self.is_raw()
            && let Some(frame) = event.frame(self.input.encoding, self.numbered())
        {
            self.send(frame.clone());
        }
    }

    /// A frame on a raw socket.
    pub fn raw_frame(&self, raw: Frame) {
        self.send(match raw {
            Frame::Text(text) => SocketFrame::Text(text.into()),
            Frame::Binary(bytes) => SocketFrame::Binary(bytes),
        });
    }

    fn send(&self, frame: SocketFrame) {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Open => self.input.socket.send(frame),
            Phase::Opening => state.outgoing.push(frame),
            Phase::Closed => {}
        }
    }

    /// Closes the socket after what was sent.
    pub fn close_with(&self, code: u16, reason: &str) {
        let mut state = self.state.lock();
        for frame in std::mem::take(&mut state.outgoing) {
            self.input.socket.send(frame);
        }
        drop(state);
        self.input.socket.close(code, reason);
    }

    /// The actor was lost together with turns that are not durable. A client of the connection protocol is told about each of its
    /// calls; on a raw socket nothing could say which messages are gone, so that it ends here, and takes no more of them.
    pub fn actor_lost(&self) {
        if self.is_raw() {
            self.state.lock().phase = Phase::Closed;
            self.close(&codes::COMMIT_FAILED);
        }
    }

    fn close(&self, code: &Code) {
        self.input.socket.close(1011, &format!("{}.{}", code.group, code.code));
    }

    pub(crate) fn close_for(&self, failure: &Failure) {
        let mut reason = format!("{}.{}", failure.group, failure.code);
        reason.truncate((0..=123.min(reason.len())).rev().find(|&at| reason.is_char_boundary(at)).unwrap_or(0));
        self.input.socket.close(1011, &reason);
    }

    // --- from the client ---------------------------------------------------------------------------------------------

    /// Takes a frame of a client that was let in. Gives it back when the actor does not run.
    fn take(self: &Arc<Self>, frame: SocketFrame) -> Result<(), SocketFrame> {
        if self.is_raw() {
            return self.take_raw(frame);
        }
        let (SocketFrame::Text(bytes) | SocketFrame::Binary(bytes)) = &frame;
        if bytes.len() > self.input.served.options.max_incoming_message_size {
            self.close(&codes::INCOMING_TOO_LONG);
            return Ok(());
        }
        match growqr_wire::decode_to_server(self.input.encoding, bytes) {
            Ok(ToServer::Action { id, name, args }) => self.take_action(id, name, args, frame),
            Ok(ToServer::Subscription { event, subscribe: true }) => self.subscribe(event, frame),
            Ok(ToServer::Subscription { event, subscribe: false }) => {
                self.unsubscribe(&event);
                Ok(())
            }
            Err(error) => {
                tracing::debug!(%error, "a client's message can't be decoded");
                self.close(&codes::INVALID_REQUEST);
                Ok(())
            }
        }
    }

    fn take_action(self: &Arc<Self>, id: u64, name: String, args: Json, frame: SocketFrame) -> Result<(), SocketFrame> {
        let mut state = self.state.lock();
        state.unanswered += 1;
        let too_many = state.unanswered > limits::SOCKET_ACTIONS_MAX;
        drop(state);
        if too_many {
            self.answer(id, Err(codes::OVERLOADED.failure()));
            return Ok(());
        }
        if name.starts_with(GATEWAY_ACTIONS)
            && let Some(answer) = self.input.socket.action(&name, &args)
        {
            let session = self.clone();
            tokio::spawn(async move { session.answer(id, answer.await) });
            return Ok(());
        }
        let caller = Caller::Connection(self.input.id);
        let mail = Mail::Action { name, args, caller, reply: Waiter::Action(self.clone(), id).traced(self.trace()) };
        match self.input.shared.deliver(self.input.actor, mail) {
            Ok(()) => Ok(()),
            Err(Refused::Full(_)) => {
                self.answer(id, Err(codes::OVERLOADED.failure()));
                Ok(())
            }
            Err(Refused::NotRunning) => {
                let mut state = self.state.lock();
                state.unanswered = state.unanswered.saturating_sub(1);
                Err(frame)
            }
        }
    }

    /// Begins the trace of an action, if there are traces and this one is among them.
    fn trace(&self) -> Option<tracing::Span> {
        let tracer = self.input.shared.tracer.get()?;
        tracer(self.input.traceparent.as_deref(), "socket action")
    }

    fn take_raw(self: &Arc<Self>, frame: SocketFrame) -> Result<(), SocketFrame> {
        let raw = match &frame {
            SocketFrame::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Frame::Text(text.to_owned()),
                Err(_) => {
                    self.input.socket.close(1007, "");
                    return Ok(());
                }
            },
            SocketFrame::Binary(bytes) => Frame::Binary(bytes.clone()),
        };
        let mut state = self.state.lock();
        let index = state.frames + 1;
        let event = SocketEvent::Message(raw, index);
        match self.input.shared.deliver(self.input.actor, Mail::Socket { connection: self.input.id, event }) {
            Ok(()) => {
                state.frames = index;
                Ok(())
            }
            Err(Refused::Full(_)) => {
                drop(state);
                self.close(&codes::OVERLOADED);
                Ok(())
            }
            Err(Refused::NotRunning) => Err(frame),
        }
    }

    pub(crate) fn input(&self) -> &SessionInput {
        &self.input
    }

    /// A frame that can't be given to the actor: whoever waits for its answer is told.
    fn refuse_frame(&self, frame: &SocketFrame, failure: &Failure) {
        let (SocketFrame::Text(bytes) | SocketFrame::Binary(bytes)) = frame;
        if self.is_raw() {
            self.close_for(failure);
            return;
        }
        match growqr_wire::decode_to_server(self.input.encoding, bytes) {
            Ok(ToServer::Action { id, .. }) => self.input.socket.send(self.error_frame(Some(id), failure)),
            _ => self.close_for(failure),
        }
    }
}

/// Bytes that an answer has around its value.
const RESPONSE_ENVELOPE_BYTES_MAX: usize = 128;

/// The gateway's view.
pub struct Handler(pub Arc<Session>);

impl SocketHandler for Handler {
    fn message(&self, frame: SocketFrame) -> Result<(), SocketFrame> {
        let mut state = self.0.state.lock();
        match state.phase {
            Phase::Closed => return Ok(()),
            Phase::Opening => {
                state.incoming_bytes += frame.len();
                if state.incoming.len() >= EARLY_FRAMES_MAX || state.incoming_bytes > EARLY_BYTES_MAX {
                    drop(state);
                    self.0.close(&codes::INCOMING_TOO_LONG);
                    return Ok(());
                }
                state.incoming.push(frame);
                return Ok(());
            }
            Phase::Open => {}
        }
        drop(state);
        self.0.take(frame)
    }

    fn unreachable(&self, frame: SocketFrame, failure: Failure) {
        self.0.refuse_frame(&frame, &failure);
    }

    fn closed(&self, code: u16, reason: &str) -> Result<(), NotRunning> {
        let session = &self.0;
        let input = &session.input;
        session.state.lock().phase = Phase::Closed;
        let hooks = input.served.offer.hooks;
        if hooks.disconnect || hooks.socket && session.is_raw() {
            let mail = Mail::Disconnect { connection: input.id, code, reason: reason.to_owned() };
            input.shared.deliver_control(input.actor, mail)?;
        } else {
            input.connections_remove();
        }
        input.hub.remove(input.id);
        input.shared.drop_hub_if_idle(input.actor);
        Ok(())
    }
}

impl SessionInput {
    /// A connection whose end nobody wants to hear of. One that is not let in yet is taken out when it is.
    fn connections_remove(&self) {
        let mail = Mail::Disconnect { connection: self.id, code: 1005, reason: String::new() };
        if self.shared.deliver_control(self.actor, mail).is_err() {
            self.hub.connections.remove(self.id);
        }
    }
}
