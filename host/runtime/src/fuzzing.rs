//! The runtime's decoders, for the fuzzer in `tests/fuzz`. No part of the public interface.

use crate::runtime::read_params;
use crate::session::Resume;
use crate::surface::Upgrade;
use http::HeaderMap;

/// Reads a handshake and says what it is. Panics when an actor would see what it must not.
pub fn handshake(headers: &HeaderMap) -> String {
    let mut request = http::Request::new(());
    *request.headers_mut() = headers.clone();
    let upgrade = Upgrade::read(&request);
    let (params, resume) = read_params(upgrade.params.as_deref());
    if let Some(params) = &params {
        let value: Result<serde_json::Value, _> = serde_json::from_str(params);
        let value = value.unwrap_or_else(|error| panic!("an actor sees {params:?}, which is no JSON: {error}"));
        assert!(value.get("token").is_none(), "an actor sees a token: {params}");
    }
    let resume = match resume {
        None => "new",
        Some(Resume::Now) => "now",
        Some(Resume::After(0)) => "all",
        Some(Resume::After(_)) => "after",
    };
    format!("{:?} {} {resume}", upgrade.encoding, params.is_some())
}
