//! The connections of one actor, in the order in which they came.
//!
//! Shared between the actor, which alone changes it, and what reads it: the guest during a turn, and the release of events.

use growqr_turn::{Connection, ConnectionsView};
use growqr_types::ConnectionId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// See the module's documentation.
#[derive(Default)]
pub struct Connections {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    order: HashMap<ConnectionId, u64>,
    entries: BTreeMap<u64, Connection>,
    next: u64,
}

impl Connections {
    /// Lets a connection in.
    pub fn insert(&self, connection: Connection) {
        let mut table = self.table.lock();
        let place = table.next;
        table.next += 1;
        table.order.insert(connection.id, place);
        table.entries.insert(place, connection);
    }

    /// Takes a connection out.
    pub fn remove(&self, id: ConnectionId) -> Option<Connection> {
        let mut table = self.table.lock();
        let place = table.order.remove(&id)?;
        table.entries.remove(&place)
    }

    /// Changes what the actor keeps about a connection.
    pub fn set_state(&self, id: ConnectionId, state: Arc<str>) {
        let mut table = self.table.lock();
        if let Some(place) = table.order.get(&id).copied()
            && let Some(connection) = table.entries.get_mut(&place)
        {
            connection.state = Some(state);
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.table.lock().entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether one of them keeps the actor awake.
    pub fn any_awake(&self) -> bool {
        self.table.lock().entries.values().any(|connection| !connection.hibernatable)
    }
}

impl ConnectionsView for Connections {
    fn list(&self) -> Vec<Connection> {
        self.table.lock().entries.values().cloned().collect()
    }

    fn get(&self, id: ConnectionId) -> Option<Connection> {
        let table = self.table.lock();
        table.entries.get(table.order.get(&id)?).cloned()
    }
}
