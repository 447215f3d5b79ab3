//! An actor that does every bad thing, for the tests.
