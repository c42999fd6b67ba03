//! The fields of a cart that filters and orders may name, and a cart in memory as a filter sees it.
//!
//! Invariant: what a record answers for a field is what the column of its row holds.

use std::borrow::Cow;

use super::model::COLLECTION;
use crate::attributes;
use crate::error::{Error, Result};
use crate::feed::{Decoded, micros};
use crate::filter::{Field, Kind, Record, Schema, Value, pack_list, pack_map};
use crate::list::{Index, Lead, Table};
use crate::proto::pb;

const STATES: Kind = Kind::Enum(&[("OPEN", 1), ("ORDERED", 2), ("MERGED", 3)]);
const CUSTOMER_KINDS: Kind = Kind::Enum(&[("REGISTERED", 1), ("GUEST", 2)]);
const FREEZES: Kind = Kind::Enum(&[("SOFT", 1), ("HARD", 2)]);
const ABANDONMENTS: Kind = Kind::Enum(&[("ABANDONED", 1), ("RECOVERED", 2)]);
const MONEY: Kind = Kind::Money {
    currency_column: "c.currency",
};

/// The fields of a cart, over the table `carts c`. An order names only those whose columns have an index.
pub const SCHEMA: Schema = Schema {
    fields: &[
        Field::new("name", Kind::Name(COLLECTION), "c.id").sortable(),
        Field::new("number", Kind::Text, "c.number").sortable(),
        Field::new("customer", Kind::Name("customers"), "c.customer_id"),
        Field::new("visitor_id", Kind::Text, "c.visitor_id"),
        Field::new("storefront", Kind::Text, "c.storefront"),
        Field::new("slot", Kind::Text, "c.slot"),
        Field::new("state", STATES, "c.state"),
        Field::new("currency_code", Kind::Text, "c.currency"),
        Field::new("item_count", Kind::Int, "c.item_count"),
        Field::new("subtotal", MONEY, "c.subtotal"),
        Field::new("discount", MONEY, "c.discount"),
        Field::new("tax", MONEY, "c.tax"),
        Field::new("total", MONEY, "c.total"),
        Field::new("products", Kind::TextList, "c.products"),
        Field::new("order_reference", Kind::Text, "c.order_reference"),
        Field::new("shipping_method", Kind::Text, "c.shipping_method"),
        Field::new("language_code", Kind::Text, "c.language_code").of_languages(),
        Field::new("note", Kind::Text, "c.note").searchable("c.note_folded"),
        Field::new(
            "customer_summary.display_name",
            Kind::Text,
            "c.customer_name",
        )
        .searchable("c.customer_name_folded"),
        Field::new("customer_summary.kind", CUSTOMER_KINDS, "c.customer_kind"),
        Field::new(
            "customer_summary.groups",
            Kind::NameList("groups"),
            "c.customer_groups",
        ),
        Field::new("attributes", Kind::TextMap, "c.attributes"),
        Field::new("create_time", Kind::Time, "c.create_time").sortable(),
        Field::new("update_time", Kind::Time, "c.update_time").sortable(),
        Field::new("order_time", Kind::Time, "c.order_time"),
        Field::new("display_name", Kind::Text, "c.display_name"),
        Field::new("freeze", FREEZES, "c.freeze_mode"),
        Field::new("lock.holder", Kind::Text, "c.lock_holder"),
        Field::new("activity_time", Kind::Time, "c.activity_time"),
        Field::new("abandonment", ABANDONMENTS, "c.abandonment"),
        Field::new("abandon_time", Kind::Time, "c.abandon_time"),
    ],
};

/// The table, and what leads to its rows. The conditions are those of the partial indexes.
pub static TABLE: Table = Table {
    from: "carts c",
    documents: "carts d",
    leads: &[
        lead("name", Index::Unique, ""),
        lead("number", Index::Unique, ""),
        lead(
            "order_reference",
            Index::Unique,
            " AND c.order_reference IS NOT NULL",
        ),
        lead("customer", Index::Equal, " AND c.customer_id <> ''"),
        lead("state", Index::Value(1), " AND c.state = 1"),
        lead("state", Index::Value(3), " AND c.state = 3"),
        lead("create_time", Index::Range, ""),
        lead("update_time", Index::Range, ""),
    ],
};

