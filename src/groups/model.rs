//! The stored form of a group, valid by construction.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::proto::pb;

/// The first segment of a group's name.
pub const COLLECTION: &str = "groups";

/// The full name of a group.
#[must_use]
pub fn name(id: &str) -> String {
    format!("{COLLECTION}/{id}")
}

/// The id in a group's name.
#[must_use]
pub fn id_of(name: &str) -> Option<&str> {
    name.strip_prefix("groups/")
        .filter(|id| !id.is_empty() && !id.contains('/'))
}

/// The id in a group's name.
///
/// # Errors
/// INVALID_FIELD if the name is missing. The access layer has refused malformed names.
pub(crate) fn required_id(name: &str) -> Result<String> {
    let id = id_of(name).map(str::to_owned);
    id.ok_or_else(|| Error::invalid_field("name", "INVALID", "the name of a group is required"))
}

/// A set of customers with privileges, as the document of a row of `groups`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    /// The last segment of the name; a column of its own.
    #[serde(skip)]
    pub id: String,
    /// Increases with every change; a column of its own.
    #[serde(skip)]
    pub version: i64,
    /// The name by language; never empty.
    pub display_names: BTreeMap<String, String>,
    /// Hundredths of a percent off every line, from 0 to 10,000.
    pub discount_hundredths: i64,
    /// How storefronts show prices.
    pub price_display: PriceDisplay,
    /// Whether storefronts show prices.
    pub show_prices: bool,
    /// Whether its privileges apply, and who sees it.
    pub state: State,
    /// The accounts that may be members.
    pub audience: Audience,
    /// The uses of the group in the shop's settings.
    pub special: Special,
    /// Smaller comes first when a default group has to be chosen.
    pub priority: i64,
    /// The version at which the discount or the state last changed. Carts priced with an older one are stale.
    pub pricing_revision: i64,
    /// When it was created.
    pub create_time: i64,
    /// When it last changed.
    pub update_time: i64,
    /// Fields that a newer release added.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            id: String::new(),
            version: 0,
            display_names: BTreeMap::new(),
            discount_hundredths: 0,
            price_display: PriceDisplay::TaxIncluded,
            show_prices: true,
            state: State::Active,
            audience: Audience::Customer,
            special: Special::default(),
            priority: 0,
            pricing_revision: 0,
            create_time: 0,
            update_time: 0,
            other: Map::new(),
        }
    }
}

impl Group {
    /// The full name.
    #[must_use]
    pub fn name(&self) -> String {
        name(&self.id)
    }

    /// The discount of members, in hundredths of a percent; 0 if the group is disabled.
    #[must_use]
    pub fn effective_discount(&self) -> i64 {
        if self.state == State::Disabled {
            0
        } else {
            self.discount_hundredths
        }
    }

    /// The name in the first of these languages that has one, else in any language.
    #[must_use]
    pub fn display_name<'a>(&'a self, languages: impl IntoIterator<Item = &'a str>) -> &'a str {
        languages
            .into_iter()
            .find_map(|language| in_language(&self.display_names, language))
            .or_else(|| self.display_names.values().next().map(String::as_str))
            .unwrap_or_default()
    }
}

/// The text in a language, or in the language without its region: `pt-BR` finds `pt`.
fn in_language<'a>(texts: &'a BTreeMap<String, String>, language: &str) -> Option<&'a str> {
    let mut language = language;
    loop {
        let found = texts
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(language));
        if let Some((_, text)) = found {
            return Some(text);
        }
        language = language.rsplit_once('-')?.0;
    }
}

/// How storefronts show prices to the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceDisplay {
    /// With tax.
    TaxIncluded,
    /// Without tax.
    TaxExcluded,
}

impl PriceDisplay {
    /// The value in the contract.
    #[must_use]
    pub const fn message(self) -> pb::group::PriceDisplay {
        match self {
            Self::TaxIncluded => pb::group::PriceDisplay::TaxIncluded,
            Self::TaxExcluded => pb::group::PriceDisplay::TaxExcluded,
        }
    }
}

/// Whether a group's privileges apply, and who sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The privileges apply, and the group is shown.
    Active,
    /// The privileges apply, but the group is never shown to customers.
    Hidden,
    /// It keeps its members but gives them nothing.
    Disabled,
}

impl State {
    /// The value in the contract; its number is that of the column.
    #[must_use]
    pub const fn message(self) -> pb::group::State {
        match self {
            Self::Active => pb::group::State::Active,
            Self::Hidden => pb::group::State::Hidden,
            Self::Disabled => pb::group::State::Disabled,
        }
    }
}

/// The accounts that may be members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Accounts of customers.
    Customer,
    /// Accounts of staff.
    Staff,
}

impl Audience {
    /// The value in the contract; its number is that of the column.
    #[must_use]
    pub const fn message(self) -> pb::group::Audience {
        match self {
            Self::Customer => pb::group::Audience::Customer,
            Self::Staff => pb::group::Audience::Staff,
        }
    }

