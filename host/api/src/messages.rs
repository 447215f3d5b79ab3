//! Messages of a thread.

use crate::access::Subject;
use crate::cursor::Place;
use crate::etag;
use crate::input::{self, Id, Parameters};
use crate::page;
use crate::problem::Problem;
use crate::state::Shared;
use crate::views::{Message, MessageRow, thread_row};
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use sqlx::QueryBuilder;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Which part of a thread.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParameters {
    /// The user who is meant, by default the caller. Operators have to say.
    #[serde(rename = "user")]
    _user: Option<String>,
    /// Where the page begins: `older` or `newer` of another page. Without it the page has the newest.
    pub cursor: Option<String>,
    /// Entries of a page.
    #[param(minimum = 1, maximum = 100, default = 50)]
    pub limit: Option<u32>,
}

/// A part of an ordered list: which rows, and how to go on in both directions.
pub(crate) struct Part<T> {
    pub rows: Vec<T>,
    pub older: Option<String>,
    pub newer: String,
}

/// Which rows of a list a page has.
pub(crate) struct Wanted<'a> {
    /// The column of the order.
    pub column: &'static str,
    pub columns: &'static str,
    pub table: &'static str,
    pub user: &'a str,
    pub thread: &'a str,
}

impl PageParameters {
    /// Reads the page, in the order in which things happened.
    pub async fn read<T>(
        &self,
        pool: &sqlx::PgPool,
        wanted: &Wanted<'_>,
        place_of: impl Fn(&T) -> i64,
        size_of: impl Fn(&T) -> usize,
    ) -> Result<Part<T>, Problem>
    where
        T: for<'row> sqlx::FromRow<'row, sqlx::postgres::PgRow> + Send + Unpin,
    {
        let limit = input::limit(self.limit)?;
        let place = self.cursor.as_deref().map(Place::read).transpose()?;
        let Wanted { column, columns, table, user, thread } = wanted;
        let mut query = QueryBuilder::new(format!("SELECT {columns} FROM {table} WHERE user_id = "));
        query.push_bind(*user).push(" AND thread = ").push_bind(*thread);
        let order = match place {
            Some(Place::After(number)) => {
                query.push(format_args!(" AND {column} > ")).push_bind(number);
                "ASC"
            }
            Some(Place::Before(number)) => {
                query.push(format_args!(" AND {column} < ")).push_bind(number);
                "DESC"
            }
            None => "DESC",
        };
        query.push(format_args!(" ORDER BY {column} {order} LIMIT ")).push_bind(i64::from(limit) + 1);
        let mut page = page::take(query.build_query_as().fetch(pool), limit, size_of).await?;
        if !matches!(place, Some(Place::After(_))) {
            page.rows.reverse();
        }
        let first = page.rows.first().map(&place_of);
        let last = page.rows.last().map(&place_of);
        let older = match place {
            // Whoever came from there knows that there is something.
            Some(Place::After(number)) => Some(Place::Before(first.unwrap_or(number.saturating_add(1)))),
            _ => first.filter(|_| page.more).map(Place::Before),
        };
        let newer = match (last, place) {
            (Some(last), _) => Place::After(last),
            (None, Some(Place::After(number))) => Place::After(number),
            (None, Some(Place::Before(number))) => Place::After(number.saturating_sub(1)),
            (None, None) => Place::After(0),
        };
        Ok(Part { rows: page.rows, older: older.map(Place::write), newer: newer.write() })
    }
}

/// A page of messages, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessagePage {
    messages: Vec<Message>,
    /// The cursor of what was said before, if there is more.
    older: Option<String>,
    /// The cursor of what was said after, also when nothing was said yet: whoever waits for news asks with it again and again.
    newer: String,
}

/// Messages of a thread, with their tool calls
#[utoipa::path(get, path = "/api/threads/{id}/messages", tag = "threads", operation_id = "listMessages", params(("id" = String, Path), PageParameters), responses((status = 200, body = MessagePage)))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Subject(user): Subject,
    Id(id): Id,
    Parameters(parameters): Parameters<PageParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let pool = shared.pool()?;
    let thread = thread_row(pool, &user, &id).await?;
    let wanted =
        Wanted { column: "position", columns: MessageRow::COLUMNS, table: "messages", user: &user, thread: &thread.id };
    let part = parameters.read::<MessageRow>(pool, &wanted, |row| row.position, MessageRow::size).await?;
    let messages = part.rows.into_iter().map(Message::from).collect();
    etag::tagged(&headers, &MessagePage { messages, older: part.older, newer: part.newer })
}
