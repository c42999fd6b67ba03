//! The lines of a cart: what they bring to be priced by, and what they cost.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One line.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Line {
    /// Follows from product, variant and attributes.
    pub id: String,
    /// The product in the shop's catalogue.
    pub product: String,
    /// The variant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// What else makes the line a line of its own.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// What people call it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// Its picture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_uri: String,
    /// The product's categories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub category_ids: Vec<String>,
    /// What it brings to be priced by.
    pub price: Price,
    /// How many.
    pub quantity: i64,
    /// The price that staff gave by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_override: Option<PriceOverride>,
    /// What it costs.
    pub amounts: Amounts,
    /// When it was first added.
    pub add_time: i64,
}

/// What a line brings to be priced by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Price {
    /// The price of one piece.
    pub list: i64,
    /// Whether `list` and the reduction include tax.
    pub includes_tax: bool,
    /// The tax in ten-thousandths of a percent.
    pub tax_rate: i64,
    /// The product's own reduction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduction: Option<Reduction>,
    /// Whether the group's discount applies.
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
    /// Off each piece.
    Amount(i64),
}

/// A price that staff gave a line by hand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PriceOverride {
    /// The price of one piece.
    pub amount: i64,
    /// Why.
    pub reason: String,
    /// Who did it.
    pub actor: String,
    /// When.
    pub time: i64,
}

/// What a line costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Amounts {
    /// One piece, before the group's discount.
    pub unit_price: i64,
    /// All pieces, before the group's discount.
    pub subtotal: i64,
    /// The group's discount.
    pub discount: i64,
    /// The tax in `total`.
    pub tax: i64,
    /// What the line costs in the end, with tax.
    pub total: i64,
    /// Where the discount comes from.
    pub reason: DiscountReason,
}

/// Where a line's discount comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscountReason {
    /// There is none.
    #[default]
    None,
    /// The group's percentage.
    Group,
    /// The group has one, but not for this line.
    NotDiscountable,
    /// Staff gave the price by hand.
    PriceOverride,
}
