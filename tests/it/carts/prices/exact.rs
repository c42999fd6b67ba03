//! Computes the price of a line independently from the text of the contract. It uses fractions of integers
//! and rounds only amounts that are shown. It uses no code of the product.

use std::cmp::Ordering;

use clientela::proto::pb::{DiscountReason, Item, ItemPrice, Money, reduction::Reduction};

/// A fraction that is not negative; the denominator is positive.
#[derive(Clone, Copy)]
struct Fraction(i128, i128);

impl Fraction {
    fn times(self, numerator: i128, denominator: i128) -> Self {
        Self(self.0 * numerator, self.1 * denominator)
    }

    /// Returns the nearest multiple of `unit`; ties go away from zero.
    fn to_multiple_of(self, unit: i128) -> i128 {
        let whole = self.1 * unit;
        let below = self.0 / whole;
        let rest = self.0 - below * whole;
        match (2 * rest).cmp(&whole) {
            Ordering::Less => below * unit,
            Ordering::Equal | Ordering::Greater => (below + 1) * unit,
        }
    }
}

/// The inputs of a price that are not part of the line.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The discount as the group states it.
    pub discount: &'static str,
    /// Whether the customer pays no tax.
    pub tax_exempt: bool,
    /// Micros of the currency's smallest unit.
    pub unit: i128,
}

/// The amounts that a line shows, in micros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    pub unit_price: i128,
    pub subtotal: i128,
    pub discount: i128,
    pub tax: i128,
    pub total: i128,
    pub reason: DiscountReason,
}

/// Parses a percentage as millionths: `12.5` is 125,000 of 1,000,000.
fn parts(percent: &str) -> (i128, i128) {
    let (whole, fraction) = percent.split_once('.').unwrap_or((percent, ""));
    let digits = format!("{whole}{fraction:0<4}");
    (digits.parse().expect("a decimal"), 1_000_000)
}

/// Computes the amounts that a line of this price and quantity must show. `by_hand` is the price that staff
/// set.
pub fn expected(price: &ItemPrice, quantity: i32, by_hand: Option<i64>, terms: Terms) -> Shown {
    let list = i128::from(
        price
            .list_price
            .as_ref()
            .expect("a line has a price")
            .micros,
    );
    let (tax, whole) = parts(&price.tax_rate);
    let mut piece = match (
        by_hand,
        price.reduction.as_ref().and_then(|r| r.reduction.as_ref()),
    ) {
        (Some(amount), _) => Fraction(amount.into(), 1),
        (None, None) => Fraction(list, 1),
        (None, Some(Reduction::Percent(percent))) => {
            let (off, whole) = parts(percent);
            Fraction(list, 1).times(whole - off, whole)
        }
        (None, Some(Reduction::Amount(amount))) => Fraction(list - i128::from(amount.micros), 1),
    };
    if price.price_includes_tax && terms.tax_exempt {
        piece = piece.times(whole, whole + tax);
    }
    let unit_price = piece.to_multiple_of(1);
    let subtotal = Fraction(unit_price * i128::from(quantity), 1).to_multiple_of(terms.unit);
    let (off, reason) = match (by_hand, parts(terms.discount), price.discountable) {
        (Some(_), ..) => ((0, 1), DiscountReason::PriceOverride),
        (None, (0, _), _) => ((0, 1), DiscountReason::Unspecified),
        (None, _, Some(false)) => ((0, 1), DiscountReason::NotDiscountable),
        (None, off, _) => (off, DiscountReason::Group),
    };
    let discount = Fraction(subtotal, 1)
        .times(off.0, off.1)
        .to_multiple_of(terms.unit);
    let rest = Fraction(subtotal - discount, 1);
    let (tax, total) = match (terms.tax_exempt, price.price_includes_tax) {
        (true, _) => (0, rest.0),
        (false, true) => (
            rest.times(tax, whole + tax).to_multiple_of(terms.unit),
            rest.0,
        ),
        (false, false) => {
            let tax = rest.times(tax, whole).to_multiple_of(terms.unit);
            (tax, rest.0 + tax)
        }
    };
    Shown {
        unit_price,
        subtotal,
        discount,
        tax,
        total,
        reason,
    }
}

/// Returns the amounts that a line shows.
pub fn shown(item: &Item) -> Shown {
    Shown {
        unit_price: micros(item.unit_price.as_ref()),
        subtotal: micros(item.subtotal.as_ref()),
        discount: micros(item.discount.as_ref()),
        tax: micros(item.tax.as_ref()),
        total: micros(item.total.as_ref()),
        reason: item.discount_reason(),
    }
}

/// Returns the micros of an amount that must be present.
pub fn micros(money: Option<&Money>) -> i128 {
    money.expect("the amount is shown").micros.into()
}
