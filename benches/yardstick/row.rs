//! The statements of one AddItem as the product sends them. The values of the cart are kept in memory: no
//! document is read or priced, and nothing is decided.

/// Reads a cart with its surroundings. `$1` shop, `$2` cart, `$3` request id, `$4` customer, `$5` whether
/// hidden groups are wanted.
macro_rules! read_cart {
    ($visitor_group:literal) => {
        concat!(
            "SELECT c.id AS cart_id, c.version AS cart_version, c.doc AS cart_doc,
                u.id AS customer_id, u.delete_time AS customer_delete_time,
                u.tax_exempt AS tax_exempt, u.summary AS summary, g.id AS group_id,
                g.state AS group_state, g.discount_hundredths AS discount_hundredths,
                g.pricing_revision AS pricing_revision,
                CASE WHEN c.id IS NULL THEN s.doc END AS shop_doc,
                CASE WHEN $5 THEN (SELECT string_agg(h.id, ',') FROM groups h
                    WHERE h.shop_id = s.id AND h.state = 2) END AS hidden_groups,
                l.kind AS log_kind, l.resource_id AS log_resource_id,
                l.version AS log_version, l.deleted AS log_deleted,
                l.payload AS log_payload, l.request_digest AS log_digest
             FROM shops s
             LEFT JOIN carts c ON c.shop_id = s.id AND c.id = $2
             LEFT JOIN customers u ON u.shop_id = s.id AND u.id = COALESCE($4, c.customer_id)
             LEFT JOIN groups g ON g.shop_id = s.id
                AND g.id = COALESCE(u.default_group, ",
            $visitor_group,
            ")
             LEFT JOIN change_log l ON l.shop_id = s.id AND l.request_id = $3
                AND l.request_id IS NOT NULL
             WHERE s.id = $1"
        )
    };
}

pub const READ_ON_SQLITE: &str = read_cart!("(s.doc -> 'settings' ->> 'visitor_group')");
pub const READ_ON_POSTGRES: &str = read_cart!("((s.doc)::jsonb -> 'settings' ->> 'visitor_group')");

pub const UPDATE: &str = "UPDATE carts SET (
        version, owner, customer_id, visitor_id, slot, state, item_count, subtotal_micros,
        discount_micros, tax_micros, total_micros, products, attributes, order_reference,
        shipping_method, language_code, note, note_folded, customer_name, customer_name_folded,
        customer_kind, customer_groups, pricing_group, update_time, order_time, doc
    ) = (
        $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
        $22, $23, $24, $25, $26, $27, $28
    ) WHERE shop_id = $1 AND id = $2 AND version = $3 - 1";

pub const APPEND: &str = "INSERT INTO change_log
    (shop_id, kind, resource_id, version, mark, deleted, payload, request_id, request_digest,
     key_id, actor, on_behalf_of, commit_time)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    RETURNING xid, seq";

pub const ALL: &str = "SELECT shop_id, id, owner, customer_id, visitor_id, slot, state,
        item_count, subtotal_micros, discount_micros, tax_micros, total_micros, products,
        attributes, order_reference, shipping_method, language_code, note, note_folded,
        customer_name, customer_name_folded, customer_kind, customer_groups, pricing_group,
        update_time, order_time, doc
    FROM carts ORDER BY id";

/// A stored cart.
#[derive(Clone, Debug, sqlx_macros::FromRow)]
pub struct CartRow {
    pub shop_id: String,
    pub id: String,
    pub owner: String,
    pub customer_id: String,
    pub visitor_id: String,
    pub slot: String,
    pub state: i64,
    pub item_count: i64,
    pub subtotal_micros: i64,
    pub discount_micros: i64,
    pub tax_micros: i64,
    pub total_micros: i64,
    pub products: String,
    pub attributes: String,
    pub order_reference: Option<String>,
    pub shipping_method: String,
    pub language_code: String,
    pub note: String,
    pub note_folded: String,
    pub customer_name: String,
    pub customer_name_folded: String,
    pub customer_kind: Option<i64>,
    pub customer_groups: String,
    pub pricing_group: String,
    pub update_time: i64,
    pub order_time: Option<i64>,
    pub doc: String,
}

/// Runs the three statements on a connection of either engine.
macro_rules! add_item {
    ($connection:expr, $read:expr, $cart:expr, $payload:expr) => {{
        let (cart, request) = ($cart, uuid::Uuid::new_v4().to_string());
        let found = sqlx::query($read)
            .bind(&cart.shop_id)
            .bind(&cart.id)
            .bind(&request)
            .bind(None::<&str>)
            .bind(true)
            .fetch_one(&mut *$connection)
            .await?;
        let version: i64 = sqlx::Row::try_get(&found, "cart_version")?;
        let _: &str = sqlx::Row::try_get(&found, "cart_doc")?;
        let changed = sqlx::query($crate::yardstick::row::UPDATE)
            .bind(&cart.shop_id)
            .bind(&cart.id)
            .bind(version + 1)
            .bind(&cart.owner)
            .bind(&cart.customer_id)
            .bind(&cart.visitor_id)
            .bind(&cart.slot)
            .bind(cart.state)
            .bind(cart.item_count)
            .bind(cart.subtotal_micros)
            .bind(cart.discount_micros)
            .bind(cart.tax_micros)
            .bind(cart.total_micros)
            .bind(&cart.products)
            .bind(&cart.attributes)
            .bind(&cart.order_reference)
            .bind(&cart.shipping_method)
            .bind(&cart.language_code)
            .bind(&cart.note)
            .bind(&cart.note_folded)
            .bind(&cart.customer_name)
            .bind(&cart.customer_name_folded)
            .bind(cart.customer_kind)
            .bind(&cart.customer_groups)
            .bind(&cart.pricing_group)
            .bind(cart.update_time + version)
            .bind(cart.order_time)
            .bind(&cart.doc)
            .execute(&mut *$connection)
            .await?
            .rows_affected();
        assert_eq!(changed, 1, "the cart is there");
        let _: (i64, i64) = sqlx::query_as($crate::yardstick::row::APPEND)
            .bind(&cart.shop_id)
            .bind(3_i64)
            .bind(&cart.id)
            .bind(version + 1)
            .bind(rand::random::<i64>())
            .bind(false)
            .bind($payload)
            .bind(&request)
            .bind(&[7_u8; 32][..])
            .bind("the-key-of-the-yardstick")
            .bind(None::<&str>)
            .bind(None::<&str>)
            .bind(cart.update_time + version)
            .fetch_one(&mut *$connection)
            .await?;
    }};
}
pub(super) use add_item;
