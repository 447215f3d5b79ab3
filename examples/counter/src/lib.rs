//! The counter actor that examples and benchmarks aim at.
