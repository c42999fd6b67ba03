//! The fields of a customer as filters and orders see them, and a customer as a record of them.

use std::borrow::Cow;

use crate::{
    access::tables::TABLES,
    attributes,
    caller::Roles,
    feed,
    filter::{Field, Kind, Record, Schema, Value, pack_map},
    list::{Entries, Index, Lead, Pairs, Table},
    proto::pb,
    store::SearchColumn,
};

/// The customer's name.
const NAME: usize = SCHEMA.index("name");
const NUMBER: usize = SCHEMA.index("number");
const EXTERNAL_IDS: usize = SCHEMA.index("external_ids");
const ACCOUNT_TYPE: usize = SCHEMA.index("account_type");
const KIND: usize = SCHEMA.index("kind");
const STATE: usize = SCHEMA.index("state");
const TITLE: usize = SCHEMA.index("title");
const FIRST_NAME: usize = SCHEMA.index("first_name");
const LAST_NAME: usize = SCHEMA.index("last_name");
const EMAIL: usize = SCHEMA.index("email");
const PHONE: usize = SCHEMA.index("phone");
const COMPANY: usize = SCHEMA.index("company");
const VAT_NUMBER: usize = SCHEMA.index("vat_number");
const CREDIT_LIMIT: usize = SCHEMA.index("credit_limit");
const PAYMENT_DAYS: usize = SCHEMA.index("payment_days");
const RISK: usize = SCHEMA.index("risk");
const BIRTH_DATE: usize = SCHEMA.index("birth_date");
const LANGUAGE_CODE: usize = SCHEMA.index("language_code");
const STOREFRONT: usize = SCHEMA.index("storefront");
const DEFAULT_GROUP: usize = SCHEMA.index("default_group");
const GROUPS: usize = SCHEMA.index("groups");
const NEWSLETTER: usize = SCHEMA.index("newsletter");
const PARTNER_OFFERS: usize = SCHEMA.index("partner_offers");
const TAX_EXEMPT: usize = SCHEMA.index("tax_exempt");
const ACCOUNTING_NUMBER: usize = SCHEMA.index("accounting_number");
const ATTRIBUTES: usize = SCHEMA.index("attributes");
const CREATE_TIME: usize = SCHEMA.index("create_time");
const UPDATE_TIME: usize = SCHEMA.index("update_time");
const DELETE_TIME: usize = SCHEMA.index("delete_time");

/// The name of the sort key of the last name in orders.
pub(super) const LAST_NAME_KEY: &str = "last_name in its language";

/// The fields, over the table `customers c`. Every sortable field has an index.
pub static FIELDS: Schema = SCHEMA;

const SCHEMA: Schema = Schema {
    fields: &[
        Field::new("name", Kind::Name("customers"), "c.id").sortable(),
        Field::new("number", Kind::Text, "c.number"),
        Field::new("external_ids", Kind::TextMap, "c.external_ids"),
        Field::new(
            "account_type",
            Kind::Enum(&[("CUSTOMER", 1), ("STAFF", 2)]),
            "c.account_type",
        ),
        Field::new(
            "kind",
            Kind::Enum(&[("REGISTERED", 1), ("GUEST", 2)]),
            "c.kind",
        ),
        Field::new(
            "state",
            Kind::Enum(&[
                ("ACTIVE", 1),
                ("DISABLED", 2),
                ("PENDING_APPROVAL", 3),
                ("INVITED", 4),
            ]),
            "c.state",
        ),
        Field::new("title", Kind::Name("titles"), "c.title"),
        Field::new("first_name", Kind::Text, "c.first_name").searchable("c.first_name_folded"),
        Field::new("last_name", Kind::Text, "c.last_name")
            .searchable("c.last_name_folded")
            .sortable(),
        Field::sort_key(LAST_NAME_KEY, "last_name", "c.last_name_key"),
        Field::new("email", Kind::Text, "c.email")
            .searchable("c.email_folded")
            .sortable(),
        Field::new("phone", Kind::Text, "c.phone"),
        Field::new("company", Kind::Text, "c.company").searchable("c.company_folded"),
        Field::new("vat_number", Kind::Text, "c.vat_number"),
        Field::new(
            "credit_limit",
            Kind::Money {
                currency_column: "c.credit_limit_currency",
            },
            "c.credit_limit",
        ),
        Field::new("payment_days", Kind::Int, "c.payment_days"),
        Field::new(
            "risk",
            Kind::Enum(&[("NONE", 1), ("LOW", 2), ("MEDIUM", 3), ("HIGH", 4)]),
            "c.risk",
        ),
        Field::new("birth_date", Kind::Date, "c.birth_date"),
        Field::new("language_code", Kind::Text, "c.language_code").of_languages(),
        Field::new("storefront", Kind::Text, "c.storefront"),
        Field::new("default_group", Kind::Name("groups"), "c.default_group"),
        Field::new("groups", Kind::NameList("groups"), "c.group_ids"),
        Field::new("newsletter", Kind::Bool, "c.newsletter"),
        Field::new("partner_offers", Kind::Bool, "c.partner_offers"),
        Field::new("tax_exempt", Kind::Bool, "c.tax_exempt"),
        Field::new("accounting_number", Kind::Text, "c.accounting_number"),
        Field::new("attributes", Kind::TextMap, "c.attributes"),
        Field::new("create_time", Kind::Time, "c.create_time").sortable(),
        Field::new("update_time", Kind::Time, "c.update_time").sortable(),
        Field::new("delete_time", Kind::Time, "c.delete_time"),
    ],
};

