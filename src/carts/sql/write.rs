//! Writes a cart: its row, and with it the row of the change in the log.

use std::sync::LazyLock;

use sqlx::AssertSqlSafe;

use crate::attributes;
use crate::carts::KIND;
use crate::carts::model::Cart;
use crate::carts::schema::packed_products;
use crate::error::{Error, Result};
use crate::feed::{LogRow, WithAppend};
use crate::filter::{fold, pack_list};
use crate::resource::tombstone;
use crate::store::Tx;
use crate::{bind_log_row, execute, on_write};

/// The columns of a row beside the document.
struct Columns<'c> {
    owner: String,
    customer_id: &'c str,
    visitor_id: &'c str,
    products: String,
    attributes: String,
    order_reference: Option<&'c str>,
    note_folded: String,
    customer_name: &'c str,
    customer_name_folded: String,
    customer_kind: Option<i64>,
    customer_groups: String,
    lock_holder: &'c str,
    doc: String,
}

impl<'c> Columns<'c> {
    fn of(cart: &'c Cart) -> Result<Self> {
        let summary = cart.customer.as_ref();
        let groups = summary.map(|who| who.groups.as_slice()).unwrap_or_default();
        let name = summary.map_or("", |who| who.display_name.as_str());
        Ok(Self {
            owner: cart.owner.key(),
            customer_id: cart.owner.customer().unwrap_or_default(),
            visitor_id: cart.owner.visitor().unwrap_or_default(),
            products: packed_products(cart.lines.iter().map(|line| line.product.as_str())),
            attributes: attributes::packed_map(&cart.attributes),
            order_reference: (!cart.order_reference.is_empty())
                .then_some(cart.order_reference.as_str()),
            note_folded: fold(&cart.note),
            customer_name: name,
            customer_name_folded: fold(name),
            customer_kind: summary.map(|who| i64::from(who.kind.number())),
            customer_groups: pack_list(groups.iter().map(String::as_str)),
            lock_holder: cart.lock.as_ref().map_or("", |lock| lock.holder.as_str()),
            doc: serde_json::to_string(cart).map_err(Error::internal)?,
        })
    }
}

/// The columns that may change; the first two placeholders are the shop and the id.
macro_rules! changing {
    () => {
        "version, owner, customer_id, visitor_id, slot, state, item_count, subtotal_micros,
         discount_micros, tax_micros, total_micros, products, attributes, order_reference,
         shipping_method, language_code, note, note_folded, customer_name, customer_name_folded,
         customer_kind, customer_groups, pricing_group, update_time, order_time, doc,
         display_name, freeze_mode, lock_holder, lock_expire_time, activity_time, abandonment,
         abandon_time"
    };
}
macro_rules! changing_values {
    () => {
        "$3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
         $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35"
    };
}

const UPDATE: &str = concat!(
    "UPDATE carts SET (",
    changing!(),
    ") = (",
    changing_values!(),
    ") WHERE shop_id = $1 AND id = $2 AND version = $3 - 1"
);
/// The number of placeholders in [`UPDATE`].
const CHANGING: usize = 35;
static UPDATE_AND_APPEND: LazyLock<WithAppend> =
    LazyLock::new(|| WithAppend::after("carts", UPDATE, CHANGING));
const INSERT: &str = concat!(
    "INSERT INTO carts (shop_id, id, ",
    changing!(),
    ", number, storefront, currency, create_time) VALUES ($1, $2, ",
    changing_values!(),
    ", $36, $37, $38, $39) ON CONFLICT DO NOTHING"
);

/// Binds the values that [`UPDATE`] and [`INSERT`] share.
macro_rules! bind_changing {
    ($query:expr, $shop:expr, $cart:expr, $columns:expr) => {
        $query
            .bind($shop)
            .bind(&$cart.id)
            .bind($cart.version)
            .bind(&$columns.owner)
            .bind($columns.customer_id)
            .bind($columns.visitor_id)
            .bind(&$cart.slot)
            .bind($cart.state as i64)
            .bind($cart.item_count())
            .bind($cart.totals.subtotal)
            .bind($cart.totals.discount)
            .bind($cart.totals.tax)
            .bind($cart.totals.total)
            .bind(&$columns.products)
            .bind(&$columns.attributes)
            .bind($columns.order_reference)
            .bind(&$cart.shipping_method)
            .bind(&$cart.language_code)
            .bind(&$cart.note)
            .bind(&$columns.note_folded)
            .bind($columns.customer_name)
            .bind(&$columns.customer_name_folded)
            .bind($columns.customer_kind)
            .bind(&$columns.customer_groups)
            .bind(&$cart.basis.group)
            .bind($cart.update_time)
            .bind($cart.order_time)
            .bind(&$columns.doc)
            .bind(&$cart.display_name)
            .bind($cart.freeze as i64)
            .bind($columns.lock_holder)
            .bind($cart.lock.as_ref().and($cart.lock_expire_time))
            .bind($cart.activity_time)
            .bind($cart.abandonment as i64)
            .bind($cart.abandon_time)
    };
}

/// Writes the next version of a cart and the row of its change in the log.
///
/// # Errors
/// Internal if the previous version is not the stored one: the lock of the cart was not held. Or an error of
/// the database.
pub async fn update(tx: &mut Tx, shop: &str, cart: &Cart, row: &LogRow<'_>) -> Result<()> {
    let columns = Columns::of(cart)?;
    let text = UPDATE_AND_APPEND.text(tx.engine());
    let place = on_write!(tx, |e| {
        let query = sqlx::query_as(AssertSqlSafe(text));
        let query = bind_changing!(query, shop, cart, columns);
        bind_log_row!(query, row).fetch_optional(e).await
    })?;
    UPDATE_AND_APPEND.settle(tx, row, place).await
}

/// Inserts a cart. Returns false, and writes nothing, if its id or number is in use, or its owner has another
/// open one in the slot.
///
/// # Errors
/// An error of the database.
pub async fn insert(tx: &mut Tx, shop: &str, cart: &Cart) -> Result<bool> {
    let columns = Columns::of(cart)?;
    let rows = execute!(
        tx,
        bind_changing!(sqlx::query(INSERT), shop, cart, columns)
            .bind(&cart.number)
            .bind(&cart.storefront)
            .bind(&cart.currency)
            .bind(cart.create_time)
    )?;
    Ok(rows == 1)
}

const DELETE: &str = "DELETE FROM carts WHERE shop_id = $1 AND id = $2";

/// Deletes a cart. A later cart of this name continues after `cart.version`.
///
/// # Errors
/// An error of the database.
pub async fn delete(tx: &mut Tx, shop: &str, cart: &Cart, now: i64) -> Result<()> {
    execute!(tx, sqlx::query(DELETE).bind(shop).bind(&cart.id))?;
    tombstone::put(tx, shop, KIND, &cart.id, cart.version, now).await
}

const RENEW: &str = "UPDATE carts SET lock_expire_time = $3 WHERE shop_id = $1 AND id = $2";

/// Renews the lease on a cart, without a new version.
///
/// # Errors
/// An error of the database.
pub async fn renew(tx: &mut Tx, shop: &str, id: &str, end: i64) -> Result<()> {
    execute!(tx, sqlx::query(RENEW).bind(shop).bind(id).bind(end))?;
    Ok(())
}
