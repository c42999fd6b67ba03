//! The lines of a cart: their own prices, and the calculated amounts.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Line {
    /// Derives from product, variant and attributes.
    pub id: String,
    /// The product in the shop's catalogue.
    pub product: String,
    /// The variant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// The attributes that distinguish it from other lines of the product.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// The name for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// The URI of its picture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_uri: String,
    /// The product's categories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub category_ids: Vec<String>,
    /// The price as the storefront sent it.
    pub price: Price,
    /// The number of pieces.
    pub quantity: i64,
    /// The price that staff set by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_override: Option<PriceOverride>,
    /// The calculated amounts.
    pub amounts: Amounts,
    /// When it was first added.
    pub add_time: i64,
}

/// The price of a line as the storefront sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Price {
    /// The price of one piece, in micros.
    pub list: i64,
    /// Whether `list` and the reduction include tax.
    pub includes_tax: bool,
    /// The tax in ten-thousandths of a percent.
    pub tax_rate: i64,
    /// The product's own reduction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduction: Option<Reduction>,
    /// Whether the group's discount applies to it.
    pub discountable: bool,
}

impl Default for Price {
    fn default() -> Self {
        Self {
            list: 0,
            includes_tax: false,
            tax_rate: 0,
            reduction: None,
            discountable: true,
        }
    }
}

/// A product's own reduction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Hundredths of a percent of the list price.
    Percent(i64),
    /// Micros off each piece.
    Amount(i64),
}

/// A price that staff set on a line by hand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PriceOverride {
    /// The price of one piece, in micros.
    pub amount: i64,
    /// The reason that staff gave.
    pub reason: String,
    /// The person who set it.
    pub actor: String,
    /// When it was set.
    pub time: i64,
}

/// The calculated amounts of a line, in micros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Amounts {
    /// The price of one piece, before the group's discount.
    pub unit_price: i64,
    /// The price of all pieces, before the group's discount.
    pub subtotal: i64,
    /// The group's discount.
    pub discount: i64,
    /// The tax in `total`.
    pub tax: i64,
    /// The final price of the line, with tax.
    pub total: i64,
    /// The source of the discount.
    pub reason: DiscountReason,
}

/// The source of a line's discount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscountReason {
    /// There is none.
    #[default]
    None,
    /// The group's percentage.
    Group,
    /// The group has a percentage, but not for this line.
    NotDiscountable,
    /// Staff set the price by hand.
    PriceOverride,
}
