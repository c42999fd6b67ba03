//! All SQL of shops and API keys.

use super::model::{ApiKey, ApiKeyDoc, Shop, ShopDoc};
use crate::customers;
use crate::error::{Error, Result};
use crate::store::{Conn, Tx};
use crate::{on, on_write};

#[derive(sqlx::FromRow)]
struct ShopRow {
    id: String,
    version: i64,
    doc: String,
    create_time: i64,
    update_time: i64,
}

impl TryFrom<ShopRow> for Shop {
    type Error = Error;

    fn try_from(row: ShopRow) -> Result<Self> {
        let ShopRow {
            id,
            version,
            doc,
            create_time,
            update_time,
        } = row;
        let doc = shop_doc(&id, &doc)?;
        Ok(Self {
            id,
            version,
            doc,
            create_time,
            update_time,
        })
    }
}

fn shop_doc(id: &str, doc: &str) -> Result<ShopDoc> {
    serde_json::from_str(doc).map_err(|error| Error::corrupt("shops", id, error))
}

const DOC: &str = "SELECT doc FROM shops WHERE id = $1";

/// What a shop is called and its settings.
pub async fn doc(conn: &mut Conn, id: &str) -> Result<Option<ShopDoc>> {
    let doc: Option<String> = on!(conn, |e| sqlx::query_scalar(DOC)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    doc.map(|doc| shop_doc(id, &doc)).transpose()
}

const GET: &str = "SELECT id, version, doc, create_time, update_time FROM shops WHERE id = $1";

/// One shop.
pub async fn get(conn: &mut Conn, id: &str) -> Result<Option<Shop>> {
    let row: Option<ShopRow> = on!(conn, |e| sqlx::query_as(GET)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    row.map(Shop::try_from).transpose()
}

const LIST: &str = "SELECT id, version, doc, create_time, update_time FROM shops
    WHERE id > $1 ORDER BY id LIMIT $2";

/// The shops after one, by id.
pub async fn list(conn: &mut Conn, after: &str, limit: i64) -> Result<Vec<Shop>> {
    let rows: Vec<ShopRow> = on!(conn, |e| sqlx::query_as(LIST)
        .bind(after)
        .bind(limit)
        .fetch_all(e)
        .await)?;
    rows.into_iter().map(Shop::try_from).collect()
}

const ANY: &str = "SELECT id FROM shops LIMIT 1";

/// Whether there is any shop, that is, whether this store was started before.
pub async fn any(conn: &mut Conn) -> Result<bool> {
    let id: Option<String> = on!(conn, |e| sqlx::query_scalar(ANY).fetch_optional(e).await)?;
    Ok(id.is_some())
}

const INSERT: &str =
    "INSERT INTO shops (id, version, doc, create_time, update_time, customers_index)
    VALUES ($1, $2, $3, $4, $5, $6)";

/// Adds a shop, whose id is free.
pub async fn insert(tx: &mut Tx, shop: &Shop) -> Result<()> {
    let doc = serde_json::to_string(&shop.doc).map_err(Error::internal)?;
    on_write!(tx, |e| sqlx::query(INSERT)
        .bind(&shop.id)
        .bind(shop.version)
        .bind(&doc)
        .bind(shop.create_time)
        .bind(shop.update_time)
        .bind(customers::INDEX_VERSION)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

const NOT_INDEXED_BY: &str =
    "SELECT id FROM shops WHERE customers_index <> $1 ORDER BY id LIMIT 100";

/// The first shops whose customers are not indexed by this version.
pub async fn not_indexed_by(conn: &mut Conn, version: &str) -> Result<Vec<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(NOT_INDEXED_BY)
        .bind(version)
        .fetch_all(e)
        .await)?)
}

const SET_INDEXED_BY: &str = "UPDATE shops SET customers_index = $2 WHERE id = $1";

/// Notes by which version a shop's customers are indexed.
pub async fn set_indexed_by(tx: &mut Tx, id: &str, version: &str) -> Result<()> {
    on_write!(tx, |e| sqlx::query(SET_INDEXED_BY)
        .bind(id)
        .bind(version)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

const UPDATE: &str = "UPDATE shops SET version = $2, doc = $3, update_time = $4 WHERE id = $1";

/// Replaces what a shop is called and its settings.
pub async fn update(tx: &mut Tx, shop: &Shop) -> Result<()> {
    let doc = serde_json::to_string(&shop.doc).map_err(Error::internal)?;
    on_write!(tx, |e| sqlx::query(UPDATE)
        .bind(&shop.id)
        .bind(shop.version)
        .bind(&doc)
        .bind(shop.update_time)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

#[derive(sqlx::FromRow)]
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

const INSERT_KEY: &str = "INSERT INTO api_keys
    (id, shop_id, digest, doc, expire_time, revoke_time, create_time)
    VALUES ($1, $2, $3, $4, $5, NULL, $6)";

/// Adds a key of which only the digest is stored.
pub async fn insert_key(tx: &mut Tx, key: &ApiKey, digest: &[u8]) -> Result<()> {
    let doc = serde_json::to_string(&key.doc).map_err(Error::internal)?;
    on_write!(tx, |e| sqlx::query(INSERT_KEY)
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

const GET_KEY: &str = "SELECT id, shop_id, doc, expire_time, revoke_time, create_time
    FROM api_keys WHERE id = $1";

/// One key.
pub async fn get_key(conn: &mut Conn, id: &str) -> Result<Option<ApiKey>> {
    let row: Option<ApiKeyRow> = on!(conn, |e| sqlx::query_as(GET_KEY)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    row.map(ApiKey::try_from).transpose()
}

// Ids grow with time, so the newest come first. Three-valued logic is kept out: a key that never
// ends has no expire_time to compare.
const LIST_KEYS: &str = "SELECT id, shop_id, doc, expire_time, revoke_time, create_time
    FROM api_keys
    WHERE (shop_id = $1 OR ($2 AND shop_id IS NULL))
      AND ($3 OR (revoke_time IS NULL AND (expire_time IS NULL OR expire_time > $4)))
      AND ($5 = '' OR id < $5)
    ORDER BY id DESC LIMIT $6";

/// Which keys to list.
#[derive(Debug, Clone)]
pub struct KeyQuery<'q> {
    /// Those of this shop.
    pub shop: &'q str,
    /// Operators' too.
    pub operators: bool,
    /// Revoked and expired ones too.
    pub ended: bool,
    /// The present time.
    pub now: i64,
    /// Only those before this id; all if empty.
    pub before: &'q str,
    /// At most this many.
    pub limit: i64,
}

/// A page of keys, newest first.
pub async fn list_keys(conn: &mut Conn, query: KeyQuery<'_>) -> Result<Vec<ApiKey>> {
    let rows: Vec<ApiKeyRow> = on!(conn, |e| sqlx::query_as(LIST_KEYS)
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

const REVOKE_KEY: &str = "UPDATE api_keys SET revoke_time = $2 WHERE id = $1";

/// Ends a key.
pub async fn revoke_key(tx: &mut Tx, id: &str, now: i64) -> Result<()> {
    on_write!(tx, |e| sqlx::query(REVOKE_KEY)
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
