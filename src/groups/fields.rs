//! The fields of a group: one row for each that filters and orders may name.

use std::sync::LazyLock;

use super::model::{COLLECTION, Group};
use crate::filter::pack_map;
use crate::format;
use crate::proto::pb;
use crate::resource::{Column, Resource as _, Table, parse};

type Field = Column<pb::Group>;

/// The table.
pub static TABLE: LazyLock<Table<pb::Group>> = LazyLock::new(|| {
    let read = |id, version, doc: &str| Ok(parse::<Group>(id, version, doc)?.message());
    Table::new(
        crate::groups::KIND,
        COLLECTION,
        read,
        [
            Field::name(COLLECTION, |g| &g.name),
            Field::map("display_names", display_names).of_languages(),
            Field::decimal("discount_percent", |g| {
                format::decimal(&g.discount_percent, 2)
            })
            .column("discount_hundredths")
            .sortable(),
            Field::one_of("price_display", |g| Some(g.price_display.into())),
            Field::flag("show_prices", |g| g.show_prices.unwrap_or_default()),
            Field::one_of("state", |g| Some(g.state.into())).sortable(),
            Field::one_of("audience", |g| Some(g.audience.into())),
            Field::number("priority", |g| Some(g.priority.into())).sortable(),
            Field::time("create_time", |g| g.create_time.as_ref()).sortable(),
            Field::time("update_time", |g| g.update_time.as_ref()).sortable(),
        ],
    )
});

fn display_names(group: &pb::Group) -> String {
    let names = group.display_names.iter();
    pack_map(names.map(|(language, name)| (language.as_str(), name.as_str())))
}

#[cfg(test)]
mod tests {
    use super::super::model::Group;
    use super::*;
    use crate::filter::Filter;

    #[test]
    fn every_field_can_be_filtered_by() {
        let group = Group {
            id: "vip".to_owned(),
            display_names: [("en".to_owned(), "VIP".to_owned())].into(),
            discount_hundredths: 1_250,
            priority: 3,
            create_time: 1_000_000,
            update_time: 1_500_000,
            ..Group::default()
        };
        let record = TABLE.seen(group.message());

        for filter in [
            "name = vip",
            "display_names.en = VIP",
            "discount_percent = 12.5",
            "price_display = TAX_INCLUDED",
            "show_prices = true",
            "state = ACTIVE",
            "audience = CUSTOMER",
            "priority < 4",
            "create_time = 1970-01-01T00:00:01Z",
            "update_time = 1970-01-01T00:00:01.5Z",
        ] {
            let parsed = Filter::parse(filter, TABLE.schema(), &|_| true).unwrap();
            assert!(parsed.matches(&record, 0), "{filter}");
            let inverted =
                Filter::parse(&format!("NOT {filter}"), TABLE.schema(), &|_| true).unwrap();
            assert!(!inverted.matches(&record, 0), "{filter}");
        }
    }
}
