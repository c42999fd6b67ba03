//! The stored form of a cart: one document with its lines.
//!
//! Amounts are micros of the cart's one currency. Values that were read from a request are not checked again.
//! [`price`](super::price) fills in the calculated amounts.

mod address;
mod line;
mod outcome;

pub use address::Address;
pub use line::{Amounts, DiscountReason, Line, Price, PriceOverride, Reduction};
pub use outcome::{ExtraOutcome, ExtraReason, LineOutcome, LineReason, OutcomeKind, Outcomes};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::customers::Summary;

/// The first segment of a cart's name.
pub const COLLECTION: &str = "carts";

/// The full name of a cart.
pub fn name(id: &str) -> String {
    format!("{COLLECTION}/{id}")
}

/// A whole cart. The id and the version are columns of its row.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cart {
    /// The id in the shop.
    #[serde(skip)]
    pub id: String,
    /// Increases by one with every change.
    #[serde(skip)]
    pub version: i64,
    /// Human-readable number, for example for support calls.
    pub number: String,
    pub owner: Owner,
    /// The slot in which the owner has it, for example `main`.
    pub slot: String,
    /// The storefront where it was opened.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub storefront: String,
    /// The currency of every amount.
    pub currency: String,
    pub state: State,
    /// The customer at the last change of the cart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<Summary>,
    /// The lines, in the order in which they were first added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
    /// Amounts that are paid beside the lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<Extra>,
    /// Amounts that are added to or subtracted from the total.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adjustments: Vec<Extra>,
    /// The shopper's language.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub language_code: String,
    /// The address of delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_address: Option<Address>,
    /// The address of the invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Address>,
    /// The name that the storefront uses.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub shipping_method: String,
    /// A note of the shopper.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The shop's own fields.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// The reference of its order.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub order_reference: String,
    /// The terms with which the lines were priced.
    pub basis: Basis,
    pub totals: Totals,
    /// When it was opened.
    pub create_time: i64,
    /// When it last changed.
    pub update_time: i64,
    /// When it was ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_time: Option<i64>,
    /// The name that the owner gave it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// The part of it that is frozen.
    #[serde(skip_serializing_if = "Freeze::is_none")]
    pub freeze: Freeze,
    /// Since when it is frozen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze_time: Option<i64>,
    /// The hold of a member of staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// When the hold expires unless it is renewed. It is a column of its own, because heartbeats make no
    /// version.
    #[serde(skip)]
    pub lock_expire_time: Option<i64>,
    /// The id of the cart into which it was merged.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub merged_into: String,
    /// The outcomes of its merge, so that a repeated merge has the same answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<Outcomes>,
    /// When somebody last changed it; 0 in documents that are older than this field.
    pub activity_time: i64,
    /// Whether it was abandoned or recovered.
    #[serde(skip_serializing_if = "Abandonment::is_none")]
    pub abandonment: Abandonment,
    /// When it was last marked as abandoned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abandon_time: Option<i64>,
    /// When it was last recovered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recover_time: Option<i64>,
    /// Fields that a newer release added.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The owner of a cart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// A customer, by id.
    Customer(String),
    /// A visitor, by the keyed digest of the token, which is also the visitor's id.
    Visitor(String),
}

impl Default for Owner {
    fn default() -> Self {
        Self::Visitor(String::new())
    }
}

impl Owner {
    /// The owner in the form of the column and the locks.
    pub fn key(&self) -> String {
        match self {
            Self::Customer(id) => format!("customer:{id}"),
            Self::Visitor(digest) => format!("visitor:{digest}"),
        }
    }

    /// The visitor's id, if it is a visitor.
    pub fn visitor(&self) -> Option<&str> {
        match self {
            Self::Customer(_) => None,
            Self::Visitor(digest) => Some(digest),
        }
    }

    /// The customer's id, if it is a customer.
    pub fn customer(&self) -> Option<&str> {
        match self {
            Self::Customer(id) => Some(id),
            Self::Visitor(_) => None,
        }
    }
}

/// The state of a cart. The numbers are those of the contract and of the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It can be changed.
    #[default]
    Open = 1,
    /// It was ordered.
    Ordered = 2,
    /// It was merged into another cart.
    Merged = 3,
}

/// The slot for items that are saved for later. Its carts are not meant to be ordered.
const SAVED_SLOT: &str = "saved";

/// Whether a slot is for items saved for later: `saved`, and its siblings such as `saved-2`. The statements
/// of carts repeat this rule in SQL.
pub fn is_for_saved(slot: &str) -> bool {
    let rest = slot.strip_prefix(SAVED_SLOT);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The frozen part of a cart. The numbers are those of the contract and of the column.
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

/// The hold of a member of staff on a cart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Lock {
    /// The acting person; empty if the key names none.
    pub holder: String,
    /// The id of the key.
    pub key_id: String,
    /// The purpose that the person gave.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub purpose: String,
    /// When the hold began.
    pub acquire_time: i64,
}

/// Whether a cart is abandoned. The numbers are those of the contract and of the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Abandonment {
    /// It is not, and was not.
    #[default]
    None = 0,
    /// Nobody has changed it for long.
    Abandoned = 1,
    /// It was abandoned, and somebody came back to it.
    Recovered = 2,
}

impl Abandonment {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// The terms with which the lines of a cart are priced, beside their own prices.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Basis {
    /// The group whose discount applies.
    pub group: String,
    /// The revision of the group's privileges.
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
    /// The kind, as the shop names it.
    pub kind: String,
    /// The label for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// The amount in micros.
    pub amount: i64,
}

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
    /// The amount to pay.
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

    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether its slot is for items saved for later.
    pub fn is_saved(&self) -> bool {
        is_for_saved(&self.slot)
    }

    /// Whether somebody holds it with a lease that has expired at `now`.
    pub fn lease_ran_out(&self, now: i64) -> bool {
        self.lock.is_some() && self.lock_expire_time.is_none_or(|end| end <= now)
    }

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
    fn fields_of_a_newer_release_are_kept() {
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
