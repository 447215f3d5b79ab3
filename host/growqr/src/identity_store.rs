//! What identity keeps in the database: the users that were seen, and the tokens of operators.

use futures::future::BoxFuture;
use growqr_identity::StoreError;
use growqr_identity::operators::{Hash, OperatorRecord, OperatorStore};
use growqr_identity::users::{Seen, UserSink};
use growqr_postgres::operator_tokens::{self, NewToken, OperatorToken};
use growqr_postgres::{Database, users};
use sqlx::types::chrono::{DateTime, Utc};

/// Records users.
pub struct DatabaseUsers(pub Database);

impl UserSink for DatabaseUsers {
    fn record<'a>(&'a self, seen: &'a [Seen]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let ids: Vec<String> = seen.iter().map(|seen| seen.user.to_string()).collect();
            let pool = self.0.pool().map_err(|failure| StoreError(failure.to_string()))?;
            users::note_seen_many(pool, &ids).await.map_err(|error| store_error(&error))
        })
    }
}

/// The tokens of operators.
pub struct DatabaseOperators(pub Database);

fn store_error(error: &sqlx::Error) -> StoreError {
    StoreError(error.to_string())
}

fn milliseconds(time: DateTime<Utc>) -> u64 {
    u64::try_from(time.timestamp_millis()).unwrap_or_default()
}

fn record(token: OperatorToken) -> OperatorRecord {
    OperatorRecord {
        // A scope that only a newer host knows allows nothing here.
        scopes: token.scopes.iter().filter_map(|scope| scope.parse().ok()).collect(),
        id: token.id,
        name: token.name,
        created_ms: milliseconds(token.created),
        expires_ms: token.expires.map(milliseconds),
        last_used_ms: token.last_used.map(milliseconds),
        revoked_ms: token.revoked.map(milliseconds),
    }
}

impl OperatorStore for DatabaseOperators {
    fn find(&self, hash: Hash, _now_ms: u64) -> BoxFuture<'_, Result<Option<OperatorRecord>, StoreError>> {
        Box::pin(async move {
            let pool = self.0.pool().map_err(|failure| StoreError(failure.to_string()))?;
            let found = operator_tokens::find_valid(pool, &hash).await.map_err(|error| store_error(&error))?;
            Ok(found.map(record))
        })
    }

    fn insert(&self, hash: Hash, record: OperatorRecord) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let scopes: Vec<String> = record.scopes.iter().map(ToString::to_string).collect();
            let expires = record.expires_ms.and_then(|at| DateTime::from_timestamp_millis(i64::try_from(at).ok()?));
            let token = NewToken { id: &record.id, name: &record.name, hash: &hash, scopes: &scopes, expires };
            let pool = self.0.pool().map_err(|failure| StoreError(failure.to_string()))?;
            operator_tokens::create(pool, &token).await.map(drop).map_err(|error| store_error(&error))
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<OperatorRecord>, StoreError>> {
        Box::pin(async move {
            let pool = self.0.pool().map_err(|failure| StoreError(failure.to_string()))?;
            let listed = operator_tokens::list(pool).await.map_err(|error| store_error(&error))?;
            Ok(listed.into_iter().map(record).collect())
        })
    }

    fn revoke<'a>(&'a self, id: &'a str, _now_ms: u64) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let pool = self.0.pool().map_err(|failure| StoreError(failure.to_string()))?;
            operator_tokens::revoke(pool, id).await.map_err(|error| store_error(&error))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use growqr_identity::Scope;
    use growqr_identity::operators::{self, FRESH_MS, Operators};
    use growqr_identity::users::Users;
    use growqr_postgres::testing::TestDatabase;
    use growqr_types::codes;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    const NOW_MS: u64 = 1_800_000_000_000;

    async fn users_in(database: &TestDatabase) -> Vec<(String, bool)> {
        sqlx::query_as("SELECT id, last_seen > first_seen FROM users ORDER BY id")
            .fetch_all(database.pool())
            .await
            .unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_thousand_requests_at_once_make_one_row_of_each_user() {
        let database = TestDatabase::create().await;
        let (users, recorder) = Users::new(Arc::new(DatabaseUsers(database.database.clone())));
        let stop = CancellationToken::new();
        let running = tokio::spawn(recorder.run(stop.clone()));
        let users = Arc::new(users);
        let requests: Vec<_> = (0..1000)
            .map(|number| {
                let (users, user) = (users.clone(), Arc::from(format!("user_{}", number % 4)));
                tokio::spawn(async move { users.seen(&user, NOW_MS) })
            })
            .collect();
        for request in requests {
            request.await.unwrap();
        }
        drop(users);
        tokio::time::timeout(Duration::from_secs(20), running).await.unwrap().unwrap();
        let expected: Vec<_> = (0..4).map(|number| (format!("user_{number}"), false)).collect();
        assert_eq!(users_in(&database).await, expected);
        stop.cancel();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_in_the_database_is_found_listed_and_revoked() {
        let database = TestDatabase::create().await;
        let store = DatabaseOperators(database.database.clone());
        let made = operators::make("it's \"ci\"; DROP TABLE users", &[Scope::Operation, Scope::Actors], None, NOW_MS);
        let made = made.unwrap();
        store.insert(made.hash, made.record.clone()).await.unwrap();
        let ended = operators::make("over", &[Scope::Actors], Some(NOW_MS - 400 * 86_400_000), NOW_MS).unwrap();
        store.insert(ended.hash, ended.record.clone()).await.unwrap();

        let found = store.find(made.hash, NOW_MS).await.unwrap().unwrap();
        assert_eq!(
            (found.id, found.name, found.scopes),
            (made.record.id.clone(), made.record.name, made.record.scopes)
        );
        assert_eq!(store.find([0; 32], NOW_MS).await, Ok(None));
        assert_eq!(store.list().await.unwrap().len(), 2);
        let dump: Vec<String> =
            sqlx::query_scalar("SELECT t::text FROM operator_tokens t").fetch_all(database.pool()).await.unwrap();
        assert!(dump.iter().all(|row| !row.contains(&made.token) && !row.contains(&made.token[27..])), "only a hash");

        let verifier = Operators::new(Arc::new(DatabaseOperators(database.database.clone())));
        assert!(verifier.verify(&made.token, NOW_MS).await.is_ok());
        assert_eq!(store.revoke(&made.record.id, NOW_MS).await, Ok(true));
        assert_eq!(store.revoke(&made.record.id, NOW_MS).await, Ok(false));
        assert_eq!(store.revoke("nobody", NOW_MS).await, Ok(false));
        let refused = verifier.verify(&made.token, NOW_MS + FRESH_MS).await.unwrap_err();
        assert!(refused.is(&codes::TOKEN_INVALID));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn operators_stay_known_while_the_database_is_away() {
        let database = TestDatabase::create().await;
        let store = Arc::new(DatabaseOperators(database.database.clone()));
        let made = operators::make("ci", &[Scope::Actors], None, NOW_MS).unwrap();
        store.insert(made.hash, made.record).await.unwrap();
        let verifier = Operators::new(store);
        assert!(verifier.verify(&made.token, NOW_MS).await.is_ok());
        database.database.close().await;
        assert!(verifier.verify(&made.token, NOW_MS + FRESH_MS).await.is_ok());
        let unknown = operators::make("new", &[Scope::Actors], None, NOW_MS).unwrap();
        let refused = verifier.verify(&unknown.token, NOW_MS).await.unwrap_err();
        assert!(refused.is(&codes::AUTH_UNAVAILABLE));
    }
}
