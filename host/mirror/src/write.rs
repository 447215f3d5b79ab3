//! Writes rows, and what they mean, in one transaction.
//!
//! Postgres keeps how far it has got with each actor (`mirror_positions`) in the same transaction, so rows that come again, because an answer
//! was lost, are recognised and change nothing. All writers of one database take the same lock first: the numbers of events are then given
//! in the order in which transactions commit, which those who follow a user's events rely on.

use crate::project::Changes;
use crate::rows::{Refused, Row};
use chrono::{DateTime, Utc};
use growqr_postgres::is_data_error;
use growqr_seam::SpoolRow;
use sqlx::{Connection, PgConnection, PgTransaction};
use std::collections::{BTreeMap, HashMap};

/// What every writer takes first.
const LOCK: i64 = 0x6772_6f77_7172_6d72;
/// Bytes of a reason that are kept.
const REASON_BYTES_MAX: usize = 500;

/// What was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Rows that are there now and were not before.
    pub rows: u64,
    /// Of these: too old to be kept as events.
    pub expired: u64,
    /// Rows that were put aside.
    pub parked: u64,
}

/// Writes rows in their order. Rows that can't be stored are found by halving, and put aside.
pub async fn write(
    connection: &mut PgConnection,
    rows: &[SpoolRow],
    oldest: DateTime<Utc>,
) -> Result<Written, sqlx::Error> {
    let mut written = Written::default();
    // The last piece is the next one. Each piece is half of another, so there are never more than the rows.
    let mut pieces = vec![rows];
    while let Some(piece) = pieces.pop() {
        match write_piece(connection, piece, oldest).await {
            Ok(done) => {
                written.rows += done.rows;
                written.expired += done.expired;
                written.parked += done.parked;
            }
            Err(error) if is_data_error(&error) => match piece {
                [row] => {
                    park(connection, row, &refused(&error)).await?;
                    written.parked += 1;
                }
                _ => {
                    let (first, second) = piece.split_at(piece.len() / 2);
                    pieces.extend([second, first]);
                }
            },
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

fn refused(error: &sqlx::Error) -> Refused {
    let inner = error.as_database_error();
    let sqlstate = inner.and_then(|error| error.code()).unwrap_or_default().into_owned();
    Refused { sqlstate, reason: inner.map_or_else(|| error.to_string(), |error| error.message().to_owned()) }
}

async fn write_piece(
    connection: &mut PgConnection,
    piece: &[SpoolRow],
    oldest: DateTime<Utc>,
) -> Result<Written, sqlx::Error> {
    let mut written = Written::default();
    let mut transaction = connection.begin().await?;
    let known = positions(&mut transaction, piece).await?;
    let (mut good, mut bad) = (Vec::with_capacity(piece.len()), Vec::new());
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for row in piece {
        let actor = row.actor.to_string();
        let seq = i64::try_from(row.seq).unwrap_or(i64::MAX);
        let before = last.get(&actor).or_else(|| known.get(&actor)).copied().unwrap_or(0);
        if seq <= before {
            continue;
        }
        if seq > before + 1 {
            tracing::warn!(actor, before, seq, "rows of this actor never reached this database");
        }
        last.insert(actor, seq);
        match Row::read(row) {
            Ok(read) => good.push(read),
            Err(refused) => bad.push((row, refused)),
        }
    }
    if last.is_empty() {
        transaction.rollback().await?;
        return Ok(written);
    }
    let kept: Vec<Row<'_>> = good.iter().filter(|row| row.ts >= oldest).copied().collect();
    written.expired = (good.len() - kept.len()) as u64;
    written.rows = good.len() as u64;
    written.parked = bad.len() as u64;
    insert_events(&mut transaction, &kept).await?;
    project(&mut transaction, &Changes::of(&good)).await?;
    for (row, refused) in bad {
        insert_parked(&mut transaction, row, &refused).await?;
    }
    move_positions(&mut transaction, last).await?;
    transaction.commit().await?;
    Ok(written)
}

/// Takes the lock, and then reads how far the actors of these rows have come.
async fn positions(
    transaction: &mut PgTransaction<'_>,
    piece: &[SpoolRow],
) -> Result<HashMap<String, i64>, sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut **transaction).await?;
    let mut actors: Vec<String> = piece.iter().map(|row| row.actor.to_string()).collect();
    actors.sort_unstable();
    actors.dedup();
    let found: Vec<(String, i64)> =
        sqlx::query_as("SELECT actor_id, seq FROM mirror_positions WHERE actor_id = ANY($1)")
            .bind(actors)
            .fetch_all(&mut **transaction)
            .await?;
    Ok(found.into_iter().collect())
}

async fn move_positions(transaction: &mut PgTransaction<'_>, last: BTreeMap<String, i64>) -> Result<(), sqlx::Error> {
    let (actors, seqs): (Vec<String>, Vec<i64>) = last.into_iter().unzip();
    sqlx::query(
        "INSERT INTO mirror_positions (actor_id, seq) SELECT * FROM unnest($1::text[], $2::bigint[])
         ON CONFLICT (actor_id) DO UPDATE SET seq = greatest(mirror_positions.seq, excluded.seq), updated = now()",
    )
    .bind(actors)
    .bind(seqs)
    .execute(&mut **transaction)
    .await
    .map(drop)
}

async fn insert_events(transaction: &mut PgTransaction<'_>, rows: &[Row<'_>]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    // The payload goes as text and is read by Postgres once; the order makes the numbers follow the rows.
    sqlx::query(
        "INSERT INTO events (actor_id, seq, ts, name, event_seq, user_id, thread, payload)
         SELECT actor_id, seq, ts, name, event_seq, user_id,
                CASE WHEN jsonb_typeof(payload) = 'object' THEN payload ->> 'thread' END, payload
         FROM (
             SELECT actor_id, seq, ts, name, event_seq, user_id, payload::jsonb AS payload, place
             FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::text[], $5::bigint[], $6::text[], $7::text[])
                  WITH ORDINALITY AS row (actor_id, seq, ts, name, event_seq, user_id, payload, place)
         ) AS rows
         ORDER BY place
         ON CONFLICT DO NOTHING",
    )
    .bind(rows.iter().map(|row| row.source.actor.to_string()).collect::<Vec<_>>())
    .bind(rows.iter().map(Row::seq).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.ts).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.name).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.source.event.and_then(|event| i64::try_from(event).ok())).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.source.user.as_deref()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.payload).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await
    .map(drop)
}

