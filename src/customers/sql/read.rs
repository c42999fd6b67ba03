//! Reads customers: one, many, by their keys, and the holders of unique values.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use crate::customers::model::Customer;
use crate::error::{Error, Result};
use crate::on;
use crate::store::{Conn, Texts, dialect};

#[derive(Debug, sqlx_macros::FromRow)]
struct CustomerRow {
    id: String,
    version: i64,
    doc: String,
}

/// Parses the document of a customer.
pub(in crate::customers) fn model(id: String, version: i64, doc: &str) -> Result<Customer> {
    let customer: Customer =
        serde_json::from_str(doc).map_err(|error| Error::corrupt("customers", &id, error))?;
    Ok(Customer {
        id,
        version,
        ..customer
    })
}

const GET: &str = "SELECT id, version, doc FROM customers WHERE shop_id = $1 AND id = $2";

pub(in crate::customers) async fn get(
    conn: &mut Conn,
    shop: &str,
    id: &str,
) -> Result<Option<Customer>> {
    let row: Option<CustomerRow> = on!(conn, |e| sqlx::query_as(GET)
        .bind(shop)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    row.map(|row| model(row.id, row.version, &row.doc))
        .transpose()
}

const IDS_AFTER: &str =
    "SELECT id FROM customers WHERE shop_id = $1 AND id > $2 ORDER BY id LIMIT $3";

/// The ids after an id, in their order, including deleted customers.
pub(in crate::customers) async fn ids_after(
    conn: &mut Conn,
    shop: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(IDS_AFTER)
        .bind(shop)
        .bind(after)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}

/// Reads the customers with these ids. A customer that cannot be parsed is an error of its own.
pub(in crate::customers) async fn documents(
    conn: &mut Conn,
    shop: &str,
    ids: &[String],
) -> Result<Vec<(String, Result<Customer>)>> {
    let any = dialect::any_of(conn.engine(), "id", "$2");
    let text = format!("SELECT id, version, doc FROM customers WHERE shop_id = $1 AND {any}");
    let rows: Vec<CustomerRow> = on!(conn, |e| sqlx::query_as(AssertSqlSafe(text.as_str()))
        .bind(shop)
        .bind(Texts(ids))
        .fetch_all(e)
        .await)?;
    let read = |row: CustomerRow| (row.id.clone(), model(row.id, row.version, &row.doc));
    Ok(rows.into_iter().map(read).collect())
}

/// Reads the customers with these ids, in their order.
pub(in crate::customers) async fn get_many(
    conn: &mut Conn,
    shop: &str,
    ids: &[String],
) -> Result<Vec<Customer>> {
    let found = documents(conn, shop, ids).await?.into_iter();
    let found = found.map(|(id, customer)| Ok((id, customer?)));
    let mut found: HashMap<String, Customer> = found.collect::<Result<_>>()?;
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// Pairs of claim and id, for customers that are not deleted.
pub(in crate::customers) async fn ids_by_claim(
    conn: &mut Conn,
    shop: &str,
    claims: &[String],
) -> Result<Vec<(String, String)>> {
    let any = dialect::any_of(conn.engine(), "email_claim", "$2");
    let text = format!(
        "SELECT email_claim, id FROM customers
         WHERE shop_id = $1 AND {any} AND delete_time IS NULL"
    );
    Ok(on!(conn, |e| sqlx::query_as(AssertSqlSafe(text.as_str()))
        .bind(shop)
        .bind(Texts(claims))
        .fetch_all(e)
        .await)?)
}

/// The last visits of these customers. Customers without a visit are left out.
pub(in crate::customers) async fn last_visits(
    conn: &mut Conn,
    shop: &str,
    ids: &[String],
) -> Result<HashMap<String, i64>> {
    let any = dialect::any_of(conn.engine(), "customer_id", "$2");
    let text =
        format!("SELECT customer_id, last_visit_time FROM visits WHERE shop_id = $1 AND {any}");
    let rows: Vec<(String, i64)> = on!(conn, |e| sqlx::query_as(AssertSqlSafe(text.as_str()))
        .bind(shop)
        .bind(Texts(ids))
        .fetch_all(e)
        .await)?;
    Ok(rows.into_iter().collect())
}

/// A customer with the columns from which its derived fields are computed.
#[derive(Debug, sqlx_macros::FromRow)]
pub(in crate::customers) struct FoundRow {
    pub(in crate::customers) id: String,
    pub(in crate::customers) version: i64,
    pub(in crate::customers) doc: String,
    #[sqlx(flatten)]
    pub(in crate::customers) derived: DerivedRow,
}

/// The columns from which the derived fields of a customer are computed.
#[derive(Debug, Default, sqlx_macros::FromRow)]
pub(in crate::customers) struct DerivedRow {
    pub(in crate::customers) last_visit_time: Option<i64>,
    /// The shop's document, if an age depends on its time zone.
    pub(in crate::customers) shop_doc: Option<String>,
    /// The ids of the groups that storefronts may see, separated by commas, if requested.
    pub(in crate::customers) visible_groups: Option<String>,
}

/// The columns of a [`DerivedRow`], in a statement over `customers c`, except for the last one.
macro_rules! derived {
    () => {
        "(SELECT v.last_visit_time FROM visits v
            WHERE v.shop_id = c.shop_id AND v.customer_id = c.id) AS last_visit_time,
        CASE WHEN c.birth_date <> '' THEN (SELECT s.doc FROM shops s WHERE s.id = c.shop_id) END
            AS shop_doc, "
    };
}

/// The visible groups among those that were granted to the customer. Grants outlive the deletion of a
/// customer, and several may name one group.
macro_rules! visible {
    () => {
        "(SELECT string_agg(g.id, ',') FROM membership_grants m
            JOIN groups g ON g.shop_id = m.shop_id AND g.id = m.group_id AND g.state <> 2
            WHERE m.shop_id = c.shop_id AND m.customer_id = c.id) AS visible_groups "
    };
}

