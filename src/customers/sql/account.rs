//! Passwords, which are stored apart from the customer, and visits, which do not change the customer's
//! version.

use crate::error::Result;
use crate::store::{Conn, Tx};
use crate::{on, on_write};

const SET_CREDENTIAL: &str = "INSERT INTO credentials (shop_id, customer_id, digest, update_time)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (shop_id, customer_id)
    DO UPDATE SET digest = excluded.digest, update_time = excluded.update_time";

/// Stores the digest of a new password.
pub(in crate::customers) async fn set_credential(
    tx: &mut Tx,
    shop: &str,
    customer: &str,
    digest: &str,
    now: i64,
) -> Result<()> {
    on_write!(tx, |e| sqlx::query(SET_CREDENTIAL)
        .bind(shop)
        .bind(customer)
        .bind(digest)
        .bind(now)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

const RENEW_CREDENTIAL: &str = "UPDATE credentials SET digest = $4
    WHERE shop_id = $1 AND customer_id = $2 AND digest = $3";

/// Replaces a digest by a stronger one of the same password, unless the password was changed.
pub(in crate::customers) async fn renew_credential(
    tx: &mut Tx,
    shop: &str,
    customer: &str,
    old: &str,
    new: &str,
) -> Result<()> {
    on_write!(tx, |e| sqlx::query(RENEW_CREDENTIAL)
        .bind(shop)
        .bind(customer)
        .bind(old)
        .bind(new)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

const REMOVE_CREDENTIAL: &str = "DELETE FROM credentials WHERE shop_id = $1 AND customer_id = $2";

/// Removes the password. Returns whether there was one.
pub(in crate::customers) async fn remove_credential(
    tx: &mut Tx,
    shop: &str,
    customer: &str,
) -> Result<bool> {
    let removed = on_write!(tx, |e| sqlx::query(REMOVE_CREDENTIAL)
        .bind(shop)
        .bind(customer)
        .execute(e)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(removed > 0)
}

/// A customer with the digest of its password.
#[derive(Debug, sqlx_macros::FromRow)]
pub(in crate::customers) struct AccountRow {
    pub(in crate::customers) id: String,
    pub(in crate::customers) version: i64,
    pub(in crate::customers) doc: String,
    pub(in crate::customers) digest: Option<String>,
}

const ACCOUNT: &str = "SELECT c.id, c.version, c.doc, k.digest FROM customers c
    LEFT JOIN credentials k ON k.shop_id = c.shop_id AND k.customer_id = c.id
    WHERE c.shop_id = $1 AND c.email_claim = $2";

/// The customer with an e-mail address, and the digest of its password.
pub(in crate::customers) async fn account(
    conn: &mut Conn,
    shop: &str,
    claim: &str,
) -> Result<Option<AccountRow>> {
    Ok(on!(conn, |e| sqlx::query_as(ACCOUNT)
        .bind(shop)
        .bind(claim)
        .fetch_optional(e)
        .await)?)
}

/// Writes visits from a JSON array of arrays.
const VISIT: [&str; 2] = [
    "INSERT INTO visits (shop_id, customer_id, last_visit_time)
     SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) WHERE true
     ON CONFLICT (shop_id, customer_id) DO UPDATE SET last_visit_time = excluded.last_visit_time
     WHERE visits.last_visit_time < excluded.last_visit_time",
    "INSERT INTO visits (shop_id, customer_id, last_visit_time)
     SELECT value ->> 0, value ->> 1, (value ->> 2)::bigint FROM jsonb_array_elements($1::jsonb)
     ON CONFLICT (shop_id, customer_id) DO UPDATE SET last_visit_time = excluded.last_visit_time
     WHERE visits.last_visit_time < excluded.last_visit_time",
];

/// Notes visits of customers as (shop, id, time), at most one of each customer.
pub(in crate::customers) async fn visit(tx: &mut Tx, visits: &[(&str, &str, i64)]) -> Result<()> {
    let text = tx.engine().pick(VISIT[0], VISIT[1]);
    let visits = serde_json::json!(visits).to_string();
    on_write!(tx, |e| sqlx::query(text)
        .bind(&visits)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}
