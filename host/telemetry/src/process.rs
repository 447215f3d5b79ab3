//! What the operating system says about this process.

use metrics::{describe_gauge, gauge};
use std::time::Instant;

/// Sets the gauges of the process.
pub(crate) fn look(started: Instant) {
    gauge!("growqr_uptime_seconds").set(started.elapsed().as_secs_f64());
    if let Some(bytes) = resident_bytes() {
        gauge!("growqr_process_resident_bytes").set(bytes as f64);
    }
    if let Some(count) = open_files() {
        gauge!("growqr_process_open_files").set(count as f64);
    }
}

/// Says what they are.
pub(crate) fn describe() {
    describe_gauge!("growqr_uptime_seconds", "Time since the host was started.");
    describe_gauge!("growqr_process_resident_bytes", "Memory of the process.");
    describe_gauge!("growqr_process_open_files", "Open files of the process, sockets included.");
}

/// Memory in use. None where there is no `/proc`.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// Open files. None where there is no `/proc`.
fn open_files() -> Option<usize> {
    std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}
