//! Runs actors: mailboxes, turns, commits, releases.
