//! Pages of rows: as many as asked, and no more bytes than are good for one answer.

use crate::PAGE_BYTES_MAX;
use futures::{Stream, TryStreamExt};
use std::pin::pin;

/// Rows of a page.
pub(crate) struct Rows<T> {
    pub rows: Vec<T>,
    /// There are further ones.
    pub more: bool,
}

/// Takes rows until the page is full. The query asks for one row more than `limit`.
pub(crate) async fn take<T>(
    rows: impl Stream<Item = Result<T, sqlx::Error>>,
    limit: u32,
    size: impl Fn(&T) -> usize,
) -> Result<Rows<T>, sqlx::Error> {
    let mut rows = pin!(rows);
    let mut taken = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.try_next().await? {
        bytes += size(&row);
        if taken.len() >= limit as usize || (bytes > PAGE_BYTES_MAX && !taken.is_empty()) {
            return Ok(Rows { rows: taken, more: true });
        }
        taken.push(row);
    }
    Ok(Rows { rows: taken, more: false })
}
