//! Why bytes or text were refused.

use growqr_types::{Failure, codes};

/// A value that can't be transcoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The input ends in the middle of a value.
    #[error("the value ends too early")]
    Truncated,
    /// Something follows after the value.
    #[error("something follows after the value")]
    Trailing,
    /// Nested deeper than `limits::VALUE_DEPTH_MAX`.
    #[error("the value is nested too deep")]
    TooDeep,
    /// Larger than `limits::VALUE_BYTES_MAX`.
    #[error("the value is too large")]
    TooLarge,
    /// Not JSON.
    #[error("not valid JSON at byte {at}")]
    BadJson {
        /// Where in the text.
        at: usize,
    },
    /// Not CBOR, or text in it is not UTF-8.
    #[error("not valid CBOR at byte {at}")]
    BadCbor {
        /// Where in the bytes.
        at: usize,
    },
}

impl ValueError {
    /// What the caller of an actor is told when the actor's own value is the bad one.
    pub fn failure(&self) -> Failure {
        match self {
            Self::TooLarge => codes::OUTGOING_TOO_LONG.failure(),
            other => codes::INVALID_OUTPUT.with(format!("The actor's answer is not valid: {other}.")),
        }
    }
}

/// A body or frame of a client that can't be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A value inside can't be read.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The envelope is not of the protocol's shape.
    #[error("{0}")]
    Envelope(&'static str),
    /// A protocol version that this host does not read.
    #[error("protocol version {0} is not known")]
    Version(u16),
}

impl DecodeError {
    /// What the client is told.
    pub fn failure(&self) -> Failure {
        codes::INVALID_REQUEST.with(format!("The request can't be decoded: {self}."))
    }
}
