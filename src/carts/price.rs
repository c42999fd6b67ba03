//! The prices of a cart: pure integer arithmetic. Amounts are rounded only where stated.
//!
//! The price of one piece is rounded once, to the micro. Each further amount of a line is rounded to the
//! currency's smallest unit, half away from zero. It derives from the amounts shown beside it, so that
//! everyone can recalculate it: `subtotal = unit price × quantity`, `discount = subtotal × percent`, and the
//! tax on (or within) the rest. Totals are sums of the shown amounts of the lines.
//!
//! Invariant: a cart that passed [`check`] can be priced with any discount and any exemption without an
//! overflow. So a change of a group never meets a cart that it cannot price.

#[cfg(test)]
mod tests;

use super::model::{Amounts, Basis, Cart, DiscountReason, Line, Reduction, Totals};
use crate::format::currency_places;
use crate::limits::MICROS_MAX;

/// A whole in hundredths of a percent, the unit of discounts and reductions.
const WHOLE_DISCOUNT: i128 = 10_000;
/// A whole in ten-thousandths of a percent, the unit of taxes.
const WHOLE_TAX: i128 = 1_000_000;

/// An amount would exceed the range that all clients can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// Calculates the amounts of the lines and the cart with this basis.
///
/// # Errors
/// If an amount could exceed the range. The cart is then partly priced and must be dropped.
pub fn price(cart: &mut Cart, basis: Basis) -> Result<(), TooLarge> {
    let unit = smallest_unit(&cart.currency);
    let mut sums = Sums::default();
    for line in &mut cart.lines {
        line.amounts = amounts(line, &basis, unit)?;
        sums.add(&line.amounts);
    }
    cart.totals = sums.totals(cart)?;
    cart.basis = basis;
    check(cart, unit)
}

/// Refuses a cart that some basis would take out of the range. The most expensive basis is that of a customer
/// without a discount who pays tax.
fn check(cart: &Cart, unit: i128) -> Result<(), TooLarge> {
    if cart.basis.discount_hundredths == 0 && !cart.basis.tax_exempt {
        return Ok(());
    }
    let dearest = Basis::default();
    let mut sums = Sums::default();
    for line in &cart.lines {
        sums.add(&amounts(line, &dearest, unit)?);
    }
    sums.totals(cart).map(drop)
}

/// The price of one piece of a line, after its own reduction or by hand. For an exempt customer it is without
/// the tax that the price includes.
fn piece(line: &Line, basis: &Basis) -> i128 {
    let price = &line.price;
    let list = i128::from(price.list);
    let (mut dividend, mut divisor) = match (&line.price_override, price.reduction) {
        (Some(by_hand), _) => (i128::from(by_hand.amount), 1),
        (None, None) => (list, 1),
        (None, Some(Reduction::Percent(hundredths))) => (
            list * (WHOLE_DISCOUNT - i128::from(hundredths)),
            WHOLE_DISCOUNT,
        ),
        (None, Some(Reduction::Amount(amount))) => ((list - i128::from(amount)).max(0), 1),
    };
    if price.includes_tax && basis.tax_exempt {
        dividend *= WHOLE_TAX;
        divisor *= WHOLE_TAX + i128::from(price.tax_rate);
    }
    divide(dividend, divisor)
}

fn amounts(line: &Line, basis: &Basis, unit: i128) -> Result<Amounts, TooLarge> {
    let rate = i128::from(line.price.tax_rate);
    let with_tax = line.price.includes_tax && !basis.tax_exempt;
    let piece = piece(line, basis);
    let (percent, reason) = discount(line, basis);

    let subtotal = round(piece * i128::from(line.quantity), unit);
    let discount = fraction(subtotal, i128::from(percent), WHOLE_DISCOUNT, unit);
    let remaining = subtotal - discount;
    let (tax, total) = if with_tax {
        (fraction(remaining, rate, WHOLE_TAX + rate, unit), remaining)
    } else if basis.tax_exempt {
        (0, remaining)
    } else {
        let tax = fraction(remaining, rate, WHOLE_TAX, unit);
        (tax, remaining + tax)
    };
    Ok(Amounts {
        unit_price: narrow(piece)?,
        subtotal: narrow(subtotal)?,
        discount: narrow(discount)?,
        tax: narrow(tax)?,
        total: narrow(total)?,
        reason,
    })
}

/// The percentage of a line, in hundredths, and the reason.
fn discount(line: &Line, basis: &Basis) -> (i64, DiscountReason) {
    if line.price_override.is_some() {
        (0, DiscountReason::PriceOverride)
    } else if basis.discount_hundredths == 0 {
        (0, DiscountReason::None)
    } else if line.price.discountable {
        (basis.discount_hundredths, DiscountReason::Group)
    } else {
        (0, DiscountReason::NotDiscountable)
    }
}

#[derive(Default)]
struct Sums {
    subtotal: i128,
    discount: i128,
    tax: i128,
    total: i128,
}

impl Sums {
    fn add(&mut self, line: &Amounts) {
        self.subtotal += i128::from(line.subtotal);
        self.discount += i128::from(line.discount);
        self.tax += i128::from(line.tax);
        self.total += i128::from(line.total);
    }

    fn totals(&self, cart: &Cart) -> Result<Totals, TooLarge> {
        let charges: i128 = cart
            .charges
            .iter()
            .map(|extra| i128::from(extra.amount))
            .sum();
        let (mut up, mut down) = (0, 0);
        for adjustment in &cart.adjustments {
            let amount = i128::from(adjustment.amount);
            *(if amount < 0 { &mut down } else { &mut up }) += amount;
        }
        // Without the deductions, so that a cheaper basis never needs more room than this one.
        narrow(self.total + charges + up)?;
        Ok(Totals {
            subtotal: narrow(self.subtotal)?,
            discount: narrow(self.discount)?,
            tax: narrow(self.tax)?,
            charges: narrow(charges)?,
            total: narrow((self.total + charges + up + down).max(0))?,
        })
    }
}

/// Micros of the smallest unit of a currency. A currency that is no longer known has two decimal places.
fn smallest_unit(currency: &str) -> i128 {
    10_i128.pow(6 - currency_places(currency).unwrap_or(2))
}

/// `amount × numerator ÷ denominator`, rounded to `unit`.
fn fraction(amount: i128, numerator: i128, denominator: i128, unit: i128) -> i128 {
    divide(amount * numerator, denominator * unit) * unit
}

/// The nearest multiple of `unit`.
fn round(amount: i128, unit: i128) -> i128 {
    divide(amount, unit) * unit
}

/// The nearest whole number; of two, the one further from zero. The divisor is positive.
fn divide(dividend: i128, divisor: i128) -> i128 {
    let half = divisor / 2;
    let away = if dividend < 0 {
        dividend - half
    } else {
        dividend + half
    };
    // An odd divisor has no exact half: its rounded-down half never reaches the next number early.
    away / divisor
}

fn narrow(amount: i128) -> Result<i64, TooLarge> {
    i64::try_from(amount)
        .ok()
        .filter(|amount| amount.abs() <= MICROS_MAX)
        .ok_or(TooLarge)
}
