//! The SQL of redeemed links.

use super::Link;
use crate::error::Result;
use crate::store::{Conn, Tx};
use crate::{execute, on};

const USED: &str = "SELECT nonce FROM used_links WHERE shop_id = $1 AND nonce = $2";

/// Whether a link was redeemed.
///
/// # Errors
/// The database's.
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

/// Notes that a link is redeemed. False if it was before.
///
/// # Errors
/// The database's.
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

const SHOPS_WITH_ENDED: &str =
    "SELECT DISTINCT shop_id FROM used_links WHERE expire_time < $1 LIMIT 1000";

/// The shops that have redeemed links which ended before a time.
pub(super) async fn shops_with_ended(conn: &mut Conn, before: i64) -> Result<Vec<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(SHOPS_WITH_ENDED)
        .bind(before)
        .fetch_all(e)
        .await)?)
}

const FORGET_ENDED: &str = "DELETE FROM used_links WHERE (shop_id, nonce) IN
    (SELECT shop_id, nonce FROM used_links WHERE shop_id = $1 AND expire_time < $2
     ORDER BY expire_time LIMIT $3)";

/// Removes up to `limit` redeemed links that ended before a time.
pub(super) async fn forget_ended(tx: &mut Tx, shop: &str, before: i64, limit: i64) -> Result<i64> {
    let gone = execute!(
        tx,
        sqlx::query(FORGET_ENDED)
            .bind(shop)
            .bind(before)
            .bind(limit)
    )?;
    Ok(i64::try_from(gone).unwrap_or(limit))
}
