//! The fields of a group as filters and orders see them, and a group in memory for watches.

use std::sync::Arc;

use prost::Message as _;

use super::model::COLLECTION;
use crate::error::{Error, Result};
use crate::feed::{Decoded, micros};
use crate::filter::{Field, Kind, Record, Schema, Value, pack_map};
use crate::proto::pb;

/// What a filter or an order of groups may name. The table has no alias.
pub static SCHEMA: Schema = Schema {
    fields: &[
        Field::new("name", Kind::Name(COLLECTION), "id").sortable(),
        Field::new("display_names", Kind::TextMap, "display_names").of_languages(),
        Field::new("discount_percent", Kind::Decimal2, "discount_hundredths").sortable(),
        Field::new("price_display", PRICE_DISPLAY, "price_display"),
        Field::new("show_prices", Kind::Bool, "show_prices"),
        Field::new("state", STATE, "state").sortable(),
        Field::new("audience", AUDIENCE, "audience"),
        Field::new("priority", Kind::Int, "priority").sortable(),
        Field::new("create_time", Kind::Time, "create_time").sortable(),
        Field::new("update_time", Kind::Time, "update_time").sortable(),
    ],
};

const PRICE_DISPLAY: Kind = Kind::Enum(&[("TAX_INCLUDED", 1), ("TAX_EXCLUDED", 2)]);
const STATE: Kind = Kind::Enum(&[("ACTIVE", 1), ("HIDDEN", 2), ("DISABLED", 3)]);
const AUDIENCE: Kind = Kind::Enum(&[("CUSTOMER", 1), ("STAFF", 2)]);

const NAME: usize = SCHEMA.index("name");
const DISPLAY_NAMES: usize = SCHEMA.index("display_names");
const DISCOUNT_PERCENT: usize = SCHEMA.index("discount_percent");
const PRICE_DISPLAY_FIELD: usize = SCHEMA.index("price_display");
const SHOW_PRICES: usize = SCHEMA.index("show_prices");
const STATE_FIELD: usize = SCHEMA.index("state");
const AUDIENCE_FIELD: usize = SCHEMA.index("audience");
const PRIORITY: usize = SCHEMA.index("priority");
const CREATE_TIME: usize = SCHEMA.index("create_time");
const UPDATE_TIME: usize = SCHEMA.index("update_time");

/// Whether a caller may filter by a field: all of these may be read by everybody.
pub(super) fn visible(_path: &str) -> bool {
    true
}

/// A group as its message says it.
pub(super) struct GroupRecord(pb::Group);

impl GroupRecord {
    /// The record of an encoded message.
    pub(super) fn decode(body: &[u8]) -> Result<Arc<dyn Decoded>> {
        let message = pb::Group::decode(body)
            .map_err(|error| Error::corrupt("change_log", "of a group", error))?;
        Ok(Arc::new(Self(message)))
    }
}

impl From<pb::Group> for GroupRecord {
    fn from(message: pb::Group) -> Self {
        Self(message)
    }
}

impl Record for GroupRecord {
    fn value(&self, field: usize) -> Value<'_> {
        let Self(group) = self;
        match field {
            NAME => Value::text(&group.name),
            DISPLAY_NAMES => {
                let names = group.display_names.iter();
                Value::Packed(pack_map(names.map(|(k, v)| (k.as_str(), v.as_str()))).into())
            }
            DISCOUNT_PERCENT => {
                let hundredths = crate::format::decimal(&group.discount_percent, 2);
                Value::Int(hundredths.unwrap_or_default())
            }
            PRICE_DISPLAY_FIELD => Value::Int(group.price_display.into()),
            SHOW_PRICES => Value::Bool(group.show_prices.unwrap_or_default()),
            STATE_FIELD => Value::Int(group.state.into()),
            AUDIENCE_FIELD => Value::Int(group.audience.into()),
            PRIORITY => Value::Int(group.priority.into()),
            CREATE_TIME => time(group.create_time.as_ref()),
            UPDATE_TIME => time(group.update_time.as_ref()),
            _ => Value::Absent,
        }
    }
}

impl Decoded for GroupRecord {}

fn time(time: Option<&prost_types::Timestamp>) -> Value<'static> {
    time.map(micros).map_or(Value::Absent, Value::Int)
}

#[cfg(test)]
mod tests {
    use super::super::{convert, model::Group};
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
        let record = GroupRecord::from(convert::message(&group));

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
            let parsed = Filter::parse(filter, &SCHEMA, &|_| true).unwrap();
            assert!(parsed.matches(&record, 0), "{filter}");
            let inverted = Filter::parse(&format!("NOT {filter}"), &SCHEMA, &|_| true).unwrap();
            assert!(!inverted.matches(&record, 0), "{filter}");
        }
    }
}
