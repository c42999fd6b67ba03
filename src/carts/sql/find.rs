//! Queries that find carts: by name, number and order reference, and an owner's open carts.

use super::read::parse;
use crate::carts::model::Cart;
use crate::error::Result;
use crate::on;
use crate::store::Conn;

const EXISTS: &str = "SELECT id FROM carts WHERE shop_id = $1 AND id = $2";

/// Whether a cart of this name exists.
///
/// # Errors
/// An error of the database.
pub async fn exists(conn: &mut Conn, shop: &str, id: &str) -> Result<bool> {
    let id: Option<String> = on!(conn, |e| sqlx::query_scalar(EXISTS)
        .bind(shop)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    Ok(id.is_some())
}

const BY_NUMBER: &str = "SELECT id FROM carts WHERE shop_id = $1 AND number = $2";

/// The id of the cart with a number.
///
/// # Errors
/// An error of the database.
pub async fn by_number(conn: &mut Conn, shop: &str, number: &str) -> Result<Option<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(BY_NUMBER)
        .bind(shop)
        .bind(number)
        .fetch_optional(e)
        .await)?)
}

const BY_ORDER: &str =
    "SELECT id, version, doc FROM carts WHERE shop_id = $1 AND order_reference = $2";

/// The cart that was ordered with a reference.
///
/// # Errors
/// An error of the database.
pub async fn by_order(conn: &mut Conn, shop: &str, reference: &str) -> Result<Option<Cart>> {
    let row: Option<(String, i64, String)> = on!(conn, |e| sqlx::query_as(BY_ORDER)
        .bind(shop)
        .bind(reference)
        .fetch_optional(e)
        .await)?;
    row.map(|(id, version, doc)| parse(id, version, &doc))
        .transpose()
}

const OPEN_OF: &str = "SELECT id, slot FROM carts
    WHERE shop_id = $1 AND owner = $2 AND state = 1 ORDER BY slot LIMIT $3";

/// The open carts of an owner as (id, slot), by slot.
///
/// # Errors
/// An error of the database.
pub async fn open_of(
    conn: &mut Conn,
    shop: &str,
    owner: &str,
    limit: i64,
) -> Result<Vec<(String, String)>> {
    Ok(on!(conn, |e| sqlx::query_as(OPEN_OF)
        .bind(shop)
        .bind(owner)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}

const OPEN_IN: &str =
    "SELECT id FROM carts WHERE shop_id = $1 AND owner = $2 AND slot = $3 AND state = 1";

/// The id of an owner's open cart in a slot.
///
/// # Errors
/// An error of the database.
pub async fn open_in(
    conn: &mut Conn,
    shop: &str,
    owner: &str,
    slot: &str,
) -> Result<Option<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(OPEN_IN)
        .bind(shop)
        .bind(owner)
        .bind(slot)
        .fetch_optional(e)
        .await)?)
}