/// Where the words of a customer are found.
pub static SEARCH: SearchColumn = SearchColumn {
    text: "c.search_text",
    id: "c.search_id",
    fts: "customers_search",
};

/// The fields whose index leads only to customers that are not deleted.
pub static OF_THE_LIVING: &[&str] = &["groups", "default_group"];

/// The table, and what leads to its rows. The default group is one of the groups.
pub static TABLE: Table = Table {
    from: "customers c",
    documents: "customers d",
    leads: &[
        lead("name", Index::Unique),
        lead("number", Index::Unique),
        lead(
            "external_ids",
            Index::Entries(Entries {
                from: "customer_external_ids x",
                key: "x.system",
                value: "x.external_id",
                id: "x.customer_id",
            }),
        ),
        lead("email", Index::Equal),
        lead("last_name", Index::Equal),
        lead("groups", MEMBERSHIPS),
        lead("default_group", MEMBERSHIPS),
        lead("email", Index::Words(&SEARCH)),
        lead("last_name", Index::Words(&SEARCH)),
        lead("first_name", Index::Words(&SEARCH)),
        lead("company", Index::Words(&SEARCH)),
        lead("phone", Index::Words(&SEARCH)),
        lead("email", Index::Range),
        lead("last_name", Index::Range),
        lead("create_time", Index::Range),
        lead("update_time", Index::Range),
    ],
};

const MEMBERSHIPS: Index = Index::Pairs(Pairs {
    from: "memberships m",
    element: "m.group_id",
    id: "m.customer_id",
});

const fn lead(path: &'static str, index: Index) -> Lead {
    Lead {
        path,
        index,
        condition: "",
    }
}

/// Whether these roles see a field of a customer; what they do not see does not exist for them.
pub fn visible_to(roles: Roles) -> impl Fn(&str) -> bool {
    let customer = TABLES.find("Customer").map(|id| TABLES.message(id));
    move |path| {
        customer
            .and_then(|message| message.named(path))
            .is_some_and(|field| field.readers.intersects(roles))
    }
}

/// A customer of the contract as filters see it.
#[derive(Debug)]
pub struct CustomerRecord {
    customer: pb::Customer,
    external_ids: String,
    attributes: String,
}

impl CustomerRecord {
    /// The record of a customer.
    #[must_use]
    pub fn new(customer: pb::Customer) -> Self {
        let ids = &customer.external_ids;
        let external_ids = pack_map(ids.iter().map(|id| (id.system.as_str(), id.id.as_str())));
        let map = customer
            .attributes
            .as_ref()
            .map(attributes::to_map)
            .unwrap_or_default();
        let first_level: Vec<_> = attributes::first_level(&map).collect();
        let attributes = pack_map(first_level.iter().map(|(key, text)| (*key, text.as_ref())));
        Self {
            customer,
            external_ids,
            attributes,
        }
    }
}

