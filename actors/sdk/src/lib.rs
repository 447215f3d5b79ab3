//! Write a GrowQR actor in Rust.
