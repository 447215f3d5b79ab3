//! A client's TCP stream after the upgrade.
//!
//! It gives first what the HTTP connection had already read, notes when the client was heard last, and charges the bytes of
//! incomplete messages to the budget of all clients.

use crate::budget::Charge;
use bytes::{Buf, Bytes};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Bytes of one socket's incomplete messages that are not charged: the read buffer that every socket has anyway.
const UNCHARGED_BYTES: usize = 8 << 10;

/// A client's TCP stream.
pub(crate) struct Transport {
    tcp: TcpStream,
    read_before: Bytes,
    heard: Instant,
    unread: usize,
    charge: Charge,
    spent: bool,
}

impl Transport {
    /// A stream of which `read_before` was read already.
    pub(crate) fn new(tcp: TcpStream, read_before: Bytes, charge: Charge) -> Self {
        // Even an empty remainder would keep the read buffer of the HTTP connection.
        let read_before = if read_before.is_empty() { Bytes::new() } else { read_before };
        Self { tcp, read_before, heard: Instant::now(), unread: 0, charge, spent: false }
    }

    /// When the client sent something last.
    pub(crate) fn heard(&self) -> Instant {
        self.heard
    }

    /// Counts the client's silence from now on.
    pub(crate) fn touch(&mut self) {
        self.heard = Instant::now();
    }

    /// A message of `len` bytes is complete; it stays charged until [`Self::delivered`].
    pub(crate) fn complete(&mut self, len: usize) {
        self.unread = 0;
        // Only what was charged already can be charged here, so this can't be refused in a way that matters.
        let _ = self.charge.set(if len > UNCHARGED_BYTES { len } else { 0 });
    }

    /// The message has left the gateway.
    pub(crate) fn delivered(&mut self) {
        if self.unread == 0 {
            let _ = self.charge.set(0);
        }
    }

    /// Whether reading failed because all clients together send too much.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent
    }

    fn count(&mut self, bytes: usize) -> io::Result<()> {
        self.heard = Instant::now();
        self.unread += bytes;
        if self.unread > UNCHARGED_BYTES && self.charge.set(self.unread).is_err() {
            self.spent = true;
            return Err(io::Error::other("the budget for incoming messages is spent"));
        }
        Ok(())
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.read_before.has_remaining() {
            let len = self.read_before.len().min(buffer.remaining());
            buffer.put_slice(&self.read_before.split_to(len));
            if self.read_before.is_empty() {
                self.read_before = Bytes::new();
            }
        } else {
            ready!(Pin::new(&mut self.tcp).poll_read(cx, buffer))?;
        }
        let bytes = buffer.filled().len() - before;
        Poll::Ready(if bytes == 0 { Ok(()) } else { self.count(bytes) })
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
