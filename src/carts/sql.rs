//! All SQL of carts.
//!
//! One statement reads a cart with all that an edit of it needs to know: its customer, the group
//! whose prices it has, and what an earlier call with the same request id did.

use std::sync::LazyLock;

use sqlx::AssertSqlSafe;

use super::model::{Basis, Cart};
use super::schema::packed_products;
use crate::access::Caller;
use crate::attributes;
use crate::customers::Summary;
use crate::error::{Error, Result};
use crate::feed::{self, Kind, LogRow, Replay, WithAppend};
use crate::filter::{fold, pack_list, pack_map};
use crate::shops::{Settings, ShopDoc};
use crate::store::{Conn, Engine, Texts, Tx, dialect};
use crate::{bind_log_row, execute, on, on_write};

/// How a cart is looked for.
#[derive(Debug, Clone, Copy)]
pub enum Key<'q> {
    /// By its id.
    Id(&'q str),
    /// The open cart of an owner in a slot.
    Open {
        /// See [`Owner::key`](super::model::Owner::key).
        owner: &'q str,
        /// Which of the owner's carts.
        slot: &'q str,
    },
}

/// What a read is for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'q> {
    /// Who asks, and with which request id.
    pub caller: &'q Caller,
    /// Which cart.
    pub key: Key<'q>,
    /// The customer whose prices count, if not the cart's own: who has no cart yet, or gets this one.
    pub customer: Option<&'q str>,
}

/// What a read found.
#[derive(Debug)]
pub struct Found {
    /// The cart as it is stored.
    pub cart: Option<Cart>,
    /// The customer.
    pub customer: Option<Buyer>,
    /// What the cart is to be priced with.
    pub basis: Basis,
    /// The shop's settings, where there is no cart.
    pub settings: Option<Settings>,
    /// What an earlier call with the request id did.
    pub replay: Option<Replay>,
}

/// A customer as far as carts care.
#[derive(Debug)]
pub struct Buyer {
    /// Whether the account is deleted.
    pub deleted: bool,
    /// What carts show.
    pub summary: Summary,
}

/// The state of a group that gives nothing, as its column holds it.
const GROUP_DISABLED: i64 = 3;

/// The statements that differ between the engines, put together once.
struct Statements {
    read_by_id: String,
    read_open: String,
    read_many: String,
}

impl Statements {
    fn of(engine: Engine) -> &'static Self {
        static SQLITE: LazyLock<Statements> = LazyLock::new(|| Statements::new(Engine::Sqlite));
        static POSTGRES: LazyLock<Statements> = LazyLock::new(|| Statements::new(Engine::Postgres));
        match engine {
            Engine::Sqlite => &SQLITE,
            Engine::Postgres => &POSTGRES,
        }
    }

    fn new(engine: Engine) -> Self {
        let visitor_group = dialect::nested_text(engine, "s.doc", "settings", "visitor_group");
        let columns = "c.id AS cart_id, c.version AS cart_version, c.doc AS cart_doc,
            c.lock_expire_time AS lock_expire_time,
            u.id AS customer_id, u.delete_time AS customer_delete_time,
            u.tax_exempt AS tax_exempt, u.summary AS summary, g.id AS group_id,
            g.state AS group_state, g.discount_hundredths AS discount_hundredths,
            g.pricing_revision AS pricing_revision";
        let group = format!(
            "LEFT JOIN groups g ON g.shop_id = s.id
                AND g.id = COALESCE(u.default_group, {visitor_group})"
        );
        let read = |cart: &str| {
            format!(
                "SELECT {columns}, CASE WHEN c.id IS NULL THEN s.doc END AS shop_doc,
                    l.kind AS log_kind, l.resource_id AS log_resource_id,
                    l.version AS log_version, l.deleted AS log_deleted,
                    l.payload AS log_payload, l.request_digest AS log_digest
                 FROM shops s
                 LEFT JOIN carts c ON c.shop_id = s.id AND {cart}
                 LEFT JOIN customers u ON u.shop_id = s.id AND u.id = COALESCE($4, c.customer_id)
                 {group}
                 LEFT JOIN change_log l ON l.shop_id = s.id AND l.request_id = $3
                    AND l.request_id IS NOT NULL AND l.commit_time > $5
                 WHERE s.id = $1"
            )
        };
        let any = dialect::any_of(engine, "c.id", "$2");
        Self {
            read_by_id: read("c.id = $2"),
            read_open: read("c.owner = $2 AND c.slot = $6 AND c.state = 1"),
            read_many: format!(
                "SELECT {columns} FROM shops s
                 JOIN carts c ON c.shop_id = s.id AND {any}
                 LEFT JOIN customers u ON u.shop_id = s.id AND u.id = c.customer_id
                 {group}
                 WHERE s.id = $1"
            ),
        }
    }
}

