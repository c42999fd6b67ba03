//! The stored form of customers, addresses and titles.
//!
//! The types know neither the wire format nor SQL. Fields that this release does not know are kept, so that
//! releases can run side by side. Ids are bare: `vip`, not `groups/vip`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An enum whose numbers are those of the contract and whose names are stored.
macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $variant = $number,)* }

        impl $name {
            /// The number in the contract and in the columns.
            #[must_use]
            pub const fn number(self) -> i32 {
                self as i32
            }

            /// The value with this number.
            #[must_use]
            pub const fn of(number: i32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

numbered! {
    /// Whether an account is for a customer or for staff.
    AccountType {
        /// A customer, who buys.
        #[default]
        Customer = 1,
        /// A person who works for the shop.
        Staff = 2,
    }
}

numbered! {
    /// Whether a customer has an account.
    Kind {
        /// The customer has an account.
        #[default]
        Registered = 1,
        /// The customer ordered without an account.
        Guest = 2,
    }
}

numbered! {
    /// Whether an account may be used.
    State {
        /// The customer may sign in.
        #[default]
        Active = 1,
        /// The customer may not sign in.
        Disabled = 2,
        /// The account waits for the approval of staff.
        PendingApproval = 3,
        /// The customer has not set a password yet.
        Invited = 4,
    }
}

numbered! {
    /// The risk that a payment fails.
    Risk {
        /// Not rated.
        #[default]
        Unrated = 0,
        /// No risk.
        None = 1,
        /// Low risk.
        Low = 2,
        /// Medium risk.
        Medium = 3,
        /// High risk.
        High = 4,
    }
}

numbered! {
    /// The gender that a title expresses.
    Gender {
        /// The title of a man.
        Male = 1,
        /// The title of a woman.
        Female = 2,
        /// The title expresses no gender.
        #[default]
        Neutral = 3,
    }
}

/// An exact amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// The ISO 4217 code.
    pub currency: String,
    /// Millionths of the currency's major unit.
    pub micros: i64,
}

/// A consent, or its refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Consent {
    /// Whether the customer agreed.
    pub subscribed: bool,
    /// When the customer agreed or refused, in microseconds.
    pub time: Option<i64>,
    /// How the consent was obtained.
    pub source: String,
}

/// A customer without derived fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Customer {
    /// The last segment of the name.
    #[serde(skip)]
    pub id: String,
    /// Increases by one with each change.
    #[serde(skip)]
    pub version: i64,
    /// Human-readable number, for example for support calls.
    pub number: String,
    /// Ids in other systems, by system.
    pub external_ids: BTreeMap<String, String>,
    /// Whether the account is for a customer or for staff.
    pub account_type: AccountType,
    /// Registered or guest.
    pub kind: Kind,
    /// Whether the account may be used.
    pub state: State,
    /// The id of the title, or empty.
    pub title: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// The e-mail address as typed.
    pub email: String,
    /// The normal form of the e-mail address, while no other customer may have it.
    pub email_claim: Option<String>,
    /// Phone.
    pub phone: String,
    /// Company.
    pub company: String,
    /// Website.
    pub website: String,
    /// VAT identification number.
    pub vat_number: String,
    /// Company registration number.
    pub registration_number: String,
    /// Activity code.
    pub activity_code: String,
    /// The limit of outstanding invoices.
    pub credit_limit: Option<Money>,
    /// Days until an invoice is due.
    pub payment_days: Option<i32>,
    /// The risk that a payment fails.
    pub risk: Risk,
    /// `YYYY-MM-DD`, or empty.
    pub birth_date: String,
    /// BCP 47, or empty.
    pub language_code: String,
    /// The storefront where the customer registered, or empty.
    pub storefront: String,
    /// The group whose prices apply. One of `groups`.
    pub default_group: String,
    /// The customer's groups: sorted, distinct, never empty.
    pub groups: Vec<String>,
    /// Consent to the newsletter.
    pub newsletter: Option<Consent>,
    /// Consent to offers of partners.
    pub partner_offers: Option<Consent>,
    /// Whether no tax is charged.
    pub tax_exempt: bool,
    /// The account in the shop's bookkeeping.
    pub accounting_number: String,
    /// The shop's own fields.
    pub attributes: Map<String, Value>,
    /// The id of the billing address, or empty.
    pub default_billing_address: String,
    /// The id of the delivery address, or empty.
    pub default_shipping_address: String,
    /// When it was created.
    pub create_time: i64,
    /// When it last changed.
    pub update_time: i64,
    /// When it was deleted.
    pub delete_time: Option<i64>,
    /// Fields that a newer release added.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The summary that carts show of their customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// First and last name, or the company, or the e-mail address.
    pub display_name: String,
    /// Registered or guest.
    pub kind: Kind,
    /// The ids of the groups.
    pub groups: Vec<String>,
}

impl Customer {
    /// The name for people: first and last name, or the company, or the e-mail address.
    #[must_use]
    pub fn display_name(&self) -> String {
        let name = format!("{} {}", self.first_name, self.last_name);
        let name = name.trim();
        let candidates = [name, &self.company, &self.email, &self.number];
        candidates
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default()
            .to_owned()
    }

