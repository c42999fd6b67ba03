//! All SQL over `membership_grants` and `memberships`.

use sqlx::AssertSqlSafe;

use super::Grant;
use crate::error::Result;
use crate::jobs::{JobKind, skips};
use crate::store::{Conn, Engine, Texts, Tx, dialect};
use crate::{execute, on};

/// A stored grant.
#[derive(Clone, Debug, PartialEq, Eq, sqlx_macros::FromRow)]
pub(crate) struct GrantRow {
    pub(crate) group_id: String,
    pub(crate) customer_id: String,
    pub(crate) source: i64,
    pub(crate) reason: String,
    pub(crate) actor: Option<String>,
    pub(crate) start_time: i64,
    pub(crate) expire_time: Option<i64>,
}

const OF_CUSTOMER: &str =
    "SELECT group_id, customer_id, source, reason, actor, start_time, expire_time
    FROM membership_grants WHERE shop_id = $1 AND customer_id = $2 AND state = 1
    ORDER BY group_id, source";

/// Reads all grants of a customer.
pub(crate) async fn of_customer(
    conn: &mut Conn,
    shop: &str,
    customer: &str,
) -> Result<Vec<GrantRow>> {
    Ok(on!(conn, |e| sqlx::query_as(OF_CUSTOMER)
        .bind(shop)
        .bind(customer)
        .fetch_all(e)
        .await)?)
}

/// Reads the grants of these customers for one group.
pub(crate) async fn of_members(
    conn: &mut Conn,
    shop: &str,
    group: &str,
    customers: &[String],
) -> Result<Vec<GrantRow>> {
    let text = format!(
        "SELECT group_id, customer_id, source, reason, actor, start_time, expire_time
         FROM membership_grants WHERE shop_id = $1 AND group_id = $2 AND state = 1 AND {any}
         ORDER BY customer_id, source",
        any = dialect::any_of(conn.engine(), "customer_id", "$3"),
    );
    Ok(on!(conn, |e| sqlx::query_as(AssertSqlSafe(text.as_str()))
        .bind(shop)
        .bind(group)
        .bind(Texts(customers))
        .fetch_all(e)
        .await)?)
}

/// Holds the rows of the groups until the end of the transaction. Many transactions can hold a row at once;
/// only the deletion of a group has to wait. Empty on SQLite, which has one writer.
const fn hold(engine: Engine) -> &'static str {
    engine.pick("", " FOR KEY SHARE OF g")
}

/// Inserts grants for the groups that exist. Returns how many those are. None of them can be deleted before
/// this transaction has ended.
pub(crate) async fn put_grants(
    tx: &mut Tx,
    shop: &str,
    customer: &str,
    groups: &[String],
    grant: &Grant,
    now: i64,
) -> Result<usize> {
    let text = format!(
        "INSERT INTO membership_grants
         (shop_id, group_id, customer_id, source, state, reason, actor, start_time, expire_time)
         SELECT $1, g.id, $2, $3, 1, $4, $5, $6, $7 FROM groups g WHERE g.shop_id = $1 AND {any}{hold}
         ON CONFLICT (shop_id, group_id, customer_id, source)
         DO UPDATE SET state = excluded.state, reason = excluded.reason, actor = excluded.actor,
             start_time = excluded.start_time, expire_time = excluded.expire_time",
        any = dialect::any_of(tx.engine(), "g.id", "$8"),
        hold = hold(tx.engine()),
    );
    let done = execute!(
        tx,
        sqlx::query(AssertSqlSafe(text.as_str()))
            .bind(shop)
            .bind(customer)
            .bind(grant.source.number())
            .bind(&grant.reason)
            .bind(grant.actor.as_deref())
            .bind(now)
            .bind(grant.expire_time)
            .bind(Texts(groups))
    )?;
    Ok(usize::try_from(done).unwrap_or(usize::MAX))
}

/// Inserts memberships in the groups that exist; existing memberships stay. Returns how many began.
pub(crate) async fn put_memberships(
    tx: &mut Tx,
    shop: &str,
    customer: &str,
    groups: &[String],
) -> Result<usize> {
    let text = format!(
        "INSERT INTO memberships (shop_id, group_id, customer_id)
         SELECT $1, g.id, $2 FROM groups g WHERE g.shop_id = $1 AND {any}{hold}
         ON CONFLICT (shop_id, group_id, customer_id) DO NOTHING",
        any = dialect::any_of(tx.engine(), "g.id", "$3"),
        hold = hold(tx.engine()),
    );
    let done = execute!(
        tx,
        sqlx::query(AssertSqlSafe(text.as_str()))
            .bind(shop)
            .bind(customer)
            .bind(Texts(groups))
    )?;
    Ok(usize::try_from(done).unwrap_or(usize::MAX))
}

