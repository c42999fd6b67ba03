//! The input of edits: lines and prices as a caller sends them, with their currencies.

use serde_json::{Map, Value};

use crate::carts::model::Price;

/// A line that a caller adds.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLine {
    /// The product in the shop's catalogue.
    pub product: String,
    /// The variant.
    pub variant: String,
    /// The attributes that distinguish it from other lines of the product.
    pub attributes: Map<String, Value>,
    /// The name for people. If empty, an existing line keeps its own; so it is with the next two fields.
    pub display_name: String,
    /// The URI of its picture.
    pub image_uri: String,
    /// The product's categories.
    pub category_ids: Vec<String>,
    pub price: NewPrice,
    pub quantity: i64,
}

/// A price with the currencies in which it was sent.
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
    /// The variant; None for all variants.
    pub variant: Option<String>,
    /// The price.
    pub price: NewPrice,
}

/// A price that staff sets on a line by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverrideInput {
    /// The price of one piece, in micros.
    pub amount: i64,
    /// The currency of the amount.
    pub currency: String,
    /// The reason that staff gave.
    pub reason: String,
}