const fn lead(path: &'static str, index: Index, condition: &'static str) -> Lead {
    Lead {
        path,
        index,
        condition,
    }
}

/// The position of each field in [`SCHEMA`].
mod at {
    use super::SCHEMA;

    pub(super) const NAME: usize = SCHEMA.index("name");
    pub(super) const NUMBER: usize = SCHEMA.index("number");
    pub(super) const CUSTOMER: usize = SCHEMA.index("customer");
    pub(super) const VISITOR_ID: usize = SCHEMA.index("visitor_id");
    pub(super) const STOREFRONT: usize = SCHEMA.index("storefront");
    pub(super) const SLOT: usize = SCHEMA.index("slot");
    pub(super) const STATE: usize = SCHEMA.index("state");
    pub(super) const CURRENCY_CODE: usize = SCHEMA.index("currency_code");
    pub(super) const ITEM_COUNT: usize = SCHEMA.index("item_count");
    pub(super) const SUBTOTAL: usize = SCHEMA.index("subtotal");
    pub(super) const DISCOUNT: usize = SCHEMA.index("discount");
    pub(super) const TAX: usize = SCHEMA.index("tax");
    pub(super) const TOTAL: usize = SCHEMA.index("total");
    pub(super) const PRODUCTS: usize = SCHEMA.index("products");
    pub(super) const ORDER_REFERENCE: usize = SCHEMA.index("order_reference");
    pub(super) const SHIPPING_METHOD: usize = SCHEMA.index("shipping_method");
    pub(super) const LANGUAGE_CODE: usize = SCHEMA.index("language_code");
    pub(super) const NOTE: usize = SCHEMA.index("note");
    pub(super) const DISPLAY_NAME: usize = SCHEMA.index("customer_summary.display_name");
    pub(super) const CUSTOMER_KIND: usize = SCHEMA.index("customer_summary.kind");
    pub(super) const GROUPS: usize = SCHEMA.index("customer_summary.groups");
    pub(super) const ATTRIBUTES: usize = SCHEMA.index("attributes");
    pub(super) const CREATE_TIME: usize = SCHEMA.index("create_time");
    pub(super) const UPDATE_TIME: usize = SCHEMA.index("update_time");
    pub(super) const ORDER_TIME: usize = SCHEMA.index("order_time");
    pub(super) const OWN_NAME: usize = SCHEMA.index("display_name");
    pub(super) const FREEZE: usize = SCHEMA.index("freeze");
    pub(super) const LOCK_HOLDER: usize = SCHEMA.index("lock.holder");
    pub(super) const ACTIVITY_TIME: usize = SCHEMA.index("activity_time");
    pub(super) const ABANDONMENT: usize = SCHEMA.index("abandonment");
    pub(super) const ABANDON_TIME: usize = SCHEMA.index("abandon_time");
}

/// A cart in memory, from its message.
#[derive(Debug)]
pub struct CartRecord {
    cart: pb::Cart,
    products: String,
    attributes: String,
}

impl CartRecord {
    /// A record of an encoded message.
    ///
    /// # Errors
    /// When the bytes are not a cart.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let cart: pb::Cart = prost::Message::decode(body)
            .map_err(|error| Error::corrupt("change_log", "", error))?;
        Ok(Self::new(cart))
    }

    /// A record of a message.
    pub fn new(cart: pb::Cart) -> Self {
        let products = packed_products(cart.items.iter().map(|item| item.product.as_str()));
        let attributes = cart
            .attributes
            .as_ref()
            .map(attributes::to_map)
            .unwrap_or_default();
        let attributes = pack_map(
            attributes::first_level(&attributes)
                .collect::<Vec<_>>()
                .iter()
                .map(|(key, value)| (*key, value.as_ref())),
        );
        Self {
            cart,
            products,
            attributes,
        }
    }
}

