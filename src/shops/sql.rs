//! All SQL of shops.

use super::model::{Shop, ShopDoc};
use crate::error::{Error, Result};
use crate::store::{Conn, Tx};
use crate::{on, on_write};

const DOC: &str = "SELECT doc FROM shops WHERE id = $1";

/// Reads the document of a shop.
pub async fn doc(conn: &mut Conn, id: &str) -> Result<Option<ShopDoc>> {
    let doc: Option<String> = on!(conn, |e| sqlx::query_scalar(DOC)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    doc.map(|doc| serde_json::from_str(&doc).map_err(|error| Error::corrupt("shops", id, error)))
        .transpose()
}

const ANY: &str = "SELECT id FROM shops LIMIT 1";

/// Whether the store has a shop. It has one after its first start.
pub async fn any(conn: &mut Conn) -> Result<bool> {
    let id: Option<String> = on!(conn, |e| sqlx::query_scalar(ANY).fetch_optional(e).await)?;
    Ok(id.is_some())
}

const INSERT: &str = "INSERT INTO shops (id, version, doc, create_time, update_time)
    VALUES ($1, $2, $3, $4, $5)";

/// Inserts a shop, whose id must be free.
pub async fn insert(tx: &mut Tx, shop: &Shop) -> Result<()> {
    let doc = serde_json::to_string(&shop.doc).map_err(Error::internal)?;
    on_write!(tx, |e| sqlx::query(INSERT)
        .bind(&shop.id)
        .bind(shop.version)
        .bind(&doc)
        .bind(shop.create_time)
        .bind(shop.update_time)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

const NOT_INDEXED_BY: &str =
    "SELECT id FROM shops WHERE customers_index <> $1 ORDER BY id LIMIT 100";

/// Returns at most 100 shops whose customers are not indexed by this version.
pub async fn not_indexed_by(conn: &mut Conn, version: &str) -> Result<Vec<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(NOT_INDEXED_BY)
        .bind(version)
        .fetch_all(e)
        .await)?)
}

const SET_INDEXED_BY: &str = "UPDATE shops SET customers_index = $2 WHERE id = $1";

/// Records the version of the index of a shop's customers.
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

/// Updates the document of a shop.
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