/// What is priced: the columns that [`Statements`] reads of a cart and of its surroundings.
#[derive(Debug, sqlx::FromRow)]
struct PricedRow {
    cart_id: Option<String>,
    cart_version: Option<i64>,
    cart_doc: Option<String>,
    lock_expire_time: Option<i64>,
    customer_id: Option<String>,
    customer_delete_time: Option<i64>,
    tax_exempt: Option<bool>,
    summary: Option<String>,
    group_id: Option<String>,
    group_state: Option<i64>,
    discount_hundredths: Option<i64>,
    pricing_revision: Option<i64>,
}

#[derive(Debug, sqlx::FromRow)]
struct FoundRow {
    #[sqlx(flatten)]
    priced: PricedRow,
    shop_doc: Option<String>,
    log_kind: Option<i64>,
    log_resource_id: Option<String>,
    log_version: Option<i64>,
    log_deleted: Option<bool>,
    log_payload: Option<Vec<u8>>,
    log_digest: Option<Vec<u8>>,
}

impl PricedRow {
    fn basis(&self) -> Basis {
        let discount = match self.group_state {
            Some(GROUP_DISABLED) | None => 0,
            Some(_) => self.discount_hundredths.unwrap_or_default(),
        };
        Basis {
            group: self.group_id.clone().unwrap_or_default(),
            revision: self.pricing_revision.unwrap_or_default(),
            discount_hundredths: discount,
            tax_exempt: self.tax_exempt.unwrap_or_default(),
        }
    }

    fn buyer(&mut self) -> Result<Option<Buyer>> {
        let Some(id) = self.customer_id.take() else {
            return Ok(None);
        };
        let summary = self.summary.take().unwrap_or_default();
        let summary = serde_json::from_str(&summary)
            .map_err(|error| Error::corrupt("customers", &id, error))?;
        Ok(Some(Buyer {
            deleted: self.customer_delete_time.is_some(),
            summary,
        }))
    }

    fn cart(&mut self) -> Result<Option<Cart>> {
        match (self.cart_id.take(), self.cart_version, self.cart_doc.take()) {
            (Some(id), Some(version), Some(doc)) => Ok(Some(Cart {
                lock_expire_time: self.lock_expire_time,
                ..parse(id, version, &doc)?
            })),
            _ => Ok(None),
        }
    }
}

/// A cart from its row.
///
/// # Errors
/// When the document cannot be read.
pub fn parse(id: String, version: i64, doc: &str) -> Result<Cart> {
    let cart: Cart =
        serde_json::from_str(doc).map_err(|error| Error::corrupt("carts", &id, error))?;
    Ok(Cart {
        id,
        version,
        activity_time: match cart.activity_time {
            0 => cart.update_time,
            time => time,
        },
        ..cart
    })
}

impl FoundRow {
    fn replay(&mut self, caller: &Caller) -> Result<Option<Replay>> {
        let Some(kind) = self.log_kind else {
            return Ok(None);
        };
        feed::replayed(
            caller,
            self.log_digest.as_deref(),
            kind,
            self.log_resource_id.take().unwrap_or_default(),
            self.log_version.unwrap_or_default(),
            self.log_deleted.unwrap_or_default(),
            self.log_payload.take(),
        )
        .map(Some)
    }
}