    /// The summary for carts.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            display_name: self.display_name(),
            kind: self.kind,
            groups: self.groups.clone(),
        }
    }

    /// Whether the customer is deleted.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.delete_time.is_some()
    }

    /// Whether a password may open the account.
    #[must_use]
    pub fn may_sign_in(&self) -> bool {
        !self.is_deleted() && self.kind == Kind::Registered && self.state == State::Active
    }

    /// Whole years between the birth date and `today`; None without a birth date.
    #[must_use]
    pub fn age(&self, today: jiff::civil::Date) -> Option<i32> {
        age(&self.birth_date, today)
    }
}

/// Whole years between a birth date and `today`. A person born on 29 February turns a year older on 1 March
/// of other years, as is usual.
#[must_use]
pub fn age(birth_date: &str, today: jiff::civil::Date) -> Option<i32> {
    let born: jiff::civil::Date = birth_date.parse().ok()?;
    let years = i32::from(today.year()) - i32::from(born.year());
    let birthday_to_come = (today.month(), today.day()) < (born.month(), born.day());
    Some((years - i32::from(birthday_to_come)).max(0))
}

/// A postal address of a customer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Address {
    /// The name without its first part: `{customer}/addresses/{id}`.
    #[serde(skip)]
    pub id: String,
    /// Increases by one with each change.
    #[serde(skip)]
    pub version: i64,
    /// For a new address of a customer who may have others: the uses for which it becomes the default.
    #[serde(skip)]
    pub wanted: Option<Defaults>,
    /// Its position among the customer's addresses.
    #[serde(skip)]
    pub position: i64,
    /// The name that the customer gave it.
    pub label: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Company.
    pub company: String,
    /// VAT identification number.
    pub vat_number: String,
    /// Tax or identity number.
    pub tax_id: String,
    /// Street and number.
    pub line1: String,
    /// Further line.
    pub line2: String,
    /// City.
    pub city: String,
    /// Postal code.
    pub postal_code: String,
    /// State, province or county.
    pub region: String,
    /// ISO 3166-1 alpha-2, or empty.
    pub country_code: String,
    /// Phone.
    pub phone: String,
    /// Mobile phone.
    pub mobile: String,
    /// A note for the carrier.
    pub note: String,
    /// When it was created.
    pub create_time: i64,
    /// When it last changed.
    pub update_time: i64,
    /// Fields that a newer release added.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Uses for which a customer has a default address.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// For bills.
    pub billing: bool,
    /// For deliveries.
    pub shipping: bool,
}

/// A form of address.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Title {
    /// The last segment of the name.
    #[serde(skip)]
    pub id: String,
    /// Increases by one with each change.
    #[serde(skip)]
    pub version: i64,
    /// The title by language; never empty.
    pub display_names: BTreeMap<String, String>,
    /// The gender that it expresses.
    pub gender: Gender,
    /// When it was created.
    pub create_time: i64,
    /// When it last changed.
    pub update_time: i64,
    /// Fields that a newer release added.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_counts_whole_years() {
        let today = jiff::civil::date(2026, 2, 28);
        for (born, years) in [
            ("2000-02-28", Some(26)),
            ("2000-02-29", Some(25)),
            ("2000-03-01", Some(25)),
            ("2026-02-28", Some(0)),
            ("2026-03-01", Some(0)),
            ("", None),
        ] {
            assert_eq!(age(born, today), years, "{born}");
        }
    }

    #[test]
    fn fields_of_a_newer_release_are_kept() {
        let stored = r#"{"first_name":"Ada","loyalty":{"tier":3}}"#;

        let customer: Customer = serde_json::from_str(stored).unwrap();

        assert_eq!(customer.first_name, "Ada");
        let again = serde_json::to_value(&customer).unwrap();
        assert_eq!(again["loyalty"]["tier"], serde_json::json!(3));
    }

    #[test]
    fn a_display_name_falls_back_to_what_there_is() {
        let mut customer = Customer {
            number: "7".to_owned(),
            ..Customer::default()
        };
        assert_eq!(customer.display_name(), "7");
        customer.email = "ada@example.test".to_owned();
        assert_eq!(customer.display_name(), "ada@example.test");
        customer.last_name = "Lovelace".to_owned();
        assert_eq!(customer.display_name(), "Lovelace");
    }

    #[test]
    fn only_active_registered_customers_that_are_not_deleted_sign_in() {
        let active = Customer::default();
        assert!(active.may_sign_in());
        let others = [
            Customer {
                state: State::Disabled,
                ..active.clone()
            },
            Customer {
                state: State::PendingApproval,
                ..active.clone()
            },
            Customer {
                state: State::Invited,
                ..active.clone()
            },
            Customer {
                kind: Kind::Guest,
                ..active.clone()
            },
            Customer {
                delete_time: Some(1),
                ..active.clone()
            },
        ];
        assert!(others.iter().all(|customer| !customer.may_sign_in()));
    }

    #[test]
    fn numbers_and_values_belong_together() {
        for number in -1..10 {
            assert!(State::of(number).is_none_or(|state| state.number() == number));
            assert_eq!(State::of(number).is_some(), (1..=4).contains(&number));
        }
    }
}
