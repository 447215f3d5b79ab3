//! What power failure leaves of the commit that was under way, for storage in memory.
//!
//! The commit is written in the format of the store's journal, behind one that is whole; some of its bytes reach the disk, in any
//! order; and what a restart finds is judged by the same code that looks at the journals of a real store.
//!
//! Deliberately absent: sectors of a real size. Commits of a simulation are small, and would arrive whole or not at all.

use crate::journal_check::{Finding, TAG_END, TAG_ITEM, TAG_START, TRAILER, judge};
use crate::{Space, Write};
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes that reach the disk together.
const SECTOR_BYTES: usize = 48;
/// Kinds of items.
const PUT: u8 = 0;
const DELETE: u8 = 1;
/// Bytes of an item before its key, the tag included, and where in them the lengths are.
const ITEM_HEAD_BYTES: usize = 21;
/// Bytes of a commit before its first item.
const START_BYTES: usize = 13;

/// Bytes of a disk: one whole commit, and what there is of the next one.
#[derive(Clone)]
pub(crate) struct Tail {
    disk: Vec<u8>,
    /// Where the whole commit ends.
    whole: usize,
}

impl Tail {
    /// The commit reached the disk.
    pub(crate) fn kept(groups: &[&[Write]]) -> Self {
        let mut disk = encode(&[]);
        let whole = disk.len();
        disk.extend(encode(&groups.iter().copied().flatten().collect::<Vec<_>>()));
        Self { disk, whole }
    }

    /// So many writes of the commit reached the disk; if those are all, so did its end.
    pub(crate) fn torn(groups: &[&[Write]], count: usize) -> Self {
        let mut tail = Self::kept(groups);
        let writes: Vec<&Write> = groups.iter().copied().flatten().collect();
        if let Some(arrived) = writes.get(..count).filter(|arrived| arrived.len() < writes.len()) {
            let bytes: usize = arrived.iter().map(|write| ITEM_HEAD_BYTES + write.len()).sum();
            tail.disk.truncate(tail.whole + START_BYTES + bytes);
        }
        tail
    }

    /// Sectors of the commit reached the disk in an order of their own, and some did not: each bit of `arrived` says it of one, over
    /// and over. Where nothing arrived are the zeros of a new journal.
    pub(crate) fn reordered(groups: &[&[Write]], arrived: u64) -> Self {
        let mut tail = Self::kept(groups);
        let lost = |index: usize| arrived.rotate_right(index as u32 % u64::BITS) & 1 == 0;
        let sectors = tail.disk[tail.whole..].chunks_mut(SECTOR_BYTES).enumerate();
        sectors.filter(|(index, _)| lost(*index)).for_each(|(_, sector)| sector.fill(0));
        tail
    }

    /// The writes that a restart finds: all of the commit, or none.
    pub(crate) fn recovered(&self) -> Vec<Write> {
        let length = self.disk.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let (end, finding) = judge(&self.disk[..length]);
        assert!(end >= self.whole, "a commit that was durable is not found any more");
        assert!(!matches!(finding, Finding::Damaged(_)), "an unfinished commit is taken for damage");
        decode(&self.disk[self.whole..end])
    }
}

fn encode(writes: &[&Write]) -> Vec<u8> {
    let mut items = Vec::new();
    for write in writes {
        let (kind, value) = match &write.value {
            Some(value) => (PUT, &value[..]),
            None => (DELETE, &[][..]),
        };
        items.extend([TAG_ITEM, kind, 0]);
        items.extend((write.space.index() as u64).to_le_bytes());
        items.extend((write.key.len() as u16).to_le_bytes());
        // The length as it is, and as it is stored: nothing is compressed.
        items.extend((value.len() as u32).to_le_bytes().repeat(2));
        items.extend_from_slice(&write.key);
        items.extend_from_slice(value);
    }
    let start = [&[TAG_START][..], &(writes.len() as u32).to_le_bytes(), &[0; 8]].concat();
    [&start[..], &items, &[TAG_END], &xxh3_64(&items).to_le_bytes(), TRAILER].concat()
}

/// The writes of a whole commit; none of nothing.
fn decode(batch: &[u8]) -> Vec<Write> {
    let mut writes = Vec::new();
    let mut rest = batch.get(START_BYTES..).unwrap_or_default();
    while let Some((head, after)) = rest.split_first_chunk::<ITEM_HEAD_BYTES>().filter(|(head, _)| head[0] == TAG_ITEM)
    {
        let key_bytes = usize::from(u16::from_le_bytes([head[11], head[12]]));
        let value_bytes = u32::from_le_bytes([head[13], head[14], head[15], head[16]]) as usize;
        let (key, after) = after.split_at(key_bytes);
        let (value, after) = after.split_at(value_bytes);
        let value = (head[1] == PUT).then(|| Bytes::copy_from_slice(value));
        writes.push(Write { space: Space::ALL[usize::from(head[3])], key: Bytes::copy_from_slice(key), value });
        rest = after;
    }
    writes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes() -> Vec<Write> {
        let put = |number: u8| Write::put(Space::Actors, vec![number; 5], vec![number; 40]);
        vec![put(1), Write::delete(Space::Alarms, vec![9; 24]), put(2), put(3)]
    }

    #[test]
    fn a_commit_comes_back_whole_or_not_at_all() {
        let writes = writes();
        let groups = [&writes[..1], &writes[1..]];
        let found = |tail: Tail| tail.recovered();
        assert_eq!(found(Tail::kept(&groups)), writes);
        for count in 0..6 {
            let expected = if count >= writes.len() { &writes[..] } else { &[] };
            assert_eq!(found(Tail::torn(&groups, count)), expected, "{count} writes arrived");
        }
        let sectors = Tail::kept(&groups).disk.len().div_ceil(SECTOR_BYTES);
        for arrived in 0..1u64 << sectors.min(12) {
            let all = (0..sectors).all(|index| arrived.rotate_right(index as u32 % u64::BITS) & 1 == 1);
            let tail = found(Tail::reordered(&groups, arrived));
            assert!(tail.is_empty() || tail == writes, "{arrived:b}");
            assert!(!all || tail == writes, "{arrived:b}");
        }
        assert_eq!(found(Tail::reordered(&groups, u64::MAX)), writes);
    }
}
