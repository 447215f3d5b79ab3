//! The BARE messages of the client protocol, versions 1 to 4.
//!
//! The structs of `rivetkit-client-protocol` are the yardstick (`tests/official.rs` compares every message with them) but not what
//! runs: they copy each text and value, read byte by byte, and ignore bytes after the message.

use crate::DecodeError;

/// The protocol version that this host writes.
pub(crate) const VERSION: u16 = 4;
/// The versions that this host reads. The messages of a client are the same in all of them.
const VERSIONS: std::ops::RangeInclusive<u16> = 1..=VERSION;
/// The first version that has queue messages.
pub(crate) const VERSION_OF_QUEUES: u16 = 3;
/// Bytes of a 64-bit number in groups of seven bits.
const UINT_BYTES_MAX: usize = 10;

const ENDS: DecodeError = DecodeError::Envelope("the message ends too early");

/// Reads one message.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads the version in front, and checks it.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<(Self, u16), DecodeError> {
        let (version, rest) = bytes.split_first_chunk().ok_or(ENDS)?;
        let version = u16::from_le_bytes(*version);
        if !VERSIONS.contains(&version) {
            return Err(DecodeError::Version(version));
        }
        Ok((Self { rest }, version))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (byte, rest) = self.rest.split_first().ok_or(ENDS)?;
        self.rest = rest;
        Ok(*byte)
    }

    pub(crate) fn uint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for index in 0..UINT_BYTES_MAX {
            let byte = self.byte()?;
            if index == UINT_BYTES_MAX - 1 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Envelope("a number has more than 64 bits"))
    }

    pub(crate) fn data(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(self.uint()?).map_err(|_| ENDS)?;
        let (data, rest) = self.rest.split_at_checked(len).ok_or(ENDS)?;
        self.rest = rest;
        Ok(data)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.data()?).map_err(|_| DecodeError::Envelope("a text is not UTF-8"))
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, DecodeError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Envelope("a truth value is neither 0 nor 1")),
        }
    }

    pub(crate) fn fixed_u64(&mut self) -> Result<u64, DecodeError> {
        let (value, rest) = self.rest.split_first_chunk().ok_or(ENDS)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*value))
    }

    pub(crate) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.boolean()? { read(self).map(Some) } else { Ok(None) }
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Envelope("something follows after the message")) }
    }
}

/// Starts a message: the version in front, and room for what follows.
pub(crate) fn start(bytes_about: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes_about + 16);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out
}

pub(crate) fn write_uint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_data(out, text.as_bytes());
}

pub(crate) fn write_data(out: &mut Vec<u8>, data: &[u8]) {
    write_uint(out, data.len() as u64);
    out.extend_from_slice(data);
}

pub(crate) fn write_optional<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(value.is_some().into());
    if let Some(value) = value {
        write(out, value);
    }
}
