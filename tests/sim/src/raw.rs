//! Clients with raw WebSockets: they send frames, and each frame comes back when its turn is durable.

use crate::client::{ACTORS, resolve};
use crate::faults::{Counter, Dice, Fault};
use crate::ledger::{Ended, Operation, SharedLedger};
use futures::future::BoxFuture;
use growqr_engine::Engine;
use growqr_seam::{Socket, SocketFrame, SocketOpen};
use growqr_types::ConnectionId;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Frames of one socket.
const FRAMES_MAX: u64 = 12;

/// The client's end of a socket.
struct Echo {
    ledger: SharedLedger,
    counter: Counter,
    /// Frames that were sent and did not come back yet.
    sent: Mutex<VecDeque<String>>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
}

impl Socket for Echo {
    fn send(&self, frame: SocketFrame) {
        let (SocketFrame::Text(bytes) | SocketFrame::Binary(bytes)) = frame;
        let token = String::from_utf8_lossy(&bytes).into_owned();
        if *self.state.lock() == State::Closed {
            return;
        }
        let mut ledger = self.ledger.lock();
        let expected = self.sent.lock().pop_front();
        if expected.as_deref() != Some(&token) {
            ledger.wrong.push(format!("a raw socket heard of {token}, and should hear of {expected:?}"));
        }
        if let Some(operation) = ledger.operations.get_mut(&token) {
            operation.ended = Ended::Done("1".to_owned());
        }
        drop(ledger);
        self.changed.notify_one();
    }

    fn close(&self, _: u16, _: &str) {
        *self.state.lock() = State::Closed;
        if !self.sent.lock().is_empty() {
            self.counter.hit(Fault::SocketClosed);
        }
        self.changed.notify_one();
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Opens one socket after the other until it is dropped.
pub async fn client(engine: &Engine, ledger: &SharedLedger, counter: &Counter, name: String, mut dice: Dice) {
    for number in 0.. {
        tokio::time::sleep(Duration::from_millis(dice.between(1, 200))).await;
        let actor = dice.between(0, ACTORS as u64 - 1) as usize;
        let echo = Arc::new(Echo {
            ledger: ledger.clone(),
            counter: counter.clone(),
            sent: Mutex::default(),
            state: Mutex::new(State::Open),
            changed: Notify::new(),
        });
        let open = SocketOpen {
            connection: ConnectionId::from_bytes(dice.bytes()),
            request: http::Request::get("/websocket/frames").body(()).expect("a request"),
            socket: echo.clone(),
        };
        let Ok(id) = resolve(engine, actor).await else { continue };
        let Ok(session) = engine.websocket(id, open).await else { continue };
        for frame in 0..dice.between(1, FRAMES_MAX) {
            if *echo.state.lock() == State::Closed {
                break;
            }
            let token = format!("{name}-{number}-{frame}");
            ledger.lock().operations.insert(token.clone(), Operation { actor, kind: "frame", ended: Ended::Unknown });
            echo.sent.lock().push_back(token.clone());
            session.message(SocketFrame::Text(token.into())).await;
            if dice.per_mille(500) {
                tokio::time::sleep(Duration::from_millis(dice.between(0, 150))).await;
            }
        }
        let patience = tokio::time::sleep(Duration::from_millis(dice.between(1, 900)));
        tokio::pin!(patience);
        while *echo.state.lock() == State::Open && !echo.sent.lock().is_empty() {
            tokio::select! {
                biased;
                () = echo.changed.notified() => {}
                () = &mut patience => break,
            }
        }
        *echo.state.lock() = State::Closed;
        session.closed(1000, "").await;
    }
}
