//! The SQL of redeemed links.

use sqlx::AssertSqlSafe;

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

const SHOPS_WITH_ENDED: &str = "SELECT DISTINCT shop_id FROM
    (SELECT shop_id FROM used_links WHERE expire_time < $1 ORDER BY expire_time LIMIT 1000) AS oldest";

/// The shops of the redeemed links that ended first, before a time.
pub(super) async fn shops_with_ended(conn: &mut Conn, before: i64) -> Result<Vec<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(SHOPS_WITH_ENDED)
        .bind(before)
        .fetch_all(e)
        .await)?)
}

/// Removes up to `limit` redeemed links that ended before a time.
pub(super) async fn forget_ended(tx: &mut Tx, shop: &str, before: i64, limit: i64) -> Result<i64> {
    // A limit that the planner does not know may have it read the table as a whole.
    let text = format!(
        "DELETE FROM used_links WHERE (shop_id, nonce) IN
         (SELECT shop_id, nonce FROM used_links WHERE shop_id = $1 AND expire_time < $2
          ORDER BY expire_time LIMIT {limit})"
    );
    let gone = execute!(
        tx,
        sqlx::query(AssertSqlSafe(text.as_str()))
            .bind(shop)
            .bind(before)
    )?;
    Ok(i64::try_from(gone).unwrap_or(limit))
}
