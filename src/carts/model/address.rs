//! The stored form of an address in a cart.

use serde::{Deserialize, Serialize};

/// An address at the time when it was set on the cart. Later changes of the customer's own address do not
/// reach it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Address {
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
}
