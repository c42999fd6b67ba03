//! Writes a customer: its row, the row of the change in the log, and its external ids.

use std::sync::LazyLock;

use super::index::{search_text, search_text_changed};
use crate::collation::sort_key;
use crate::customers::fields::TABLE;
use crate::customers::model::Customer;
use crate::error::{Error, Result};
use crate::feed::{LogRow, WithAppend};
use crate::on_write;
use crate::proto::pb;
use crate::store::{Bind, Tx};

/// The indexed columns by which customers are found. They and [`FOUND_BY_MADE`] are set only to new values:
/// SQLite writes an index for each column that a statement sets, even to the same value.
const FOUND_BY: [&str; 4] = ["number", "email", "last_name", "create_time"];
/// The derived ones among them, and at the end the sort key of the last name.
const FOUND_BY_MADE: [&str; 3] = ["email_claim", "search_text", "last_name_key"];

/// The statements, whose texts never change.
struct Writes {
    insert: WithAppend,
    update: WithAppend,
    update_found_alike: WithAppend,
}

static WRITES: LazyLock<Writes> = LazyLock::new(|| {
    let fields = TABLE.columns().iter().copied();
    let (found_by, others): (Vec<&str>, Vec<&str>) =
        fields.partition(|column| FOUND_BY.contains(column));
    let always = [vec!["version"], others, vec!["summary", "doc"]].concat();
    let all = [always.clone(), found_by, FOUND_BY_MADE.to_vec()].concat();
    // After the shop and the id.
    let values = |columns: &[&str]| -> Vec<String> {
        let places = 3..columns.len() + 3;
        places.map(|place| format!("${place}")).collect()
    };
    let insert = format!(
        "INSERT INTO customers (shop_id, id, {}) VALUES ($1, $2, {})",
        all.join(", "),
        values(&all).join(", ")
    );
    let update = |columns: &[&str], values: Vec<String>| {
        format!(
            "UPDATE customers SET ({}) = ({}) WHERE shop_id = $1 AND id = $2 AND version = $3 - 1",
            columns.join(", "),
            values.join(", ")
        )
    };
    let mut kept_key = values(&all);
    if let Some(key) = kept_key.last_mut() {
        *key = format!("COALESCE({key}, last_name_key)");
    }
    Writes {
        insert: WithAppend::after("customers", &insert, all.len() + 2),
        update: WithAppend::after("customers", &update(&all, kept_key), all.len() + 2),
        update_found_alike: WithAppend::after(
            "customers",
            &update(&always, values(&always)),
            always.len() + 2,
        ),
    }
});

/// Whether two versions of a customer have the same values in these columns.
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

/// The values of the columns.
struct Values {
    /// The values that every write sets, after the shop and the id.
    always: Vec<Bind>,
    /// The values of [`FOUND_BY`].
    found_by: Vec<Bind>,
}

impl Values {
    /// The values of a customer with its message.
    fn of(shop: &str, customer: &Customer, message: &pb::Customer) -> Result<Self> {
        let mut always: Vec<Bind> = vec![
            shop.into(),
            customer.id.as_str().into(),
            customer.version.into(),
        ];
        let mut found_by = Vec::with_capacity(FOUND_BY.len() + FOUND_BY_MADE.len());
        for (column, value) in TABLE.columns().iter().zip(TABLE.values(message)) {
            match FOUND_BY.contains(column) {
                true => found_by.push(value),
                false => always.push(value),
            }
        }
        let json = |json: serde_json::Result<String>| json.map_err(Error::internal);
        always.push(json(serde_json::to_string(&customer.summary()))?.into());
        always.push(json(serde_json::to_string(customer))?.into());
        Ok(Self { always, found_by })
    }

    /// The values of all columns. Without a sort key the last name keeps its position in the order.
    fn all(self, customer: &Customer, last_name_key: Option<String>) -> Vec<Bind> {
        let Self {
            mut always,
            found_by,
        } = self;
        always.extend(found_by);
        always.push(customer.email_claim.clone().into());
        always.push(search_text(customer).into());
        always.push(last_name_key.into());
        always
    }
}

/// Inserts a new customer with its message, and the row of the change in the log. `language` decides the
/// order of the shop's customers.
///
/// # Errors
/// An error of the database.
pub(in crate::customers) async fn insert(
    tx: &mut Tx,
    shop: &str,
    (customer, message): (&Customer, &pb::Customer),
    language: &str,
    row: &LogRow<'_>,
) -> Result<()> {
    let values = Values::of(shop, customer, message)?;
    let last_name_key = sort_key(language, &customer.last_name);
    search_text_changed(tx);
    let values = values.all(customer, Some(last_name_key));
    WRITES.insert.run(tx, &values, row).await
}

/// Writes the next version of a customer with its message, and the row of the change in the log. A new last
/// name needs `language`, which decides the order of the shop's customers.
///
/// # Errors
/// Internal if the previous version is not the stored one: the lock of the customer was not held. Or an error
/// of the database.
pub(in crate::customers) async fn update(
    tx: &mut Tx,
    shop: &str,
    before: &Customer,
    (customer, message): (&Customer, &pb::Customer),
    language: Option<&str>,
    row: &LogRow<'_>,
) -> Result<()> {
    let is_renamed = before.last_name != customer.last_name;
    debug_assert!(
        language.is_some() || !is_renamed,
        "a new last name comes with a language"
    );
    let values = Values::of(shop, customer, message)?;
    if is_found_alike(before, customer) {
        return WRITES.update_found_alike.run(tx, &values.always, row).await;
    }
    let language = language.filter(|_| is_renamed);
    let last_name_key = language.map(|language| sort_key(language, &customer.last_name));
    search_text_changed(tx);
    let values = values.all(customer, last_name_key);
    WRITES.update.run(tx, &values, row).await
}

const CLAIM_EXTERNAL_ID: &str = "INSERT INTO customer_external_ids
    (shop_id, system, external_id, customer_id) VALUES ($1, $2, $3, $4)";
const RELEASE_EXTERNAL_ID: &str = "DELETE FROM customer_external_ids
    WHERE shop_id = $1 AND system = $2 AND external_id = $3 AND customer_id = $4";

/// Sets the customer of an external id, or frees the id.
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
