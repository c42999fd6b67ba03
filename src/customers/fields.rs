//! The fields of a customer: one row for each that filters and orders may name.

use std::sync::LazyLock;

use crate::{
    attributes,
    filter::pack_map,
    proto::pb,
    resource::{Column, Entries, Index, Pairs, Table},
    store::SearchColumn,
};

use super::{convert, sql};

/// The name of the sort key of the last name in orders.
pub(super) const LAST_NAME_KEY: &str = "last_name in its language";

type Field = Column<pb::Customer>;

/// The table. Every sortable field has an index, and the default group is one of the groups.
pub static TABLE: LazyLock<Table<pb::Customer>> = LazyLock::new(|| {
    let read = |id, version, doc: &str| Ok(convert::message(&sql::model(id, version, doc)?));
    Table::new(
        crate::customers::KIND,
        convert::COLLECTION,
        read,
        [
            Field::name(convert::COLLECTION, |c| &c.name),
            Field::text("number", |c| &c.number).index(Index::Unique),
            Field::map("external_ids", external_ids).index(EXTERNAL_IDS),
            Field::one_of("account_type", |c| Some(c.account_type.into())),
            Field::one_of("kind", |c| Some(c.kind.into())),
            Field::one_of("state", |c| Some(c.state.into())),
            Field::reference("title", "titles", |c| &c.title),
            Field::text("first_name", |c| &c.first_name)
                .searchable()
                .index(Index::Words(&SEARCH)),
            Field::text("last_name", |c| &c.last_name)
                .searchable()
                .sortable()
                .index(Index::Equal)
                .index(Index::Words(&SEARCH))
                .index(Index::Range),
            Field::sort_key(LAST_NAME_KEY, "last_name", "last_name_key"),
            Field::text("email", |c| &c.email)
                .searchable()
                .sortable()
                .index(Index::Equal)
                .index(Index::Words(&SEARCH))
                .index(Index::Range),
            Field::text("phone", |c| &c.phone).index(Index::Words(&SEARCH)),
            Field::text("company", |c| &c.company)
                .searchable()
                .index(Index::Words(&SEARCH)),
            Field::text("vat_number", |c| &c.vat_number),
            Field::money("credit_limit", "credit_limit_currency", |c| {
                c.credit_limit.as_ref()
            }),
            Field::number("payment_days", |c| c.payment_days.map(i64::from)),
            Field::one_of("risk", |c| {
                Some(i64::from(c.risk)).filter(|risk| *risk != 0)
            }),
            Field::date("birth_date", |c| &c.birth_date),
            Field::text("language_code", |c| &c.language_code).of_languages(),
            Field::text("storefront", |c| &c.storefront),
            Field::reference("default_group", "groups", |c| &c.default_group).index(MEMBERSHIPS),
            Field::names("groups", "groups", |c| &c.groups)
                .column("group_ids")
                .index(MEMBERSHIPS),
            Field::flag("newsletter", |c| subscribed(c.newsletter.as_ref())),
            Field::flag("partner_offers", |c| subscribed(c.partner_offers.as_ref())),
            Field::flag("tax_exempt", |c| c.tax_exempt),
            Field::text("accounting_number", |c| &c.accounting_number),
            Field::map("attributes", |c| attributes::packed(c.attributes.as_ref())),
            Field::time("create_time", |c| c.create_time.as_ref())
                .sortable()
                .index(Index::Range),
            Field::time("update_time", |c| c.update_time.as_ref())
                .sortable()
                .index(Index::Range),
            Field::time("delete_time", |c| c.delete_time.as_ref()),
        ],
    )
    .living("c.delete_time IS NULL")
});

/// The search text of a customer.
pub static SEARCH: SearchColumn = SearchColumn {
    text: "c.search_text",
    id: "c.search_id",
    fts: "customers_search",
};

/// The fields whose index leads only to customers that are not deleted.
pub static OF_THE_LIVING: &[&str] = &["groups", "default_group"];

const MEMBERSHIPS: Index = Index::Pairs(Pairs {
    from: "memberships m",
    element: "m.group_id",
    id: "m.customer_id",
});

const EXTERNAL_IDS: Index = Index::Entries(Entries {
    from: "customer_external_ids x",
    key: "x.system",
    value: "x.external_id",
    id: "x.customer_id",
});

fn external_ids(customer: &pb::Customer) -> String {
    let ids = &customer.external_ids;
    pack_map(ids.iter().map(|id| (id.system.as_str(), id.id.as_str())))
}

fn subscribed(consent: Option<&pb::Consent>) -> bool {
    consent.is_some_and(|consent| consent.subscribed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{caller::Roles, filter::Filter, proto::pb::Role};

    fn matches(text: &str, customer: &pb::Customer) -> bool {
        let filter = Filter::parse(text, TABLE.schema(), &|_| true).unwrap();
        filter.matches(&TABLE.seen(customer.clone()), 0)
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
    fn a_role_cannot_filter_by_fields_that_it_may_not_read() {
        let monitor = TABLE.visible_to(Roles::of(Role::Monitor));
        let support = TABLE.visible_to(Roles::of(Role::Support));

        for path in ["credit_limit", "payment_days", "risk", "accounting_number"] {
            assert!(!monitor(path), "{path}");
            assert!(support(path), "{path}");
        }
        assert!(monitor("email"));
        assert!(!support("shoe_size"));
    }
}
