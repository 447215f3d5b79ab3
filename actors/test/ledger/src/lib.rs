//! An actor that keeps amounts by id, for the tests of durability.
//!
//! Adding is idempotent by id, so a client may repeat what it has no answer to; each id has a key of its own in the state.

use growqr_actor_sdk::prelude::*;

#[derive(Default, Serialize, Deserialize)]
struct Ledger {
    total: i64,
}

#[derive(Serialize, Event)]
struct Added<'a> {
    id: &'a str,
    total: i64,
}

const PREFIX: &str = "id/";

fn key(id: &str) -> String {
    [PREFIX, id].concat()
}

#[actor(events(Added))]
impl Ledger {
    /// The total after it; a second time with the same id changes nothing.
    #[action]
    fn add(&mut self, ctx: &mut Ctx, id: &str, amount: i64) -> Result<i64> {
        if ctx.get(&key(id)).is_none() {
            self.total += amount;
            ctx.set_json(&key(id), &amount)?;
            ctx.emit(&Added { id, total: self.total });
        }
        Ok(self.total)
    }

    #[action(read_only)]
    fn total(&self) -> i64 {
        self.total
    }

    #[action(read_only)]
    fn has(&self, ctx: &Ctx, id: &str) -> bool {
        ctx.get(&key(id)).is_some()
    }

    #[action(read_only)]
    fn ids(&self, ctx: &Ctx) -> Vec<String> {
        ctx.scan_all(PREFIX).map(|(key, _)| key[PREFIX.len()..].to_owned()).collect()
    }

    /// Pairs of id and amount.
    #[action(read_only)]
    fn entries(&self, ctx: &Ctx) -> Result<Vec<(String, i64)>> {
        ctx.scan_all(PREFIX)
            .map(|(key, amount)| Ok((key[PREFIX.len()..].to_owned(), serde_json::from_slice(&amount)?)))
            .collect()
    }
}

export!(Ledger);
