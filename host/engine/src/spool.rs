//! Rows that wait for the database, beside everything else in the store.
//!
//! A row is written in the commit of the turn that it belongs to. Its key holds its place in the order of all rows, whose it is and
//! what it is called there; its value is the very bytes that the actor's event log keeps.
//!
//! | place | bytes |
//! |---|---|
//! | number in the order of all rows | 8, big-endian |
//! | version of this layout | 1 |
//! | actor | 16 |
//! | number among the actor's rows | 8 |
//! | number of the event, 0 for none | 8 |
//! | whether there is a user | 1 |
//! | bytes of the actor's name | 2 |
//! | name, user | the rest |
//!
//! Invariant: numbers are given in the order in which commits are submitted, which is the order in which they become durable. So whoever
//! has read a row will never find an unread one before it.

use crate::record::StoredActor;
use crate::store::Store;
use bytes::{BufMut, Bytes, BytesMut};
use futures::future::BoxFuture;
use growqr_seam::{CommitError, MirrorRow, MirrorSource, ReadError, SpoolLevel, SpoolRow};
use growqr_storage::{CommitDone, Space, StorageError, Write};
use growqr_types::ActorId;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::Notify;

const VERSION: u8 = 1;
/// Bytes in front of the actor's name.
const HEAD_BYTES: usize = 44;
/// Rows that are read from the store at a time; so many of the largest are about what `read` may give.
const READ_ROWS_MAX: usize = 64;
/// Rows that are counted at a time.
const COUNT_ROWS_MAX: usize = 1024;

/// What one actor's rows have in common, and how many there were.
#[derive(Debug)]
pub(crate) struct Numbering {
    actor: ActorId,
    /// The number of the last row.
    pub last: u64,
    /// The end of each key: name and user.
    tail: Bytes,
    /// The version that the database was told.
    pub version: Option<String>,
}

impl Numbering {
    pub fn new(actor: ActorId, stored: &StoredActor, last: u64, version: Option<String>) -> Self {
        let user = stored.key.0.first();
        let mut tail = BytesMut::with_capacity(3 + stored.name.len() + user.map_or(0, String::len));
        tail.put_u8(u8::from(user.is_some()));
        // Names and keys are limited far below 64 KiB.
        tail.put_u16(u16::try_from(stored.name.len()).unwrap_or(u16::MAX));
        tail.put_slice(stored.name.as_bytes());
        tail.put_slice(user.map_or(&[], |user| user.as_bytes()));
        Self { actor, last, tail: tail.freeze(), version }
    }

    /// The write of the next row. The place in the order of all rows is put in when it is submitted.
    pub(crate) fn next(&mut self, row: MirrorRow) -> (BytesMut, Bytes) {
        self.last += 1;
        let mut key = BytesMut::with_capacity(HEAD_BYTES + self.tail.len());
        key.put_u64(0);
        key.put_u8(VERSION);
        key.put_slice(self.actor.as_bytes());
        key.put_u64(self.last);
        key.put_u64(row.event.unwrap_or(0));
        key.put_slice(&self.tail);
        (key, row.record)
    }
}

pub(crate) fn decode(place: Bytes, record: Bytes) -> Option<SpoolRow> {
    let (head, rest) = place.split_at_checked(HEAD_BYTES)?;
    let number = |at: usize| head[at..].first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
    if head[8] != VERSION {
        return None;
    }
    let name_len = u16::from_be_bytes([head[42], head[43]]);
    let (name, user) = rest.split_at_checked(usize::from(name_len))?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some(SpoolRow {
        number: number(0)?,
        actor: ActorId::from_bytes(*head[9..].first_chunk()?),
        seq: number(25)?,
        event: number(33).filter(|number| *number > 0),
        name: text(name)?,
        user: if head[41] == 1 { Some(text(user)?) } else { None },
        record,
        place,
    })
}

#[derive(Default)]
struct Order {
    /// The next number; none until the store was asked.
    next: Option<u64>,
    /// Numbers below were given before: whoever reads is behind them, even when the rows are gone.
    floor: u64,
    /// The first number of this opening of the store: rows below it were there before.
    first: u64,
    /// Counts the openings.
    opening: u64,
}

#[derive(Default)]
struct Amount {
    rows: AtomicI64,
    bytes: AtomicI64,
}

