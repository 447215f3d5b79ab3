//! Durable ordered bytes: commit, get, scan.
