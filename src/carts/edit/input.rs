//! What edits are asked for: lines and prices as a caller sends them, with the currencies they came in.

use serde_json::{Map, Value};

use crate::carts::model::Price;

/// A line as a caller adds it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLine {
    /// The product in the shop's catalogue.
    pub product: String,
    /// The variant.
    pub variant: String,
    /// What else makes the line a line of its own.
    pub attributes: Map<String, Value>,
    /// What people call it; empty leaves what an existing line has, as with the next two.
    pub display_name: String,
    /// Its picture.
    pub image_uri: String,
    /// The product's categories.
    pub category_ids: Vec<String>,
    /// What it costs.
    pub price: NewPrice,
    /// How many.
    pub quantity: i64,
}

/// A price with the currencies it was sent in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPrice {
    /// The price.
    pub price: Price,
    /// The currency of the list price.
    pub currency: String,
    /// The currency of a reduction by an amount.
    pub reduction_currency: Option<String>,
}

/// The new price of one product, or of one of its variants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductPrice {
    /// The product.
    pub product: String,
    /// The variant; none for all of them.
    pub variant: Option<String>,
    /// The price.
    pub price: NewPrice,
}

/// A price that staff gives a line by hand, as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverrideInput {
    /// The price of one piece.
    pub amount: i64,
    /// The currency of the amount.
    pub currency: String,
    /// The reason that staff gave.
    pub reason: String,
}
