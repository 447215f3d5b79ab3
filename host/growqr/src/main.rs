//! The GrowQR host and its command line.
fn main() {}