impl Amount {
    fn add(&self, rows: i64, bytes: i64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn set(&self, rows: i64, bytes: i64) {
        self.rows.store(rows, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    fn get(&self) -> (i64, i64) {
        (self.rows.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// See the module's documentation.
pub(crate) struct Spool {
    store: Arc<Store>,
    bytes_max: u64,
    order: Mutex<Order>,
    /// Rows that were there when the store was opened, and those that came since.
    old: Amount,
    fresh: Amount,
    changed: Notify,
}

impl Spool {
    pub fn new(store: Arc<Store>, bytes_max: u64) -> Self {
        Self {
            store,
            bytes_max,
            order: Mutex::default(),
            old: Amount::default(),
            fresh: Amount::default(),
            changed: Notify::new(),
        }
    }

    /// Whether so much waits that no turn may add to it.
    pub fn is_full(&self) -> bool {
        let bytes = self.old.bytes.load(Ordering::Relaxed) + self.fresh.bytes.load(Ordering::Relaxed);
        u64::try_from(bytes).is_ok_and(|bytes| bytes >= self.bytes_max)
    }

    /// The store was opened anew: what was on its way is there or not, so everything is counted again.
    pub fn reopened(&self) {
        let mut order = self.order.lock();
        order.floor = order.next.take().unwrap_or(order.floor);
        order.opening += 1;
        self.old.set(0, 0);
        self.fresh.set(0, 0);
    }

    /// Submits a commit with rows; `done` hears how it ended.
    pub fn submit(
        self: &Arc<Self>,
        numbering: &mut Numbering,
        rows: Vec<MirrorRow>,
        mut writes: Vec<Write>,
        done: impl FnOnce(Result<(), StorageError>) + Send + 'static,
    ) {
        let entries: Vec<_> = rows.into_iter().map(|row| numbering.next(row)).collect();
        let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        let bytes = entries.iter().map(|(key, record)| (key.len() + record.len()) as i64).sum::<i64>();
        // The lock is held until the commit is in the queue, so that numbers are in the order of the queue.
        let mut order = self.order.lock();
        let next = match self.next(&mut order) {
            Ok(next) => next,
            Err(error) => {
                drop(order);
                return done(Err(error));
            }
        };
        for (number, (mut key, record)) in (next..).zip(entries) {
            key[..8].copy_from_slice(&number.to_be_bytes());
            writes.push(Write { space: Space::Spool, key: key.freeze(), value: Some(record) });
            order.next = Some(number + 1);
        }
        self.fresh.add(count, bytes);
        let spool = self.clone();
        self.store.submit(
            writes,
            CommitDone::call(move |result| {
                if result.is_ok() {
                    spool.changed.notify_one();
                } else {
                    // Not under the order's lock, which the thread that is told may hold. When the store is opened anew, everything
                    // is counted again.
                    spool.fresh.add(-count, -bytes);
                }
                done(result);
            }),
        );
    }

    fn next(&self, order: &mut Order) -> Result<u64, StorageError> {
        if let Some(next) = order.next {
            return Ok(next);
        }
        let last = self.store.last_key(Space::Spool)?;
        let next = last
            .and_then(|key| key.first_chunk().map(|bytes| u64::from_be_bytes(*bytes) + 1))
            .unwrap_or(0)
            .max(order.floor);
        order.first = next;
        order.next = Some(next);
        Ok(next)
    }
}

impl MirrorSource for Spool {
    fn count(&self) -> Result<(), ReadError> {
        let (first, opening) = {
            let mut order = self.order.lock();
            self.next(&mut order).map_err(|error| ReadError(error.to_string()))?;
            (order.first, order.opening)
        };
        let end = first.to_be_bytes();
        let mut start = vec![0];
        let (mut rows, mut bytes) = (0, 0);
        loop {
            let found = self.store.scan(Space::Spool, &start, Some(&end), COUNT_ROWS_MAX);
            let found = found.map_err(|error| ReadError(error.to_string()))?;
            rows += found.len() as i64;
            bytes += found.iter().map(|(key, value)| (key.len() + value.len()) as i64).sum::<i64>();
            match found.last() {
                Some((last, _)) if found.len() == COUNT_ROWS_MAX => {
                    start.clear();
                    start.extend_from_slice(last);
                    start.push(0);
                }
                _ => break,
            }
        }
        let order = self.order.lock();
        if order.opening == opening {
            self.old.set(rows, bytes);
        }
        Ok(())
    }

    fn read(&self, after: Option<u64>, rows_max: usize, bytes_max: usize) -> Result<Vec<SpoolRow>, ReadError> {
        let mut rows: Vec<SpoolRow> = Vec::new();
        let mut bytes = 0;
        let mut start = match after {
            Some(after) => after.saturating_add(1).to_be_bytes().to_vec(),
            None => vec![0],
        };
        while rows.len() < rows_max && bytes < bytes_max {
            let limit = READ_ROWS_MAX.min(rows_max - rows.len());
            let found = self.store.scan(Space::Spool, &start, None, limit);
            let found = found.map_err(|error| ReadError(error.to_string()))?;
            let full = found.len() == limit;
            if let Some((last, _)) = found.last() {
                start.clear();
                start.extend_from_slice(last);
                start.push(0);
            }
            for (place, record) in found {
                bytes += place.len() + record.len();
                let row = decode(place, record).ok_or_else(|| ReadError("a row that waits is damaged".to_owned()))?;
                rows.push(row);
            }
            if !full {
                break;
            }
        }
        Ok(rows)
    }

    fn remove<'a>(&'a self, rows: &'a [SpoolRow]) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move {
            let (first, opening) = {
                let order = self.order.lock();
                (order.first, order.opening)
            };
            let writes = rows.iter().map(|row| Write::delete(Space::Spool, row.place.clone())).collect();
            self.store.commit(writes).await.map_err(|error| CommitError::Storage(error.to_string()))?;
            if self.order.lock().opening == opening {
                for row in rows {
                    let amount = if row.number < first { &self.old } else { &self.fresh };
                    amount.add(-1, -((row.place.len() + row.record.len()) as i64));
                }
            }
            Ok(())
        })
    }

    fn added(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.changed.notified())
    }

    fn level(&self) -> SpoolLevel {
        let ((old_rows, old_bytes), (fresh_rows, fresh_bytes)) = (self.old.get(), self.fresh.get());
        SpoolLevel {
            rows: u64::try_from(old_rows + fresh_rows).unwrap_or(0),
            bytes: u64::try_from(old_bytes + fresh_bytes).unwrap_or(0),
            bytes_max: self.bytes_max,
        }
    }
}
