//! All SQL over addresses.

use super::super::model::Address;
use crate::{
    error::{Error, Result},
    on, on_write,
    store::{Conn, Tx},
};

#[derive(Debug, sqlx_macros::FromRow)]
struct AddressRow {
    customer_id: String,
    id: String,
    version: i64,
    position: i64,
    doc: String,
}

impl AddressRow {
    fn model(self) -> Result<Address> {
        let address: Address = serde_json::from_str(&self.doc)
            .map_err(|error| Error::corrupt("addresses", &self.id, error))?;
        Ok(Address {
            customer: self.customer_id,
            id: self.id,
            version: self.version,
            position: self.position,
            ..address
        })
    }
}

const GET: &str = "SELECT customer_id, id, version, position, doc FROM addresses
    WHERE shop_id = $1 AND customer_id = $2 AND id = $3";

/// One address.
pub(super) async fn get(
    conn: &mut Conn,
    shop: &str,
    customer: &str,
    id: &str,
) -> Result<Option<Address>> {
    let row: Option<AddressRow> = on!(conn, |e| sqlx::query_as(GET)
        .bind(shop)
        .bind(customer)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    row.map(AddressRow::model).transpose()
}

const ALL: &str = "SELECT customer_id, id, version, position, doc FROM addresses
    WHERE shop_id = $1 AND customer_id = $2 ORDER BY position, id";

/// All addresses of a customer, oldest first; there are few.
pub(super) async fn all(conn: &mut Conn, shop: &str, customer: &str) -> Result<Vec<Address>> {
    let rows: Vec<AddressRow> = on!(conn, |e| sqlx::query_as(ALL)
        .bind(shop)
        .bind(customer)
        .fetch_all(e)
        .await)?;
    rows.into_iter().map(AddressRow::model).collect()
}

const INSERT: &str = "INSERT INTO addresses
    (shop_id, customer_id, id, version, position, doc, create_time, update_time)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// Writes a new address.
pub(super) async fn insert(tx: &mut Tx, shop: &str, address: &Address) -> Result<()> {
    let doc = serde_json::to_string(address).map_err(Error::internal)?;
    on_write!(tx, |e| sqlx::query(INSERT)
        .bind(shop)
        .bind(&address.customer)
        .bind(&address.id)
        .bind(address.version)
        .bind(address.position)
        .bind(&doc)
        .bind(address.create_time)
        .bind(address.update_time)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

const UPDATE: &str = "UPDATE addresses SET version = $4, doc = $5, update_time = $6
    WHERE shop_id = $1 AND customer_id = $2 AND id = $3";

/// Writes a changed address.
pub(super) async fn update(tx: &mut Tx, shop: &str, address: &Address) -> Result<()> {
    let doc = serde_json::to_string(address).map_err(Error::internal)?;
    on_write!(tx, |e| sqlx::query(UPDATE)
        .bind(shop)
        .bind(&address.customer)
        .bind(&address.id)
        .bind(address.version)
        .bind(&doc)
        .bind(address.update_time)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

const DELETE: &str = "DELETE FROM addresses WHERE shop_id = $1 AND customer_id = $2 AND id = $3";

/// Removes an address.
pub(super) async fn delete(tx: &mut Tx, shop: &str, customer: &str, id: &str) -> Result<()> {
    on_write!(tx, |e| sqlx::query(DELETE)
        .bind(shop)
        .bind(customer)
        .bind(id)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}
