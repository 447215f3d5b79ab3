//! The host's configuration: one struct, from a file and the environment.