/// Reads a cart with its surroundings.
///
/// # Errors
/// The database's; REQUEST_ID_REUSED.
pub async fn read(conn: &mut Conn, query: Query<'_>) -> Result<Found> {
    let statements = Statements::of(conn.engine());
    let shop = &*query.caller.shop;
    let request = query.caller.request.as_ref().map(|request| &*request.id);
    let since = query.caller.remembered_since();
    let row: Option<FoundRow> = match query.key {
        Key::Id(id) => on!(conn, |e| {
            sqlx::query_as(AssertSqlSafe(statements.read_by_id.as_str()))
                .bind(shop)
                .bind(id)
                .bind(request)
                .bind(query.customer)
                .bind(since)
                .fetch_optional(e)
                .await
        })?,
        Key::Open { owner, slot } => on!(conn, |e| {
            sqlx::query_as(AssertSqlSafe(statements.read_open.as_str()))
                .bind(shop)
                .bind(owner)
                .bind(request)
                .bind(query.customer)
                .bind(since)
                .bind(slot)
                .fetch_optional(e)
                .await
        })?,
    };
    let Some(mut row) = row else {
        return Err(Error::internal(format!(
            "the shop {shop} of a key does not exist"
        )));
    };
    let settings = match &row.shop_doc {
        Some(doc) => {
            let doc: ShopDoc =
                serde_json::from_str(doc).map_err(|error| Error::corrupt("shops", shop, error))?;
            Some(doc.settings)
        }
        None => None,
    };
    Ok(Found {
        replay: row.replay(query.caller)?,
        basis: row.priced.basis(),
        cart: row.priced.cart()?,
        customer: row.priced.buyer()?,
        settings,
    })
}

/// A cart with what it is to be priced with.
#[derive(Debug)]
pub struct Priced {
    /// The cart as it is stored.
    pub cart: Cart,
    /// The customer.
    pub customer: Option<Buyer>,
    /// What it is to be priced with.
    pub basis: Basis,
}

/// The carts with these ids, in no order; those that are not there are left out.
///
/// # Errors
/// The database's.
pub async fn read_many(conn: &mut Conn, shop: &str, ids: &[String]) -> Result<Vec<Priced>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let statements = Statements::of(conn.engine());
    let rows: Vec<PricedRow> = on!(conn, |e| {
        sqlx::query_as(AssertSqlSafe(statements.read_many.as_str()))
            .bind(shop)
            .bind(Texts(ids))
            .fetch_all(e)
            .await
    })?;
    let mut carts = Vec::with_capacity(rows.len());
    for mut row in rows {
        let (basis, customer) = (row.basis(), row.buyer()?);
        if let Some(cart) = row.cart()? {
            carts.push(Priced {
                cart,
                customer,
                basis,
            });
        }
    }
    Ok(carts)
}

