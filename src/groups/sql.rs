//! All SQL over `groups`, and over the number of members.

use sqlx::{AssertSqlSafe, FromRow};

use super::model::Group;
use crate::error::{Error, Result};
use crate::feed::Kind;
use crate::filter::pack_map;
use crate::store::{Conn, Texts, Tx, dialect};
use crate::{execute, on, on_write};

/// A group as it lies in its row.
#[derive(Debug, FromRow)]
pub(super) struct GroupRow {
    pub(super) id: String,
    pub(super) version: i64,
    pub(super) doc: String,
}

impl GroupRow {
    pub(super) fn model(self) -> Result<Group> {
        let group: Group = serde_json::from_str(&self.doc)
            .map_err(|error| Error::corrupt("groups", &self.id, error))?;
        Ok(Group {
            id: self.id,
            version: self.version,
            ..group
        })
    }
}

const GET: &str = "SELECT id, version, doc FROM groups WHERE shop_id = $1 AND id = $2";

/// One group.
pub(super) async fn get(conn: &mut Conn, shop: &str, id: &str) -> Result<Option<Group>> {
    let row: Option<GroupRow> = on!(conn, |e| sqlx::query_as(GET)
        .bind(shop)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    row.map(GroupRow::model).transpose()
}

/// What is known of a group where only its members matter.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(super) struct GroupFacts {
    pub(super) id: String,
    pub(super) priority: i64,
    pub(super) audience: i64,
    pub(super) state: i64,
    pub(super) special: i64,
}

/// Of these groups the ones that exist, by id.
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

/// The special groups of a shop.
pub(super) async fn special(conn: &mut Conn, shop: &str) -> Result<Vec<Group>> {
    let rows: Vec<GroupRow> = on!(conn, |e| sqlx::query_as(SPECIAL)
        .bind(shop)
        .fetch_all(e)
        .await)?;
    rows.into_iter().map(GroupRow::model).collect()
}

/// The condition must read like the index `groups_visible`, which has no entry for the id of a hidden
/// group: a hidden and an absent group cost the same look into it.
const GET_VISIBLE: &str = "SELECT id, version, doc FROM groups
    WHERE shop_id = $1 AND (CASE WHEN state <> 2 THEN id END) = $2";

/// One group, unless it is hidden.
pub(super) async fn get_visible(conn: &mut Conn, shop: &str, id: &str) -> Result<Option<Group>> {
    let row: Option<GroupRow> = on!(conn, |e| sqlx::query_as(GET_VISIBLE)
        .bind(shop)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    row.map(GroupRow::model).transpose()
}

/// Of these groups the ones that exist and are not hidden.
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

const PUT: &str = "INSERT INTO groups
    (shop_id, id, version, doc, display_names, discount_hundredths, price_display, show_prices,
     state, audience, special, priority, pricing_revision, create_time, update_time)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    ON CONFLICT (shop_id, id) DO UPDATE SET version = excluded.version, doc = excluded.doc,
        display_names = excluded.display_names,
        discount_hundredths = excluded.discount_hundredths,
        price_display = excluded.price_display, show_prices = excluded.show_prices,
        state = excluded.state, special = excluded.special, priority = excluded.priority,
        pricing_revision = excluded.pricing_revision, update_time = excluded.update_time";

/// Writes a group, new or changed.
pub(super) async fn put(tx: &mut Tx, shop: &str, group: &Group) -> Result<()> {
    let doc = serde_json::to_string(group).map_err(Error::internal)?;
    let names = pack_map(
        group
            .display_names
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str())),
    );
    execute!(
        tx,
        sqlx::query(PUT)
            .bind(shop)
            .bind(&group.id)
            .bind(group.version)
            .bind(&doc)
            .bind(&names)
            .bind(group.discount_hundredths)
            .bind(group.price_display.message() as i64)
            .bind(group.show_prices)
            .bind(group.state.message() as i64)
            .bind(group.audience.message() as i64)
            .bind(group.special.bits())
            .bind(group.priority)
            .bind(group.pricing_revision)
            .bind(group.create_time)
            .bind(group.update_time)
    )?;
    Ok(())
}

