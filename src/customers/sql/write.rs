//! Writing a customer: its row, with it the row of the log that tells of the change, and its external ids.

use std::sync::LazyLock;

use sqlx::AssertSqlSafe;

use super::index::{search_text, search_text_changed};
use crate::collation::sort_key;
use crate::customers::model::{Consent, Customer, Risk};
use crate::error::{Error, Result};
use crate::feed::{LogRow, WithAppend};
use crate::filter::{fold, pack_list, pack_map};
use crate::store::Tx;
use crate::{attributes, bind_log_row, on_write};

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
    ", last_name_key) VALUES ($1, $2, ",
    values!(),
    ", ",
    found_by_values!(),
    ", $41)"
);
const UPDATE: &str = concat!(
    "UPDATE customers SET (",
    columns!(),
    ", ",
    found_by!(),
    ", last_name_key) = (",
    values!(),
    ", ",
    found_by_values!(),
    ", COALESCE($41, last_name_key)) WHERE shop_id = $1 AND id = $2 AND version = $3 - 1"
);
const UPDATE_FOUND_ALIKE: &str = concat!(
    "UPDATE customers SET (",
    columns!(),
    ") = (",
    values!(),
    ") WHERE shop_id = $1 AND id = $2 AND version = $3 - 1"
);
static INSERT_AND_APPEND: LazyLock<WithAppend> =
    LazyLock::new(|| WithAppend::after("customers", INSERT, 41));
static UPDATE_AND_APPEND: LazyLock<WithAppend> =
    LazyLock::new(|| WithAppend::after("customers", UPDATE, 41));
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

/// Writes a new customer and the row of the log that tells of it. `language` is the one in whose order the
/// shop's customers lie.
///
/// # Errors
/// The database's.
pub(in crate::customers) async fn insert(
    tx: &mut Tx,
    shop: &str,
    customer: &Customer,
    language: &str,
    row: &LogRow<'_>,
) -> Result<()> {
    let columns = Columns::of(customer)?;
    let last_name_key = sort_key(language, &customer.last_name);
    search_text_changed(tx);
    let text = INSERT_AND_APPEND.text(tx.engine());
    let place = on_write!(tx, |e| {
        let query = sqlx::query_as(AssertSqlSafe(text));
        let query = bind_columns!(query, shop, customer, &columns);
        let query = bind_found_by!(query, customer, columns).bind(&last_name_key);
        bind_log_row!(query, row).fetch_optional(e).await
    })?;
    INSERT_AND_APPEND.settle(tx, row, place).await
}

/// Writes the next version of a customer over the one before, and the row of the log that tells of it. A new
/// last name needs the `language` in whose order the shop's customers lie.
///
/// # Errors
/// Internal when the version before is not the stored one: the lock of the customer was not held. The
/// database's.
pub(in crate::customers) async fn update(
    tx: &mut Tx,
    shop: &str,
    before: &Customer,
    customer: &Customer,
    language: Option<&str>,
    row: &LogRow<'_>,
) -> Result<()> {
    let is_renamed = before.last_name != customer.last_name;
    debug_assert!(
        language.is_some() || !is_renamed,
        "a new last name has its place in an order"
    );
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
    let language = language.filter(|_| is_renamed);
    let last_name_key = language.map(|language| sort_key(language, &customer.last_name));
    search_text_changed(tx);
    let text = UPDATE_AND_APPEND.text(tx.engine());
    let place = on_write!(tx, |e| {
        let query = sqlx::query_as(AssertSqlSafe(text));
        let query = bind_columns!(query, shop, customer, &columns);
        let query = bind_found_by!(query, customer, columns).bind(last_name_key.as_deref());
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
        Ok(Self {
            external_ids: pack_map(external_ids()),
            attributes: attributes::packed_map(&customer.attributes),
            search_text: search_text(customer),
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
pub(in crate::customers) async fn set_external_id(
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