/// What a row holds beside the document.
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
        let attributes: Vec<_> = attributes::first_level(&cart.attributes).collect();
        Ok(Self {
            owner: cart.owner.key(),
            customer_id: cart.owner.customer().unwrap_or_default(),
            visitor_id: cart.owner.visitor().unwrap_or_default(),
            products: packed_products(cart.lines.iter().map(|line| line.product.as_str())),
            attributes: pack_map(attributes.iter().map(|(key, text)| (*key, text.as_ref()))),
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

/// What may change; the first two placeholders are the shop and the id.
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
/// How many placeholders [`UPDATE`] has.
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

/// Binds what [`UPDATE`] and [`INSERT`] share.
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

/// Writes the next version of a cart and the row of the log that tells of it.
///
/// # Errors
/// Internal when the version before is not the stored one: the lock of the cart was not held. The
/// database's.
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

/// Adds a cart. False if its id or number is in use, or its owner has another open one in the slot;
/// nothing is written then.
///
/// # Errors
/// The database's.
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
const BURY: &str = "INSERT INTO tombstones (shop_id, kind, id, version, delete_time)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (shop_id, kind, id) DO UPDATE
        SET version = excluded.version, delete_time = excluded.delete_time";

/// Removes a cart; its name goes on from `cart.version`.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, shop: &str, cart: &Cart, now: i64) -> Result<()> {
    execute!(tx, sqlx::query(DELETE).bind(shop).bind(&cart.id))?;
    execute!(
        tx,
        sqlx::query(BURY)
            .bind(shop)
            .bind(Kind::Cart.number())
            .bind(&cart.id)
            .bind(cart.version)
            .bind(now)
    )?;
    Ok(())
}

const BURIED: &str = "SELECT version FROM tombstones WHERE shop_id = $1 AND kind = $2 AND id = $3";

/// The last version of a deleted cart of this name; 0 if there was none.
///
/// # Errors
/// The database's.
pub async fn buried(conn: &mut Conn, shop: &str, id: &str) -> Result<i64> {
    let version: Option<i64> = on!(conn, |e| sqlx::query_scalar(BURIED)
        .bind(shop)
        .bind(Kind::Cart.number())
        .bind(id)
        .fetch_optional(e)
        .await)?;
    Ok(version.unwrap_or_default())
}

const EXISTS: &str = "SELECT id FROM carts WHERE shop_id = $1 AND id = $2";

/// Whether there is a cart of this name.
///
/// # Errors
/// The database's.
pub async fn exists(conn: &mut Conn, shop: &str, id: &str) -> Result<bool> {
    let id: Option<String> = on!(conn, |e| sqlx::query_scalar(EXISTS)
        .bind(shop)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    Ok(id.is_some())
}

const BY_NUMBER: &str = "SELECT id FROM carts WHERE shop_id = $1 AND number = $2";

/// The id of the cart with a number.
///
/// # Errors
/// The database's.
pub async fn by_number(conn: &mut Conn, shop: &str, number: &str) -> Result<Option<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(BY_NUMBER)
        .bind(shop)
        .bind(number)
        .fetch_optional(e)
        .await)?)
}

const BY_ORDER: &str =
    "SELECT id, version, doc FROM carts WHERE shop_id = $1 AND order_reference = $2";

/// The cart that was ordered with a reference.
///
/// # Errors
/// The database's.
pub async fn by_order(conn: &mut Conn, shop: &str, reference: &str) -> Result<Option<Cart>> {
    let row: Option<(String, i64, String)> = on!(conn, |e| sqlx::query_as(BY_ORDER)
        .bind(shop)
        .bind(reference)
        .fetch_optional(e)
        .await)?;
    row.map(|(id, version, doc)| parse(id, version, &doc))
        .transpose()
}

const OPEN_OF: &str = "SELECT id, slot FROM carts
    WHERE shop_id = $1 AND owner = $2 AND state = 1 ORDER BY slot LIMIT $3";

/// The open carts of an owner as (id, slot), by slot.
///
/// # Errors
/// The database's.
pub async fn open_of(
    conn: &mut Conn,
    shop: &str,
    owner: &str,
    limit: i64,
) -> Result<Vec<(String, String)>> {
    Ok(on!(conn, |e| sqlx::query_as(OPEN_OF)
        .bind(shop)
        .bind(owner)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}

const OPEN_IN: &str =
    "SELECT id FROM carts WHERE shop_id = $1 AND owner = $2 AND slot = $3 AND state = 1";

/// The id of an owner's open cart in a slot.
///
/// # Errors
/// The database's.
pub async fn open_in(
    conn: &mut Conn,
    shop: &str,
    owner: &str,
    slot: &str,
) -> Result<Option<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(OPEN_IN)
        .bind(shop)
        .bind(owner)
        .bind(slot)
        .fetch_optional(e)
        .await)?)
}

