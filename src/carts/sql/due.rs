//! Queries for the carts that need work: those that are old, abandoned, have an expired lease, or whose group
//! or customer has changed. Also for the carts that count in the figures.
//!
//! Conditions are those of the partial indexes, word for word.

use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::error::Result;
use crate::jobs::{JobKind, skips};
use crate::on;
use crate::shops::{Settings, ShopDoc};
use crate::store::Conn;

/// Carts that are kept for a limited time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Open carts of visitors.
    OfVisitors,
    /// Open carts of customers.
    OfCustomers,
    /// Open carts without lines, unless their slot is for later.
    Empty,
    /// Merged carts of visitors.
    MergedOfVisitors,
    /// Merged carts of customers.
    MergedOfCustomers,
}

/// The condition that excludes carts that are saved for later, as
/// [`is_for_saved`](crate::carts::model::is_for_saved) defines them. It is word for word that of the indexes.
macro_rules! not_saved {
    () => {
        "substr(slot || '-', 1, 6) <> 'saved-'"
    };
}

/// The condition that excludes carts that staff holds.
macro_rules! free {
    ($now:literal) => {
        concat!(
            "(lock_expire_time IS NULL OR lock_expire_time <= ",
            $now,
            ")"
        )
    };
}

/// Returns the condition that excludes skipped carts whose retry time has not come.
fn not_skipped(kind: JobKind, now: &str) -> String {
    skips::not_skipped(kind, "''", "carts.shop_id", "carts.id", now)
}

impl Kept {
    const ALL: [Self; 5] = [
        Self::OfVisitors,
        Self::OfCustomers,
        Self::Empty,
        Self::MergedOfVisitors,
        Self::MergedOfCustomers,
    ];

    /// The condition of the index of such carts, word for word.
    const fn condition(self) -> &'static str {
        match self {
            Self::OfVisitors => "state = 1 AND customer_id = ''",
            Self::OfCustomers => "state = 1 AND customer_id <> ''",
            Self::Empty => concat!("state = 1 AND item_count = 0 AND ", not_saved!()),
            Self::MergedOfVisitors => "state = 3 AND customer_id = ''",
            Self::MergedOfCustomers => "state = 3 AND customer_id <> ''",
        }
    }

    /// The number of the kind in statements.
    const fn number(self) -> i64 {
        match self {
            Self::OfVisitors => 1,
            Self::OfCustomers => 2,
            Self::Empty => 3,
            Self::MergedOfVisitors => 4,
            Self::MergedOfCustomers => 5,
        }
    }
}

/// Carts of a kind that nobody has changed since `before` and that nobody holds at `now`.
///
/// # Errors
/// An error of the database.
pub async fn untouched(
    conn: &mut Conn,
    shop: &str,
    kept: Kept,
    before: i64,
    now: i64,
    limit: i64,
) -> Result<Vec<String>> {
    let text = format!(
        "SELECT id FROM carts
         WHERE shop_id = $1 AND {condition} AND activity_time < $2 AND {free} AND {not_skipped}
         ORDER BY activity_time LIMIT $4",
        condition = kept.condition(),
        free = free!("$3"),
        not_skipped = not_skipped(JobKind::Purge, "$3"),
    );
    Ok(on!(conn, |e| sqlx::query_scalar(AssertSqlSafe(
        text.as_str()
    ))
    .bind(shop)
    .bind(before)
    .bind(now)
    .bind(limit)
    .fetch_all(e)
    .await)?)
}

/// The shops that have such carts. Each look is a shop, a kind and a time.
///
/// # Errors
/// An error of the database.
pub async fn shops_untouched<'s>(
    conn: &mut Conn,
    looks: impl Iterator<Item = (&'s str, Kept, i64)>,
    now: i64,
) -> Result<Vec<String>> {
    let looks: Vec<_> = looks
        .map(|(shop, kept, before)| (shop, kept.number(), before))
        .collect();
    let any = Kept::ALL.map(|kept| {
        format!(
            "(l.sort = {number} AND EXISTS (SELECT 1 FROM carts WHERE shop_id = l.shop_id
                AND {condition} AND activity_time < l.since AND {free} AND {not_skipped}))",
            number = kept.number(),
            condition = kept.condition(),
            free = free!("$2"),
            not_skipped = not_skipped(JobKind::Purge, "$2"),
        )
    });
    shops_of(conn, &json!(looks).to_string(), &any.join(" OR "), now).await
}

/// The shops of the looks for which a condition holds. Each look is an array of a shop, a number and a time.
async fn shops_of(conn: &mut Conn, looks: &str, condition: &str, now: i64) -> Result<Vec<String>> {
    let text = format!(
        "SELECT DISTINCT l.shop_id FROM {looks} l WHERE {condition}",
        looks = conn.engine().pick(
            "(SELECT value ->> 0 AS shop_id, value ->> 1 AS sort, value ->> 2 AS since
              FROM json_each($1))",
            "(SELECT (value ->> 0) COLLATE \"C\" AS shop_id, (value ->> 1)::bigint AS sort,
                (value ->> 2)::bigint AS since FROM jsonb_array_elements($1::jsonb))",
        ),
    );
    Ok(on!(conn, |e| sqlx::query_scalar(AssertSqlSafe(
        text.as_str()
    ))
    .bind(looks)
    .bind(now)
    .fetch_all(e)
    .await)?)
}

// The conditions are those of the index `carts_to_abandon`, word for word.
macro_rules! left_alone {
    () => {
        concat!(
            "state = 1 AND abandonment <> 1 AND item_count > 0 AND ",
            not_saved!()
        )
    };
}

