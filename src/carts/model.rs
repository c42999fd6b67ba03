//! A cart as it is stored: one document with its lines.
//!
//! Amounts are micros of the cart's one currency. Nothing here is checked again after it was read from
//! a request; what a line costs is filled in by [`price`](super::price).

mod address;
mod line;
mod outcome;

pub use address::Address;
pub use line::{Amounts, DiscountReason, Line, Price, PriceOverride, Reduction};
pub use outcome::{ExtraOutcome, ExtraReason, LineOutcome, LineReason, OutcomeKind, Outcomes};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::customers::Summary;

/// The first part of a cart's name.
pub const COLLECTION: &str = "carts";

/// The full name of a cart.
pub fn name(id: &str) -> String {
    format!("{COLLECTION}/{id}")
}

/// A cart with everything in it. The id and the version are columns of its row.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cart {
    /// The id in the shop.
    #[serde(skip)]
    pub id: String,
    /// Grows by one with every change.
    #[serde(skip)]
    pub version: i64,
    /// Human-readable number, for example for support calls.
    pub number: String,
    /// Whose it is.
    pub owner: Owner,
    /// Which of the owner's carts.
    pub slot: String,
    /// Where it was opened.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub storefront: String,
    /// The currency of every amount.
    pub currency: String,
    /// Where in its life it is.
    pub state: State,
    /// Who the customer was when the cart last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<Summary>,
    /// The lines, in the order in which they were first added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
    /// What is paid beside the lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<Extra>,
    /// What is added to or taken off the total.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adjustments: Vec<Extra>,
    /// The shopper's language.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub language_code: String,
    /// Where to deliver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_address: Option<Address>,
    /// Where to send the bill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Address>,
    /// As the storefront calls it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub shipping_method: String,
    /// What the shopper wants to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The shop's own fields.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// What it was ordered as.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub order_reference: String,
    /// What the lines were priced with.
    pub basis: Basis,
    /// What it costs.
    pub totals: Totals,
    /// When it was opened.
    pub create_time: i64,
    /// When it last changed.
    pub update_time: i64,
    /// When it was ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_time: Option<i64>,
    /// What the owner calls it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// What of it is held.
    #[serde(skip_serializing_if = "Freeze::is_none")]
    pub freeze: Freeze,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze_time: Option<i64>,
    /// Who of the staff holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// Until when, unless renewed; a column of its own, as heartbeats make no version.
    #[serde(skip)]
    pub lock_expire_time: Option<i64>,
    /// The id of the cart that it was merged into.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub merged_into: String,
    /// What became of all it had, so that the same merge answers the same again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<Outcomes>,
    /// When somebody last changed it; 0 in documents of before it was kept.
    pub activity_time: i64,
    /// Whether it was left alone, and come back to.
    #[serde(skip_serializing_if = "Abandonment::is_none")]
    pub abandonment: Abandonment,
    /// When it counted as abandoned, the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abandon_time: Option<i64>,
    /// When it was come back to, the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recover_time: Option<i64>,
    /// What a newer release added.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Whose a cart is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// A customer, by id.
    Customer(String),
    /// A visitor, by the keyed digest of the token, which is also what a visitor is called.
    Visitor(String),
}

impl Default for Owner {
    fn default() -> Self {
        Self::Visitor(String::new())
    }
}

impl Owner {
    /// The owner as the column and the locks know it.
    pub fn key(&self) -> String {
        match self {
            Self::Customer(id) => format!("customer:{id}"),
            Self::Visitor(digest) => format!("visitor:{digest}"),
        }
    }

    /// What the visitor is called, if it is one.
    pub fn visitor(&self) -> Option<&str> {
        match self {
            Self::Customer(_) => None,
            Self::Visitor(digest) => Some(digest),
        }
    }

    /// The customer's id, if it is one.
    pub fn customer(&self) -> Option<&str> {
        match self {
            Self::Customer(id) => Some(id),
            Self::Visitor(_) => None,
        }
    }
}

/// Where in its life a cart is; the numbers are those of the contract and of the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is being filled.
    #[default]
    Open = 1,
    /// It was ordered.
    Ordered = 2,
    /// It went into another.
    Merged = 3,
}

