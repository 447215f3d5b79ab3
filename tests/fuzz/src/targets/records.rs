//! What a host or an operator left on the disk, and what a guest asks to be kept.

use growqr_runtime::core::record::{ConnectionRecord, EventRecord, HandleRecord, InboxRecord, JsonRecord, Meta};
use growqr_turn::{Effect, Schedule, TimerRecord};
use std::fmt::{Debug, Display};

/// Pieces of text that mean something in a record of an actor.
pub const WORDS: &[&str] =
    &["null", "\"name\":", "\"due\":", "\"repeat\":\"once\"", "{\"Ok\":", "{\"Err\":", "\"floor\":"];
/// The same for the directory.
pub const DIRECTORY_WORDS: &[&str] = &["\"created\":", "\"destroying\":true", "\"key\":[\"a\"]"];
/// The same for a cron expression.
pub const SCHEDULE_WORDS: &[&str] = &["*", "*/5", "1-5", "0 ", "Mon", "Feb", "29", "L", ",", "2099", "4294967296"];
/// The same for a component.
pub const COMPONENT_WORDS: &[&str] = &["growqr:actor/handlers@1.0.0", "wasi:cli/run@0.2.0"];

/// What is read and written again must be the same.
fn again<T: PartialEq + Debug, E: Debug + Display>(
    input: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, E>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> String {
    let read = decode(input);
    if let Ok(record) = &read {
        let written = encode(record);
        let once_more = decode(&written).unwrap_or_else(|error| panic!("{record:?} can't be read again: {error:?}"));
        assert_eq!(once_more, *record, "a record changed");
        assert_eq!(encode(&once_more), written, "a record is not always written the same");
    }
    read.map_or_else(|error| error.to_string(), |record| format!("{record:?}"))
}

fn json_record<T: JsonRecord + PartialEq + Debug>(input: &[u8]) -> String {
    again(input, T::decode, |record| record.encode().to_vec())
}

/// The records of an actor.
pub fn actor(input: &[u8]) -> String {
    let event = EventRecord::decode(input);
    if let Ok(event) = &event {
        assert_eq!(EventRecord::time(input), Ok(event.ts), "an event has two times");
    }
    [
        again(input, Meta::decode, |meta| meta.encode().to_vec()),
        again(input, EventRecord::decode, |event| EventRecord::encode(event.ts, &event.name, &event.args).to_vec()),
        json_record::<TimerRecord>(input),
        json_record::<Effect>(input),
        json_record::<ConnectionRecord>(input),
        json_record::<InboxRecord>(input),
        json_record::<HandleRecord>(input),
    ]
    .map(|said| said.rsplit("read: ").next().unwrap_or_default().chars().take(24).collect::<String>())
    .concat()
}

/// The directory's records and keys.
pub fn directory(input: &[u8]) -> String {
    growqr_engine::fuzzing::record(input)
}

/// Journals, as a restart finds them.
pub fn journal(input: &[u8]) -> String {
    let (end, said) = growqr_storage::fuzzing::journal(input);
    assert!(end <= input.len(), "whole commits end behind the file");
    let (again, kept) = growqr_storage::fuzzing::journal(&input[..end]);
    assert_eq!((again, kept.as_str()), (end, "Whole"), "the whole commits are not whole without what follows them");
    format!("{end} {said}")
}

/// A cron expression, and the time from which it is looked at: eight bytes in front.
pub fn schedule(input: &[u8]) -> String {
    let (now, text) = input.split_first_chunk::<8>().map_or((0, input), |(now, text)| (u64::from_le_bytes(*now), text));
    let text = String::from_utf8_lossy(text).into_owned();
    let started = Schedule::Cron(text.clone()).start(now);
    if let Ok((first, repeat)) = &started {
        assert!(*first > now, "{text:?} is due at {first}, and it is {now}");
        if let Ok(Some(second)) = repeat.next(*first, *first) {
            assert!(second > *first, "{text:?} is due at {first} and then at {second}");
        }
    }
    let error = started.err().map(|error| error.to_string().replace(&text, ""));
    error.map_or_else(|| "ok".to_owned(), |error| error.chars().take(48).collect())
}

/// Components, as an operator or a tenant uploads them.
pub fn component(input: &[u8]) -> String {
    match growqr_component::inspect(input) {
        Ok(found) => found.problems.iter().map(|failure| failure.code.as_ref()).collect::<Vec<&str>>().join(" "),
        Err(failure) => format!("{} {}", failure.code, failure.message),
    }
}
