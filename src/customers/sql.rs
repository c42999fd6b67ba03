//! All SQL over customers, their external ids, credentials and visits.

use std::{collections::HashMap, sync::LazyLock};

use sqlx::{AssertSqlSafe, FromRow};

use super::model::{Consent, Customer, Risk};
use crate::{
    attributes, bind_log_row,
    error::{Error, Result},
    execute,
    feed::{self, LogRow, WithAppend},
    filter::{fold, pack_list, pack_map},
    on, on_write,
    store::{Conn, Texts, Tx, dialect, index_text},
};

#[derive(Debug, FromRow)]
struct CustomerRow {
    id: String,
    version: i64,
    doc: String,
}

/// The customer in a document.
pub(super) fn model(id: String, version: i64, doc: &str) -> Result<Customer> {
    let customer: Customer =
        serde_json::from_str(doc).map_err(|error| Error::corrupt("customers", &id, error))?;
    Ok(Customer {
        id,
        version,
        ..customer
    })
}

const GET: &str = "SELECT id, version, doc FROM customers WHERE shop_id = $1 AND id = $2";

/// One customer.
pub(super) async fn get(conn: &mut Conn, shop: &str, id: &str) -> Result<Option<Customer>> {
    let row: Option<CustomerRow> = on!(conn, |e| sqlx::query_as(GET)
        .bind(shop)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    row.map(|row| model(row.id, row.version, &row.doc))
        .transpose()
}

/// The customers of these ids, in their order.
pub(super) async fn get_many(conn: &mut Conn, shop: &str, ids: &[String]) -> Result<Vec<Customer>> {
    let any = dialect::any_of(conn.engine(), "id", "$2");
    let text = format!("SELECT id, version, doc FROM customers WHERE shop_id = $1 AND {any}");
    let rows: Vec<CustomerRow> = on!(conn, |e| sqlx::query_as(AssertSqlSafe(text.as_str()))
        .bind(shop)
        .bind(Texts(ids))
        .fetch_all(e)
        .await)?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        found.insert(row.id.clone(), model(row.id, row.version, &row.doc)?);
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// Pairs of claim and id, of customers that are not deleted.
pub(super) async fn ids_by_claim(
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

/// When these customers were last there, of those who ever were.
pub(super) async fn last_visits(
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

/// A customer with what its derived fields are made of.
#[derive(Debug, FromRow)]
pub(super) struct FoundRow {
    pub(super) id: String,
    pub(super) version: i64,
    pub(super) doc: String,
    #[sqlx(flatten)]
    pub(super) derived: DerivedRow,
}

/// What the derived fields of a customer are made of.
#[derive(Debug, Default, FromRow)]
pub(super) struct DerivedRow {
    pub(super) last_visit_time: Option<i64>,
    /// The shop's document, where an age depends on its time zone.
    pub(super) shop_doc: Option<String>,
    /// The ids of the shop's hidden groups, separated by commas, if asked for.
    pub(super) hidden_groups: Option<String>,
}

/// The columns of a [`DerivedRow`], in a statement over `customers c`; the last one apart.
macro_rules! derived {
    () => {
        "(SELECT v.last_visit_time FROM visits v
            WHERE v.shop_id = c.shop_id AND v.customer_id = c.id) AS last_visit_time,
        CASE WHEN c.birth_date <> '' THEN (SELECT s.doc FROM shops s WHERE s.id = c.shop_id) END
            AS shop_doc, "
    };
}

macro_rules! hidden {
    () => {
        "(SELECT string_agg(g.id, ',') FROM groups g WHERE g.shop_id = c.shop_id AND g.state = 2)
            AS hidden_groups "
    };
}

/// The columns of a [`FoundRow`] from `customers c`, without hidden groups.
pub(super) const FOUND: &str = concat!(
    "SELECT c.id, c.version, c.doc, ",
    derived!(),
    "NULL AS hidden_groups"
);

const FIND: &str = concat!(
    "SELECT c.id, c.version, c.doc, ",
    derived!(),
    "NULL AS hidden_groups FROM customers c WHERE c.shop_id = $1 AND c.id = $2"
);
const FIND_WITH_HIDDEN: &str = concat!(
    "SELECT c.id, c.version, c.doc, ",
    derived!(),
    hidden!(),
    "FROM customers c WHERE c.shop_id = $1 AND c.id = $2"
);

/// One customer with what is derived; `hidden` asks for the shop's hidden groups too.
pub(super) async fn find(
    conn: &mut Conn,
    shop: &str,
    id: &str,
    hidden: bool,
) -> Result<Option<FoundRow>> {
    let text = if hidden { FIND_WITH_HIDDEN } else { FIND };
    Ok(on!(conn, |e| sqlx::query_as(text)
        .bind(shop)
        .bind(id)
        .fetch_optional(e)
        .await)?)
}

/// What is known of customers other than their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    /// Ids.
    Ids(&'a [String]),
    /// Normal forms of e-mail addresses, of customers that are not deleted.
    Claims(&'a [String]),
    /// Numbers.
    Numbers(&'a [String]),
}

/// The customers with these keys, as of one moment and in any order.
pub(super) async fn find_all(
    conn: &mut Conn,
    shop: &str,
    key: Key<'_>,
    hidden: bool,
) -> Result<Vec<FoundRow>> {
    let (column, keys, condition) = match key {
        Key::Ids(ids) => ("c.id", ids, ""),
        Key::Claims(claims) => ("c.email_claim", claims, " AND c.delete_time IS NULL"),
        Key::Numbers(numbers) => ("c.number", numbers, ""),
    };
    let any = dialect::any_of(conn.engine(), column, "$2");
    let columns = if hidden {
        concat!("SELECT c.id, c.version, c.doc, ", derived!(), hidden!())
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

const DERIVED: &str = concat!(
    "SELECT ",
    derived!(),
    hidden!(),
    "FROM customers c WHERE c.shop_id = $1 AND c.id = $2"
);

/// What the derived fields of a customer are made of.
pub(super) async fn derived(conn: &mut Conn, shop: &str, id: &str) -> Result<DerivedRow> {
    let row: Option<DerivedRow> = on!(conn, |e| sqlx::query_as(DERIVED)
        .bind(shop)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    Ok(row.unwrap_or_default())
}

/// A customer that has what another one asks for.
#[derive(Debug, FromRow)]
pub(super) struct Holder {
    pub(super) id: String,
    pub(super) number: String,
    pub(super) email_claim: Option<String>,
}

const HOLDERS: &str = "SELECT id, number, email_claim FROM customers
    WHERE shop_id = $1 AND (id = $2 OR number = $3 OR email_claim = $4)";

/// Who has this id, this number or this claim.
pub(super) async fn holders(
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

/// Who has this id in this system.
pub(super) async fn external_holder(
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

/// Who has these ids in this system.
pub(super) async fn external_holders(
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

/// The columns that every write sets, and their placeholders from `$3` on.
macro_rules! columns {
    () => {
        "version, email_folded, first_name, first_name_folded, last_name_folded, company,
        company_folded, phone, account_type, kind, state, title, language_code, storefront,
        default_group, group_ids, tax_exempt, newsletter, partner_offers, birth_date, risk,
        credit_limit_micros, credit_limit_currency, payment_days, vat_number, accounting_number,
        external_ids, attributes, summary, update_time, delete_time, doc"
    };
}
macro_rules! values {
    () => {
        "$3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
        $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34"
    };
}
/// The columns by which a customer is found, all of them indexed, and their placeholders behind those.
/// They are set only with other values: SQLite writes an index for each column that a statement sets,
/// the same value or not.
macro_rules! found_by {
    () => {
        "number, email, email_claim, last_name, search_text, create_time"
    };
}
macro_rules! found_by_values {
    () => {
        "$35, $36, $37, $38, $39, $40"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO customers (shop_id, id, ",
    columns!(),
    ", ",
    found_by!(),
    ") VALUES ($1, $2, ",
    values!(),
    ", ",
    found_by_values!(),
    ")"
);
const UPDATE: &str = concat!(
    "UPDATE customers SET (",
    columns!(),
    ", ",
    found_by!(),
    ") = (",
    values!(),
    ", ",
    found_by_values!(),
    ") WHERE shop_id = $1 AND id = $2 AND version = $3 - 1"
);
const UPDATE_FOUND_ALIKE: &str = concat!(
    "UPDATE customers SET (",
    columns!(),
    ") = (",
    values!(),
    ") WHERE shop_id = $1 AND id = $2 AND version = $3 - 1"
);
static UPDATE_AND_APPEND: LazyLock<WithAppend> =
    LazyLock::new(|| WithAppend::after("customers", UPDATE, 40));
static UPDATE_FOUND_ALIKE_AND_APPEND: LazyLock<WithAppend> =
    LazyLock::new(|| WithAppend::after("customers", UPDATE_FOUND_ALIKE, 34));

/// Whether two versions of a customer are found by the same.
fn is_found_alike(before: &Customer, after: &Customer) -> bool {
    before.number == after.number
        && before.email == after.email
        && before.email_claim == after.email_claim
        && before.first_name == after.first_name
        && before.last_name == after.last_name
        && before.company == after.company
        && before.phone == after.phone
        && before.external_ids == after.external_ids
        && before.create_time == after.create_time
}

/// Binds what every write sets.
macro_rules! bind_columns {
    ($query:expr, $shop:expr, $customer:expr, $columns:expr) => {{
        let customer: &Customer = $customer;
        let columns: &Columns = $columns;
        let limit = customer.credit_limit.as_ref();
        let subscribed =
            |consent: &Option<Consent>| consent.as_ref().is_some_and(|consent| consent.subscribed);
        $query
            .bind($shop)
            .bind(&customer.id)
            .bind(customer.version)
            .bind(fold(&customer.email))
            .bind(&customer.first_name)
            .bind(fold(&customer.first_name))
            .bind(fold(&customer.last_name))
            .bind(&customer.company)
            .bind(fold(&customer.company))
            .bind(&customer.phone)
            .bind(i64::from(customer.account_type.number()))
            .bind(i64::from(customer.kind.number()))
            .bind(i64::from(customer.state.number()))
            .bind(&customer.title)
            .bind(&customer.language_code)
            .bind(&customer.storefront)
            .bind(&customer.default_group)
            .bind(pack_list(customer.groups.iter().map(String::as_str)))
            .bind(customer.tax_exempt)
            .bind(subscribed(&customer.newsletter))
            .bind(subscribed(&customer.partner_offers))
            .bind(&customer.birth_date)
            .bind((customer.risk != Risk::Unrated).then(|| i64::from(customer.risk.number())))
            .bind(limit.map(|limit| limit.micros))
            .bind(limit.map(|limit| limit.currency.as_str()))
            .bind(customer.payment_days.map(i64::from))
            .bind(&customer.vat_number)
            .bind(&customer.accounting_number)
            .bind(&columns.external_ids)
            .bind(&columns.attributes)
            .bind(&columns.summary)
            .bind(customer.update_time)
            .bind(customer.delete_time)
            .bind(&columns.doc)
    }};
}

/// Binds what is only set with other values.
macro_rules! bind_found_by {
    ($query:expr, $customer:expr, $columns:expr) => {
        $query
            .bind(&$customer.number)
            .bind(&$customer.email)
            .bind(&$customer.email_claim)
            .bind(&$customer.last_name)
            .bind(&$columns.search_text)
            .bind($customer.create_time)
    };
}

/// Writes a new customer and the row of the log that tells of it.
///
/// # Errors
/// The database's.
pub(super) async fn insert(
    tx: &mut Tx,
    shop: &str,
    customer: &Customer,
    row: &LogRow<'_>,
) -> Result<()> {
    let columns = Columns::of(customer)?;
    execute!(tx, {
        let query = bind_columns!(sqlx::query(INSERT), shop, customer, &columns);
        bind_found_by!(query, customer, columns)
    })?;
    feed::append_row(tx, row).await
}

/// Writes the next version of a customer over the one before, and the row of the log that tells of it.
///
/// # Errors
/// Internal when the version before is not the stored one: the lock of the customer was not held. The
/// database's.
pub(super) async fn update(
    tx: &mut Tx,
    shop: &str,
    before: &Customer,
    customer: &Customer,
    row: &LogRow<'_>,
) -> Result<()> {
    let columns = Columns::of(customer)?;
    if is_found_alike(before, customer) {
        let text = UPDATE_FOUND_ALIKE_AND_APPEND.text(tx.engine());
        let place = on_write!(tx, |e| {
            let query = sqlx::query_as(AssertSqlSafe(text));
            let query = bind_columns!(query, shop, customer, &columns);
            bind_log_row!(query, row).fetch_optional(e).await
        })?;
        return UPDATE_FOUND_ALIKE_AND_APPEND.settle(tx, row, place).await;
    }
    let text = UPDATE_AND_APPEND.text(tx.engine());
    let place = on_write!(tx, |e| {
        let query = sqlx::query_as(AssertSqlSafe(text));
        let query = bind_columns!(query, shop, customer, &columns);
        let query = bind_found_by!(query, customer, columns);
        bind_log_row!(query, row).fetch_optional(e).await
    })?;
    UPDATE_AND_APPEND.settle(tx, row, place).await
}

/// Columns that are made of several fields.
struct Columns {
    external_ids: String,
    attributes: String,
    search_text: String,
    summary: String,
    doc: String,
}

impl Columns {
    fn of(customer: &Customer) -> Result<Self> {
        let external_ids = || {
            customer
                .external_ids
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
        };
        let attributes: Vec<_> = attributes::first_level(&customer.attributes).collect();
        let found_by = [
            &customer.first_name,
            &customer.last_name,
            &customer.email,
            &customer.company,
            &customer.phone,
            &customer.number,
        ];
        Ok(Self {
            external_ids: pack_map(external_ids()),
            attributes: pack_map(attributes.iter().map(|(key, value)| (*key, value.as_ref()))),
            search_text: index_text(
                found_by
                    .into_iter()
                    .map(String::as_str)
                    .chain(external_ids().map(|(_, id)| id)),
            ),
            summary: serde_json::to_string(&customer.summary()).map_err(Error::internal)?,
            doc: serde_json::to_string(customer).map_err(Error::internal)?,
        })
    }
}

const CLAIM_EXTERNAL_ID: &str = "INSERT INTO customer_external_ids
    (shop_id, system, external_id, customer_id) VALUES ($1, $2, $3, $4)";
const RELEASE_EXTERNAL_ID: &str = "DELETE FROM customer_external_ids
    WHERE shop_id = $1 AND system = $2 AND external_id = $3 AND customer_id = $4";

/// Notes whose an external id is, or that it is nobody's any more.
pub(super) async fn set_external_id(
    tx: &mut Tx,
    shop: &str,
    customer: &str,
    (system, external_id): (&str, &str),
    claimed: bool,
) -> Result<()> {
    let text = if claimed {
        CLAIM_EXTERNAL_ID
    } else {
        RELEASE_EXTERNAL_ID
    };
    on_write!(tx, |e| sqlx::query(text)
        .bind(shop)
        .bind(system)
        .bind(external_id)
        .bind(customer)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

const SET_CREDENTIAL: &str = "INSERT INTO credentials (shop_id, customer_id, digest, update_time)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (shop_id, customer_id)
    DO UPDATE SET digest = excluded.digest, update_time = excluded.update_time";

/// Stores the digest of a new password.
pub(super) async fn set_credential(
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
pub(super) async fn renew_credential(
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

/// Takes the password away.
pub(super) async fn remove_credential(tx: &mut Tx, shop: &str, customer: &str) -> Result<()> {
    on_write!(tx, |e| sqlx::query(REMOVE_CREDENTIAL)
        .bind(shop)
        .bind(customer)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

/// A customer with the digest of its password.
#[derive(Debug, FromRow)]
pub(super) struct AccountRow {
    pub(super) id: String,
    pub(super) version: i64,
    pub(super) doc: String,
    pub(super) digest: Option<String>,
}

const ACCOUNT: &str = "SELECT c.id, c.version, c.doc, k.digest FROM customers c
    LEFT JOIN credentials k ON k.shop_id = c.shop_id AND k.customer_id = c.id
    WHERE c.shop_id = $1 AND c.email_claim = $2";

/// Whose e-mail address this is, and the digest of its password.
pub(super) async fn account(
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

const VISIT: &str = "INSERT INTO visits (shop_id, customer_id, last_visit_time)
    VALUES ($1, $2, $3)
    ON CONFLICT (shop_id, customer_id) DO UPDATE SET last_visit_time = excluded.last_visit_time
    WHERE visits.last_visit_time < excluded.last_visit_time";

/// Notes that a customer was there.
pub(super) async fn visit(tx: &mut Tx, shop: &str, customer: &str, now: i64) -> Result<()> {
    on_write!(tx, |e| sqlx::query(VISIT)
        .bind(shop)
        .bind(customer)
        .bind(now)
        .execute(e)
        .await
        .map(drop))?;
    Ok(())
}

const TITLE_EXISTS: &str = "SELECT COUNT(*) FROM titles WHERE shop_id = $1 AND id = $2";

/// Whether the shop has this title.
pub(super) async fn title_exists(conn: &mut Conn, shop: &str, id: &str) -> Result<bool> {
    let count: i64 = on!(conn, |e| sqlx::query_scalar(TITLE_EXISTS)
        .bind(shop)
        .bind(id)
        .fetch_one(e)
        .await)?;
    Ok(count > 0)
}
