//! Events of a thread.

use crate::access::Subject;
use crate::etag;
use crate::input::{Id, Parameters};
use crate::messages::{PageParameters, Wanted};
use crate::problem::Problem;
use crate::state::Shared;
use crate::views::{Event, EventRow, thread_row};
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A page of events, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventPage {
    events: Vec<Event>,
    /// The cursor of what happened before, if there is more.
    older: Option<String>,
    /// The cursor of what happened after, also when nothing did yet.
    newer: String,
}

/// Events of a thread, for as long as they are kept
#[utoipa::path(get, path = "/api/threads/{id}/events", tag = "threads", operation_id = "listEvents", params(("id" = String, Path), PageParameters), responses((status = 200, body = EventPage)))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Subject(user): Subject,
    Id(id): Id,
    Parameters(parameters): Parameters<PageParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let pool = shared.pool()?;
    let thread = thread_row(pool, &user, &id).await?;
    let wanted = Wanted { column: "id", columns: EventRow::COLUMNS, table: "events", user: &user, thread: &thread.id };
    let part = parameters.read::<EventRow>(pool, &wanted, |row| row.id, EventRow::size).await?;
    let events = part.rows.into_iter().map(Event::from).collect();
    etag::tagged(&headers, &EventPage { events, older: part.older, newer: part.newer })
}
