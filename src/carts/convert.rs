//! Conversion between messages of the contract and the model.
//!
//! The access layer has checked each field by its own rule. Here are the rules that need the whole message:
//! required fields, and fields that must fit together.

mod input;
mod output;
#[cfg(test)]
mod tests;

pub use input::{
    ExtraInput, address, adjustments, charges, new_line, price_override, product_prices, quantity,
};
pub use output::{cause, item_name, lease, message};

use crate::error::{Error, Result, Violation};

/// Decimal places of a reduction's percentage and of a tax rate.
const REDUCTION_PLACES: u32 = 2;
const TAX_PLACES: u32 = 4;

/// Collects the faults of a request.
#[derive(Debug, Default)]
pub struct Faults(Vec<Violation>);

impl Faults {
    /// Notes a required field that is absent.
    pub fn required(&mut self, field: impl Into<String>) {
        self.0
            .push(Violation::new(field, "REQUIRED", "is required"));
    }

    /// Notes a field that breaks its rule.
    pub fn invalid(&mut self, field: impl Into<String>, reason: &'static str, text: &str) {
        self.0.push(Violation::new(field, reason, text));
    }

    /// Returns the value, unless a fault was noted.
    ///
    /// # Errors
    /// All noted faults.
    pub fn or<T>(self, value: T) -> Result<T> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(Error::invalid(self.0))
        }
    }
}
