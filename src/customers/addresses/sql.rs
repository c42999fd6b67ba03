//! The SQL of addresses that the kit does not have.

use crate::{error::Result, on, store::Conn};

const PLACES: &str = "SELECT id, position FROM addresses
    WHERE shop_id = $1 AND customer_id = $2 ORDER BY position, id";

/// Reads the ids and positions of a customer's addresses, oldest first. Their number is limited.
pub(super) async fn places(
    conn: &mut Conn,
    shop: &str,
    customer: &str,
) -> Result<Vec<(String, i64)>> {
    Ok(on!(conn, |e| sqlx::query_as(PLACES)
        .bind(shop)
        .bind(customer)
        .fetch_all(e)
        .await)?)
}
