//! The check of a journal before a restart, for the fuzzer in `tests/fuzz`. No part of the public interface.

/// Where the whole commits of a journal with these bytes end, and what is said of the rest.
pub fn journal(bytes: &[u8]) -> (usize, String) {
    let (end, finding) = crate::journal_check::judge(bytes);
    (end, format!("{finding:?}"))
}