const DELETE: &str = "DELETE FROM groups WHERE shop_id = $1 AND id = $2";

/// Removes a group. On PostgreSQL this waits for everybody who is granting a membership of it.
pub(super) async fn delete(tx: &mut Tx, shop: &str, id: &str) -> Result<()> {
    execute!(tx, sqlx::query(DELETE).bind(shop).bind(id))?;
    Ok(())
}

const TOMBSTONE: &str =
    "SELECT version FROM tombstones WHERE shop_id = $1 AND kind = $2 AND id = $3";

/// The last version of a deleted group of this name; 0 if there never was one.
pub(super) async fn last_version(conn: &mut Conn, shop: &str, id: &str) -> Result<i64> {
    let version: Option<i64> = on!(conn, |e| sqlx::query_scalar(TOMBSTONE)
        .bind(shop)
        .bind(Kind::Group.number())
        .bind(id)
        .fetch_optional(e)
        .await)?;
    Ok(version.unwrap_or_default())
}

const BURY: &str = "INSERT INTO tombstones (shop_id, kind, id, version, delete_time)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (shop_id, kind, id)
    DO UPDATE SET version = excluded.version, delete_time = excluded.delete_time";

/// Keeps the last version of a deleted group.
pub(super) async fn bury(tx: &mut Tx, shop: &str, id: &str, version: i64, now: i64) -> Result<()> {
    execute!(
        tx,
        sqlx::query(BURY)
            .bind(shop)
            .bind(Kind::Group.number())
            .bind(id)
            .bind(version)
            .bind(now)
    )?;
    Ok(())
}

/// How many members each of these groups has; those without any are left out.
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

/// The groups of the first so many rows behind a row, as (shop, group, last row).
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

const IS_UNFOLDED: &str = "SELECT COUNT(*) > $3 FROM
    (SELECT 1 FROM member_counts WHERE shop_id = $1 AND group_id = $2 LIMIT $3 + 1) AS counted";

/// Whether the number of members of a group lies in more than so many rows.
pub(super) async fn is_unfolded(conn: &mut Conn, shop: &str, id: &str, rows: i64) -> Result<bool> {
    Ok(on!(conn, |e| sqlx::query_scalar(IS_UNFOLDED)
        .bind(shop)
        .bind(id)
        .bind(rows)
        .fetch_one(e)
        .await)?)
}

const FOLD_UP_TO: &str = "SELECT MAX(seq) FROM (SELECT seq FROM member_counts
    WHERE shop_id = $1 AND group_id = $2 ORDER BY seq LIMIT $3) AS oldest";
const FOLD_TAKE: &str = "DELETE FROM member_counts
    WHERE shop_id = $1 AND group_id = $2 AND seq <= $3 RETURNING delta";
const FOLD_PUT: &str = "INSERT INTO member_counts (shop_id, group_id, delta) VALUES ($1, $2, $3)";

/// Folds up to `rows` rows of a group into one.
pub(super) async fn fold(tx: &mut Tx, shop: &str, id: &str, rows: i64) -> Result<()> {
    let up_to: Option<i64> = on!(tx, |e| sqlx::query_scalar(FOLD_UP_TO)
        .bind(shop)
        .bind(id)
        .bind(rows)
        .fetch_one(e)
        .await)?;
    let Some(up_to) = up_to else { return Ok(()) };
    let taken: Vec<i64> = on_write!(tx, |e| sqlx::query_scalar(FOLD_TAKE)
        .bind(shop)
        .bind(id)
        .bind(up_to)
        .fetch_all(e)
        .await)?;
    let sum: i64 = taken.iter().sum();
    execute!(tx, sqlx::query(FOLD_PUT).bind(shop).bind(id).bind(sum))?;
    Ok(())
}

const FORGET_COUNT: &str = "DELETE FROM member_counts WHERE shop_id = $1 AND group_id = $2";

/// Removes what was counted for a group that is gone and has no members left.
pub(crate) async fn forget_count(tx: &mut Tx, shop: &str, id: &str) -> Result<()> {
    execute!(tx, sqlx::query(FORGET_COUNT).bind(shop).bind(id))?;
    Ok(())
}
