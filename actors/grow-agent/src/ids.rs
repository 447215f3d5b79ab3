//! Identities of threads and messages: version 7 UUIDs, which sort by time.
//!
//! Invariant: the ids of one agent strictly ascend, also when the host's clock goes back.

use crate::world::World;
use growqr_actor_sdk::prelude::*;

/// Ids that can be made for one millisecond; the next one belongs to the following millisecond.
const COUNT_MAX: u16 = 0x0fff;
/// Letters of an id.
const ID_LEN: usize = 36;

/// The newest id's place in time.
#[derive(Default, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    ms: u64,
    count: u16,
}

impl Clock {
    /// The next id.
    pub fn next(&mut self, world: &impl World) -> String {
        let now = world.now();
        if now > self.ms {
            *self = Self { ms: now, count: 0 };
        } else if self.count < COUNT_MAX {
            self.count += 1;
        } else {
            *self = Self { ms: self.ms + 1, count: 0 };
        }
        let Self { ms, count } = *self;
        let random = world.random();
        format!(
            "{:08x}-{:04x}-7{count:03x}-{:04x}-{:012x}",
            (ms >> 16) & 0xffff_ffff,
            ms & 0xffff,
            0x8000 | ((random >> 48) & 0x3fff),
            random & 0xffff_ffff_ffff
        )
    }
}

/// Whether a text has the shape of an id. Anything else is not looked up: it would only be a key of the client's choice.
pub fn is_id(text: &str) -> bool {
    let is_right = |(index, byte): (usize, u8)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    text.len() == ID_LEN && text.bytes().enumerate().all(is_right)
}