/// The columns of a [`FoundRow`] from `customers c`, without visible groups.
const FOUND: &str = concat!(
    "SELECT c.id, c.version, c.doc, ",
    derived!(),
    "NULL AS visible_groups"
);

const FIND: &str = concat!(
    "SELECT c.id, c.version, c.doc, ",
    derived!(),
    "NULL AS visible_groups FROM customers c WHERE c.shop_id = $1 AND c.id = $2"
);
const FIND_WITH_VISIBLE: &str = concat!(
    "SELECT c.id, c.version, c.doc, ",
    derived!(),
    visible!(),
    "FROM customers c WHERE c.shop_id = $1 AND c.id = $2"
);

/// Reads one customer with its derived fields; `visible` also reads its visible groups.
pub(in crate::customers) async fn find(
    conn: &mut Conn,
    shop: &str,
    id: &str,
    visible: bool,
) -> Result<Option<FoundRow>> {
    let text = if visible { FIND_WITH_VISIBLE } else { FIND };
    Ok(on!(conn, |e| sqlx::query_as(text)
        .bind(shop)
        .bind(id)
        .fetch_optional(e)
        .await)?)
}

/// The keys of customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::customers) enum Key<'a> {
    /// Ids.
    Ids(&'a [String]),
    /// Normal forms of e-mail addresses, of customers that are not deleted.
    Claims(&'a [String]),
    /// Numbers.
    Numbers(&'a [String]),
}

/// Reads the customers with these keys, as of one moment and in any order.
pub(in crate::customers) async fn find_all(
    conn: &mut Conn,
    shop: &str,
    key: Key<'_>,
    visible: bool,
) -> Result<Vec<FoundRow>> {
    let (column, keys, condition) = match key {
        Key::Ids(ids) => ("c.id", ids, ""),
        Key::Claims(claims) => ("c.email_claim", claims, " AND c.delete_time IS NULL"),
        Key::Numbers(numbers) => ("c.number", numbers, ""),
    };
    let any = dialect::any_of(conn.engine(), column, "$2");
    let columns = if visible {
        concat!("SELECT c.id, c.version, c.doc, ", derived!(), visible!())
    } else {
        FOUND
    };
    let text = format!("{columns} FROM customers c WHERE c.shop_id = $1 AND {any}{condition}");
    Ok(on!(conn, |e| sqlx::query_as(AssertSqlSafe(text.as_str()))
        .bind(shop)
        .bind(Texts(keys))
        .fetch_all(e)
        .await)?)
}

/// Returns the columns from which the derived fields of a customer are computed. It returns the visible ones
/// of `groups`, because a repeated answer may name groups that the customer has left since.
pub(in crate::customers) async fn derived(
    conn: &mut Conn,
    shop: &str,
    id: &str,
    groups: &[String],
) -> Result<DerivedRow> {
    let any = dialect::any_of(conn.engine(), "g.id", "$3");
    let text = format!(
        "SELECT (SELECT v.last_visit_time FROM visits v
            WHERE v.shop_id = $1 AND v.customer_id = $2) AS last_visit_time,
        (SELECT s.doc FROM customers c JOIN shops s ON s.id = c.shop_id
            WHERE c.shop_id = $1 AND c.id = $2 AND c.birth_date <> '') AS shop_doc,
        (SELECT string_agg(g.id, ',') FROM groups g
            WHERE g.shop_id = $1 AND g.state <> 2 AND {any}) AS visible_groups"
    );
    Ok(on!(conn, |e| sqlx::query_as(AssertSqlSafe(text.as_str()))
        .bind(shop)
        .bind(id)
        .bind(Texts(groups))
        .fetch_one(e)
        .await)?)
}

/// A customer that has a unique value which another one requests.
#[derive(Debug, sqlx_macros::FromRow)]
pub(in crate::customers) struct Holder {
    pub(in crate::customers) id: String,
    pub(in crate::customers) number: String,
    pub(in crate::customers) email_claim: Option<String>,
}

/// Each part is a lookup in an index of its own; `OR` would scan all customers of the shop.
const HOLDERS: &str = "SELECT id, number, email_claim FROM customers
    WHERE shop_id = $1 AND id = $2
    UNION ALL SELECT id, number, email_claim FROM customers
    WHERE shop_id = $1 AND number = $3
    UNION ALL SELECT id, number, email_claim FROM customers
    WHERE shop_id = $1 AND email_claim = $4";

/// Returns the customers with this id, number or claim; one that has several of them appears several times.
pub(in crate::customers) async fn holders(
    conn: &mut Conn,
    shop: &str,
    id: &str,
    number: &str,
    claim: Option<&str>,
) -> Result<Vec<Holder>> {
    Ok(on!(conn, |e| sqlx::query_as(HOLDERS)
        .bind(shop)
        .bind(id)
        .bind(number)
        .bind(claim)
        .fetch_all(e)
        .await)?)
}

const EXTERNAL_HOLDER: &str = "SELECT customer_id FROM customer_external_ids
    WHERE shop_id = $1 AND system = $2 AND external_id = $3";

/// Returns the customer with this id in this system.
pub(in crate::customers) async fn external_holder(
    conn: &mut Conn,
    shop: &str,
    system: &str,
    external_id: &str,
) -> Result<Option<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(EXTERNAL_HOLDER)
        .bind(shop)
        .bind(system)
        .bind(external_id)
        .fetch_optional(e)
        .await)?)
}

/// Returns the customers with these ids in this system.
pub(in crate::customers) async fn external_holders(
    conn: &mut Conn,
    shop: &str,
    system: &str,
    external_ids: &[String],
) -> Result<Vec<String>> {
    let text = format!(
        "SELECT customer_id FROM customer_external_ids
         WHERE shop_id = $1 AND system = $2 AND {any}",
        any = dialect::any_of(conn.engine(), "external_id", "$3"),
    );
    Ok(on!(conn, |e| sqlx::query_scalar(AssertSqlSafe(
        text.as_str()
    ))
    .bind(shop)
    .bind(system)
    .bind(Texts(external_ids))
    .fetch_all(e)
    .await)?)
}

const TITLE_EXISTS: &str = "SELECT COUNT(*) FROM titles WHERE shop_id = $1 AND id = $2";

/// Whether the shop has this title.
pub(in crate::customers) async fn title_exists(
    conn: &mut Conn,
    shop: &str,
    id: &str,
) -> Result<bool> {
    let count: i64 = on!(conn, |e| sqlx::query_scalar(TITLE_EXISTS)
        .bind(shop)
        .bind(id)
        .fetch_one(e)
        .await)?;
    Ok(count > 0)
}
