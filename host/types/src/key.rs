//! Actor keys and their two spellings on the wire (`reference/rivet-client-wire.md` section 0.1).

use crate::limits;
use serde::{Deserialize, Serialize};

/// The key of an actor: parts of text. Together with the name it says which actor is meant.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct ActorKey(pub Vec<String>);

/// Why a key was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The REST field was the empty text; the empty key is spelled `/`.
    #[error("the key must not be the empty text; the empty key is spelled \"/\"")]
    Empty,
    /// Over the limit.
    #[error("the key has {len} bytes, more than the {max} allowed")]
    TooLarge {
        /// Bytes of the serialised key.
        len: usize,
        /// The limit.
        max: usize,
    },
}

impl ActorKey {
    /// Reads the spelling of the query gateway: parts joined with `,`, no escaping; the empty text is the empty key.
    pub fn from_query(text: &str) -> Result<Self, KeyError> {
        let key = if text.is_empty() { Self::default() } else { Self(text.split(',').map(str::to_owned).collect()) };
        key.checked()
    }

    /// Reads the spelling of the REST interface: parts joined with `/`, `\` escapes, `\0` is an empty part, `/` the empty key.
    pub fn from_rest(text: &str) -> Result<Self, KeyError> {
        match text {
            "" => return Err(KeyError::Empty),
            "/" => return Ok(Self::default()),
            _ => {}
        }
        let mut parts = Vec::new();
        let mut part = String::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            match char {
                '/' => parts.push(std::mem::take(&mut part)),
                '\\' => match chars.next() {
                    Some('0') => {}
                    Some(escaped) => part.push(escaped),
                    None => part.push('\\'),
                },
                other => part.push(other),
            }
        }
        parts.push(part);
        Self(parts).checked()
    }

    /// Writes the REST spelling.
    pub fn to_rest(&self) -> String {
        if self.0.is_empty() {
            return "/".to_owned();
        }
        let mut text = String::new();
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                text.push('/');
            }
            if part.is_empty() {
                text.push_str("\\0");
            }
            for char in part.chars() {
                if matches!(char, '\\' | '/') {
                    text.push('\\');
                }
                text.push(char);
            }
        }
        text
    }

    /// Refuses a key that is too large.
    pub fn checked(self) -> Result<Self, KeyError> {
        let len = self.to_rest().len();
        if len > limits::KEY_BYTES_MAX {
            return Err(KeyError::TooLarge { len, max: limits::KEY_BYTES_MAX });
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[&str]) -> ActorKey {
        ActorKey(parts.iter().map(|part| (*part).to_owned()).collect())
    }

    #[test]
    fn the_rest_spelling_round_trips() {
        let cases: &[(&[&str], &str)] = &[
            (&[], "/"),
            (&["x"], "x"),
            (&["k", "a/b,c"], "k/a\\/b,c"),
            (&[""], "\\0"),
            (&["", "x", ""], "\\0/x/\\0"),
            (&["\\"], "\\\\"),
            (&["0\\0"], "0\\\\0"),
        ];
        for (parts, text) in cases {
            assert_eq!(key(parts).to_rest(), *text);
            assert_eq!(ActorKey::from_rest(text), Ok(key(parts)), "{text}");
        }
    }

    #[test]
    fn the_query_spelling_splits_at_commas() {
        assert_eq!(ActorKey::from_query(""), Ok(key(&[])));
        assert_eq!(ActorKey::from_query("k,a/b,c"), Ok(key(&["k", "a/b", "c"])));
    }

    #[test]
    fn an_empty_or_oversized_key_is_refused() {
        assert_eq!(ActorKey::from_rest(""), Err(KeyError::Empty));
        let long = "x".repeat(limits::KEY_BYTES_MAX + 1);
        assert!(matches!(ActorKey::from_rest(&long), Err(KeyError::TooLarge { .. })));
        assert!(matches!(ActorKey::from_query(&long), Err(KeyError::TooLarge { .. })));
    }
}
