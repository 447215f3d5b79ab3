//! The table `operator_tokens`. Tokens are made and hashed elsewhere; here is only what is kept of them.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OperatorToken {
    /// Names the token; no secret.
    pub id: String,
    /// What it is for, in the operator's words.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it ends by itself.
    pub expires: Option<DateTime<Utc>>,
    /// When it was used last, to the minute.
    pub last_used: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "id, name, scopes, created, expires, last_used, revoked";

/// A token to be kept.
#[derive(Debug)]
pub struct NewToken<'a> {
    /// Names it.
    pub id: &'a str,
    /// What it is for.
    pub name: &'a str,
    /// The hash of the token.
    pub hash: &'a [u8],
    /// What it allows.
    pub scopes: &'a [String],
    /// When it ends by itself.
    pub expires: Option<DateTime<Utc>>,
}

/// Keeps a token. An id or hash that is there already is an error of the database.
pub async fn create(on: impl PgExecutor<'_>, token: &NewToken<'_>) -> Result<OperatorToken, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "INSERT INTO operator_tokens (id, name, hash, scopes, expires) VALUES ($1, $2, $3, $4, $5) RETURNING {COLUMNS}"
    )))
    .bind(token.id)
    .bind(token.name)
    .bind(token.hash)
    .bind(token.scopes)
    .bind(token.expires)
    .fetch_one(on)
    .await
}

/// All tokens, newest first, the revoked ones too.
pub async fn list(on: impl PgExecutor<'_>) -> Result<Vec<OperatorToken>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM operator_tokens ORDER BY created DESC, id LIMIT {LISTED_MAX}"
    )))
    .fetch_all(on)
    .await
}

/// Tokens that a list shows at the most.
pub const LISTED_MAX: u32 = 1000;

/// The token with this hash, if it was neither revoked nor has ended. Notes its use, once a minute at the most.
pub async fn find_valid(on: impl PgExecutor<'_>, hash: &[u8]) -> Result<Option<OperatorToken>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "WITH used AS (
             UPDATE operator_tokens SET last_used = now()
             WHERE hash = $1 AND revoked IS NULL AND (last_used IS NULL OR last_used < now() - interval '1 minute')
         )
         SELECT {COLUMNS} FROM operator_tokens
         WHERE hash = $1 AND revoked IS NULL AND (expires IS NULL OR expires > now())"
    )))
    .bind(hash)
    .fetch_optional(on)
    .await
}

/// Revokes a token. False when there is none of this id, or it was revoked before.
pub async fn revoke(on: impl PgExecutor<'_>, id: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("UPDATE operator_tokens SET revoked = now() WHERE id = $1 AND revoked IS NULL")
        .bind(id)
        .execute(on)
        .await?;
    Ok(done.rows_affected() > 0)
}
