//! An actor's state as its turns left it: what is durable, under the writes that are not yet.

use crate::core::record::key;
use bytes::Bytes;
use growqr_seam::{EngineHost, Write};
use growqr_turn::{Read, StateEntries, StateReader};
use growqr_types::{ActorId, Failure, codes};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// A value that is not durable yet, and the commit that will make it so.
type Uncommitted = BTreeMap<Bytes, (Option<Bytes>, u64)>;

/// See the module's documentation.
pub struct StateView {
    engine: Arc<dyn EngineHost>,
    actor: ActorId,
    uncommitted: Mutex<Uncommitted>,
}

impl StateView {
    /// The view of an actor of which nothing is uncommitted.
    pub fn new(engine: Arc<dyn EngineHost>, actor: ActorId) -> Self {
        Self { engine, actor, uncommitted: Mutex::default() }
    }

    /// A turn's writes are on their way.
    pub fn written(&self, ticket: u64, writes: &[Write]) {
        let mut uncommitted = self.uncommitted.lock();
        for (key, value) in writes {
            if key.first() == Some(&key::STATE) {
                uncommitted.insert(key.clone(), (value.clone(), ticket));
            }
        }
    }

    /// A commit has become durable.
    pub fn committed(&self, ticket: u64) {
        self.uncommitted.lock().retain(|_, (_, written)| *written > ticket);
    }

    /// Bytes of a stored value.
    pub async fn size(&self, key: &str) -> Result<Option<usize>, Failure> {
        Ok(self.get(key).get().await?.map(|value| value.len()))
    }
}

impl StateReader for StateView {
    fn get(&self, key: &str) -> Read<'_, Result<Option<Bytes>, Failure>> {
        let key = key::state(key);
        if let Some((value, _)) = self.uncommitted.lock().get(&key) {
            return Read::Ready(Ok(value.clone()));
        }
        match self.engine.get(self.actor, &key) {
            Read::Ready(read) => Read::Ready(read.map_err(|error| unreadable(&error))),
            Read::Pending(read) => Read::Pending(Box::pin(async { read.await.map_err(|error| unreadable(&error)) })),
        }
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Read<'_, Result<StateEntries, Failure>> {
        let from = match after {
            // The smallest key that is greater.
            Some(after) if after >= prefix => {
                let mut key = key::state(after).to_vec();
                key.push(0);
                Bytes::from(key)
            }
            _ => key::state(prefix),
        };
        let to = after_prefix(&key::state(prefix));
        let range = (Bound::Included(from.clone()), Bound::Excluded(to.clone()));
        let over: Vec<_> = if from < to {
            self.uncommitted.lock().range(range).map(|(key, (value, _))| (key.clone(), value.clone())).collect()
        } else {
            return Read::Ready(Ok(Vec::new()));
        };
        let deleted = over.iter().filter(|(_, value)| value.is_none()).count();
        let merge = move |stored: growqr_seam::Entries| {
            let mut merged: BTreeMap<Bytes, Bytes> = stored.into_iter().collect();
            for (key, value) in over {
                match value {
                    Some(value) => merged.insert(key, value),
                    None => merged.remove(&key),
                };
            }
            let text = |key: Bytes| String::from_utf8(key[1..].to_vec()).map_err(|_| codes::INTERNAL.failure());
            merged.into_iter().take(limit).map(|(key, value)| Ok((text(key)?, value))).collect()
        };
        match self.engine.scan(self.actor, &from, &to, limit + deleted) {
            Read::Ready(read) => Read::Ready(read.map_err(|error| unreadable(&error)).and_then(merge)),
            Read::Pending(read) => {
                Read::Pending(Box::pin(async { read.await.map_err(|error| unreadable(&error)).and_then(merge) }))
            }
        }
    }
}

/// The end of the range of keys with a prefix. State keys begin with a letter, so there always is one.
fn after_prefix(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end.into()
}

fn unreadable(error: &growqr_seam::ReadError) -> Failure {
    tracing::error!(%error, "an actor's state can't be read");
    codes::INTERNAL.failure()
}
