//! The directory's decoders, for the fuzzer and the test of kept formats in `tests/fuzz`. No part of the public interface.

pub use crate::record::{
    StoredActor, actor_key, alarm_key, alarm_of_key, generation_key, id_key, input_key, list_key, name_key,
    read_alarm_key, read_list_key, read_u32, read_u64,
};

use crate::directory::read_cursor;

/// Reads bytes as each of the directory's records and keys, and says what they are. Panics when one changes on its way.
pub fn record(bytes: &[u8]) -> String {
    let alarm = read_alarm_key(bytes);
    if let Some((at, id)) = alarm {
        assert_eq!(alarm_key(at, id), bytes, "a key of the alarms changed");
    }
    let read = StoredActor::decode(bytes);
    if let Ok(actor) = &read {
        let again = actor.encode().and_then(|bytes| StoredActor::decode(&bytes));
        assert_eq!(again.as_ref(), Ok(actor), "a stored actor changed");
    }
    let said = read.map_or_else(|failure| failure.message.to_string(), |actor| format!("{}", actor.destroying));
    if let Some((created, id)) = std::str::from_utf8(bytes).ok().and_then(read_cursor) {
        assert_eq!(read_cursor(&format!("{created}-{id}")), Some((created, id)), "a cursor changed");
    }
    let numbers = [read_u32(bytes).is_some(), read_u64(bytes).is_some(), read_list_key(bytes).is_some()];
    format!("{said} {numbers:?} {}", alarm.is_some())
}
