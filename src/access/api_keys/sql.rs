//! The SQL for managing API keys. The SQL of calls, which read live keys, is in the layer's own `sql.rs`.

use super::model::{ApiKey, ApiKeyDoc};
use crate::error::{Error, Result};
use crate::store::{Conn, Tx};
use crate::{on, on_write};

#[derive(sqlx_macros::FromRow)]
struct ApiKeyRow {
    id: String,
    shop_id: Option<String>,
    doc: String,
    expire_time: Option<i64>,
    revoke_time: Option<i64>,
    create_time: i64,
}

impl TryFrom<ApiKeyRow> for ApiKey {
    type Error = Error;

    fn try_from(row: ApiKeyRow) -> Result<Self> {
        let ApiKeyRow {
            id,
            shop_id,
            doc,
            expire_time,
            revoke_time,
            create_time,
        } = row;
        let doc: ApiKeyDoc =
            serde_json::from_str(&doc).map_err(|error| Error::corrupt("api_keys", &id, error))?;
        Ok(Self {
            id,
            shop: shop_id,
            doc,
            expire_time,
            revoke_time,
            create_time,
        })
    }
}

const INSERT: &str = "INSERT INTO api_keys
    (id, shop_id, digest, doc, expire_time, revoke_time, create_time)
    VALUES ($1, $2, $3, $4, $5, NULL, $6)";

/// Inserts a key, of which only the digest is stored.
pub async fn insert(tx: &mut Tx, key: &ApiKey, digest: &[u8]) -> Result<()> {
    let doc = serde_json::to_string(&key.doc).map_err(Error::internal)?;
    on_write!(tx, |e| sqlx::query(INSERT)
        .bind(&key.id)
        .bind(key.shop.as_deref())
        .bind(digest)
        .bind(&doc)
        .bind(key.expire_time)
        .bind(key.create_time)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

const GET: &str = "SELECT id, shop_id, doc, expire_time, revoke_time, create_time
    FROM api_keys WHERE id = $1";

pub async fn get(conn: &mut Conn, id: &str) -> Result<Option<ApiKey>> {
    let row: Option<ApiKeyRow> = on!(conn, |e| sqlx::query_as(GET)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    row.map(ApiKey::try_from).transpose()
}

// Ids grow with time, so the newest come first. The filter has no NULL comparison: a key that never expires
// has no expire_time to compare.
const LIST: &str = "SELECT id, shop_id, doc, expire_time, revoke_time, create_time
    FROM api_keys
    WHERE (shop_id = $1 OR ($2 AND shop_id IS NULL))
      AND ($3 OR (revoke_time IS NULL AND (expire_time IS NULL OR expire_time > $4)))
      AND ($5 = '' OR id < $5)
    ORDER BY id DESC LIMIT $6";

/// The selection of the keys to list.
#[derive(Debug, Clone)]
pub struct KeyQuery<'q> {
    /// The shop of the keys.
    pub shop: &'q str,
    /// Whether to include operator keys.
    pub operators: bool,
    /// Whether to include revoked and expired keys.
    pub ended: bool,
    /// The present time, in microseconds.
    pub now: i64,
    /// Only keys before this id; all if empty.
    pub before: &'q str,
    /// The most keys.
    pub limit: i64,
}

/// A page of keys, newest first.
pub async fn list(conn: &mut Conn, query: KeyQuery<'_>) -> Result<Vec<ApiKey>> {
    let rows: Vec<ApiKeyRow> = on!(conn, |e| sqlx::query_as(LIST)
        .bind(query.shop)
        .bind(query.operators)
        .bind(query.ended)
        .bind(query.now)
        .bind(query.before)
        .bind(query.limit)
        .fetch_all(e)
        .await)?;
    rows.into_iter().map(ApiKey::try_from).collect()
}

const REVOKE: &str = "UPDATE api_keys SET revoke_time = $2 WHERE id = $1";

/// Revokes a key.
pub async fn revoke(tx: &mut Tx, id: &str, now: i64) -> Result<()> {
    on_write!(tx, |e| sqlx::query(REVOKE)
        .bind(id)
        .bind(now)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

const DIGEST_KNOWN: &str = "SELECT id FROM api_keys WHERE digest = $1";

/// Whether there is a key with this digest.
pub async fn knows_digest(conn: &mut Conn, digest: &[u8]) -> Result<bool> {
    let id: Option<String> = on!(conn, |e| sqlx::query_scalar(DIGEST_KNOWN)
        .bind(digest)
        .fetch_optional(e)
        .await)?;
    Ok(id.is_some())
}
