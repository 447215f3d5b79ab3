//! What is measured, and what it is compared with.
//!
//! A cell is one phase of the client against several servers; a row is one figure of a cell, with its goal.

use crate::bench::servers::Kind;
use serde_json::{Value, json};

/// One phase of the client.
pub struct Cell {
    /// Its name.
    pub name: &'static str,
    /// The servers that it runs against, with the path that the plain client uses.
    pub servers: &'static [(Kind, &'static str)],
    /// What the client is told.
    pub options: Value,
    /// Each server is started for this cell alone, and it runs once.
    pub fresh: bool,
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub enum Goal {
    /// At most the peer's, times this.
    AtMost(f64),
    /// At least the peer's, times this.
    AtLeast(f64),
    /// At most this, whatever the peer's is.
    Below(f64),
    /// At least this, whatever the peer's is.
    Above(f64),
}

/// One line of a table.
pub struct Row {
    /// What it says.
    pub measure: &'static str,
    /// Where the figure is from.
    pub cell: &'static str,
    /// Which field of the result.
    pub field: &'static str,
    /// The unit that is shown.
    pub unit: &'static str,
    /// With whom it is compared.
    pub peer: Kind,
    /// What it should be.
    pub goal: Goal,
}

const PLAIN: &[(Kind, &str)] = &[(Kind::Ours, "/p"), (Kind::Workerd, "/p")];
const PLAIN_AND_FLOOR: &[(Kind, &str)] = &[(Kind::Ours, "/p"), (Kind::Workerd, "/p"), (Kind::Floor, "/p")];
const SLEEPING: &[(Kind, &str)] = &[(Kind::Ours, "/h"), (Kind::Workerd, "/h")];
const OFFICIAL: &[(Kind, &str)] = &[(Kind::Ours, ""), (Kind::Rivet, "")];

/// Every cell, in the order in which they run. `scale` shortens what may be shortened.
pub fn cells(scale: &Scale) -> Vec<Cell> {
    let mut cells = plain(scale);
    cells.extend(memory(scale));
    cells.extend(official(scale));
    cells
}

/// How long things take.
pub struct Scale {
    /// Milliseconds of each throughput window.
    pub window_ms: u64,
    /// Samples of each latency.
    pub samples: u64,
    /// How long the peer is given to drop idle objects.
    pub eviction_ms: u64,
}

fn plain(scale: &Scale) -> Vec<Cell> {
    let (ms, count) = (scale.window_ms, scale.samples);
    let cell = |name, servers, options| Cell { name, servers, options, fresh: false };
    vec![
        cell("ws", PLAIN_AND_FLOOR, json!({ "phase": "sequential", "transport": "ws", "count": count })),
        cell("http", PLAIN_AND_FLOOR, json!({ "phase": "sequential", "transport": "http", "count": count })),
        cell("one", PLAIN_AND_FLOOR, json!({ "phase": "throughput", "transport": "ws", "duration_ms": ms })),
        cell("many", PLAIN, json!({ "phase": "throughput", "transport": "ws", "actors": 64, "duration_ms": ms })),
        cell(
            "shared",
            PLAIN_AND_FLOOR,
            json!({ "phase": "throughput", "transport": "ws", "shared": true, "duration_ms": ms }),
        ),
        cell(
            "http-many",
            PLAIN,
            json!({ "phase": "throughput", "transport": "http", "actors": 64, "duration_ms": ms }),
        ),
        cell("cold", PLAIN, json!({ "phase": "cold", "count": count / 5 })),
        cell("cold-16", PLAIN, json!({ "phase": "cold", "count": count / 2, "flight": 16 })),
        cell("fanout", PLAIN, json!({ "phase": "fanout" })),
    ]
}

