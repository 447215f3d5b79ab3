//! The REST interface for threads, messages, actors and events.
