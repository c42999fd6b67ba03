//! The SQL of the access layer: which keys are live, and which shops there are.

use crate::{error::Result, on, store::Conn};

/// A key as the layer needs it.
#[derive(sqlx::FromRow)]
pub struct KeyRow {
    /// The last part of its name.
    pub id: String,
    /// The shop it opens; none for an operator's.
    pub shop_id: Option<String>,
    /// The SHA-256 of the key.
    pub digest: Vec<u8>,
    /// What it may do.
    pub doc: String,
    /// When it ends by itself.
    pub expire_time: Option<i64>,
}

const LIVE_KEYS: &str = "SELECT id, shop_id, digest, doc, expire_time FROM api_keys
    WHERE revoke_time IS NULL";

/// The keys that are not revoked.
pub async fn live_keys(conn: &mut Conn) -> Result<Vec<KeyRow>> {
    Ok(on!(conn, |e| sqlx::query_as(LIVE_KEYS).fetch_all(e).await)?)
}

const SHOPS: &str = "SELECT id FROM shops";

/// The ids of all shops.
pub async fn shops(conn: &mut Conn) -> Result<Vec<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(SHOPS).fetch_all(e).await)?)
}

const TWO_SHOPS: &str = "SELECT id FROM shops LIMIT 2";

/// The ids of two shops, or of the only one.
pub async fn two_shops(conn: &mut Conn) -> Result<Vec<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(TWO_SHOPS)
        .fetch_all(e)
        .await)?)
}
