//! Compiles, checks and runs WebAssembly components.