/// Carts that are kept for some time only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Open ones of visitors.
    OfVisitors,
    /// Open ones of customers.
    OfCustomers,
    /// Open ones without lines, unless they are for what is saved.
    Empty,
    /// Merged ones that were a visitor's.
    MergedOfVisitors,
    /// Merged ones that were a customer's.
    MergedOfCustomers,
}

/// What leaves out that which is saved for later, as [`is_for_saved`](super::model::is_for_saved) has it;
/// word for word as in the conditions of the indexes.
macro_rules! not_saved {
    () => {
        "substr(slot || '-', 1, 6) <> 'saved-'"
    };
}

/// What no work on old carts touches: what a member of staff holds.
macro_rules! free {
    ($now:literal) => {
        concat!(
            "(lock_expire_time IS NULL OR lock_expire_time <= ",
            $now,
            ")"
        )
    };
}

const UNTOUCHED_OF_VISITORS: &str = concat!(
    "SELECT id FROM carts
     WHERE shop_id = $1 AND state = 1 AND activity_time < $2 AND customer_id = '' AND ",
    free!("$3"),
    " ORDER BY activity_time LIMIT $4"
);
const UNTOUCHED_OF_CUSTOMERS: &str = concat!(
    "SELECT id FROM carts
     WHERE shop_id = $1 AND state = 1 AND activity_time < $2 AND customer_id <> '' AND ",
    free!("$3"),
    " ORDER BY activity_time LIMIT $4"
);
// The conditions are those of the index `carts_empty`, word for word.
const UNTOUCHED_EMPTY: &str = concat!(
    "SELECT id FROM carts
     WHERE shop_id = $1 AND state = 1 AND item_count = 0 AND ",
    not_saved!(),
    " AND activity_time < $2 AND ",
    free!("$3"),
    " ORDER BY activity_time LIMIT $4"
);
// Those of the indexes `carts_merged_of_visitors` and `carts_merged_of_customers`.
const MERGED_OF_VISITORS: &str = concat!(
    "SELECT id FROM carts
     WHERE shop_id = $1 AND state = 3 AND customer_id = '' AND activity_time < $2 AND ",
    free!("$3"),
    " ORDER BY activity_time LIMIT $4"
);
const MERGED_OF_CUSTOMERS: &str = concat!(
    "SELECT id FROM carts
     WHERE shop_id = $1 AND state = 3 AND customer_id <> '' AND activity_time < $2 AND ",
    free!("$3"),
    " ORDER BY activity_time LIMIT $4"
);