/// The slot of what is saved for later: a cart there is not meant to be ordered.
const SAVED_SLOT: &str = "saved";

/// Whether a slot is for what is saved for later: `saved`, and those beside it, as `saved-2`. The
/// statements of carts say the same as SQL.
pub fn is_for_saved(slot: &str) -> bool {
    let rest = slot.strip_prefix(SAVED_SLOT);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// What of a cart is held; the numbers are those of the contract and of the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freeze {
    /// Nothing.
    #[default]
    None = 0,
    /// Prices and discounts.
    Soft = 1,
    /// Everything.
    Hard = 2,
}

impl Freeze {
    /// Whether nothing is held.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// A member of staff's hold on a cart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Lock {
    /// The acting person; empty if the key names none.
    pub holder: String,
    /// The id of the key.
    pub key_id: String,
    /// What for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub purpose: String,
    /// Since when.
    pub acquire_time: i64,
}

/// Whether a cart was left alone; the numbers are those of the contract and of the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Abandonment {
    /// It was not.
    #[default]
    None = 0,
    /// Nobody has changed it for long.
    Abandoned = 1,
    /// It was abandoned, and come back to.
    Recovered = 2,
}

impl Abandonment {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// What the lines of a cart are priced with, beside what they bring.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Basis {
    /// The group whose discount applies.
    pub group: String,
    /// The revision of its privileges.
    pub revision: i64,
    /// The discount in hundredths of a percent.
    pub discount_hundredths: i64,
    /// Whether the customer pays no tax.
    #[serde(skip_serializing_if = "is_false")]
    pub tax_exempt: bool,
}

/// A charge or an adjustment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Extra {
    /// What sort.
    pub kind: String,
    /// What people read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// How much.
    pub amount: i64,
}

/// What a cart costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// The sum of the lines' subtotals.
    pub subtotal: i64,
    /// The sum of the lines' discounts.
    pub discount: i64,
    /// The sum of the lines' taxes.
    pub tax: i64,
    /// The sum of the charges.
    pub charges: i64,
    /// What is to be paid.
    pub total: i64,
}

impl Cart {
    /// The sum of the quantities.
    pub fn item_count(&self) -> i64 {
        self.lines.iter().map(|line| line.quantity).sum()
    }

    /// Whether a member of staff holds it at `now`.
    pub fn is_locked(&self, now: i64) -> bool {
        self.lock.is_some() && self.lock_expire_time.is_some_and(|end| end > now)
    }

    /// Whether it is being filled.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether it is what its owner saved for later.
    pub fn is_saved(&self) -> bool {
        is_for_saved(&self.slot)
    }

    /// Whether somebody holds it by a lease that is over at `now`.
    pub fn lease_ran_out(&self, now: i64) -> bool {
        self.lock.is_some() && self.lock_expire_time.is_none_or(|end| end <= now)
    }

    /// The full name.
    pub fn name(&self) -> String {
        name(&self.id)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_release_added_is_kept() {
        let stored = r#"{"number":"7","owner":{"customer":"ada"},"gift_wrap":{"paper":"red"}}"#;

        let cart: Cart = serde_json::from_str(stored).unwrap();

        assert_eq!(cart.owner.customer(), Some("ada"));
        let again = serde_json::to_value(&cart).unwrap();
        assert_eq!(again["gift_wrap"], serde_json::json!({"paper": "red"}));
    }

    #[test]
    fn the_slots_beside_that_for_later_are_for_later_too() {
        for slot in ["saved", "saved-2", "saved-", "saved-for-june"] {
            assert!(is_for_saved(slot), "{slot}");
        }
        for slot in ["main", "saved2", "savedbox-2", "not-saved", "save", ""] {
            assert!(!is_for_saved(slot), "{slot}");
        }
    }

    #[test]
    fn owners_of_either_sort_never_share_a_key() {
        let customer = Owner::Customer("x".to_owned());
        let visitor = Owner::Visitor("x".to_owned());

        assert_ne!(customer.key(), visitor.key());
    }
}