fn memory(scale: &Scale) -> Vec<Cell> {
    let cell = |name, servers, options| Cell { name, servers, options, fresh: true };
    let ours = &SLEEPING[..1];
    let peer = &SLEEPING[1..];
    let evicted = scale.eviction_ms;
    vec![
        cell("awake", PLAIN, json!({ "phase": "memory" })),
        cell("awake-socket", PLAIN, json!({ "phase": "memory", "sockets": true })),
        cell(
            "asleep-socket",
            ours,
            json!({ "phase": "memory", "actors": 10_000, "rehearsed": 5000, "sockets": true, "wake": 300 }),
        ),
        // The peer holds three files for each live object, and never gave memory back: fewer objects, and a longer wait.
        cell(
            "asleep-socket",
            peer,
            json!({ "phase": "memory", "actors": 1_000, "rehearsed": 300, "sockets": true, "wake": 300, "settle_ms": 20_000 }),
        ),
        cell("asleep", ours, json!({ "phase": "memory", "actors": 10_000, "rehearsed": 5000 })),
        cell("asleep", peer, json!({ "phase": "memory", "actors": 1_000, "rehearsed": 300, "settle_ms": evicted })),
    ]
}

fn official(scale: &Scale) -> Vec<Cell> {
    let ms = scale.window_ms;
    let cell = |name, mut options: Value| {
        options["driver"] = json!("official");
        Cell { name, servers: OFFICIAL, options, fresh: false }
    };
    let mut cells = vec![
        cell("official-ws", json!({ "phase": "sequential", "transport": "ws", "count": 200, "warmup": 20 })),
        cell("official-http", json!({ "phase": "sequential", "transport": "http", "count": 500, "warmup": 50 })),
        cell("official-shared", json!({ "phase": "throughput", "transport": "ws", "shared": true, "duration_ms": ms })),
        cell("official-http-64", json!({ "phase": "throughput", "transport": "http", "duration_ms": ms })),
        cell("official-cold", json!({ "phase": "cold", "count": 50 })),
        cell("official-cold-16", json!({ "phase": "cold", "count": 200, "flight": 16 })),
    ];
    cells.push(Cell { fresh: true, ..cell("official-awake", json!({ "phase": "memory", "flight": 4 })) });
    cells
}

const fn row(
    measure: &'static str,
    from: (&'static str, &'static str),
    unit: &'static str,
    peer: Kind,
    goal: Goal,
) -> Row {
    Row { measure, cell: from.0, field: from.1, unit, peer, goal }
}

/// The comparison with workerd.
pub const WORKERD_ROWS: &[Row] = &[
    row("WebSocket increment, one after the other, p50", ("ws", "p50_ms"), "ms", Kind::Workerd, Goal::AtMost(1.0)),
    row("HTTP increment, one after the other, p50", ("http", "p50_ms"), "ms", Kind::Workerd, Goal::AtMost(0.5)),
    row(
        "One actor, 64 sockets with one in flight each",
        ("one", "per_second"),
        "/s",
        Kind::Workerd,
        Goal::AtLeast(5.0),
    ),
    row("The same over 64 actors", ("many", "per_second"), "/s", Kind::Workerd, Goal::AtLeast(5.0)),
    row("One actor, one socket with 64 in flight", ("shared", "per_second"), "/s", Kind::Workerd, Goal::AtLeast(5.0)),
    row("Server CPU for each increment, 64 sockets", ("one", "server_cpu_us"), "us", Kind::Workerd, Goal::AtMost(0.25)),
    row(
        "Server CPU for each increment, one socket",
        ("shared", "server_cpu_us"),
        "us",
        Kind::Workerd,
        Goal::AtMost(0.25),
    ),
    row("HTTP, 64 actors, 64 in flight", ("http-many", "per_second"), "/s", Kind::Workerd, Goal::AtLeast(2.0)),
    row("New actor with its first increment, p50", ("cold", "p50_ms"), "ms", Kind::Workerd, Goal::AtMost(1.0 / 3.0)),
    row("New actors, 16 at once", ("cold-16", "per_second"), "/s", Kind::Workerd, Goal::AtLeast(10.0)),
    row("Event to 50 sockets, the last has it, p50", ("fanout", "p50_ms"), "ms", Kind::Workerd, Goal::AtMost(1.0)),
    row("Memory of an awake actor (1,000)", ("awake", "kib_each"), "KiB", Kind::Workerd, Goal::Below(64.0)),
    row("The same with a socket", ("awake-socket", "kib_each"), "KiB", Kind::Workerd, Goal::Below(96.0)),
    row(
        "Memory of a sleeping actor with a socket (10,000)",
        ("asleep-socket", "kib_each"),
        "KiB",
        Kind::Workerd,
        Goal::Below(16.0),
    ),
    row(
        "Memory of a sleeping actor without one (10,000)",
        ("asleep", "kib_each"),
        "KiB",
        Kind::Workerd,
        Goal::Below(1.0),
    ),
    row(
        "Wake and first answer, the socket kept, p50",
        ("asleep-socket", "wake.p50_ms"),
        "ms",
        Kind::Workerd,
        Goal::AtMost(1.0),
    ),
];

