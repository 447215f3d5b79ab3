//! The outgoing side of a client's socket, as an actor's runtime sees it.
//!
//! Any task may put frames in; the socket's own task takes them out and writes them. Nothing here waits for the network.
//!
//! Invariant: no more than `SOCKET_QUEUE_MESSAGES_MAX` messages and `SOCKET_QUEUE_BYTES_MAX` bytes wait. One more, and all of them
//! are given up and the client is told `message.slow_reader`: a reader that is too slow costs nothing from that moment on.

use crate::meters::METERS;
use futures::future::BoxFuture;
use futures::task::AtomicWaker;
use growqr_identity::sessions::Closable;
use growqr_seam::{Socket, SocketFrame};
use growqr_types::{Code, codes, limits};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Waker;
use tokio::sync::Notify;

/// Bytes of a close reason on the wire.
pub(crate) const REASON_BYTES_MAX: usize = 123;
/// The close code of every failure.
pub(crate) const CLOSE_FAILURE: u16 = 1011;
/// The close code when the client may not go on.
pub(crate) const CLOSE_NOT_ALLOWED: u16 = 1008;

/// What the socket's task does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Write this.
    Frame(SocketFrame),
    /// Say goodbye: nothing follows.
    Close(u16, Box<str>),
    /// Wait to be woken.
    Nothing,
}

/// Whether and how fast the socket is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is not.
    No,
    /// After what is queued.
    AfterQueue,
    /// At once: the client was too slow, or may not go on. What it still sends is not looked at.
    AtOnce,
    /// Without another word.
    Aborted,
}

const NOT_ENDING: u8 = 0;
const AFTER_QUEUE: u8 = 1;
const AT_ONCE: u8 = 2;
const ABORTED: u8 = 3;

enum Phase {
    Open,
    Closing(u16, Box<str>),
    Closed,
}

struct State {
    frames: VecDeque<SocketFrame>,
    bytes: usize,
    phase: Phase,
    /// Somebody waits for room.
    waiting: bool,
}

impl State {
    fn has_room(&self) -> bool {
        !matches!(self.phase, Phase::Open)
            || (self.bytes <= limits::SOCKET_QUEUE_BYTES_MAX / 2
                && self.frames.len() <= limits::SOCKET_QUEUE_MESSAGES_MAX / 2)
    }

    fn clear(&mut self) {
        self.frames = VecDeque::new();
        self.bytes = 0;
    }
}

/// Frames on their way to one client.
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// An [`Ending`], so that the socket's task need not take the lock to look.
    ending: AtomicU8,
    task: AtomicWaker,
    room: Notify,
}

impl Outbox {
    /// An empty one.
    pub(crate) fn new() -> Arc<Self> {
        let state = State { frames: VecDeque::new(), bytes: 0, phase: Phase::Open, waiting: false };
        Arc::new(Self {
            state: Mutex::new(state),
            ending: AtomicU8::new(NOT_ENDING),
            task: AtomicWaker::new(),
            room: Notify::new(),
        })
    }

    /// Who is woken when there is something to do.
    pub(crate) fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }

    /// Nobody need be woken until the next [`Self::register`]: the task is running and will look by itself.
    pub(crate) fn unregister(&self) {
        drop(self.task.take());
    }

    /// Takes out what is next.
    pub(crate) fn pop(&self) -> Next {
        let mut state = self.state.lock();
        let next = match state.frames.pop_front() {
            Some(frame) => {
                state.bytes -= frame.len();
                if state.frames.is_empty() {
                    // A burst's ring would otherwise stay with an idle socket for ever.
                    state.frames = VecDeque::new();
                }
                Next::Frame(frame)
            }
            None => match std::mem::replace(&mut state.phase, Phase::Closed) {
                Phase::Closing(code, reason) => Next::Close(code, reason),
                phase => {
                    state.phase = phase;
                    Next::Nothing
                }
            },
        };
        self.tell(&mut state);
        next
    }

    /// Whether the socket is to be closed.
    pub(crate) fn ending(&self) -> Ending {
        match self.ending.load(Ordering::Acquire) {
            AFTER_QUEUE => Ending::AfterQueue,
            AT_ONCE => Ending::AtOnce,
            ABORTED => Ending::Aborted,
            _ => Ending::No,
        }
    }

    /// The host can't wait any longer: the socket's task ends as soon as it runs.
    pub(crate) fn abort(&self) {
        self.discard();
        self.ending.store(ABORTED, Ordering::Release);
        self.task.wake();
    }

    /// The socket is gone: forgets what waits and takes nothing more.
    pub(crate) fn discard(&self) {
        let mut state = self.state.lock();
        state.clear();
        state.phase = Phase::Closed;
        self.tell(&mut state);
    }

    fn tell(&self, state: &mut State) {
        if state.waiting && state.has_room() {
            state.waiting = false;
            self.room.notify_waiters();
        }
    }
}

