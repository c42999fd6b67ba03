//! The SQL of redeemed links.

use super::Link;
use crate::error::Result;
use crate::store::{Conn, Tx};
use crate::{execute, on};

const USED: &str = "SELECT nonce FROM used_links WHERE shop_id = $1 AND nonce = $2";

/// Whether a link was redeemed.
///
/// # Errors
/// An error of the database.
pub async fn is_used(conn: &mut Conn, shop: &str, link: &Link) -> Result<bool> {
    let nonce: Option<String> = on!(conn, |e| sqlx::query_scalar(USED)
        .bind(shop)
        .bind(link.nonce())
        .fetch_optional(e)
        .await)?;
    Ok(nonce.is_some())
}

const REDEEM: &str = "INSERT INTO used_links (shop_id, nonce, expire_time) VALUES ($1, $2, $3)
    ON CONFLICT (shop_id, nonce) DO NOTHING";

/// Notes that a link is redeemed. Returns false if it was redeemed before.
///
/// # Errors
/// An error of the database.
pub async fn redeem(tx: &mut Tx, shop: &str, link: &Link) -> Result<bool> {
    let rows = execute!(
        tx,
        sqlx::query(REDEEM)
            .bind(shop)
            .bind(link.nonce())
            .bind(link.expire_time)
    )?;
    Ok(rows == 1)
}