impl Record for CustomerRecord {
    fn value(&self, field: usize) -> Value<'_> {
        let customer = &self.customer;
        match field {
            NAME => Value::text(&customer.name),
            NUMBER => Value::text(&customer.number),
            EXTERNAL_IDS => Value::Packed(Cow::Borrowed(&self.external_ids)),
            ACCOUNT_TYPE => Value::Int(customer.account_type.into()),
            KIND => Value::Int(customer.kind.into()),
            STATE => Value::Int(customer.state.into()),
            TITLE => Value::text(&customer.title),
            FIRST_NAME => Value::text(&customer.first_name),
            LAST_NAME => Value::text(&customer.last_name),
            EMAIL => Value::text(&customer.email),
            PHONE => Value::text(&customer.phone),
            COMPANY => Value::text(&customer.company),
            VAT_NUMBER => Value::text(&customer.vat_number),
            CREDIT_LIMIT => match &customer.credit_limit {
                Some(limit) => Value::Money {
                    micros: limit.micros,
                    currency: Cow::Borrowed(&limit.currency_code),
                },
                None => Value::Absent,
            },
            PAYMENT_DAYS => customer
                .payment_days
                .map_or(Value::Absent, |days| Value::Int(days.into())),
            RISK if customer.risk == 0 => Value::Absent,
            RISK => Value::Int(customer.risk.into()),
            BIRTH_DATE => Value::text(&customer.birth_date),
            LANGUAGE_CODE => Value::text(&customer.language_code),
            STOREFRONT => Value::text(&customer.storefront),
            DEFAULT_GROUP => Value::text(&customer.default_group),
            GROUPS => Value::List(&customer.groups),
            NEWSLETTER => Value::Bool(subscribed(customer.newsletter.as_ref())),
            PARTNER_OFFERS => Value::Bool(subscribed(customer.partner_offers.as_ref())),
            TAX_EXEMPT => Value::Bool(customer.tax_exempt),
            ACCOUNTING_NUMBER => Value::text(&customer.accounting_number),
            ATTRIBUTES => Value::Packed(Cow::Borrowed(&self.attributes)),
            CREATE_TIME => time(customer.create_time),
            UPDATE_TIME => time(customer.update_time),
            DELETE_TIME => time(customer.delete_time),
            _ => Value::Absent,
        }
    }
}

fn subscribed(consent: Option<&pb::Consent>) -> bool {
    consent.is_some_and(|consent| consent.subscribed)
}

fn time(time: Option<prost_types::Timestamp>) -> Value<'static> {
    time.map_or(Value::Absent, |time| Value::Int(feed::micros(&time)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{filter::Filter, proto::pb::Role};

    fn matches(text: &str, customer: &pb::Customer) -> bool {
        let filter = Filter::parse(text, &FIELDS, &|_| true).unwrap();
        filter.matches(&CustomerRecord::new(customer.clone()), 0)
    }

    #[test]
    fn every_field_of_the_table_is_a_field_of_the_contract() {
        let message = TABLES.message(TABLES.find("Customer").unwrap());

        for field in FIELDS.fields {
            let path = field.sorts.unwrap_or(field.path);
            assert!(message.named(path).is_some(), "{path}");
        }
    }

    #[test]
    fn a_customer_is_found_by_what_it_has() {
        let text = |text: &str| prost_types::Value {
            kind: Some(prost_types::value::Kind::StringValue(text.to_owned())),
        };
        let customer = pb::Customer {
            name: "customers/ada".to_owned(),
            last_name: "Ångström".to_owned(),
            state: 2,
            groups: vec!["groups/customer".to_owned(), "groups/vip".to_owned()],
            external_ids: vec![pb::ExternalId {
                system: "erp".to_owned(),
                id: "7".to_owned(),
            }],
            credit_limit: Some(pb::Money {
                currency_code: "EUR".to_owned(),
                micros: 5_000_000,
            }),
            attributes: Some(prost_types::Struct {
                fields: [("color".to_owned(), text("red"))].into(),
            }),
            create_time: Some(crate::feed::timestamp(1_767_225_600_000_000)),
            ..pb::Customer::default()
        };

        for filter in [
            "name = customers/ada",
            "last_name:angstr",
            "state = DISABLED",
            "groups:groups/vip",
            "external_ids.erp = \"7\"",
            "credit_limit >= \"5 EUR\"",
            "attributes.color = red",
            "create_time = \"2026-01-01T00:00:00Z\"",
            "newsletter = false",
            "NOT risk:*",
            "NOT delete_time:*",
        ] {
            assert!(matches(filter, &customer), "{filter}");
        }
        assert!(!matches("risk = NONE", &customer));
        assert!(!matches("groups:groups/v", &customer));
    }

    #[test]
    fn what_a_role_may_not_read_it_cannot_filter_by() {
        let monitor = visible_to(Roles::of(Role::Monitor));
        let support = visible_to(Roles::of(Role::Support));

        for path in ["credit_limit", "payment_days", "risk", "accounting_number"] {
            assert!(!monitor(path), "{path}");
            assert!(support(path), "{path}");
        }
        assert!(monitor("email"));
        assert!(!support("shoe_size"));
    }
}
