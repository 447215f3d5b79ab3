//! End-to-end tests: real binary, real clients.
