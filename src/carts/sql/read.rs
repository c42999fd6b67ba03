//! Reads a cart with everything that an edit needs, in one statement: its customer, the group whose prices it
//! has, and the result of an earlier call with the same request id.

use std::sync::LazyLock;

use sqlx::AssertSqlSafe;

use crate::caller::Caller;
use crate::carts::model::{Basis, Cart};
use crate::customers::Summary;
use crate::error::{Error, Result};
use crate::feed::{self, Replay};
use crate::on;
use crate::resource::Pauses;
use crate::shops::{Settings, ShopDoc};
use crate::store::{Conn, Engine, Texts, dialect};

/// The key by which a cart is found.
#[derive(Debug, Clone, Copy)]
pub enum Key<'q> {
    /// By its id.
    Id(&'q str),
    /// The open cart of an owner in a slot.
    Open {
        /// See [`Owner::key`](crate::carts::model::Owner::key).
        owner: &'q str,
        /// The name of the slot.
        slot: &'q str,
    },
}

/// The parameters of a read.
#[derive(Debug, Clone, Copy)]
pub struct Query<'q> {
    /// The caller, with its request id.
    pub caller: &'q Caller,
    pub key: Key<'q>,
    /// The customer whose prices apply, if not the cart's own: a customer without a cart yet, or the one who
    /// gets this cart.
    pub customer: Option<&'q str>,
}

/// The result of a read.
#[derive(Debug)]
pub struct Found {
    /// The stored cart.
    pub cart: Option<Cart>,
    /// The customer.
    pub customer: Option<Buyer>,
    /// The terms with which the cart is to be priced.
    pub basis: Basis,
    /// The shop's settings, if there is no cart.
    pub settings: Option<Settings>,
    /// The result of an earlier call with the request id.
    pub replay: Option<Replay>,
}

/// The part of a customer that carts need.
#[derive(Debug)]
pub struct Buyer {
    /// Whether the account is deleted.
    pub deleted: bool,
    /// The summary that carts show.
    pub summary: Summary,
}

/// The number of the state of a disabled group, which gives no prices.
const GROUP_DISABLED: i64 = 3;

/// The statements that differ between the engines, assembled once.
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

/// The columns for pricing that [`Statements`] reads of a cart and its surroundings.
#[derive(Debug, sqlx_macros::FromRow)]
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

#[derive(Debug, sqlx_macros::FromRow)]
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

    fn priced(mut self) -> Result<Option<Priced>> {
        let (basis, customer) = (self.basis(), self.buyer()?);
        let priced = |cart| Priced {
            cart,
            customer,
            basis,
        };
        Ok(self.cart()?.map(priced))
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

/// Parses a cart from its row.
///
/// # Errors
/// If the document cannot be read.
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
/// REQUEST_ID_REUSED, or an error of the database.
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

/// A cart with the terms of its price.
#[derive(Debug)]
pub struct Priced {
    /// The stored cart.
    pub cart: Cart,
    /// The customer.
    pub customer: Option<Buyer>,
    /// The terms with which it is to be priced.
    pub basis: Basis,
}

/// The carts with these ids, in no order. Absent carts are left out.
///
/// # Errors
/// An error of the database.
pub async fn read_many(conn: &mut Conn, shop: &str, ids: &[String]) -> Result<Vec<Priced>> {
    let rows = priced_rows(conn, shop, ids).await?;
    let carts = rows.into_iter().map(PricedRow::priced);
    carts.filter_map(Result::transpose).collect()
}

/// As [`read_many`], for a page, which may be large.
///
/// # Errors
/// As [`read_many`].
pub async fn read_page(
    conn: &mut Conn,
    shop: &str,
    ids: &[String],
    pauses: &mut Pauses,
) -> Result<Vec<Priced>> {
    let mut carts = Vec::with_capacity(ids.len());
    for row in priced_rows(conn, shop, ids).await? {
        pauses.take().await;
        carts.extend(row.priced()?);
    }
    Ok(carts)
}

async fn priced_rows(conn: &mut Conn, shop: &str, ids: &[String]) -> Result<Vec<PricedRow>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let statements = Statements::of(conn.engine());
    Ok(on!(conn, |e| {
        sqlx::query_as(AssertSqlSafe(statements.read_many.as_str()))
            .bind(shop)
            .bind(Texts(ids))
            .fetch_all(e)
            .await
    })?)
}
