//! Clients made by hand, which can break every rule.

use crate::host::Host;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// How long anything may take.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Bytes that are read at a time.
const READ_BYTES: usize = 4096;

/// A TCP connection to the host, and what was read and not looked at yet.
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    /// Connects, from one of several loopback addresses, so that ports do not run out.
    pub async fn connect(host: &Host, number: usize) -> std::io::Result<Self> {
        let address: SocketAddr = host.url().trim_start_matches("http://").parse().expect("the address of the host");
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        let from = format!("127.0.0.{}:0", 2 + number % 200);
        socket.bind(from.parse().expect("an address"))?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Connects and asks for a socket of an action connection to `counter` with this key; gives the status line.
    pub async fn upgrade(host: &Host, number: usize, key: &str, protocols: &str) -> std::io::Result<(Self, String)> {
        let mut raw = Self::connect(host, number).await?;
        let request = format!(
            "GET /gateway/counter/connect?rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key={key} \
             HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: {protocols}\r\n\r\n"
        );
        raw.send(request.as_bytes()).await?;
        let head = raw.head().await?;
        let status = head.lines().next().unwrap_or_default().to_owned();
        Ok((raw, status))
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a whole text message, masked with zeros.
    pub async fn send_text(&mut self, text: &str) -> std::io::Result<()> {
        self.send(&frame(0x81, text.as_bytes())).await
    }

    /// The head of an answer.
    pub async fn head(&mut self) -> std::io::Result<String> {
        loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.read.drain(..end + 4).collect();
                return Ok(String::from_utf8(head).expect("a head is text"));
            }
            self.more().await?;
        }
    }

    /// The next frame: its first byte and its payload.
    pub async fn frame(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        loop {
            if let Some((head, length)) = frame_length(&self.read)
                && self.read.len() >= head + length
            {
                let first = self.read[0];
                let payload = self.read[head..head + length].to_vec();
                self.read.drain(..head + length);
                return Ok((first, payload));
            }
            self.more().await?;
        }
    }

    /// Everything until the host closes the connection, which it must.
    pub async fn rest(mut self) -> Vec<u8> {
        let end = loop {
            if let Err(error) = self.more().await {
                break error;
            }
        };
        assert_ne!(end.kind(), ErrorKind::TimedOut, "the host does not close the connection");
        self.read
    }

    /// Ends the connection at once, as a client does that is gone.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("the connection can be set to end at once");
    }

    async fn more(&mut self) -> std::io::Result<()> {
        let mut chunk = [0; READ_BYTES];
        let read = tokio::time::timeout(WAIT_MAX, self.stream.read(&mut chunk)).await;
        match read.map_err(|_| std::io::Error::new(ErrorKind::TimedOut, "the host was silent for too long"))?? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            length => {
                self.read.extend_from_slice(&chunk[..length]);
                Ok(())
            }
        }
    }
}

/// Bytes of a frame's head and payload, if its head is there.
fn frame_length(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? & 0x7f {
        126 => Some((4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into())),
        127 => Some((10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?).try_into().ok()?)),
        length => Some((2, length.into())),
    }
}

/// A frame with a mask of zeros, so that the payload is readable.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}
