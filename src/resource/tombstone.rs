//! The last versions of deleted names. A name that is created again continues from there.

use crate::error::Result;
use crate::feed::Kind;
use crate::store::{Conn, Tx};
use crate::{execute, on};

const LAST: &str = "SELECT version FROM tombstones WHERE shop_id = $1 AND kind = $2 AND id = $3";

/// The last version of a deleted name; 0 if there never was one.
///
/// # Errors
/// The database's.
pub async fn last_version(conn: &mut Conn, shop: &str, kind: Kind, id: &str) -> Result<i64> {
    let version: Option<i64> = on!(conn, |e| sqlx::query_scalar(LAST)
        .bind(shop)
        .bind(kind.number())
        .bind(id)
        .fetch_optional(e)
        .await)?;
    Ok(version.unwrap_or_default())
}

const PUT: &str = "INSERT INTO tombstones (shop_id, kind, id, version, delete_time)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (shop_id, kind, id)
    DO UPDATE SET version = excluded.version, delete_time = excluded.delete_time";

/// Writes the last version of a deleted name.
///
/// # Errors
/// The database's.
pub async fn put(
    tx: &mut Tx,
    shop: &str,
    kind: Kind,
    id: &str,
    version: i64,
    now: i64,
) -> Result<()> {
    execute!(
        tx,
        sqlx::query(PUT)
            .bind(shop)
            .bind(kind.number())
            .bind(id)
            .bind(version)
            .bind(now)
    )?;
    Ok(())
}
