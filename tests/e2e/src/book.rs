//! What a host acknowledged, to be compared with what it still knows afterwards.

use crate::host::Host;
use crate::plain::{Plain, Refusal, eventually};
use serde_json::{Value, json};

/// Entries that are added at a time.
const SOME: u64 = 20;

/// A ledger, and what it acknowledged.
pub struct Book {
    /// Who writes.
    pub client: Plain,
    /// Ids of the entries that were acknowledged.
    pub acknowledged: Vec<String>,
}

impl Book {
    /// The ledger of this host.
    pub fn of(host: &Host) -> Self {
        Self { client: Plain::to(host), acknowledged: Vec::new() }
    }

    /// Adds an entry of 1.
    pub fn add(&mut self, id: &str) -> Result<(), Refusal> {
        let total = self.client.call("ledger", "book", "add", json!([id, 1]))?;
        assert!(total.as_u64().is_some_and(|total| total > self.acknowledged.len() as u64), "{total}");
        self.acknowledged.push(id.to_owned());
        Ok(())
    }

    /// Adds some entries, which must be taken.
    pub fn add_some(&mut self, name: &str) {
        for number in 0..SOME {
            self.add(&format!("{name}-{number}")).expect("the ledger takes it");
        }
    }

    /// Everything acknowledged is there once; more may be, where the answer was lost.
    pub fn check(&mut self) {
        let ids = eventually("the ledger's entries", || self.client.call("ledger", "book", "ids", json!([])).ok());
        let ids: Vec<&str> = ids.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        let lost: Vec<_> = self.acknowledged.iter().filter(|id| !ids.contains(&id.as_str())).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let total = self.client.call("ledger", "book", "total", json!([])).expect("the total");
        assert_eq!(total, json!(ids.len()), "the total is not the sum of the entries");
    }
}
