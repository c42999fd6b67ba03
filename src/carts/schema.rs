//! The fields of a cart: one row for each that filters and orders may name.

use std::sync::LazyLock;

use super::{convert, model::COLLECTION, sql};
use crate::attributes;
use crate::filter::pack_list;
use crate::proto::pb;
use crate::resource::{Column, Index, Table};
use crate::store::Statement;

type Field = Column<pb::Cart>;

/// The table. Every sortable field has an index; the conditions are those of the partial indexes.
pub static TABLE: LazyLock<Table<pb::Cart>> = LazyLock::new(|| {
    let read = |id, version, doc: &str| Ok(convert::message(&sql::parse(id, version, doc)?));
    Table::new(
        crate::carts::KIND,
        COLLECTION,
        read,
        [
            Field::name(COLLECTION, |c| &c.name),
            Field::text("number", |c| &c.number)
                .sortable()
                .index(Index::Unique),
            Field::reference("customer", "customers", |c| &c.customer)
                .column("customer_id")
                .index_of(Index::Equal, " AND c.customer_id <> ''"),
            Field::text("visitor_id", |c| &c.visitor_id),
            Field::text("storefront", |c| &c.storefront),
            Field::text("slot", |c| &c.slot),
            Field::one_of("state", |c| Some(c.state.into()))
                .without(&["DELETED"])
                .index_of(Index::Value(1), " AND c.state = 1")
                .index_of(Index::Value(3), " AND c.state = 3"),
            Field::text("currency_code", |c| &c.currency_code).column("currency"),
            Field::number("item_count", |c| Some(c.item_count)),
            Field::money("subtotal", "currency", |c| c.subtotal.as_ref()),
            Field::money("discount", "currency", |c| c.discount.as_ref()),
            Field::money("tax", "currency", |c| c.tax.as_ref()),
            Field::money("total", "currency", |c| c.total.as_ref()),
            Field::texts("products", |c| {
                packed_products(c.items.iter().map(|item| item.product.as_str()))
            })
            .made_of("items"),
            Field::text("order_reference", |c| &c.order_reference)
                .index_of(Index::Unique, " AND c.order_reference IS NOT NULL"),
            Field::text("shipping_method", |c| &c.shipping_method),
            Field::text("language_code", |c| &c.language_code).of_languages(),
            Field::text("note", |c| &c.note).searchable(),
            Field::text("customer_summary.display_name", |c| {
                customer(c).map_or("", |of| &of.display_name)
            })
            .column("customer_name")
            .searchable(),
            Field::one_of("customer_summary.kind", |c| {
                customer(c).map(|of| of.kind.into())
            })
            .column("customer_kind"),
            Field::names("customer_summary.groups", "groups", |c| {
                customer(c).map_or(&[], |of| &of.groups)
            })
            .column("customer_groups"),
            Field::map("attributes", |c| attributes::packed(c.attributes.as_ref())),
            Field::time("create_time", |c| c.create_time.as_ref())
                .sortable()
                .index(Index::Range),
            Field::time("update_time", |c| c.update_time.as_ref())
                .sortable()
                .index(Index::Range),
            Field::time("order_time", |c| c.order_time.as_ref()),
            Field::text("display_name", |c| &c.display_name),
            Field::one_of("freeze", |c| Some(c.freeze.into())).column("freeze_mode"),
            Field::text("lock.holder", |c| {
                c.lock.as_ref().map_or("", |lock| &lock.holder)
            })
            .column("lock_holder"),
            Field::time("activity_time", |c| c.activity_time.as_ref()),
            Field::one_of("abandonment", |c| Some(c.abandonment.into())),
            Field::time("abandon_time", |c| c.abandon_time.as_ref()),
        ],
    )
    .with_topics(topics, push_topic)
});

fn customer(cart: &pb::Cart) -> Option<&pb::CustomerSummary> {
    cart.customer_summary.as_ref()
}

/// The column text of the products of a cart's lines, without duplicates.
pub fn packed_products<'a>(products: impl IntoIterator<Item = &'a str>) -> String {
    let mut products: Vec<&str> = products.into_iter().collect();
    products.sort_unstable();
    products.dedup();
    pack_list(products)
}

/// The topic of an owner's open cart in a slot.
pub fn topic(owner: &str, slot: &str) -> String {
    format!("{owner}/{slot}")
}

/// The topic of an open cart: its owner and its slot.
fn topics(cart: &pb::Cart) -> Vec<String> {
    if cart.state() != pb::cart::State::Open {
        return Vec::new();
    }
    let owner = match cart.customer.strip_prefix("customers/") {
        Some(id) => format!("customer:{id}"),
        None => format!("visitor:{}", cart.visitor_id),
    };
    vec![topic(&owner, &cart.slot)]
}

fn push_topic(statement: &mut Statement, topic: &str) {
    let (owner, slot) = topic.rsplit_once('/').unwrap_or_default();
    statement
        .push(" AND c.state = 1 AND c.owner = ")
        .bind(owner);
    statement.push(" AND c.slot = ").bind(slot);
}