/// The comparison with Rivet.
pub const RIVET_ROWS: &[Row] = &[
    row("WebSocket action, one after the other, p50", ("official-ws", "p50_ms"), "ms", Kind::Rivet, Goal::Below(1.0)),
    row("HTTP action, one after the other, p50", ("official-http", "p50_ms"), "ms", Kind::Rivet, Goal::Below(3.3)),
    row(
        "Server CPU for each action, 64 in flight on one socket",
        ("official-shared", "server_cpu_us"),
        "us",
        Kind::Rivet,
        Goal::AtMost(0.1),
    ),
    row(
        "Actions of one actor, 64 in flight on one socket",
        ("official-shared", "per_second"),
        "/s",
        Kind::Rivet,
        Goal::Above(20_000.0),
    ),
    row("Client CPU for each of them", ("official-shared", "client_cpu_us"), "us", Kind::Rivet, Goal::AtMost(1.0)),
    row("Actions over HTTP, 64 in flight", ("official-http-64", "per_second"), "/s", Kind::Rivet, Goal::AtLeast(6.0)),
    row("New actor with its first action, p50", ("official-cold", "p50_ms"), "ms", Kind::Rivet, Goal::AtMost(0.02)),
    row("New actors, 16 at once", ("official-cold-16", "per_second"), "/s", Kind::Rivet, Goal::AtLeast(40.0)),
    row("Memory of an awake actor (1,000)", ("official-awake", "kib_each"), "KiB", Kind::Rivet, Goal::AtMost(0.1)),
];

impl Goal {
    /// Whether the goal is met; none when it can't be said because there is no peer's figure.
    pub fn met(self, ours: f64, peer: Option<f64>) -> Option<bool> {
        match self {
            Self::AtMost(share) => peer.map(|peer| ours <= peer * share),
            Self::AtLeast(share) => peer.map(|peer| ours >= peer * share),
            Self::Below(most) => Some(ours <= most),
            Self::Above(least) => Some(ours >= least),
        }
    }

    /// The goal in words.
    pub fn text(self, unit: &str) -> String {
        match self {
            Self::AtMost(1.0) => "not above".to_owned(),
            Self::AtMost(share) => format!("1/{:.0}", 1.0 / share),
            Self::AtLeast(share) => format!("{share} times"),
            Self::Below(most) => format!("at most {most} {unit}"),
            Self::Above(least) => format!("at least {least}{unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_or_not_or_can_not_be_told() {
        let cases = [
            (Goal::AtMost(0.5), 1.0, Some(2.0), Some(true)),
            (Goal::AtMost(0.5), 1.1, Some(2.0), Some(false)),
            (Goal::AtMost(1.0), 1.0, None, None),
            (Goal::AtLeast(5.0), 9.0, Some(2.0), Some(false)),
            (Goal::AtLeast(5.0), 10.0, Some(2.0), Some(true)),
            (Goal::Below(1.0), 2.0, None, Some(false)),
            (Goal::Above(1.0), 2.0, Some(9.0), Some(true)),
        ];
        for (goal, ours, peer, expected) in cases {
            assert_eq!(goal.met(ours, peer), expected, "{} {ours} {peer:?}", goal.text("ms"));
        }
    }

    #[test]
    fn every_row_has_its_cell_and_every_cell_its_server() {
        let cells = cells(&Scale { window_ms: 1, samples: 10, eviction_ms: 1 });
        for row in WORKERD_ROWS.iter().chain(RIVET_ROWS) {
            for kind in [Kind::Ours, row.peer] {
                let found = cells
                    .iter()
                    .any(|cell| cell.name == row.cell && cell.servers.iter().any(|server| server.0 == kind));
                assert!(found, "{} against {kind:?}", row.measure);
            }
        }
    }
}
