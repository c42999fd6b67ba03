//! Edits of the lines of an open cart, and the causes that the feed sends for them.
//!
//! Pure: an edit changes the document in memory and notes its causes. If it is refused, the document is
//! dropped. Prices are calculated once, after the last edit.

mod cause;
mod identity;
mod input;
#[cfg(test)]
mod tests;

pub use cause::Cause;
pub use identity::item_id;
pub use input::{NewLine, NewPrice, OverrideInput, ProductPrice};

use serde_json::{Map, Value};
use tonic::Code;

use super::model::{Cart, Line, Price, PriceOverride};
use crate::error::{Error, Result};
use crate::limits::{CART_ITEMS_MAX, CAUSES_MAX, QUANTITY_MAX};
use crate::proto::pb::{ErrorReason, cart_cause::Kind};

/// A cart that is being edited.
#[derive(Debug)]
pub struct Edit<'a> {
    /// The cart.
    pub cart: &'a mut Cart,
    /// The time of the edit, in microseconds.
    pub now: i64,
    /// The person who edits.
    pub actor: &'a str,
    /// The causes so far.
    pub causes: Vec<Cause>,
}

impl<'a> Edit<'a> {
    /// Begins to edit.
    pub fn new(cart: &'a mut Cart, now: i64, actor: &'a str) -> Self {
        Self {
            cart,
            now,
            actor,
            causes: Vec::new(),
        }
    }

    /// Notes a cause, up to the limit.
    pub fn note(&mut self, cause: Cause) {
        if self.causes.len() < CAUSES_MAX {
            self.causes.push(cause);
        }
    }

    fn note_line(&mut self, kind: Kind, place: usize, before: i64) {
        let line = &self.cart.lines[place];
        self.note(Cause::of_line(kind, line, before, line.quantity));
    }

    /// Adds a line, or adds to the line with the same id. The new price replaces that line's price unless the
    /// cart is frozen. `at` is the path of the line in the request.
    ///
    /// # Errors
    /// If the currency differs, or the cart would have too many pieces or lines.
    pub fn add(&mut self, new: &NewLine, at: &str) -> Result<()> {
        self.check_price(&new.price, || format!("{at}.price"))?;
        let id = item_id(&new.product, &new.variant, &new.attributes);
        let Some(place) = self.place(&id) else {
            return self.add_line(id, new);
        };
        let line = &mut self.cart.lines[place];
        let before = line.quantity;
        let after = before + new.quantity;
        if after > QUANTITY_MAX {
            return Err(Error::invalid_field(
                format!("{at}.quantity"),
                "OUT_OF_RANGE",
                format!("the line has {before} already and takes at most {QUANTITY_MAX}"),
            ));
        }
        line.quantity = after;
        let repriced = self.cart.freeze.is_none() && line.price != new.price.price;
        if repriced {
            line.price.clone_from(&new.price.price);
        }
        for (old, new) in [
            (&mut line.display_name, &new.display_name),
            (&mut line.image_uri, &new.image_uri),
        ] {
            if !new.is_empty() {
                old.clone_from(new);
            }
        }
        if !new.category_ids.is_empty() {
            line.category_ids.clone_from(&new.category_ids);
        }
        self.note_line(Kind::ItemAdded, place, before);
        if repriced {
            self.note_line(Kind::ItemPriceChanged, place, after);
        }
        Ok(())
    }

    fn add_line(&mut self, id: String, new: &NewLine) -> Result<()> {
        if self.cart.lines.len() >= CART_ITEMS_MAX {
            return Err(Error::new(
                Code::FailedPrecondition,
                ErrorReason::CartTooLarge,
                format!("a cart takes at most {CART_ITEMS_MAX} lines"),
            )
            .with("limit", CART_ITEMS_MAX.to_string()));
        }
        self.cart.lines.push(Line {
            id,
            product: new.product.clone(),
            variant: new.variant.clone(),
            attributes: new.attributes.clone(),
            display_name: new.display_name.clone(),
            image_uri: new.image_uri.clone(),
            category_ids: new.category_ids.clone(),
            price: new.price.price.clone(),
            quantity: new.quantity,
            price_override: None,
            add_time: self.now,
            ..Line::default()
        });
        self.note_line(Kind::ItemAdded, self.cart.lines.len() - 1, 0);
        Ok(())
    }

    /// Sets the quantity of a line.
    ///
    /// # Errors
    /// If there is no such line.
    pub fn set_quantity(&mut self, item: &str, quantity: i64) -> Result<()> {
        let place = self.require(item)?;
        let before = std::mem::replace(&mut self.cart.lines[place].quantity, quantity);
        if before != quantity {
            self.note_line(Kind::ItemQuantityChanged, place, before);
        }
        Ok(())
    }

