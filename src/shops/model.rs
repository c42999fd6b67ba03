//! The stored form of a shop and its settings.
//!
//! Fields that this release does not know are kept, so that releases may run side by side.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::proto::pb;

/// A shop as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Shop {
    /// The last part of its name.
    pub id: String,
    /// Grows with every change of the shop or its settings.
    pub version: i64,
    /// Its name and its settings.
    pub doc: ShopDoc,
    /// When it was created, in microseconds.
    pub create_time: i64,
    /// When it or its settings last changed, in microseconds.
    pub update_time: i64,
}

/// The document of a row of `shops`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ShopDoc {
    /// The name of the shop for people.
    pub display_name: String,
    /// The settings of the shop.
    pub settings: Settings,
    /// Fields that a newer release added.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The settings of a shop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The currency of carts that do not name one.
    pub default_currency: String,
    /// The shop's languages in the order in which texts fall back; never empty.
    pub languages: Vec<String>,
    /// The IANA name of the time zone of "today"; see [`Settings::zone`].
    pub time_zone: String,
    /// The id of the group whose prices carts without a customer get.
    pub visitor_group: String,
    /// The id of the group of guests.
    pub guest_group: String,
    /// The id of the group of registered customers.
    pub customer_group: String,
    /// Whether guests may be created.
    pub guest_checkout: bool,
    /// The state of new registered customers.
    pub new_customer_state: NewCustomerState,
    /// The default of `re_registration` in DeleteCustomer.
    pub re_registration: ReRegistration,
    /// Days after which open carts of visitors are deleted; 0 for never.
    pub visitor_cart_retention_days: i32,
    /// Days after which open carts of customers are deleted; 0 for never.
    pub customer_cart_retention_days: i32,
    /// Hours after which open carts without lines are deleted; 0 for never.
    pub empty_cart_retention_hours: i32,
    /// Minutes without a change after which a cart is idle.
    pub cart_idle_after_minutes: i32,
    /// Minutes without a change after which a cart is abandoned; 0 for never.
    pub cart_abandoned_after_minutes: i32,
    /// The default of `if_open_cart_exists` in AssignCart: the number of the contract's enum.
    pub if_open_cart_exists: i32,
    /// Fields that a newer release added.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_currency: "EUR".to_owned(),
            languages: vec!["en".to_owned()],
            time_zone: "UTC".to_owned(),
            visitor_group: "visitor".to_owned(),
            guest_group: "guest".to_owned(),
            customer_group: "customer".to_owned(),
            guest_checkout: true,
            new_customer_state: NewCustomerState::Active,
            re_registration: ReRegistration::Allow,
            visitor_cart_retention_days: 90,
            customer_cart_retention_days: 0,
            empty_cart_retention_hours: 6,
            cart_idle_after_minutes: 15,
            cart_abandoned_after_minutes: 24 * 60,
            if_open_cart_exists: pb::assign_cart_request::IfOpenCartExists::Fail.into(),
            other: Map::new(),
        }
    }
}

impl Settings {
    /// The shop's time zone; UTC if this machine's time zone data no longer has it.
    pub fn zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::get(&self.time_zone).unwrap_or(jiff::tz::TimeZone::UTC)
    }

    /// The language of texts if the request names none.
    pub fn language(&self) -> &str {
        self.languages.first().map_or("en", String::as_str)
    }

    /// The ids of the special groups.
    pub fn specials(&self) -> Specials {
        Specials {
            visitor: self.visitor_group.clone(),
            guest: self.guest_group.clone(),
            customer: self.customer_group.clone(),
        }
    }

    /// Returns the purposes for which the settings name a group, given its id.
    pub fn special_kinds(&self, group: &str) -> Vec<pb::group::SpecialKind> {
        use pb::group::SpecialKind;
        [
            (&self.visitor_group, SpecialKind::Visitor),
            (&self.guest_group, SpecialKind::Guest),
            (&self.customer_group, SpecialKind::Customer),
        ]
        .into_iter()
        .filter(|(id, _)| *id == group)
        .map(|(_, kind)| kind)
        .collect()
    }
}

/// The ids of the groups that a shop's settings name. They may be equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specials {
    /// For carts without a customer.
    pub visitor: String,
    /// For guests.
    pub guest: String,
    /// For registered customers, and for customers who would have no group otherwise.
    pub customer: String,
}

impl Default for Specials {
    fn default() -> Self {
        let [visitor, guest, customer] = ["visitor", "guest", "customer"].map(str::to_owned);
        Self {
            visitor,
            guest,
            customer,
        }
    }
}

impl Specials {
    /// The ids of the three groups.
    #[must_use]
    pub fn ids(&self) -> [&str; 3] {
        [&self.visitor, &self.guest, &self.customer]
    }
}

/// The state of customers who register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewCustomerState {
    /// They may sign in at once.
    Active,
    /// They wait for staff.
    PendingApproval,
}

impl From<NewCustomerState> for pb::customer::State {
    fn from(state: NewCustomerState) -> Self {
        match state {
            NewCustomerState::Active => Self::Active,
            NewCustomerState::PendingApproval => Self::PendingApproval,
        }
    }
}

/// Whether the e-mail address of a deleted customer may be registered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReRegistration {
    /// It is free again.
    Allow,
    /// It stays taken.
    Forbid,
}

impl From<ReRegistration> for pb::delete_customer_request::ReRegistration {
    fn from(re_registration: ReRegistration) -> Self {
        match re_registration {
            ReRegistration::Allow => Self::Allow,
            ReRegistration::Forbid => Self::Forbid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_newer_release_are_kept() {
        let stored =
            r#"{"display_name":"Shop","settings":{"time_zone":"Asia/Tokyo","dark":1},"x":[2]}"#;

        let doc: ShopDoc = serde_json::from_str(stored).unwrap();

        assert_eq!(doc.settings.time_zone, "Asia/Tokyo");
        assert_eq!(doc.settings.customer_group, "customer");
        let again = serde_json::to_value(&doc).unwrap();
        assert_eq!(again["x"], serde_json::json!([2]));
        assert_eq!(again["settings"]["dark"], serde_json::json!(1));
    }

    #[test]
    fn a_group_may_be_special_for_more_than_one_reason() {
        let settings = Settings {
            guest_group: "visitor".to_owned(),
            ..Settings::default()
        };

        assert_eq!(
            settings.special_kinds("visitor"),
            [
                pb::group::SpecialKind::Visitor,
                pb::group::SpecialKind::Guest
            ]
        );
        assert_eq!(settings.special_kinds("vip"), []);
    }
}
