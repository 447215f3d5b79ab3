//! Looks at the journals before the store replays them.
//!
//! The store alone does two things that the promises do not allow. A large last commit of which power failure left a page unwritten
//! stops it from opening, though nobody was told that this commit is durable. And damage in the middle of a journal makes it cut off
//! all that comes after, silently. So this cuts a torn tail itself, and refuses a journal in which whole commits follow a damaged one.
//!
//! Invariant: a file is changed only by cutting off what follows the last whole commit, and only when no whole commit follows.
//! Deliberately absent: damage of the last commit can't be told from a commit that was never finished, and is cut off with a note in
//! the log; and the store's checksum leaves the sequence number out.
//!
//! The format, as the pinned version of the store writes it (little endian; a batch is one commit):
//! start `1 count:u32 sequence:u64`, then items `2 kind:u8 0 keyspace:u64 key:u16 value:u32 stored:u32 key.. value..` or
//! `4 keyspace:u64`, then end `3 checksum:u64 "FJL" 3`, where the checksum is XXH3 of all items.

use crate::journal::LENGTH_FOR_CHANGE_BYTES;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

pub(crate) const TRAILER: &[u8] = b"FJL\x03";
pub(crate) const TAG_START: u8 = 1;
pub(crate) const TAG_ITEM: u8 = 2;
pub(crate) const TAG_END: u8 = 3;
const TAG_CLEAR: u8 = 4;
/// Longer files are left to the store; it changes a journal after 64 MB and one more commit.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Steps in search of whole commits behind damage, an item or [`HASH_BYTES_PER_STEP`] each; values may be made to look like commits.
const SEARCH_STEPS_MAX: usize = 1 << 28;
const HASH_BYTES_PER_STEP: usize = 64;
const CHUNK_BYTES: usize = 1 << 20;

/// What a journal holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Whole commits, and zeros or nothing after them.
    Whole,
    /// The last commit was not finished: so many bytes were cut off.
    CutOff(u64),
    /// A commit that starts there is damaged, and whole ones follow.
    Damaged(u64),
}

/// Looks at one journal, and cuts a torn tail off.
pub(crate) fn check(path: &Path) -> io::Result<Finding> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    if length > FILE_BYTES_MAX {
        return Ok(Finding::Whole);
    }
    let data_end = data_end(&file, length);
    let bytes = read_without_zeros(&mut file, data_end)?;
    let (end, finding) = judge(&bytes);
    if let Finding::CutOff(_) = finding {
        file.set_len(end as u64)?;
        file.sync_all()?;
    }
    Ok(finding)
}

/// Where the file's last hole begins. A new journal is one hole of 64 MiB, and reading it would take most of a start's time.
fn data_end(file: &File, length: u64) -> u64 {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{SeekFrom, seek};
        let mut end = 0;
        loop {
            let hole = match seek(file, SeekFrom::Data(end)) {
                Ok(data) => seek(file, SeekFrom::Hole(data)),
                // Nothing but holes from here on.
                Err(rustix::io::Errno::NXIO) => return end,
                Err(error) => Err(error),
            };
            match hole {
                Ok(hole) if hole > end => end = hole,
                // A file system without holes.
                _ => return length,
            }
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        length
    }
}

/// The file up to its last byte that is not zero, of which `length` bytes are looked at.
fn read_without_zeros(file: &mut File, length: u64) -> io::Result<Vec<u8>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut end = length;
    while end > 0 {
        let begin = end.saturating_sub(CHUNK_BYTES as u64);
        let part = &mut chunk[..(end - begin) as usize];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(part)?;
        if !is_zero(part) {
            end = part.iter().rposition(|byte| *byte != 0).map_or(begin, |last| begin + last as u64 + 1);
            break;
        }
        end = begin;
    }
    let mut bytes = vec![0; end as usize];
    file.rewind()?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Compares blocks, which is fast in a build without optimisation too.
fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|block| *block == ZEROS[..block.len()])
}

/// Where the whole commits end, and what follows.
pub(crate) fn judge(bytes: &[u8]) -> (usize, Finding) {
    let mut end = 0;
    while let Some(batch) = Batch::find(&bytes[end..], &mut bytes.len()).filter(Batch::is_whole) {
        end += batch.length;
    }
    let rest = &bytes[end..];
    if rest.is_empty() {
        return (end, Finding::Whole);
    }
    // The mark behind the hole of a journal that was closed: worth nothing, and no sign of damage.
    let hole = (LENGTH_FOR_CHANGE_BYTES as usize).checked_sub(end).and_then(|length| rest.get(..length));
    let is_mark = hole.is_some_and(|hole| !hole.is_empty() && is_zero(hole));
    if is_mark || !holds_whole_batch(rest) {
        return (end, Finding::CutOff(rest.len() as u64));
    }
    (end, Finding::Damaged(end as u64))
}

