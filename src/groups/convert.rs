//! Between the messages of the contract and the model.
//!
//! Formats and limits of single fields were checked by the access layer; what is left is what a group
//! needs as a whole.

use prost_types::FieldMask;

use super::model::{self, Audience, Group, PriceDisplay, State};
use crate::error::{Error, Result, Violation};
use crate::feed;
use crate::format;
use crate::mask;
use crate::proto::pb;

/// The largest discount, in hundredths of a percent.
const DISCOUNT_MAX: i64 = 10_000;

const WRITABLE: [&str; 7] = [
    "display_names",
    "discount_percent",
    "price_display",
    "show_prices",
    "state",
    "audience",
    "priority",
];

const IGNORED: [&str; 7] = [
    "name",
    "display_name",
    "special_kinds",
    "member_count",
    "create_time",
    "update_time",
    "etag",
];

/// The id in a group's name.
///
/// # Errors
/// INVALID_FIELD where a name is missing; text that is no name was refused by the access layer.
pub(crate) fn required_id(name: &str) -> Result<String> {
    let id = model::id_of(name).map(str::to_owned);
    id.ok_or_else(|| Error::invalid_field("name", "INVALID", "the name of a group is needed"))
}

/// The group of a CreateGroup, without id, version and times.
pub(super) fn new_group(message: Option<pb::Group>) -> Result<Group> {
    let message = message.ok_or_else(missing)?;
    let mut group = Group {
        audience: audience(&message).unwrap_or(Audience::Customer),
        ..Group::default()
    };
    let mut violations = Vec::new();
    for path in WRITABLE {
        set(&mut group, &message, path, &mut violations);
    }
    if violations.is_empty() {
        Ok(group)
    } else {
        Err(Error::invalid(violations))
    }
}

/// An UpdateGroup, checked as far as that can be without the group.
#[derive(Debug)]
pub(super) struct Update {
    message: pb::Group,
    paths: Vec<&'static str>,
}

impl Update {
    pub(super) fn new(message: Option<pb::Group>, mask: Option<&FieldMask>) -> Result<Self> {
        let message = message.ok_or_else(missing)?;
        let is_set = |path: &str| match path {
            "display_names" => !message.display_names.is_empty(),
            "discount_percent" => !message.discount_percent.is_empty(),
            "price_display" => message.price_display != 0,
            "show_prices" => message.show_prices.is_some(),
            "state" => message.state != 0,
            "audience" => message.audience != 0,
            _ => message.priority != 0,
        };
        let paths = mask::changed(mask, &WRITABLE, &IGNORED, is_set)?;
        Ok(Self { message, paths })
    }

    /// The group as it is after the update.
    pub(super) fn apply(&self, group: &Group) -> Result<Group> {
        let mut group = group.clone();
        let mut violations = Vec::new();
        for path in &self.paths {
            set(&mut group, &self.message, path, &mut violations);
        }
        if violations.is_empty() {
            Ok(group)
        } else {
            Err(Error::invalid(violations))
        }
    }
}

fn missing() -> Error {
    Error::invalid_field("group", "REQUIRED", "a group is needed")
}

/// Sets one field; what is not set in the message gets its default.
fn set(group: &mut Group, message: &pb::Group, path: &str, violations: &mut Vec<Violation>) {
    let mut refuse = |field: &str, reason, text: &str| {
        violations.push(Violation::new(format!("group.{field}"), reason, text));
    };
    match path {
        "display_names" if message.display_names.is_empty() => {
            refuse(
                path,
                "REQUIRED",
                "a name in at least one language is needed",
            );
        }
        "display_names" => match format::by_language(&message.display_names) {
            Ok(names) => group.display_names = names,
            Err(twice) => refuse(path, "DUPLICATE", &format!("`{twice}` is named twice")),
        },
        "discount_percent" => match hundredths(&message.discount_percent) {
            Some(hundredths) => group.discount_hundredths = hundredths,
            None => refuse(
                path,
                "INVALID",
                "a decimal from 0 to 100 with at most two places",
            ),
        },
        "price_display" => match pb::group::PriceDisplay::try_from(message.price_display) {
            Ok(pb::group::PriceDisplay::TaxExcluded) => {
                group.price_display = PriceDisplay::TaxExcluded;
            }
            Ok(_) => group.price_display = PriceDisplay::TaxIncluded,
            Err(_) => refuse(path, "INVALID", "no such value"),
        },
        "show_prices" => group.show_prices = message.show_prices.unwrap_or(true),
        "state" => match pb::group::State::try_from(message.state) {
            Ok(pb::group::State::Disabled) => group.state = State::Disabled,
            Ok(pb::group::State::Hidden) => group.state = State::Hidden,
            Ok(_) => group.state = State::Active,
            Err(_) => refuse(path, "INVALID", "no such value"),
        },
        "audience" => match audience(message) {
            Some(audience) if audience != group.audience => {
                refuse(path, "IMMUTABLE", "the audience of a group never changes");
            }
            Some(_) => {}
            None if message.audience == 0 => {}
            None => refuse(path, "INVALID", "no such value"),
        },
        _ => group.priority = i64::from(message.priority),
    }
}

