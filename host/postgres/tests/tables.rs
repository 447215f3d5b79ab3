//! The tables of users and of operators' tokens, on a real database.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use growqr_postgres::operator_tokens::{self, NewToken};
use growqr_postgres::testing::TestDatabase;
use growqr_postgres::{is_data_error, users};

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_new_once_for_a_thousand_callers_at_once() {
    let test = TestDatabase::create().await;
    let sightings = (0..1000).map(|_| users::note_seen(test.pool(), "ada"));
    let firsts = futures::future::try_join_all(sightings).await.unwrap();
    assert_eq!(firsts.iter().filter(|first| **first).count(), 1);
    let before = users::find(test.pool(), "ada").await.unwrap().unwrap();
    users::note_seen_many(test.pool(), &["bob", "ada", "bob"].map(str::to_owned)).await.unwrap();
    let after = users::find(test.pool(), "ada").await.unwrap().unwrap();
    assert!(after.last_seen > before.last_seen && after.first_seen == before.first_seen);
    assert!(users::find(test.pool(), "bob").await.unwrap().is_some());
    assert_eq!(users::find(test.pool(), "eve'; DROP TABLE users; --").await.unwrap(), None);
    assert!(is_data_error(&users::note_seen(test.pool(), "nul\0").await.unwrap_err()));
    assert!(is_data_error(&users::note_seen(test.pool(), "").await.unwrap_err()));
}

#[tokio::test]
async fn a_token_is_found_by_its_hash_until_it_ends_or_is_revoked() {
    let test = TestDatabase::create().await;
    let scopes = ["deploy".to_owned()];
    let token =
        |id: &'static str, hash: &'static [u8]| NewToken { id, name: "ci", hash, scopes: &scopes, expires: None };
    let made = operator_tokens::create(test.pool(), &token("one", b"1")).await.unwrap();
    assert_eq!((made.scopes.as_slice(), made.last_used), (scopes.as_slice(), None));
    assert!(operator_tokens::create(test.pool(), &token("two", b"1")).await.is_err(), "a hash is there once");
    let past = NewToken { expires: Some(chrono::DateTime::UNIX_EPOCH), ..token("old", b"2") };
    operator_tokens::create(test.pool(), &past).await.unwrap();

    assert_eq!(operator_tokens::find_valid(test.pool(), b"1").await.unwrap().unwrap().id, "one");
    assert_eq!(operator_tokens::find_valid(test.pool(), b"2").await.unwrap(), None, "it has ended");
    assert_eq!(operator_tokens::find_valid(test.pool(), b"3").await.unwrap(), None);
    assert!(operator_tokens::revoke(test.pool(), "one").await.unwrap());
    assert!(!operator_tokens::revoke(test.pool(), "one").await.unwrap());
    assert_eq!(operator_tokens::find_valid(test.pool(), b"1").await.unwrap(), None);
    let listed = operator_tokens::list(test.pool()).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().any(|token| token.id == "one" && token.last_used.is_some() && token.revoked.is_some()));
}