/// Open carts with lines that nobody has changed since `before` and that are not marked as abandoned, as (id,
/// activity), the longest idle first. Returns those after `after` that no member of staff holds at `now`.
///
/// # Errors
/// An error of the database.
pub async fn left_alone(
    conn: &mut Conn,
    shop: &str,
    before: i64,
    after: (i64, &str),
    now: i64,
    limit: i64,
) -> Result<Vec<(String, i64)>> {
    let text = format!(
        "SELECT id, activity_time FROM carts
         WHERE shop_id = $1 AND {condition}
             AND activity_time < $2 AND (activity_time, id) > ($3, $4) AND {free} AND {not_skipped}
         ORDER BY activity_time, id LIMIT $6",
        condition = left_alone!(),
        free = free!("$5"),
        not_skipped = not_skipped(JobKind::AbandonCarts, "$5"),
    );
    Ok(on!(conn, |e| sqlx::query_as(AssertSqlSafe(text.as_str()))
        .bind(shop)
        .bind(before)
        .bind(after.0)
        .bind(after.1)
        .bind(now)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}

/// The shops that have such carts. Each look is a shop and a time.
///
/// # Errors
/// An error of the database.
pub async fn shops_left_alone<'s>(
    conn: &mut Conn,
    looks: impl Iterator<Item = (&'s str, i64)>,
    now: i64,
) -> Result<Vec<String>> {
    let looks: Vec<_> = looks.map(|(shop, before)| (shop, 0, before)).collect();
    let condition = format!(
        // As `EXISTS`, PostgreSQL would read such carts of all shops first.
        "(SELECT 1 FROM carts WHERE shop_id = l.shop_id AND {condition}
            AND activity_time < l.since AND {free} AND {not_skipped} LIMIT 1) = 1",
        condition = left_alone!(),
        free = free!("$2"),
        not_skipped = not_skipped(JobKind::AbandonCarts, "$2"),
    );
    shops_of(conn, &json!(looks).to_string(), &condition, now).await
}

/// The fields of a cart that figures need.
#[derive(Debug, sqlx_macros::FromRow)]
pub struct CountedRow {
    /// The id.
    pub id: String,
    /// The version.
    pub version: i64,
    /// The customer, or empty.
    pub customer_id: String,
    /// The visitor, or empty.
    pub visitor_id: String,
    /// The storefront where it was opened.
    pub storefront: String,
    /// Its currency.
    pub currency: String,
    /// The total in micros.
    pub total_micros: i64,
    /// The number of pieces.
    pub item_count: i64,
    /// When somebody last changed it.
    pub activity_time: i64,
    /// The number of its [`Abandonment`](crate::carts::model::Abandonment).
    pub abandonment: i64,
}

const COUNTED: &str = concat!(
    "SELECT id, version, customer_id, visitor_id, storefront, currency,
        total_micros, item_count, activity_time, abandonment
    FROM carts WHERE shop_id = $1 AND state = 1 AND item_count > 0 AND ",
    not_saved!(),
    " AND id > $2 ORDER BY id LIMIT $3"
);

/// The open carts that count in figures, after an id.
///
/// # Errors
/// An error of the database.
pub async fn counted(
    conn: &mut Conn,
    shop: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<CountedRow>> {
    Ok(on!(conn, |e| sqlx::query_as(COUNTED)
        .bind(shop)
        .bind(after)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}

const RAN_OUT: &str = "SELECT shop_id, id FROM carts
    WHERE lock_expire_time IS NOT NULL AND lock_expire_time <= $1 AND state = 1
    ORDER BY lock_expire_time LIMIT $2";

/// Open carts of all shops whose leases have expired, as (shop, id).
///
/// # Errors
/// An error of the database.
pub async fn ran_out(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<(String, String)>> {
    Ok(on!(conn, |e| sqlx::query_as(RAN_OUT)
        .bind(now)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}

const SHOPS: &str = "SELECT id, doc FROM shops ORDER BY id";

/// All shops with their settings. A shop whose settings cannot be read is left out, so that it does not stop
/// the work for the others.
///
/// # Errors
/// An error of the database.
pub async fn shops(conn: &mut Conn) -> Result<Vec<(String, Settings)>> {
    let rows: Vec<(String, String)> = on!(conn, |e| sqlx::query_as(SHOPS).fetch_all(e).await)?;
    let read = |(id, doc): (String, String)| match serde_json::from_str::<ShopDoc>(&doc) {
        Ok(doc) => Some((id, doc.settings)),
        Err(_) => {
            tracing::warn!(shop = id, "the settings of a shop cannot be read");
            None
        }
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

const OPEN_BY_GROUP: &str = "SELECT id FROM carts
    WHERE shop_id = $1 AND pricing_group = $2 AND state = 1 AND freeze_mode = 0 AND id > $3
    ORDER BY id LIMIT $4";
const OPEN_BY_CUSTOMER: &str = "SELECT id FROM carts
    WHERE shop_id = $1 AND customer_id = $2 AND customer_id <> '' AND state = 1 AND id > $3
    ORDER BY id LIMIT $4";

/// The carts that a job works on.
#[derive(Debug, Clone, Copy)]
pub enum CartQuery {
    /// The open ones that were priced for a group and are not frozen.
    PricedFor,
    /// A customer's open ones.
    OpenOf,
}

/// The ids of the carts that match a query, after an id.
///
/// # Errors
/// An error of the database.
pub async fn matching(
    conn: &mut Conn,
    shop: &str,
    query: CartQuery,
    subject: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<String>> {
    let text = match query {
        CartQuery::PricedFor => OPEN_BY_GROUP,
        CartQuery::OpenOf => OPEN_BY_CUSTOMER,
    };
    Ok(on!(conn, |e| sqlx::query_scalar(text)
        .bind(shop)
        .bind(subject)
        .bind(after)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}
