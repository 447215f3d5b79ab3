//! A database that gets the rows of actors, and may be cut off between taking rows and saying so.

use crate::faults::{Counter, Dice, Fault};
use growqr_seam::{EventRecord, MirrorSource, SpoolRow};
use growqr_types::ActorId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

/// Rows that are taken at a time.
const ROWS_MAX: usize = 5;
/// Bytes of them, about.
const BYTES_MAX: usize = 1 << 20;

/// What has arrived. It survives the host.
#[derive(Default)]
pub struct Database {
    /// Each row with the name and the arguments of its event.
    pub rows: BTreeMap<(ActorId, u64), (SpoolRow, String, String)>,
    last: BTreeMap<ActorId, u64>,
    /// What is wrong.
    pub wrong: Vec<String>,
}

impl Database {
    /// Takes a row. One that is there already must be the same; a new one must be the actor's next.
    fn take(&mut self, row: SpoolRow) {
        let key = (row.actor, row.seq);
        if let Some((known, ..)) = self.rows.get(&key) {
            if (known.event, &known.record) != (row.event, &row.record) {
                self.wrong.push(format!("row {} of {} came again as another one", row.seq, row.actor));
            }
            return;
        }
        let last = self.last.insert(row.actor, row.seq).unwrap_or(0);
        if row.seq != last + 1 {
            self.wrong.push(format!("row {} of {} came after row {last}", row.seq, row.actor));
        }
        match EventRecord::decode(&row.record) {
            Ok(event) => drop(self.rows.insert(key, (row, event.name, event.args))),
            Err(error) => self.wrong.push(format!("row {} of {}: {error}", row.seq, row.actor)),
        }
    }
}

/// Carries rows into the database until the future is dropped.
pub async fn drain(
    source: &dyn MirrorSource,
    database: &Mutex<Database>,
    counter: &Counter,
    calm: bool,
    mut dice: Dice,
) {
    let mut after = None;
    loop {
        let rows = source.read(after, ROWS_MAX, BYTES_MAX).unwrap_or_default();
        if rows.is_empty() {
            tokio::time::sleep(Duration::from_millis(if calm { 20 } else { dice.between(1, 200) })).await;
            continue;
        }
        for row in &rows {
            database.lock().take(row.clone());
        }
        if !calm && dice.per_mille(300) {
            // The answer to the write is lost: everything is read and written once more.
            counter.hit(Fault::RowsTwice);
            after = None;
            continue;
        }
        let last = rows.last().map(|row| row.number);
        after = match source.remove(&rows).await {
            Ok(()) => last,
            Err(_) => {
                // Storage has failed and is about to be opened anew.
                tokio::time::sleep(Duration::from_millis(10)).await;
                None
            }
        };
    }
}