/// Puts one row aside, with the reason.
async fn park(connection: &mut PgConnection, row: &SpoolRow, refused: &Refused) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    positions(&mut transaction, std::slice::from_ref(row)).await?;
    insert_parked(&mut transaction, row, refused).await?;
    let seq = i64::try_from(row.seq).unwrap_or(i64::MAX);
    move_positions(&mut transaction, BTreeMap::from([(row.actor.to_string(), seq)])).await?;
    transaction.commit().await
}

async fn insert_parked(
    transaction: &mut PgTransaction<'_>,
    row: &SpoolRow,
    refused: &Refused,
) -> Result<(), sqlx::Error> {
    tracing::warn!(actor = %row.actor, seq = row.seq, sqlstate = refused.sqlstate, "a row can't be stored and is put aside");
    // Everything that may be what was refused goes as bytes. A damaged record is kept whole.
    let parts = growqr_seam::EventRecord::parts(&row.record);
    let (ts, name, payload) = parts.map_or((0, "", &row.record[..]), |(ts, name, args)| (ts, name, args.as_bytes()));
    let ts = i64::try_from(ts).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    let reason = refused.reason.replace('\0', "");
    let end = reason.floor_char_boundary(REASON_BYTES_MAX);
    sqlx::query(
        "INSERT INTO mirror_parked (actor_id, seq, ts, name, event_seq, user_id, payload, sqlstate, reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
    )
    .bind(row.actor.to_string())
    .bind(i64::try_from(row.seq).unwrap_or(i64::MAX))
    .bind(ts)
    .bind(name.as_bytes())
    .bind(row.event.and_then(|event| i64::try_from(event).ok()))
    .bind(row.user.as_deref().map(str::as_bytes))
    .bind(payload)
    .bind(&refused.sqlstate)
    .bind(&reason[..end])
    .execute(&mut **transaction)
    .await
    .map(drop)
}

