//! Messages of the contract to the model and back.
//!
//! The access layer has checked each field by its own rule; here is checked what needs the whole
//! message: what is required, and what fits together.

mod input;
mod output;
#[cfg(test)]
mod tests;

pub use input::{
    ExtraInput, address, adjustments, charges, new_line, price_override, product_prices, quantity,
};
pub use output::{cause, item_name, lease, message};

use crate::error::{Error, Result, Violation};

/// Places of a reduction's percentage and of a tax rate.
const REDUCTION_PLACES: u32 = 2;
const TAX_PLACES: u32 = 4;

/// Collects what is wrong with a request.
#[derive(Debug, Default)]
pub struct Faults(Vec<Violation>);

impl Faults {
    /// Notes a field that is required and absent.
    pub fn required(&mut self, field: impl Into<String>) {
        self.0
            .push(Violation::new(field, "REQUIRED", "is required"));
    }

    /// Notes a field that breaks its rule.
    pub fn invalid(&mut self, field: impl Into<String>, reason: &'static str, text: &str) {
        self.0.push(Violation::new(field, reason, text));
    }

    /// The value, unless something was noted.
    ///
    /// # Errors
    /// All that was noted.
    pub fn or<T>(self, value: T) -> Result<T> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(Error::invalid(self.0))
        }
    }
}
