//! Plain HTTP, for what no client does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: String,
}

/// Asks for a path at an address (`127.0.0.1:80`, or a URL without a path).
pub fn get(address: &str, path: &str) -> Answer {
    request("GET", address, path, &[], "")
}

/// Makes one request on a connection of its own.
pub fn request(method: &str, address: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let address = address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_read_timeout(Some(ANSWER_TIME_MAX)).expect("a timeout");
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).expect("the request can be sent");
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap_or_else(|error| panic!("{path}: {error}"));
    let text = String::from_utf8_lossy(&text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: not an answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.unwrap_or_else(|| panic!("no status: {head}")), body: body.to_owned() }
}