async fn project(transaction: &mut PgTransaction<'_>, changes: &Changes<'_>) -> Result<(), sqlx::Error> {
    if !changes.actors.is_empty() {
        write_actors(transaction, changes).await?;
    }
    if !changes.threads.is_empty() {
        write_threads(transaction, changes).await?;
    }
    if !changes.messages.is_empty() {
        write_messages(transaction, changes).await?;
    }
    let gone: Vec<_> = changes.threads.iter().filter(|(_, change)| change.deleted.is_some()).collect();
    if !gone.is_empty() {
        sqlx::query(
            "DELETE FROM messages USING unnest($1::text[], $2::text[]) AS gone (user_id, thread)
             WHERE messages.user_id = gone.user_id AND messages.thread = gone.thread",
        )
        .bind(gone.iter().map(|((user, _), _)| *user).collect::<Vec<_>>())
        .bind(gone.iter().map(|((_, thread), _)| thread.as_str()).collect::<Vec<_>>())
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

async fn write_actors(transaction: &mut PgTransaction<'_>, changes: &Changes<'_>) -> Result<(), sqlx::Error> {
    let created: Vec<_> =
        changes.actors.iter().filter_map(|(id, change)| Some((id, change, change.created.as_ref()?))).collect();
    if !created.is_empty() {
        sqlx::query(
            "INSERT INTO actors (id, namespace, name, key, user_id, created, seq)
             SELECT id, namespace, name, ARRAY(SELECT jsonb_array_elements_text(key::jsonb)), user_id, created, 0
             FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
                  AS row (id, namespace, name, key, user_id, created)
             ON CONFLICT DO NOTHING",
        )
        .bind(created.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>())
        .bind(created.iter().map(|(_, _, (payload, _))| payload.namespace.as_str()).collect::<Vec<_>>())
        .bind(created.iter().map(|(_, _, (payload, _))| payload.name.as_str()).collect::<Vec<_>>())
        .bind(created.iter().map(|(_, _, (payload, _))| payload.key.get()).collect::<Vec<_>>())
        .bind(created.iter().map(|(_, change, _)| change.user).collect::<Vec<_>>())
        .bind(created.iter().map(|(_, _, (_, ts))| *ts).collect::<Vec<_>>())
        .execute(&mut **transaction)
        .await?;
    }
    let all = || changes.actors.iter();
    sqlx::query(
        "UPDATE actors SET
             version = coalesce(change.version, actors.version),
             destroyed = coalesce(change.destroyed, actors.destroyed),
             crashes = actors.crashes + change.crashes,
             last_crash = coalesce(change.last_crash, actors.last_crash),
             last_failure = coalesce(change.last_failure::jsonb, actors.last_failure),
             seq = change.seq
         FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::bigint[], $5::timestamptz[], $6::text[], $7::bigint[])
              AS change (id, version, destroyed, crashes, last_crash, last_failure, seq)
         WHERE actors.id = change.id AND actors.seq < change.seq",
    )
    .bind(all().map(|(id, _)| id.as_str()).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.version.as_deref()).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.destroyed).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.crashes).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.crash.map(|(ts, _)| ts)).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.crash.map(|(_, payload)| payload)).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.seq).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await
    .map(drop)
}