/// Whether a whole commit begins somewhere. A search that takes too long says yes: somebody made values for that, and a refusal to
/// start is the safe answer.
fn holds_whole_batch(bytes: &[u8]) -> bool {
    let mut steps = SEARCH_STEPS_MAX;
    for position in 0..bytes.len() {
        if let Some(batch) = Batch::find(&bytes[position..], &mut steps) {
            steps = steps.saturating_sub(batch.length / HASH_BYTES_PER_STEP);
            if batch.is_whole() {
                return true;
            }
        }
        if steps == 0 {
            return true;
        }
    }
    false
}

/// Bytes that have the shape of a commit.
struct Batch<'a> {
    items: &'a [u8],
    checksum: u64,
    length: usize,
}

impl<'a> Batch<'a> {
    /// At the start of `bytes`. Looks at lengths and tags alone, at most at so many items.
    fn find(bytes: &'a [u8], steps: &mut usize) -> Option<Self> {
        let mut reader = Reader { bytes, position: 0 };
        if reader.take(1)? != [TAG_START] {
            return None;
        }
        let count = reader.u32()?;
        reader.take(8)?;
        let begin = reader.position;
        for _ in 0..count {
            *steps = steps.checked_sub(1)?;
            match reader.take(1)? {
                [TAG_ITEM] => {
                    reader.take(1 + 1 + 8)?;
                    let key = reader.u16()?;
                    reader.take(4)?;
                    let value = reader.u32()?;
                    reader.take(key as usize)?;
                    reader.take(value as usize)?;
                }
                [TAG_CLEAR] => {
                    reader.take(8)?;
                }
                _ => return None,
            }
        }
        let items = &bytes[begin..reader.position];
        if reader.take(1)? != [TAG_END] {
            return None;
        }
        let checksum = reader.u64()?;
        (reader.take(TRAILER.len())? == TRAILER).then_some(Self { items, checksum, length: reader.position })
    }

    fn is_whole(&self) -> bool {
        xxh3_64(self.items) == self.checksum
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.position.checked_add(length)?;
        let taken = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(taken)
    }
    fn array<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        self.take(LENGTH)?.try_into().ok()
    }
    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One commit of one value.
    fn batch(value: &[u8]) -> Vec<u8> {
        let mut item = vec![TAG_ITEM, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0];
        item.extend((value.len() as u32).to_le_bytes().repeat(2));
        item.push(b'k');
        item.extend(value);
        let start = [&[TAG_START, 1, 0, 0, 0][..], &[9; 8]].concat();
        [&start[..], &item, &[TAG_END], &xxh3_64(&item).to_le_bytes(), TRAILER].concat()
    }

    fn check(name: &str, parts: &[&[u8]], expected: (usize, Finding)) {
        assert_eq!(judge(&parts.concat()), expected, "{name}");
    }

    #[test]
    fn judges_what_follows_the_last_whole_commit() {
        let (one, two) = (batch(b"one"), batch(&[2; 5000]));
        let both = one.len() + two.len();
        let damaged = |at: usize| {
            let mut bytes = two.clone();
            bytes[at] ^= 0x40;
            bytes
        };
        let cut = |end: usize, rest: usize| (end, Finding::CutOff(rest as u64));
        check("nothing", &[], (0, Finding::Whole));
        check("whole commits", &[&one, &two], (both, Finding::Whole));
        for length in 1..two.len() {
            check("every cut of the last commit", &[&one, &two[..length]], cut(one.len(), length));
        }
        // The store's checksum leaves the sequence number out.
        let sequence = 5..13;
        for at in (0..two.len()).filter(|at| !sequence.contains(at) && (*at < 60 || at % 97 == 0)) {
            check("damage anywhere in the last commit", &[&one, &damaged(at)], cut(one.len(), two.len()));
            let found = (one.len(), Finding::Damaged(one.len() as u64));
            check("damage anywhere before a whole commit", &[&one, &damaged(at), &one], found);
        }
        check("damage in the first of many", &[&damaged(0), &one, &one], (0, Finding::Damaged(0)));
        check("damage in all", &[&damaged(0), &damaged(99)], cut(0, 2 * two.len()));
        check("a value with a trailer in a torn commit", &[&one, &batch(TRAILER)[..40]], cut(one.len(), 40));
        let noise: Vec<u8> = (0..4096u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8 | 1).collect();
        check("noise", &[&one, &noise], cut(one.len(), noise.len()));
    }

    #[test]
    fn a_mark_behind_the_hole_is_no_damage() {
        let one = batch(b"one");
        let hole = vec![0; LENGTH_FOR_CHANGE_BYTES as usize - one.len()];
        check("a mark", &[&one, &hole, &one], (one.len(), Finding::CutOff((hole.len() + one.len()) as u64)));
        check("a shorter hole", &[&one, &hole[1..], TRAILER, &one], (one.len(), Finding::Damaged(one.len() as u64)));
    }
}