/// Carts of a sort that nobody has touched since `before` and that nobody holds at `now`.
///
/// # Errors
/// The database's.
pub async fn untouched(
    conn: &mut Conn,
    shop: &str,
    kept: Kept,
    before: i64,
    now: i64,
    limit: i64,
) -> Result<Vec<String>> {
    let text = match kept {
        Kept::OfVisitors => UNTOUCHED_OF_VISITORS,
        Kept::OfCustomers => UNTOUCHED_OF_CUSTOMERS,
        Kept::Empty => UNTOUCHED_EMPTY,
        Kept::MergedOfVisitors => MERGED_OF_VISITORS,
        Kept::MergedOfCustomers => MERGED_OF_CUSTOMERS,
    };
    Ok(on!(conn, |e| sqlx::query_scalar(text)
        .bind(shop)
        .bind(before)
        .bind(now)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}

// The conditions are those of the index `carts_to_abandon`, word for word.
const LEFT_ALONE: &str = concat!(
    "SELECT id, activity_time FROM carts
     WHERE shop_id = $1 AND state = 1 AND abandonment <> 1 AND item_count > 0 AND ",
    not_saved!(),
    " AND activity_time < $2 AND (activity_time, id) > ($3, $4) AND ",
    free!("$5"),
    " ORDER BY activity_time, id LIMIT $6"
);

/// Open carts with lines that nobody has changed since `before` and that do not count as abandoned yet,
/// as (id, activity), those longest left alone first. Of them those after a place, unless a member of
/// staff holds them at `now`.
///
/// # Errors
/// The database's.
pub async fn left_alone(
    conn: &mut Conn,
    shop: &str,
    before: i64,
    after: (i64, &str),
    now: i64,
    limit: i64,
) -> Result<Vec<(String, i64)>> {
    Ok(on!(conn, |e| sqlx::query_as(LEFT_ALONE)
        .bind(shop)
        .bind(before)
        .bind(after.0)
        .bind(after.1)
        .bind(now)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}

/// What figures need to know of a cart.
#[derive(Debug, sqlx::FromRow)]
pub struct CountedRow {
    /// The id.
    pub id: String,
    /// The version.
    pub version: i64,
    /// The customer, or empty.
    pub customer_id: String,
    /// The visitor, or empty.
    pub visitor_id: String,
    /// Where it was opened.
    pub storefront: String,
    /// Its currency.
    pub currency: String,
    /// What it comes to.
    pub total_micros: i64,
    /// How many pieces.
    pub item_count: i64,
    /// When somebody last changed it.
    pub activity_time: i64,
    /// Whether it was left alone.
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
/// The database's.
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

const RENEW: &str = "UPDATE carts SET lock_expire_time = $3 WHERE shop_id = $1 AND id = $2";

/// Begins the lease on a cart anew, without a new version.
///
/// # Errors
/// The database's.
pub async fn renew(tx: &mut Tx, shop: &str, id: &str, end: i64) -> Result<()> {
    execute!(tx, sqlx::query(RENEW).bind(shop).bind(id).bind(end))?;
    Ok(())
}

const RAN_OUT: &str = "SELECT shop_id, id FROM carts
    WHERE lock_expire_time IS NOT NULL AND lock_expire_time <= $1 AND state = 1
    ORDER BY lock_expire_time LIMIT $2";

/// Open carts of all shops that are held by leases that are over, as (shop, id).
///
/// # Errors
/// The database's.
pub async fn ran_out(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<(String, String)>> {
    Ok(on!(conn, |e| sqlx::query_as(RAN_OUT)
        .bind(now)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}

const SHOPS: &str = "SELECT id, doc FROM shops ORDER BY id";

/// All shops with their settings.
///
/// # Errors
/// The database's.
pub async fn shops(conn: &mut Conn) -> Result<Vec<(String, Settings)>> {
    let rows: Vec<(String, String)> = on!(conn, |e| sqlx::query_as(SHOPS).fetch_all(e).await)?;
    rows.into_iter()
        .map(|(id, doc)| {
            let doc: ShopDoc =
                serde_json::from_str(&doc).map_err(|error| Error::corrupt("shops", &id, error))?;
            Ok((id, doc.settings))
        })
        .collect()
}

const OPEN_BY_GROUP: &str = "SELECT id FROM carts
    WHERE shop_id = $1 AND pricing_group = $2 AND state = 1 AND freeze_mode = 0 AND id > $3
    ORDER BY id LIMIT $4";
const OPEN_BY_CUSTOMER: &str = "SELECT id FROM carts
    WHERE shop_id = $1 AND customer_id = $2 AND customer_id <> '' AND state = 1 AND id > $3
    ORDER BY id LIMIT $4";

/// Which carts a job works on.
#[derive(Debug, Clone, Copy)]
pub enum Herd {
    /// The open ones that were priced for a group and are not frozen.
    PricedFor,
    /// A customer's open ones.
    OpenOf,
}

/// The ids of the carts of a herd after one.
///
/// # Errors
/// The database's.
pub async fn herd(
    conn: &mut Conn,
    shop: &str,
    herd: Herd,
    subject: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<String>> {
    let text = match herd {
        Herd::PricedFor => OPEN_BY_GROUP,
        Herd::OpenOf => OPEN_BY_CUSTOMER,
    };
    Ok(on!(conn, |e| sqlx::query_scalar(text)
        .bind(shop)
        .bind(subject)
        .bind(after)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}
