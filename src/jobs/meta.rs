//! The rows of `store_meta` that background work writes.
//!
//! A row is one value under a key. Compaction stores its progress there, and the hold of retention its end.

use crate::error::Result;
use crate::store::{Conn, Tx};
use crate::{execute, on};

const READ: &str = "SELECT value FROM store_meta WHERE key = $1";

/// Returns the value of a row.
pub(super) async fn read(conn: &mut Conn, key: &'static str) -> Result<Option<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(READ)
        .bind(key)
        .fetch_optional(e)
        .await)?)
}

const PUT: &str = "INSERT INTO store_meta (key, value) VALUES ($1, $2)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// Writes a row.
pub(super) async fn put(tx: &mut Tx, key: &'static str, value: &str) -> Result<()> {
    execute!(tx, sqlx::query(PUT).bind(key).bind(value))?;
    Ok(())
}