async fn write_threads(transaction: &mut PgTransaction<'_>, changes: &Changes<'_>) -> Result<(), sqlx::Error> {
    let all = || changes.threads.iter();
    let users: Vec<&str> = all().map(|((user, _), _)| *user).collect();
    let ids: Vec<&str> = all().map(|((_, id), _)| id.as_str()).collect();
    let actors: Vec<&str> = all().map(|(_, change)| change.actor.as_str()).collect();
    sqlx::query(
        "INSERT INTO threads (user_id, id, actor_id, created, updated, seq)
         SELECT *, 0 FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[])
         ON CONFLICT DO NOTHING",
    )
    .bind(&users)
    .bind(&ids)
    .bind(&actors)
    .bind(all().map(|(_, change)| change.created).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.updated).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await?;
    // Numbers of two actors say nothing about each other: a sub-agent may write to a thread of the Grow Agent.
    sqlx::query(
        "UPDATE threads SET
             title = coalesce(change.title, threads.title),
             title_words = coalesce(change.title_words, threads.title_words),
             archived = coalesce(change.archived, threads.archived),
             updated = greatest(threads.updated, change.updated),
             deleted = coalesce(threads.deleted, change.deleted),
             seq = CASE WHEN threads.actor_id = change.actor_id THEN change.seq ELSE threads.seq END
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::timestamptz[],
                     $8::timestamptz[], $9::bigint[])
              AS change (user_id, id, actor_id, title, title_words, archived, updated, deleted, seq)
         WHERE threads.user_id = change.user_id AND threads.id = change.id
           AND (threads.actor_id <> change.actor_id OR threads.seq < change.seq)",
    )
    .bind(users)
    .bind(ids)
    .bind(actors)
    .bind(all().map(|(_, change)| change.title.as_deref()).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.title.as_ref().map(|title| title.to_lowercase())).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.archived).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.updated).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.deleted).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.seq).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await
    .map(drop)
}

async fn write_messages(transaction: &mut PgTransaction<'_>, changes: &Changes<'_>) -> Result<(), sqlx::Error> {
    let all = || changes.messages.iter();
    let users: Vec<&str> = all().map(|((user, _), _)| *user).collect();
    let ids: Vec<&str> = all().map(|((_, id), _)| id.as_str()).collect();
    let actors: Vec<&str> = all().map(|(_, change)| change.actor.as_str()).collect();
    // A message of a deleted thread is not brought back.
    sqlx::query(
        "WITH made AS (
             INSERT INTO messages (user_id, id, thread, actor_id, position, role, status, created, updated, seq)
             SELECT row.user_id, row.id, row.thread, row.actor_id, row.position, '', '', row.created, row.created, 0
             FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[])
                  AS row (user_id, id, thread, actor_id, position, created)
             JOIN threads ON threads.user_id = row.user_id AND threads.id = row.thread AND threads.deleted IS NULL
             ON CONFLICT DO NOTHING
             RETURNING user_id, thread
         ), counted AS (SELECT user_id, thread, count(*) AS count FROM made GROUP BY user_id, thread)
         UPDATE threads SET messages = threads.messages + counted.count FROM counted
         WHERE threads.user_id = counted.user_id AND threads.id = counted.thread",
    )
    .bind(&users)
    .bind(&ids)
    .bind(all().map(|(_, change)| change.thread.as_str()).collect::<Vec<_>>())
    .bind(&actors)
    .bind(all().map(|(_, change)| change.position).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.created).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await?;
    sqlx::query(
        "UPDATE messages SET
             role = coalesce(change.role, messages.role),
             status = change.status,
             text = coalesce(change.text, messages.text),
             tools = coalesce(change.tools::jsonb, messages.tools),
             error = coalesce(change.error::jsonb, messages.error),
             details = messages.details || (change.payload::jsonb - ARRAY['message', 'thread', 'role', 'status', 'text',
                                                                         'tools', 'error', 'createdAt']),
             updated = change.updated,
             completed = coalesce(change.completed, messages.completed),
             seq = change.seq
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                     $10::timestamptz[], $11::timestamptz[], $12::bigint[])
              AS change (user_id, id, actor_id, role, status, text, tools, error, payload, updated, completed, seq)
         WHERE messages.user_id = change.user_id AND messages.id = change.id AND messages.actor_id = change.actor_id
           AND messages.seq < change.seq",
    )
    .bind(users)
    .bind(ids)
    .bind(actors)
    .bind(all().map(|(_, change)| change.role.as_deref()).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.status.as_str()).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.text.as_deref()).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.tools).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.error).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.payload).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.updated).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.completed).collect::<Vec<_>>())
    .bind(all().map(|(_, change)| change.seq).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await
    .map(drop)
}