fn audience(message: &pb::Group) -> Option<Audience> {
    match pb::group::Audience::try_from(message.audience) {
        Ok(pb::group::Audience::Customer) => Some(Audience::Customer),
        Ok(pb::group::Audience::Staff) => Some(Audience::Staff),
        Ok(pb::group::Audience::Unspecified) | Err(_) => None,
    }
}

fn hundredths(percent: &str) -> Option<i64> {
    if percent.is_empty() {
        return Some(0);
    }
    format::decimal(percent, 2).filter(|hundredths| *hundredths <= DISCOUNT_MAX)
}

/// A percentage with its two places.
fn percent(hundredths: i64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A group as the feed holds it: without derived fields.
pub(super) fn message(group: &Group) -> pb::Group {
    let name = group.name();
    pb::Group {
        etag: feed::etag(&name, group.version),
        name,
        display_names: group.display_names.clone().into_iter().collect(),
        display_name: String::new(),
        discount_percent: percent(group.discount_hundredths),
        price_display: group.price_display.message().into(),
        show_prices: Some(group.show_prices),
        state: group.state.message().into(),
        audience: group.audience.message().into(),
        special_kinds: group.special.message().into_iter().map(i32::from).collect(),
        priority: i32::try_from(group.priority).unwrap_or(i32::MAX),
        member_count: 0,
        create_time: Some(feed::timestamp(group.create_time)),
        update_time: Some(feed::timestamp(group.update_time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> pb::Group {
        pb::Group {
            display_names: [("en".to_owned(), "VIP".to_owned())].into(),
            discount_percent: "12.5".to_owned(),
            ..pb::Group::default()
        }
    }

    fn mask(paths: &[&str]) -> FieldMask {
        FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    #[test]
    fn a_new_group_gets_its_defaults() {
        let group = new_group(Some(sent())).unwrap();

        assert_eq!(group.discount_hundredths, 1_250);
        assert!(group.show_prices);
        assert_eq!(
            (group.state, group.audience, group.price_display),
            (State::Active, Audience::Customer, PriceDisplay::TaxIncluded)
        );
        assert_eq!(message(&group).discount_percent, "12.50");
    }

    #[test]
    fn a_group_without_a_name_or_with_an_impossible_discount_is_refused() {
        let nothing = pb::Group {
            discount_percent: "100.01".to_owned(),
            ..pb::Group::default()
        };

        let status = tonic::Status::from(new_group(Some(nothing)).unwrap_err());

        use tonic_types::StatusExt as _;
        let fields: Vec<String> = status
            .get_details_bad_request()
            .unwrap()
            .field_violations
            .into_iter()
            .map(|violation| violation.field)
            .collect();
        assert_eq!(fields, ["group.display_names", "group.discount_percent"]);
        assert!(new_group(None).is_err());
    }

    #[test]
    fn an_update_changes_what_it_names() {
        let group = Group {
            priority: 5,
            ..new_group(Some(sent())).unwrap()
        };
        let change = pb::Group {
            state: pb::group::State::Hidden.into(),
            ..pb::Group::default()
        };

        let update = Update::new(Some(change.clone()), None).unwrap();
        let hidden = update.apply(&group).unwrap();
        let update =
            Update::new(Some(change), Some(&mask(&["discountPercent", "priority"]))).unwrap();
        let plain = update.apply(&group).unwrap();

        assert_eq!(
            hidden,
            Group {
                state: State::Hidden,
                ..group.clone()
            }
        );
        assert_eq!(
            plain,
            Group {
                discount_hundredths: 0,
                priority: 0,
                ..group
            }
        );
    }

    #[test]
    fn the_audience_cannot_be_changed_but_may_be_repeated() {
        let group = new_group(Some(sent())).unwrap();
        let staff = |audience: pb::group::Audience| {
            let change = pb::Group {
                audience: audience.into(),
                ..sent()
            };
            Update::new(Some(change), Some(&mask(&["*"])))
                .unwrap()
                .apply(&group)
        };

        assert!(staff(pb::group::Audience::Staff).is_err());
        assert!(staff(pb::group::Audience::Customer).is_ok());
        assert!(staff(pb::group::Audience::Unspecified).is_ok());
    }
}
