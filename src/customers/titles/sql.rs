//! All SQL over titles.

use sqlx::FromRow;

use super::super::model::Title;
use crate::{
    error::{Error, Result},
    on, on_write,
    store::{Conn, Tx},
};

#[derive(Debug, FromRow)]
struct TitleRow {
    id: String,
    version: i64,
    doc: String,
}

impl TitleRow {
    fn model(self) -> Result<Title> {
        let title: Title = serde_json::from_str(&self.doc)
            .map_err(|error| Error::corrupt("titles", &self.id, error))?;
        Ok(Title {
            id: self.id,
            version: self.version,
            ..title
        })
    }
}

const GET: &str = "SELECT id, version, doc FROM titles WHERE shop_id = $1 AND id = $2";

/// One title.
pub(super) async fn get(conn: &mut Conn, shop: &str, id: &str) -> Result<Option<Title>> {
    let row: Option<TitleRow> = on!(conn, |e| sqlx::query_as(GET)
        .bind(shop)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    row.map(TitleRow::model).transpose()
}

const LIST: &str = "SELECT id, version, doc FROM titles
    WHERE shop_id = $1 AND id > $2 ORDER BY id LIMIT $3";

/// A page of titles, by id.
pub(super) async fn list(
    conn: &mut Conn,
    shop: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<Title>> {
    let rows: Vec<TitleRow> = on!(conn, |e| sqlx::query_as(LIST)
        .bind(shop)
        .bind(after)
        .bind(limit)
        .fetch_all(e)
        .await)?;
    rows.into_iter().map(TitleRow::model).collect()
}

const PUT: &str = "INSERT INTO titles (shop_id, id, version, doc, create_time, update_time)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (shop_id, id) DO UPDATE
    SET version = excluded.version, doc = excluded.doc, update_time = excluded.update_time";

/// Writes a title, new or changed.
pub(super) async fn put(tx: &mut Tx, shop: &str, title: &Title) -> Result<()> {
    let doc = serde_json::to_string(title).map_err(Error::internal)?;
    on_write!(tx, |e| sqlx::query(PUT)
        .bind(shop)
        .bind(&title.id)
        .bind(title.version)
        .bind(&doc)
        .bind(title.create_time)
        .bind(title.update_time)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

const DELETE: &str = "DELETE FROM titles WHERE shop_id = $1 AND id = $2";

/// Removes a title.
pub(super) async fn delete(tx: &mut Tx, shop: &str, id: &str) -> Result<()> {
    on_write!(tx, |e| sqlx::query(DELETE)
        .bind(shop)
        .bind(id)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}
