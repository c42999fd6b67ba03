//! The SQL that writes API keys. The SQL of calls, which read live keys, is in the `sql.rs` of the layer.

use super::model::ApiKey;
use crate::error::{Error, Result};
use crate::store::{Conn, Tx};
use crate::{on, on_write};

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