    /// The audience of the groups for accounts of this type.
    #[must_use]
    pub const fn of_account(account_type: pb::customer::AccountType) -> Self {
        match account_type {
            pb::customer::AccountType::Staff => Self::Staff,
            pb::customer::AccountType::Customer | pb::customer::AccountType::Unspecified => {
                Self::Customer
            }
        }
    }
}

/// The uses of a group in the shop's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Special {
    /// Its prices apply to carts without a customer.
    #[serde(skip_serializing_if = "is_false")]
    pub visitor: bool,
    /// It is the group of guests.
    #[serde(skip_serializing_if = "is_false")]
    pub guest: bool,
    /// It is the group of registered customers.
    #[serde(skip_serializing_if = "is_false")]
    pub customer: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_false(value: &bool) -> bool {
    !value
}

impl Special {
    /// Whether the group has no such use.
    #[must_use]
    pub const fn is_none(self) -> bool {
        !self.visitor && !self.guest && !self.customer
    }

    /// The values in the contract.
    #[must_use]
    pub fn message(self) -> Vec<pb::group::SpecialKind> {
        use pb::group::SpecialKind;
        [
            (self.visitor, SpecialKind::Visitor),
            (self.guest, SpecialKind::Guest),
            (self.customer, SpecialKind::Customer),
        ]
        .into_iter()
        .filter_map(|(is, kind)| is.then_some(kind))
        .collect()
    }

    /// The first use, for errors, for example `customer`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self { customer: true, .. } => "customer",
            Self { guest: true, .. } => "guest",
            Self { visitor: true, .. } => "visitor",
            Self { .. } => "",
        }
    }

    /// The number in the column.
    #[must_use]
    pub const fn bits(self) -> i64 {
        self.visitor as i64 | (self.guest as i64) << 1 | (self.customer as i64) << 2
    }
}

/// The id among (priority, id) that becomes the default if one has to be chosen: the smallest priority, then
/// the smallest id.
#[must_use]
pub fn next_default<'a>(groups: impl IntoIterator<Item = (i64, &'a str)>) -> Option<&'a str> {
    groups.into_iter().min().map(|(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        let names = [("en", "Wholesale"), ("fr", "Gros"), ("pt-BR", "Atacado")];
        Group {
            display_names: names.map(|(l, n)| (l.to_owned(), n.to_owned())).into(),
            ..Group::default()
        }
    }

    #[test]
    fn a_name_is_shown_in_the_first_language_that_there_is() {
        let group = group();

        assert_eq!(group.display_name(["de", "fr", "en"]), "Gros");
        assert_eq!(group.display_name(["fr-CA"]), "Gros");
        assert_eq!(group.display_name(["PT-br"]), "Atacado");
        assert_eq!(group.display_name(["pt"]), "Wholesale");
        assert_eq!(group.display_name([]), "Wholesale");
    }

    #[test]
    fn a_disabled_group_gives_no_discount() {
        let group = Group {
            discount_hundredths: 1_250,
            ..group()
        };

        assert_eq!(group.effective_discount(), 1_250);
        assert_eq!(
            Group {
                state: State::Disabled,
                ..group.clone()
            }
            .effective_discount(),
            0
        );
        assert_eq!(
            Group {
                state: State::Hidden,
                ..group
            }
            .effective_discount(),
            1_250
        );
    }

    #[test]
    fn the_next_default_has_the_smallest_priority_then_the_smallest_name() {
        assert_eq!(next_default([(2, "a"), (1, "c"), (1, "b")]), Some("b"));
        assert_eq!(next_default([]), None);
    }

    #[test]
    fn fields_of_a_newer_release_are_kept() {
        let stored = r#"{"display_names":{"en":"VIP"},"state":"hidden","colour":"gold"}"#;

        let group: Group = serde_json::from_str(stored).unwrap();

        assert_eq!(group.state, State::Hidden);
        assert!(group.show_prices);
        assert_eq!(serde_json::to_value(&group).unwrap()["colour"], "gold");
    }

    #[test]
    fn a_group_may_be_special_in_several_ways() {
        let special = Special {
            visitor: true,
            guest: false,
            customer: true,
        };

        assert_eq!(special.bits(), 5);
        assert_eq!(special.text(), "customer");
        assert_eq!(
            special.message(),
            [
                pb::group::SpecialKind::Visitor,
                pb::group::SpecialKind::Customer
            ]
        );
        assert!(Special::default().is_none());
    }

    #[test]
    fn only_a_groups_name_has_a_groups_id() {
        assert_eq!(id_of("groups/vip"), Some("vip"));
        for other in ["groups/", "vip", "customers/vip", "groups/a/b"] {
            assert_eq!(id_of(other), None, "{other}");
        }
    }
}