impl Socket for Outbox {
    fn send(&self, frame: SocketFrame) {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Open) {
            return;
        }
        let full = state.frames.len() >= limits::SOCKET_QUEUE_MESSAGES_MAX
            || state.bytes + frame.len() > limits::SOCKET_QUEUE_BYTES_MAX;
        if full {
            METERS.slow_readers.increment(1);
            state.clear();
            let reason = format!("{}.{}", codes::SLOW_READER.group, codes::SLOW_READER.code);
            state.phase = Phase::Closing(CLOSE_FAILURE, reason.into());
            self.ending.store(AT_ONCE, Ordering::Release);
            self.tell(&mut state);
        } else {
            METERS.messages_out.increment(1);
            state.bytes += frame.len();
            state.frames.push_back(frame);
        }
        drop(state);
        self.task.wake();
    }

    fn close(&self, code: u16, reason: &str) {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Open) {
            return;
        }
        state.phase = Phase::Closing(code, shortened(reason).into());
        self.ending.store(AFTER_QUEUE, Ordering::Release);
        self.tell(&mut state);
        drop(state);
        self.task.wake();
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                let mut told = std::pin::pin!(self.room.notified());
                told.as_mut().enable();
                {
                    let mut state = self.state.lock();
                    if state.has_room() {
                        return;
                    }
                    state.waiting = true;
                }
                told.await;
            }
        })
    }
}

impl Closable for Outbox {
    fn close(&self, code: &Code) {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Open) {
            return;
        }
        // Nothing of what waits may go to somebody who may not have it any more.
        state.clear();
        state.phase = Phase::Closing(CLOSE_NOT_ALLOWED, format!("{}.{}", code.group, code.code).into());
        self.ending.store(AT_ONCE, Ordering::Release);
        self.tell(&mut state);
        drop(state);
        self.task.wake();
    }
}

/// As much of a reason as a close frame can carry, cut between letters.
pub(crate) fn shortened(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn text(len: usize) -> SocketFrame {
        SocketFrame::Text(vec![b'x'; len].into())
    }

    #[test]
    fn frames_come_out_in_order_and_the_close_last() {
        let outbox = Outbox::new();
        outbox.send(text(1));
        outbox.send(text(2));
        Socket::close(&*outbox, 1000, "bye");
        outbox.send(text(3));
        Socket::close(&*outbox, 1011, "again");
        assert_eq!(outbox.pop(), Next::Frame(text(1)));
        assert_eq!(outbox.pop(), Next::Frame(text(2)));
        assert_eq!(outbox.pop(), Next::Close(1000, "bye".into()));
        assert_eq!(outbox.pop(), Next::Nothing);
    }

    #[test]
    fn one_message_too_many_frees_the_queue_and_closes() {
        let outbox = Outbox::new();
        for _ in 0..=limits::SOCKET_QUEUE_MESSAGES_MAX {
            outbox.send(text(1));
        }
        assert_eq!(outbox.ending(), Ending::AtOnce);
        assert_eq!(outbox.state.lock().frames.capacity(), 0);
        assert_eq!(outbox.pop(), Next::Close(1011, "message.slow_reader".into()));
    }

    #[test]
    fn one_byte_too_many_frees_the_queue_and_closes() {
        let outbox = Outbox::new();
        outbox.send(text(limits::SOCKET_QUEUE_BYTES_MAX));
        assert_eq!(outbox.ending(), Ending::No);
        outbox.send(text(1));
        assert_eq!(outbox.pop(), Next::Close(1011, "message.slow_reader".into()));
    }

    #[test]
    fn a_session_that_ends_gives_up_what_waits_and_closes_at_once() {
        let outbox = Outbox::new();
        outbox.send(text(1));
        Closable::close(&*outbox, &codes::SESSION_REVOKED);
        outbox.send(text(2));
        assert_eq!(outbox.ending(), Ending::AtOnce);
        assert_eq!(outbox.pop(), Next::Close(1008, "auth.session_revoked".into()));
        assert_eq!(outbox.pop(), Next::Nothing);
    }

    #[test]
    fn a_replay_waits_until_half_of_the_queue_is_read() {
        let outbox = Outbox::new();
        assert_eq!(outbox.ready().now_or_never(), Some(()));
        for _ in 0..3 {
            outbox.send(text(limits::SOCKET_QUEUE_BYTES_MAX / 4));
        }
        let mut ready = outbox.ready();
        assert_eq!((&mut ready).now_or_never(), None);
        outbox.pop();
        assert_eq!(ready.now_or_never(), Some(()));
    }

    #[test]
    fn a_replay_to_a_closed_socket_does_not_wait() {
        let outbox = Outbox::new();
        outbox.send(text(limits::SOCKET_QUEUE_BYTES_MAX));
        let mut ready = outbox.ready();
        assert_eq!((&mut ready).now_or_never(), None);
        outbox.discard();
        assert_eq!(ready.now_or_never(), Some(()));
    }

    #[test]
    fn a_long_reason_is_cut_between_letters() {
        assert_eq!(shortened("bye"), "bye");
        let long = "é".repeat(100);
        assert_eq!(shortened(&long).len(), 122);
    }
}