/// The column text of the products of a cart's lines, each once.
pub fn packed_products<'a>(products: impl IntoIterator<Item = &'a str>) -> String {
    let mut products: Vec<&str> = products.into_iter().collect();
    products.sort_unstable();
    products.dedup();
    pack_list(products)
}

/// Under what an owner's open cart in a slot is watched.
pub fn topic(owner: &str, slot: &str) -> String {
    format!("{owner}/{slot}")
}

impl Decoded for CartRecord {
    fn topics(&self) -> Vec<String> {
        let cart = &self.cart;
        if cart.state() != pb::cart::State::Open {
            return Vec::new();
        }
        let owner = match cart.customer.strip_prefix("customers/") {
            Some(id) => format!("customer:{id}"),
            None => format!("visitor:{}", cart.visitor_id),
        };
        vec![topic(&owner, &cart.slot)]
    }
}

impl Record for CartRecord {
    fn value(&self, field: usize) -> Value<'_> {
        let cart = &self.cart;
        let summary = cart.customer_summary.as_ref();
        match field {
            at::NAME => Value::text(&cart.name),
            at::NUMBER => Value::text(&cart.number),
            at::CUSTOMER => Value::text(&cart.customer),
            at::VISITOR_ID => Value::text(&cart.visitor_id),
            at::STOREFRONT => Value::text(&cart.storefront),
            at::SLOT => Value::text(&cart.slot),
            at::STATE => Value::Int(i64::from(cart.state)),
            at::CURRENCY_CODE => Value::text(&cart.currency_code),
            at::ITEM_COUNT => Value::Int(cart.item_count),
            at::SUBTOTAL => money(cart.subtotal.as_ref()),
            at::DISCOUNT => money(cart.discount.as_ref()),
            at::TAX => money(cart.tax.as_ref()),
            at::TOTAL => money(cart.total.as_ref()),
            at::PRODUCTS => Value::Packed(Cow::Borrowed(&self.products)),
            at::ORDER_REFERENCE => Value::text(&cart.order_reference),
            at::SHIPPING_METHOD => Value::text(&cart.shipping_method),
            at::LANGUAGE_CODE => Value::text(&cart.language_code),
            at::NOTE => Value::text(&cart.note),
            at::DISPLAY_NAME => summary.map_or(Value::Absent, |who| Value::text(&who.display_name)),
            at::CUSTOMER_KIND => {
                summary.map_or(Value::Absent, |who| Value::Int(i64::from(who.kind)))
            }
            at::GROUPS => summary.map_or(Value::Absent, |who| Value::List(&who.groups)),
            at::ATTRIBUTES => Value::Packed(Cow::Borrowed(&self.attributes)),
            at::CREATE_TIME => time(cart.create_time.as_ref()),
            at::UPDATE_TIME => time(cart.update_time.as_ref()),
            at::ORDER_TIME => time(cart.order_time.as_ref()),
            at::OWN_NAME => Value::text(&cart.display_name),
            at::FREEZE => Value::Int(i64::from(cart.freeze)),
            at::LOCK_HOLDER => {
                Value::text(cart.lock.as_ref().map_or("", |lock| lock.holder.as_str()))
            }
            at::ACTIVITY_TIME => time(cart.activity_time.as_ref()),
            at::ABANDONMENT => Value::Int(i64::from(cart.abandonment)),
            at::ABANDON_TIME => time(cart.abandon_time.as_ref()),
            _ => Value::Absent,
        }
    }
}

fn money(money: Option<&pb::Money>) -> Value<'_> {
    money.map_or(Value::Absent, |money| Value::Money {
        micros: money.micros,
        currency: Cow::Borrowed(&money.currency_code),
    })
}

fn time(time: Option<&prost_types::Timestamp>) -> Value<'_> {
    time.map_or(Value::Absent, |time| Value::Int(micros(time)))
}
