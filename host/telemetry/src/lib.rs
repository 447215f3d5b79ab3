//! Logs, metrics and traces of the host.
