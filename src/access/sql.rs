//! The SQL of the access layer: live keys, and shops.

use sqlx::AssertSqlSafe;

use crate::{
    error::Result,
    on,
    store::{Conn, Digests, dialect},
};

/// The columns of a key that the layer needs.
#[derive(sqlx_macros::FromRow)]
pub struct KeyRow {
    /// The last segment of its name.
    pub id: String,
    /// The shop to which it gives access; None for an operator key.
    pub shop_id: Option<String>,
    /// The SHA-256 of the key.
    pub digest: Vec<u8>,
    /// Its roles and rights.
    pub doc: String,
    /// When it expires, in microseconds.
    pub expire_time: Option<i64>,
}

const LIVE_KEYS: &str = "SELECT id, shop_id, digest, doc, expire_time FROM api_keys
    WHERE revoke_time IS NULL AND";

/// Reads those keys among `digests` that are not revoked.
pub async fn live_keys(conn: &mut Conn, digests: &[[u8; 32]]) -> Result<Vec<KeyRow>> {
    let those = dialect::any_digest_of(conn.engine(), "digest", "$1");
    let text = format!("{LIVE_KEYS} {those}");
    Ok(on!(conn, |e| sqlx::query_as(AssertSqlSafe(text.as_str()))
        .bind(Digests(digests))
        .fetch_all(e)
        .await)?)
}

const REVOKED: &str = "SELECT digest FROM api_keys WHERE revoke_time >= $1";

/// The digests of the keys that were revoked since a time.
pub async fn revoked(conn: &mut Conn, since: i64) -> Result<Vec<Vec<u8>>> {
    Ok(on!(conn, |e| sqlx::query_scalar(REVOKED)
        .bind(since)
        .fetch_all(e)
        .await)?)
}

const SHOP: &str = "SELECT id FROM shops WHERE id = $1";

/// The id of a shop, if it exists.
pub async fn shop(conn: &mut Conn, id: &str) -> Result<Option<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(SHOP)
        .bind(id)
        .fetch_optional(e)
        .await)?)
}

const TWO_SHOPS: &str = "SELECT id FROM shops LIMIT 2";

/// The ids of two shops, or of the only one.
pub async fn two_shops(conn: &mut Conn) -> Result<Vec<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(TWO_SHOPS)
        .fetch_all(e)
        .await)?)
}
