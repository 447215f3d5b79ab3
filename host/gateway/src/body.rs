//! Reads request bodies within bounds of size, time and total memory.

use crate::budget::Charge;
use bytes::{Bytes, BytesMut};
use growqr_types::{Code, Failure, codes};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::time::Duration;

/// Bytes of a body over its limit that are read and thrown away, so that the client has sent all and reads the refusal instead of
/// a broken connection.
const DISCARD_BYTES_MAX: usize = 1 << 20;
/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads a whole body of at most `bytes_max` bytes. `too_large` is what a client is told whose body has more.
pub(crate) async fn read(
    mut body: Incoming,
    bytes_max: usize,
    timeout: Duration,
    charge: &mut Charge,
    too_large: &Code,
) -> Result<Bytes, Failure> {
    let announced = body.size_hint().lower();
    if announced > bytes_max as u64 {
        discard(body).await;
        return Err(too_large.failure());
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match tokio::time::timeout(timeout, collect(&mut body, bytes_max, charge)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(Refused::TooLarge)) => {
            discard(body).await;
            Err(too_large.failure())
        }
        Ok(Err(Refused::Busy)) => Err(codes::SERVICE_UNAVAILABLE.failure()),
        Ok(Err(Refused::Broken)) => Err(codes::API_BAD_REQUEST.with("The body broke off.")),
        Err(_) => Err(codes::REQUEST_TIMEOUT.failure()),
    }
}

/// Why a body was not read.
enum Refused {
    TooLarge,
    Busy,
    Broken,
}

async fn collect(body: &mut Incoming, bytes_max: usize, charge: &mut Charge) -> Result<Bytes, Refused> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refused::Broken)?.into_data() else { continue };
        if first.len() + whole.len() + data.len() > bytes_max {
            return Err(Refused::TooLarge);
        }
        charge.add(data.len()).map_err(|_| Refused::Busy)?;
        // Most bodies are one chunk: that one is kept as it came.
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if !first.is_empty() {
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// Reads a body of a request that is refused and throws it away, within bounds.
pub(crate) async fn discard(mut body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    let mut left = DISCARD_BYTES_MAX;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(1, Bytes::len).max(1));
            if left == 0 {
                return;
            }
        }
    };
    // Whether the client finishes in time or not, it is refused all the same.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, reading).await;
}
