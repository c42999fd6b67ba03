//! All SQL over `groups` and over the member counts.

use sqlx::AssertSqlSafe;

use super::model::Group;
use crate::error::Result;
use crate::resource::parse;
use crate::store::{Conn, Texts, Tx, dialect};
use crate::{execute, on, on_write};

/// The id, the version and the document of a group.
type GroupRow = (String, i64, String);

fn of_row((id, version, doc): GroupRow) -> Result<Group> {
    parse(id, version, &doc)
}

/// The columns of a group that matter for its members.
#[derive(Clone, Debug, PartialEq, Eq, sqlx_macros::FromRow)]
pub(super) struct GroupFacts {
    pub(super) id: String,
    pub(super) priority: i64,
    pub(super) audience: i64,
    pub(super) state: i64,
    pub(super) special: i64,
}

/// Reads those of these groups that exist, by id.
pub(super) async fn facts(conn: &mut Conn, shop: &str, ids: &[String]) -> Result<Vec<GroupFacts>> {
    let text = format!(
        "SELECT id, priority, audience, state, special FROM groups
         WHERE shop_id = $1 AND {any} ORDER BY id",
        any = dialect::any_of(conn.engine(), "id", "$2"),
    );
    Ok(on!(conn, |e| sqlx::query_as(AssertSqlSafe(text.as_str()))
        .bind(shop)
        .bind(Texts(ids))
        .fetch_all(e)
        .await)?)
}

const SPECIAL: &str = "SELECT id, version, doc FROM groups WHERE shop_id = $1 AND special <> 0";

/// Reads the special groups of a shop.
pub(super) async fn special(conn: &mut Conn, shop: &str) -> Result<Vec<Group>> {
    let rows: Vec<GroupRow> = on!(conn, |e| sqlx::query_as(SPECIAL)
        .bind(shop)
        .fetch_all(e)
        .await)?;
    rows.into_iter().map(of_row).collect()
}

/// The condition must equal that of the index `groups_visible`, which has no entry for the id of a hidden
/// group: a hidden and an absent group cost the same lookup.
const GET_VISIBLE: &str = "SELECT id, version, doc FROM groups
    WHERE shop_id = $1 AND (CASE WHEN state <> 2 THEN id END) = $2";

/// Reads one group, unless it is hidden.
pub(super) async fn get_visible(conn: &mut Conn, shop: &str, id: &str) -> Result<Option<Group>> {
    let row: Option<GroupRow> = on!(conn, |e| sqlx::query_as(GET_VISIBLE)
        .bind(shop)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    row.map(of_row).transpose()
}

/// The ids among these of groups that exist and are not hidden.
pub(super) async fn visible(conn: &mut Conn, shop: &str, ids: &[String]) -> Result<Vec<String>> {
    let text = format!(
        "SELECT id FROM groups WHERE shop_id = $1 AND state <> 2 AND {any}",
        any = dialect::any_of(conn.engine(), "id", "$2"),
    );
    Ok(on!(conn, |e| sqlx::query_scalar(AssertSqlSafe(
        text.as_str()
    ))
    .bind(shop)
    .bind(Texts(ids))
    .fetch_all(e)
    .await)?)
}

/// The member counts of these groups. Groups without members are left out.
pub(super) async fn member_counts(
    conn: &mut Conn,
    shop: &str,
    ids: &[String],
) -> Result<Vec<(String, i64)>> {
    let text = format!(
        "SELECT group_id, CAST(SUM(delta) AS BIGINT) FROM member_counts
         WHERE shop_id = $1 AND {any} GROUP BY group_id",
        any = dialect::any_of(conn.engine(), "group_id", "$2"),
    );
    Ok(on!(conn, |e| sqlx::query_as(AssertSqlSafe(text.as_str()))
        .bind(shop)
        .bind(Texts(ids))
        .fetch_all(e)
        .await)?)
}

const COUNTED_SINCE: &str = "SELECT shop_id, group_id, MAX(seq) FROM
    (SELECT shop_id, group_id, seq FROM member_counts WHERE seq > $1 ORDER BY seq LIMIT $2) AS newer
    GROUP BY shop_id, group_id";

/// The groups of the first `limit` rows after a row, as (shop, group, last row).
pub(super) async fn counted_since(
    conn: &mut Conn,
    seq: i64,
    rows: i64,
) -> Result<Vec<(String, String, i64)>> {
    Ok(on!(conn, |e| sqlx::query_as(COUNTED_SINCE)
        .bind(seq)
        .bind(rows)
        .fetch_all(e)
        .await)?)
}

const HAS_MORE_ROWS: &str = "SELECT COUNT(*) > $3 FROM
    (SELECT 1 FROM member_counts WHERE shop_id = $1 AND group_id = $2 LIMIT $3 + 1) AS counted";

/// Whether the member count of a group is in more than `rows` rows.
pub(super) async fn has_more_rows(
    conn: &mut Conn,
    shop: &str,
    id: &str,
    rows: i64,
) -> Result<bool> {
    Ok(on!(conn, |e| sqlx::query_scalar(HAS_MORE_ROWS)
        .bind(shop)
        .bind(id)
        .bind(rows)
        .fetch_one(e)
        .await)?)
}

const SUM_UP_TO: &str = "SELECT MAX(seq) FROM (SELECT seq FROM member_counts
    WHERE shop_id = $1 AND group_id = $2 ORDER BY seq LIMIT $3) AS oldest";
const SUM_TAKE: &str = "DELETE FROM member_counts
    WHERE shop_id = $1 AND group_id = $2 AND seq <= $3 RETURNING delta";
const SUM_PUT: &str = "INSERT INTO member_counts (shop_id, group_id, delta) VALUES ($1, $2, $3)";

/// Sums up at most `rows` rows of a group into one. Returns how many there were.
pub(super) async fn sum_rows(tx: &mut Tx, shop: &str, id: &str, rows: i64) -> Result<i64> {
    let up_to: Option<i64> = on!(tx, |e| sqlx::query_scalar(SUM_UP_TO)
        .bind(shop)
        .bind(id)
        .bind(rows)
        .fetch_one(e)
        .await)?;
    let Some(up_to) = up_to else { return Ok(0) };
    let taken: Vec<i64> = on_write!(tx, |e| sqlx::query_scalar(SUM_TAKE)
        .bind(shop)
        .bind(id)
        .bind(up_to)
        .fetch_all(e)
        .await)?;
    let sum: i64 = taken.iter().sum();
    execute!(tx, sqlx::query(SUM_PUT).bind(shop).bind(id).bind(sum))?;
    Ok(i64::try_from(taken.len()).unwrap_or(i64::MAX))
}

const FORGET_COUNT: &str = "DELETE FROM member_counts WHERE shop_id = $1 AND group_id = $2";

/// Removes the count of a deleted group without members.
pub(crate) async fn forget_count(tx: &mut Tx, shop: &str, id: &str) -> Result<()> {
    execute!(tx, sqlx::query(FORGET_COUNT).bind(shop).bind(id))?;
    Ok(())
}
