//! The table `users`: who has signed in, and when.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

/// One user.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct User {
    /// The subject of the user's tokens.
    pub id: String,
    /// When the user was seen first.
    pub first_seen: DateTime<Utc>,
    /// When the user was seen last.
    pub last_seen: DateTime<Utc>,
}

/// Notes that a user was seen. True when it is the first time, and that for one of any number of callers at once.
pub async fn note_seen(on: impl PgExecutor<'_>, id: &str) -> Result<bool, sqlx::Error> {
    // A row that this statement made has no older version, and then `xmax` is 0.
    sqlx::query_scalar(
        "INSERT INTO users (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET last_seen = greatest(users.last_seen, excluded.last_seen)
         RETURNING xmax = 0",
    )
    .bind(id)
    .fetch_one(on)
    .await
}

/// Notes that many users were seen; the same id may be there more than once.
pub async fn note_seen_many(on: impl PgExecutor<'_>, ids: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO users (id) SELECT DISTINCT id FROM unnest($1::text[]) AS seen (id) ORDER BY id
         ON CONFLICT (id) DO UPDATE SET last_seen = greatest(users.last_seen, excluded.last_seen)",
    )
    .bind(ids)
    .execute(on)
    .await
    .map(drop)
}

/// One user, if known.
pub async fn find(on: impl PgExecutor<'_>, id: &str) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as("SELECT id, first_seen, last_seen FROM users WHERE id = $1").bind(id).fetch_optional(on).await
}