    /// Sets a price by hand on a line, or removes it.
    ///
    /// # Errors
    /// If there is no such line, or the currency differs.
    pub fn set_override(&mut self, item: &str, by_hand: Option<&OverrideInput>) -> Result<()> {
        let place = self.require(item)?;
        if let Some(by_hand) = by_hand {
            self.check_currency(&by_hand.currency, || {
                "price_override.amount.currency_code".to_owned()
            })?;
        }
        let price_override = by_hand.map(|by_hand| PriceOverride {
            amount: by_hand.amount,
            reason: by_hand.reason.clone(),
            actor: self.actor.to_owned(),
            time: self.now,
        });
        let line = &mut self.cart.lines[place];
        // The time of the override does not count for the comparison.
        let time = line
            .price_override
            .as_ref()
            .map_or(self.now, |old| old.time);
        let as_before = price_override
            .clone()
            .map(|new| PriceOverride { time, ..new });
        if line.price_override != as_before {
            line.price_override = price_override;
            let quantity = line.quantity;
            self.note_line(Kind::ItemPriceChanged, place, quantity);
        }
        Ok(())
    }

    /// Removes a line.
    ///
    /// # Errors
    /// If there is no such line.
    pub fn remove(&mut self, item: &str) -> Result<()> {
        let place = self.require(item)?;
        let line = self.cart.lines.remove(place);
        self.note(Cause::of_line(Kind::ItemRemoved, &line, line.quantity, 0));
        Ok(())
    }

    /// Replaces the prices of lines. Later entries win over earlier ones.
    ///
    /// # Errors
    /// If a price that applies to a line has another currency.
    pub fn set_prices(&mut self, prices: &[ProductPrice]) -> Result<()> {
        // The final price of each line, so that a price that is replaced at once is no change.
        let mut last: Vec<Option<&Price>> = vec![None; self.cart.lines.len()];
        for (at, new) in prices.iter().enumerate() {
            let fits = |line: &Line| {
                line.product == new.product
                    && new
                        .variant
                        .as_ref()
                        .is_none_or(|variant| *variant == line.variant)
            };
            if !self.cart.lines.iter().any(fits) {
                continue;
            }
            self.check_price(&new.price, || format!("prices[{at}].price"))?;
            for (line, last) in self.cart.lines.iter().zip(&mut last) {
                if fits(line) {
                    *last = Some(&new.price.price);
                }
            }
        }
        for (place, price) in last.into_iter().enumerate() {
            let line = &mut self.cart.lines[place];
            if let Some(price) = price.filter(|price| **price != line.price) {
                line.price = price.clone();
                let quantity = line.quantity;
                self.note_line(Kind::ItemPriceChanged, place, quantity);
            }
        }
        Ok(())
    }

    /// Removes all lines, charges and adjustments.
    pub fn clear(&mut self) {
        let cart = &mut *self.cart;
        if cart.lines.is_empty() && cart.charges.is_empty() && cart.adjustments.is_empty() {
            return;
        }
        cart.lines.clear();
        cart.charges.clear();
        cart.adjustments.clear();
        self.note(Cause::of_cart(Kind::Cleared));
    }

    /// Replaces the cart's attributes.
    pub fn set_attributes(&mut self, attributes: &Map<String, Value>) {
        if self.cart.attributes != *attributes {
            self.cart.attributes.clone_from(attributes);
            self.note(Cause::of_cart(Kind::Updated));
        }
    }

    fn place(&self, item: &str) -> Option<usize> {
        self.cart.lines.iter().position(|line| line.id == item)
    }

    fn require(&self, item: &str) -> Result<usize> {
        self.place(item).ok_or_else(|| Error::not_found("item"))
    }

    fn check_price(&self, new: &NewPrice, at: impl Fn() -> String) -> Result<()> {
        self.check_currency(&new.currency, || {
            format!("{}.list_price.currency_code", at())
        })?;
        if let Some(currency) = &new.reduction_currency {
            self.check_currency(currency, || {
                format!("{}.reduction.amount.currency_code", at())
            })?;
        }
        Ok(())
    }

    /// Refuses an amount of another currency. `at` is the path of the currency in the request.
    ///
    /// # Errors
    /// If the currency differs.
    pub fn check_currency(&self, currency: &str, at: impl FnOnce() -> String) -> Result<()> {
        if currency == self.cart.currency {
            return Ok(());
        }
        let at = at();
        Err(Error::new(
            Code::InvalidArgument,
            ErrorReason::CurrencyMismatch,
            format!("{at}: the cart's currency is {}", self.cart.currency),
        )
        .with("currency_code", self.cart.currency.clone())
        .with("field", at))
    }
}
