//! Names of the three encodings.

/// How a client writes and reads messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Encoding {
    /// Text frames and bodies.
    Json,
    /// The tree of `Json` as CBOR.
    Cbor,
    /// Binary structs (<https://baremessages.org>) with CBOR values inside.
    Bare,
}

/// What stands before the encoding's name in a WebSocket subprotocol.
const SUBPROTOCOL_PREFIX: &str = "rivet_encoding.";

impl Encoding {
    /// Reads the header `x-rivet-encoding`; unknown or absent is JSON, as in Rivet.
    pub fn from_header(value: Option<&str>) -> Self {
        value.and_then(Self::from_name).unwrap_or(Self::Json)
    }

    /// Reads the WebSocket subprotocol `rivet_encoding.<name>`. None for another subprotocol, and for an unknown encoding.
    pub fn from_subprotocol(protocol: &str) -> Option<Self> {
        Self::from_name(protocol.strip_prefix(SUBPROTOCOL_PREFIX)?)
    }

    /// The content type of a body in this encoding.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Cbor | Self::Bare => "application/octet-stream",
        }
    }

    /// The name, as the header and the subprotocol spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Cbor => "cbor",
            Self::Bare => "bare",
        }
    }

    /// Whether frames are text frames.
    pub fn is_text(self) -> bool {
        self == Self::Json
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Json, Self::Cbor, Self::Bare].into_iter().find(|encoding| encoding.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::Encoding;

    #[test]
    fn an_encoding_is_read_from_its_names() {
        for encoding in [Encoding::Json, Encoding::Cbor, Encoding::Bare] {
            assert_eq!(Encoding::from_header(Some(encoding.name())), encoding);
            assert_eq!(Encoding::from_subprotocol(&format!("rivet_encoding.{}", encoding.name())), Some(encoding));
        }
    }

    #[test]
    fn an_unknown_header_is_json_and_an_unknown_subprotocol_is_nothing() {
        for header in [None, Some(""), Some("BARE"), Some("xml")] {
            assert_eq!(Encoding::from_header(header), Encoding::Json);
        }
        for protocol in ["rivet", "rivet_encoding.", "rivet_encoding.xml", "json"] {
            assert_eq!(Encoding::from_subprotocol(protocol), None);
        }
    }
}
