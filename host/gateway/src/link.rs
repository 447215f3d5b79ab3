//! One client's WebSocket: reads and writes frames, keeps it alive, closes it.
//!
//! A link is driven by exactly one task, which calls [`Link::next`] for the client's next message and [`Link::drive`] while it
//! waits for something else. Both write what the [`Outbox`] holds, so a client gets its messages even while the actor is not ready
//! for the next one of its own; only [`Link::next`] reads, so a busy actor slows its client down and not the host.
//!
//! # The choice of the WebSocket crate
//!
//! `examples/ws_choice.rs` measures echo servers with 64-byte messages. Medians of three runs, in the development profile on four
//! cores that were busy with other work (load 10 to 13), so that only large differences mean something:
//!
//! | server | p50 | p99 | processor time per message | memory per idle socket of 5,000 |
//! |---|---|---|---|---|
//! | tokio-websockets 0.13 | 26 us | 48 us | 8.9 us | 5.6 KiB |
//! | tokio-tungstenite 0.30, read buffer of 8 KiB | 41 us | 111 us | 9.1 us | 9.8 KiB |
//! | fastwebsockets 0.10 | 5 us | 55 us | 5.6 us | 5.6 KiB |
//! | this gateway (one run after the last change) | 43 us | 116 us | 11.5 us | 9.1 KiB |
//!
//! `fastwebsockets` was the fastest, but loses a frame's head when a read is given up half-way, which a task that reads and writes
//! must do, and leaves the checks of fragments to a wrapper that can't be given up either. `tokio-tungstenite` copies every message
//! into a write buffer that never shrinks. `tokio-websockets` does neither. What it lacks is done here: the reason of an echoed
//! close ([`Link::finish`]), and a bound on pongs (`owes_pong`).
//!
//! Invariant: what is held for a client is bounded: frames go from the outbox to the writer only as far as the writer takes them,
//! and pongs are owed for one ping at a time.

use crate::outbox::{CLOSE_FAILURE, Ending, Next, Outbox, shortened};
use crate::transport::Transport;
use futures::{Sink, Stream};
use growqr_seam::SocketFrame;
use growqr_types::codes;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, Sleep};
use tokio_websockets::proto::ProtocolError;
use tokio_websockets::{CloseCode, Config, Error, Limits, Message, ServerBuilder, WebSocketStream};

/// Bytes that are handed to the writer before it must have written some.
const WRITER_BYTES_MAX: usize = 64 << 10;
/// Bytes that are read and thrown away after a client was told that it broke the protocol. A stream that is closed with unread
/// bytes is reset, and the client would not see why.
const LINGER_BYTES_MAX: usize = 1 << 20;
/// Nobody said goodbye.
const CLOSE_LOST: u16 = 1006;
/// Goodbye without a code.
const CLOSE_NO_CODE: u16 = 1005;

/// The times of a link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) ping_interval: Duration,
    pub(crate) silence_max: Duration,
    pub(crate) close_timeout: Duration,
}

/// What a client did.
#[derive(Debug)]
pub(crate) enum Event {
    /// It sent a message.
    Frame(SocketFrame),
    /// It will send nothing more.
    Ended(Ended),
}

/// How a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client said goodbye, first or as an answer to ours.
    Goodbye(Option<u16>, Box<str>),
    /// The client broke the rules, and is told so.
    Refused(u16, Box<str>),
    /// The connection is gone.
    Lost,
}

impl Ended {
    /// Code and reason for the actor.
    pub(crate) fn told(&self) -> (u16, &str) {
        match self {
            Self::Goodbye(code, reason) => (code.unwrap_or(CLOSE_NO_CODE), reason),
            Self::Refused(code, reason) => (*code, reason),
            Self::Lost => (CLOSE_LOST, ""),
        }
    }
}

/// A client's WebSocket.
pub(crate) struct Link {
    stream: WebSocketStream<Transport>,
    outbox: Arc<Outbox>,
    timing: Timing,
    timer: Pin<Box<Sleep>>,
    /// When the closing handshake must be over.
    deadline: Option<Instant>,
    /// The writer holds something that is not written yet.
    dirty: bool,
    /// A part of that is the answer to a ping.
    owes_pong: bool,
    /// Our close frame is with the writer.
    closing: bool,
    /// Writing failed, or took too long at the end.
    broken: bool,
}

