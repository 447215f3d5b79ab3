//! The directory's decoders, for the fuzzer and the test of kept formats in `tests/fuzz`. No part of the public interface.

pub use crate::record::{
    StoredActor, actor_key, alarm_key, alarm_of_key, generation_key, id_key, input_key, list_key, mirrored_key,
    mirrored_version_key, name_key, read_alarm_key, read_list_key, read_u32, read_u64,
};

use crate::directory::read_cursor;
use crate::spool::{self, Numbering};
use bytes::Bytes;
use growqr_seam::{MirrorRow, SpoolRow};
use growqr_types::ActorId;

/// The place of an actor's row number `seq` among those that wait for the database.
pub fn row_place(number: u64, id: ActorId, actor: &StoredActor, seq: u64, event: Option<u64>) -> Bytes {
    let (mut place, _) = Numbering::new(id, actor, seq - 1, None).next(MirrorRow { event, record: Bytes::new() });
    place[..8].copy_from_slice(&number.to_be_bytes());
    place.freeze()
}

/// Reads such a place.
pub fn read_row_place(place: &[u8]) -> Option<SpoolRow> {
    spool::decode(Bytes::copy_from_slice(place), Bytes::new())
}

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
    let row = read_row_place(bytes);
    if let Some(row) = &row {
        assert_eq!(row.place, bytes, "a row's place changed");
        assert!(row.name.len() + row.user.as_ref().map_or(0, String::len) <= bytes.len(), "a row grew");
    }
    let numbers = [read_u32(bytes).is_some(), read_u64(bytes).is_some(), read_list_key(bytes).is_some()];
    format!("{said} {numbers:?} {} {:?}", alarm.is_some(), row.map(|row| (row.event.is_some(), row.user.is_some())))
}