const DELETE_GRANT: &str = "DELETE FROM membership_grants
    WHERE shop_id = $1 AND group_id = $2 AND customer_id = $3 AND source = $4";

/// Deletes one grant.
pub(crate) async fn delete_grant(tx: &mut Tx, shop: &str, grant: &GrantRow) -> Result<()> {
    execute!(
        tx,
        sqlx::query(DELETE_GRANT)
            .bind(shop)
            .bind(&grant.group_id)
            .bind(&grant.customer_id)
            .bind(grant.source)
    )?;
    Ok(())
}

/// Ends memberships of a customer.
pub(crate) async fn delete_memberships(
    tx: &mut Tx,
    shop: &str,
    customer: &str,
    groups: &[String],
) -> Result<()> {
    let text = format!(
        "DELETE FROM memberships WHERE shop_id = $1 AND customer_id = $2 AND {any}",
        any = dialect::any_of(tx.engine(), "group_id", "$3"),
    );
    execute!(
        tx,
        sqlx::query(AssertSqlSafe(text.as_str()))
            .bind(shop)
            .bind(customer)
            .bind(Texts(groups))
    )?;
    Ok(())
}

const DELETE_ALL: &str = "DELETE FROM memberships WHERE shop_id = $1 AND customer_id = $2";

/// Ends all memberships of a customer; the grants stay.
pub(crate) async fn delete_all_memberships(tx: &mut Tx, shop: &str, customer: &str) -> Result<()> {
    execute!(tx, sqlx::query(DELETE_ALL).bind(shop).bind(customer))?;
    Ok(())
}

const MEMBERS: &str = "SELECT customer_id FROM memberships
    WHERE shop_id = $1 AND group_id = $2 AND customer_id > $3 ORDER BY customer_id LIMIT $4";

/// Reads a page of the members of a group.
pub(crate) async fn members(
    conn: &mut Conn,
    shop: &str,
    group: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(MEMBERS)
        .bind(shop)
        .bind(group)
        .bind(after)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}

/// Some customers with a grant for a group, including deleted customers. Customers that the deletion of the
/// group has skipped are excluded until their retry time.
pub(crate) async fn granted(
    conn: &mut Conn,
    shop: &str,
    group: &str,
    now: i64,
    limit: i64,
) -> Result<Vec<String>> {
    let subject = "'groups/' || g.group_id";
    let text = format!(
        "SELECT DISTINCT g.customer_id FROM membership_grants g
         WHERE g.shop_id = $1 AND g.group_id = $2 AND {not_skipped}
         ORDER BY g.customer_id LIMIT $4",
        not_skipped = skips::not_skipped(
            JobKind::DeleteGroup,
            subject,
            "g.shop_id",
            "g.customer_id",
            "$3"
        ),
    );
    Ok(on!(conn, |e| sqlx::query_scalar(AssertSqlSafe(
        text.as_str()
    ))
    .bind(shop)
    .bind(group)
    .bind(now)
    .bind(limit)
    .fetch_all(e)
    .await)?)
}

/// Returns the condition that excludes customers whose grants could not be ended and whose retry time has not
/// come.
fn not_skipped() -> String {
    skips::not_skipped(
        JobKind::ExpireMemberships,
        "''",
        "membership_grants.shop_id",
        "membership_grants.customer_id",
        "$1",
    )
}

/// The shops of the grants that expired first.
pub(crate) async fn shops_with_expired(conn: &mut Conn, now: i64) -> Result<Vec<String>> {
    let text = format!(
        "SELECT DISTINCT shop_id FROM
         (SELECT shop_id FROM membership_grants WHERE expire_time <= $1 AND {not_skipped}
          ORDER BY expire_time LIMIT 1000) AS oldest",
        not_skipped = not_skipped(),
    );
    Ok(on!(conn, |e| sqlx::query_scalar(AssertSqlSafe(
        text.as_str()
    ))
    .bind(now)
    .fetch_all(e)
    .await)?)
}

/// Some customers with an expired grant, oldest first.
pub(crate) async fn expired(
    conn: &mut Conn,
    shop: &str,
    now: i64,
    limit: i64,
) -> Result<Vec<String>> {
    let text = format!(
        "SELECT customer_id FROM membership_grants
         WHERE expire_time <= $1 AND shop_id = $2 AND {not_skipped}
         ORDER BY expire_time LIMIT $3",
        not_skipped = not_skipped(),
    );
    Ok(on!(conn, |e| sqlx::query_scalar(AssertSqlSafe(
        text.as_str()
    ))
    .bind(now)
    .bind(shop)
    .bind(limit)
    .fetch_all(e)
    .await)?)
}