impl Link {
    /// Takes over a stream after the handshake.
    pub(crate) fn new(transport: Transport, outbox: Arc<Outbox>, frame_bytes_max: usize, timing: Timing) -> Self {
        let stream = ServerBuilder::new()
            .config(Config::default().flush_threshold(WRITER_BYTES_MAX).frame_size(usize::MAX))
            .limits(Limits::default().max_payload_len(Some(frame_bytes_max)))
            .serve(transport);
        let timer = Box::pin(tokio::time::sleep(timing.ping_interval));
        Self {
            stream,
            outbox,
            timing,
            timer,
            deadline: None,
            dirty: false,
            owes_pong: false,
            closing: false,
            broken: false,
        }
    }

    /// The client's next message, or how it ended. Writes meanwhile. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Event {
        self.stream.get_mut().delivered();
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Waits for something else; writes meanwhile, and does not read. Comes back with nothing when the host can't wait any longer.
    ///
    /// It borrows what it waits for: a future that is handed over would be in the task twice.
    pub(crate) async fn drive<F: Future>(&mut self, mut future: Pin<&mut F>) -> Option<F::Output> {
        let mut waited = false;
        let output = poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            waited = true;
            self.poll_unread(cx);
            if self.outbox.ending() == Ending::Aborted { Poll::Ready(None) } else { Poll::Pending }
        })
        .await;
        if waited {
            // Nobody listened, so the client's silence does not count.
            self.stream.get_mut().touch();
        }
        output
    }

    /// Ends the link: says goodbye as far as that was not done, and closes the stream.
    pub(crate) async fn finish(mut self, ended: &Ended) {
        self.outbox.discard();
        let bound = self.timing.close_timeout;
        let lingers = matches!(ended, Ended::Refused(..));
        let goodbye = match ended {
            Ended::Lost => return,
            // The client has answered our goodbye.
            Ended::Goodbye(..) if self.closing => None,
            Ended::Goodbye(code, reason) => Some((*code, reason)),
            Ended::Refused(code, reason) => Some((Some(*code), reason)),
        };
        // The library's own goodbye has no reason, so ours takes its place, unless an unfinished frame is before it.
        let own = goodbye.filter(|_| !self.dirty).map(|(code, reason)| close_frame(code, reason));
        let ending = async {
            if own.is_none() {
                poll_fn(|cx| Pin::new(&mut self.stream).poll_flush(cx)).await.map_err(|_| Closed)?;
            }
            let mut transport = self.stream.into_inner();
            if let Some(frame) = own {
                transport.write_all(&frame).await.map_err(|_| Closed)?;
            }
            transport.shutdown().await.map_err(|_| Closed)?;
            if lingers {
                let mut rest = transport.take(LINGER_BYTES_MAX as u64);
                tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.map_err(|_| Closed)?;
            }
            Ok::<(), Closed>(())
        };
        // A client that is gone, or takes too long, loses the goodbye and nothing else.
        let _ = tokio::time::timeout(bound, ending).await;
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if matches!(self.poll_write(cx), Poll::Ready(Err(Closed))) {
            return Poll::Ready(Event::Ended(Ended::Lost));
        }
        loop {
            while let Poll::Ready(message) = self.poll_read(cx) {
                if let Some(event) = self.received(message) {
                    return Poll::Ready(event);
                }
                if matches!(self.poll_write(cx), Poll::Ready(Err(Closed))) {
                    return Poll::Ready(Event::Ended(Ended::Lost));
                }
            }
            match ready!(self.poll_timer(cx)) {
                Timeout::Over => return Poll::Ready(Event::Ended(Ended::Lost)),
                Timeout::Pinged => {
                    if matches!(self.poll_write(cx), Poll::Ready(Err(Closed))) {
                        return Poll::Ready(Event::Ended(Ended::Lost));
                    }
                }
            }
        }
    }

    fn poll_unread(&mut self, cx: &mut Context<'_>) {
        let over = matches!(self.poll_write(cx), Poll::Ready(Err(Closed)))
            || (self.deadline.is_some() && self.timer.as_mut().poll(cx).is_ready());
        if over && !self.broken {
            self.broken = true;
            self.outbox.discard();
        }
    }

    /// Writes what the outbox holds. Ready when all of it is on its way.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.outbox.register(cx.waker());
        self.watch_ending();
        if self.broken {
            return Poll::Ready(Err(Closed));
        }
        while !self.closing {
            ready!(Pin::new(&mut self.stream).poll_ready(cx)).map_err(|_| Closed)?;
            let message = match self.outbox.pop() {
                Next::Frame(SocketFrame::Text(bytes)) => Message::text(bytes),
                Next::Frame(SocketFrame::Binary(bytes)) => Message::binary(bytes),
                Next::Close(code, reason) => {
                    self.closing = true;
                    Message::close(Some(sendable(code)), shortened(&reason))
                }
                Next::Nothing => break,
            };
            Pin::new(&mut self.stream).start_send(message).map_err(|_| Closed)?;
            self.dirty = true;
        }
        if self.dirty {
            ready!(Pin::new(&mut self.stream).poll_flush(cx)).map_err(|_| Closed)?;
            self.dirty = false;
            self.owes_pong = false;
            if self.closing {
                self.end_by(self.timing.close_timeout);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn watch_ending(&mut self) {
        let ending = self.outbox.ending();
        if ending == Ending::Aborted {
            self.broken = true;
        }
        if self.deadline.is_some() {
            return;
        }
        match ending {
            Ending::No | Ending::Aborted => {}
            // A slow client may still read the last of what it was sent.
            Ending::AfterQueue => self.end_by(self.timing.silence_max),
            Ending::AtOnce => self.end_by(self.timing.close_timeout),
        }
    }

    fn end_by(&mut self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        self.deadline = Some(deadline);
        self.timer.as_mut().reset(deadline);
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        if self.owes_pong {
            // The last pong is not written, because the client does not read: it gets no second one before that.
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_next(cx)
    }

    /// What a message means; `None` if it needs nothing.
    fn received(&mut self, message: Option<Result<Message, Error>>) -> Option<Event> {
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Some(Event::Ended(self.refusal(&error))),
            None => return Some(Event::Ended(Ended::Lost)),
        };
        if let Some((code, reason)) = message.as_close() {
            let code = u16::from(code);
            let code = (code != CLOSE_NO_CODE).then_some(code);
            return Some(Event::Ended(Ended::Goodbye(code, reason.into())));
        }
        if message.is_ping() {
            // The library has put the pong into the writer, unless we are closing.
            self.dirty |= !self.closing;
            self.owes_pong = !self.closing;
            return None;
        }
        let is_text = message.is_text();
        if message.is_pong() || self.closing || self.outbox.ending() == Ending::AtOnce {
            return None;
        }
        let bytes = message.into_payload().into();
        let frame = if is_text { SocketFrame::Text(bytes) } else { SocketFrame::Binary(bytes) };
        self.stream.get_mut().complete(frame.len());
        // What the actor answers at once is written when this task comes back to the link, without being woken for it.
        self.outbox.unregister();
        Some(Event::Frame(frame))
    }

    fn refusal(&self, error: &Error) -> Ended {
        let named = |code: &growqr_types::Code| format!("{}.{}", code.group, code.code).into();
        match error {
            Error::PayloadTooLong { .. } => Ended::Refused(CLOSE_FAILURE, named(&codes::INCOMING_TOO_LONG)),
            Error::Protocol(ProtocolError::InvalidUtf8) => {
                Ended::Refused(CloseCode::INVALID_FRAME_PAYLOAD_DATA.into(), "invalid utf-8".into())
            }
            Error::Protocol(error) => Ended::Refused(CloseCode::PROTOCOL_ERROR.into(), error.to_string().into()),
            _ if self.stream.get_ref().is_spent() => Ended::Refused(CLOSE_FAILURE, named(&codes::SERVICE_UNAVAILABLE)),
            _ => Ended::Lost,
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Timeout> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.deadline.is_some() {
                return Poll::Ready(Timeout::Over);
            }
            let heard = self.stream.get_ref().heard();
            let silence = heard.elapsed();
            if silence >= self.timing.silence_max {
                return Poll::Ready(Timeout::Over);
            }
            if silence < self.timing.ping_interval {
                self.timer.as_mut().reset(heard + self.timing.ping_interval);
                continue;
            }
            self.timer.as_mut().reset(heard + self.timing.silence_max);
            if Pin::new(&mut self.stream).start_send(Message::ping("")).is_err() {
                return Poll::Ready(Timeout::Over);
            }
            self.dirty = true;
            return Poll::Ready(Timeout::Pinged);
        }
    }
}

/// The stream takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Closed;

enum Timeout {
    /// The client was silent for too long, or took too long to say goodbye.
    Over,
    /// It was asked for a sign of life.
    Pinged,
}

/// The code, if it may be sent, or the one for failures.
fn sendable(code: u16) -> CloseCode {
    CloseCode::try_from(code).ok().filter(|code| !code.is_reserved()).unwrap_or(CloseCode::INTERNAL_SERVER_ERROR)
}

/// A close frame as a server sends it. Only for the end of a stream, past the library.
fn close_frame(code: Option<u16>, reason: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    if let Some(code) = code {
        payload.extend_from_slice(&u16::from(sendable(code)).to_be_bytes());
        payload.extend_from_slice(shortened(reason).as_bytes());
    }
    // The payload has at most 125 bytes, which is what one byte of length can say.
    let mut frame = vec![0x88, payload.len() as u8];
    frame.append(&mut payload);
    frame
}
