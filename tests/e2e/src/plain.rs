//! A plain HTTP client that never repeats a request by itself, so that a test sees every answer of the host.

use crate::host::Host;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// The pause between two looks at a condition.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// Bytes that are read at a time.
const READ_BYTES: usize = 16 << 10;

/// What the host said instead of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `group.code`; `connection` when there was no answer at all.
    pub code: String,
    /// For people.
    pub message: String,
}

/// One connection, kept open.
pub struct Plain {
    address: String,
    stream: Option<TcpStream>,
}

impl Plain {
    /// A client of this host; it connects when it is first used.
    pub fn to(host: &Host) -> Self {
        Self { address: host.url().trim_start_matches("http://").to_owned(), stream: None }
    }

    /// Calls an action of the actor with this name and key, which is made if it does not exist.
    pub fn call(&mut self, actor: &str, key: &str, action: &str, args: Value) -> Result<Value, Refusal> {
        let target = format!(
            "/gateway/{actor}/action/{action}?rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key={key}"
        );
        let body = json!({ "args": args }).to_string();
        let request = format!(
            "POST {target} HTTP/1.1\r\nhost: h\r\nx-rivet-encoding: json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let lost = |error: std::io::Error| Refusal { code: "connection".to_owned(), message: error.to_string() };
        let answer = self.exchange(request.as_bytes()).inspect_err(|_| self.stream = None).map_err(lost)?;
        let mut value: Value = serde_json::from_slice(&answer)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&answer)));
        if let Some(output) = value.get_mut("output") {
            return Ok(output.take());
        }
        let text = |name: &str| value[name].as_str().unwrap_or_default();
        Err(Refusal { code: format!("{}.{}", text("group"), text("code")), message: text("message").to_owned() })
    }

    /// Gets JSON.
    pub fn get(&mut self, target: &str) -> Value {
        let request = format!("GET {target} HTTP/1.1\r\nhost: h\r\n\r\n");
        let answer = self.exchange(request.as_bytes()).expect("an answer");
        serde_json::from_slice(&answer).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&answer)))
    }

    /// Sends a request and reads the body of its answer.
    fn exchange(&mut self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
                none.insert(stream)
            }
        };
        stream.write_all(request)?;
        let mut answer = Vec::new();
        let mut chunk = [0; READ_BYTES];
        loop {
            if let Some((head, length)) = head(&answer)
                && answer.len() >= head + length
            {
                return Ok(answer[head..head + length].to_vec());
            }
            match stream.read(&mut chunk)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => answer.extend_from_slice(&chunk[..read]),
            }
        }
    }
}

/// Bytes of the head and of the body that it announces.
fn head(answer: &[u8]) -> Option<(usize, usize)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.unwrap_or_else(|| panic!("an answer without a length: {text}"));
    Some((end, length.trim().parse().expect("a length is a number")))
}

/// Waits until something gives a value; says what it waited for when it never does.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + ANSWER_TIME_MAX;
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < end, "waited {ANSWER_TIME_MAX:?} for {what}");
        std::thread::sleep(LOOK_PAUSE);
    }
}
