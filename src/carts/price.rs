//! What a cart costs: pure arithmetic over integers, with nothing rounded but where it says so.
//!
//! The price of one piece is rounded once, to the micro; each further amount of a line is rounded to
//! the currency's smallest unit, half away from zero, and follows from the amounts shown beside it, so
//! that everyone can work it out again: `subtotal = unit price × quantity`,
//! `discount = subtotal × percent`, and the tax on (or within) what remains. Totals are sums of what
//! the lines show.
//!
//! Invariant: what [`check`] let pass can be priced with any discount and any exemption without an
//! overflow, so that a change of a group never meets a cart that it cannot price.

use super::model::{Amounts, Basis, Cart, DiscountReason, Line, Reduction, Totals};
use crate::access::format::currency_places;
use crate::limits::MICROS_MAX;

/// A whole in hundredths of a percent, as discounts and reductions are counted.
const WHOLE_DISCOUNT: i128 = 10_000;
/// A whole in ten-thousandths of a percent, as taxes are counted.
const WHOLE_TAX: i128 = 1_000_000;

/// An amount would leave the range that all clients can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// Fills in what the lines and the cart cost with this basis.
///
/// # Errors
/// If the cart could leave the range of amounts; it is then priced in part and must be dropped.
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

/// Refuses a cart that some basis would take out of the range: the dearest is that of a customer
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

/// What one piece of a line costs: after its own reduction or by hand, and for who pays no tax without
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

/// The percentage that a line gets, in hundredths, and why.
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
        // Without what is taken off, so that a cheaper basis never needs more room than this one.
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

/// Micros of the smallest unit of a currency. A currency that is not known any more has two places.
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

/// The nearest whole number, of two the one further from zero. The divisor is positive.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::model::{Extra, Price, PriceOverride};
    use super::*;

    const EURO: i64 = 1_000_000;

    fn line(list: i64, quantity: i64) -> Line {
        let price = Price {
            list,
            tax_rate: 200_000,
            includes_tax: true,
            ..Price::default()
        };
        Line {
            price,
            quantity,
            ..Line::default()
        }
    }

    fn cart(currency: &str, lines: Vec<Line>) -> Cart {
        Cart {
            currency: currency.to_owned(),
            lines,
            ..Cart::default()
        }
    }

    fn discount(hundredths: i64) -> Basis {
        Basis {
            discount_hundredths: hundredths,
            ..Basis::default()
        }
    }

    fn priced(mut cart: Cart, basis: Basis) -> Cart {
        price(&mut cart, basis).unwrap();
        cart
    }

    fn shown(cart: &Cart) -> (i64, i64, i64, i64) {
        let Totals {
            subtotal,
            discount,
            tax,
            total,
            ..
        } = cart.totals;
        (subtotal, discount, tax, total)
    }

    #[test]
    fn tax_that_is_included_is_found_within_the_price() {
        let cart = priced(cart("EUR", vec![line(12 * EURO, 3)]), Basis::default());

        assert_eq!(shown(&cart), (36 * EURO, 0, 6 * EURO, 36 * EURO));
    }

    #[test]
    fn tax_that_is_not_included_comes_on_top() {
        let mut line = line(10 * EURO, 3);
        line.price.includes_tax = false;

        let cart = priced(cart("EUR", vec![line]), Basis::default());

        assert_eq!(shown(&cart), (30 * EURO, 0, 6 * EURO, 36 * EURO));
    }

    #[test]
    fn a_customer_who_is_exempt_pays_neither_sort_of_tax() {
        let mut on_top = line(10 * EURO, 1);
        on_top.price.includes_tax = false;
        let basis = Basis {
            tax_exempt: true,
            ..Basis::default()
        };

        let cart = priced(cart("EUR", vec![line(12 * EURO, 1), on_top]), basis);

        assert_eq!(shown(&cart), (20 * EURO, 0, 0, 20 * EURO));
        assert_eq!(cart.lines[0].amounts.unit_price, 10 * EURO);
    }

    #[test]
    fn six_decimals_are_rounded_once_a_line() {
        let mut line = line(13_445_378, 3);
        line.price.includes_tax = false;
        line.price.tax_rate = 190_000;

        let cart = priced(cart("EUR", vec![line]), Basis::default());

        assert_eq!(shown(&cart), (40_340_000, 0, 7_660_000, 48 * EURO));
        assert_eq!(cart.lines[0].amounts.unit_price, 13_445_378);
    }

    #[test]
    fn the_price_of_a_piece_is_rounded_once_to_the_micro() {
        let mut half = line(1_000_001, 1);
        half.price.reduction = Some(Reduction::Percent(5_000));
        let mut exempt = line(5, 1);
        exempt.price.reduction = Some(Reduction::Percent(5_000));
        let basis = Basis {
            tax_exempt: true,
            ..Basis::default()
        };

        let half = priced(cart("EUR", vec![half]), Basis::default());
        let exempt = priced(cart("EUR", vec![exempt]), basis);

        assert_eq!(half.lines[0].amounts.unit_price, 500_001);
        // 2.5 ÷ 1.2 is 2.08; rounded in between it would be 3 ÷ 1.2, which is 2.5.
        assert_eq!(exempt.lines[0].amounts.unit_price, 2);
    }

    #[test]
    fn halves_go_away_from_zero_in_every_currency() {
        let cases = [
            ("EUR", 5_000, 10_000),
            ("EUR", 4_999, 0),
            ("JPY", 500_000, 1_000_000),
            ("JPY", 499_999, 0),
            ("KWD", 500, 1_000),
            ("KWD", 499, 0),
            ("CLF", 50, 100),
        ];

        for (currency, list, subtotal) in cases {
            let cart = priced(cart(currency, vec![line(list, 1)]), Basis::default());
            assert_eq!(
                cart.totals.subtotal, subtotal,
                "{list} micros of {currency}"
            );
        }
        assert_eq!(
            (divide(-5, 2), divide(5, 2), divide(-4, 3), divide(5, 3)),
            (-3, 3, -1, 2)
        );
    }

    #[test]
    fn the_group_s_discount_follows_the_product_s_own_reduction() {
        let mut reduced = line(100 * EURO, 2);
        reduced.price.reduction = Some(Reduction::Percent(2_000));
        let mut by_amount = line(100 * EURO, 1);
        by_amount.price.reduction = Some(Reduction::Amount(20 * EURO));

        let cart = priced(cart("EUR", vec![reduced, by_amount]), discount(1_250));

        let [first, second] = [cart.lines[0].amounts, cart.lines[1].amounts];
        assert_eq!((first.unit_price, first.subtotal), (80 * EURO, 160 * EURO));
        assert_eq!((first.discount, first.total), (20 * EURO, 140 * EURO));
        assert_eq!((second.unit_price, second.discount), (80 * EURO, 10 * EURO));
        assert_eq!(first.reason, DiscountReason::Group);
    }

    #[test]
    fn lines_that_are_not_discountable_keep_their_price() {
        let mut line = line(10 * EURO, 1);
        line.price.discountable = false;

        let cart = priced(cart("EUR", vec![line]), discount(5_000));

        assert_eq!(cart.totals.discount, 0);
        assert_eq!(
            cart.lines[0].amounts.reason,
            DiscountReason::NotDiscountable
        );
    }

    #[test]
    fn a_price_given_by_hand_replaces_reduction_and_discount() {
        let mut line = line(100 * EURO, 2);
        line.price.reduction = Some(Reduction::Percent(5_000));
        line.price_override = Some(PriceOverride {
            amount: 60 * EURO,
            ..PriceOverride::default()
        });

        let cart = priced(cart("EUR", vec![line]), discount(1_000));

        assert_eq!(shown(&cart), (120 * EURO, 0, 20 * EURO, 120 * EURO));
        assert_eq!(cart.lines[0].amounts.reason, DiscountReason::PriceOverride);
    }

    #[test]
    fn charges_and_adjustments_move_the_total_and_never_below_nothing() {
        let extra = |amount| Extra {
            kind: "x".to_owned(),
            amount,
            ..Extra::default()
        };
        let mut cart = cart("EUR", vec![line(12 * EURO, 1)]);
        cart.charges = vec![extra(5 * EURO)];
        cart.adjustments = vec![extra(-7 * EURO), extra(2 * EURO)];

        let cart = priced(cart, Basis::default());
        assert_eq!(
            (cart.totals.charges, cart.totals.total),
            (5 * EURO, 12 * EURO)
        );

        let mut cart = cart;
        cart.adjustments.push(extra(-100 * EURO));
        assert_eq!(priced(cart, Basis::default()).totals.total, 0);
    }

    #[test]
    fn a_cart_that_only_its_discount_keeps_in_range_is_refused() {
        let half = MICROS_MAX / 2 + EURO;
        let mut both = cart("EUR", vec![line(half, 1), line(half, 1)]);

        assert_eq!(price(&mut both, Basis::default()), Err(TooLarge));
        assert_eq!(price(&mut both, discount(5_000)), Err(TooLarge));
        assert_eq!(
            price(&mut cart("EUR", vec![line(half, 1)]), discount(5_000)),
            Ok(())
        );
    }

    prop_compose! {
        fn any_line()(
            list in 0..=MICROS_MAX,
            small in any::<bool>(),
            includes_tax in any::<bool>(),
            tax_rate in 0..=1_000_000_i64,
            reduction in prop::option::of((any::<bool>(), 0..=10_000_i64)),
            discountable in any::<bool>(),
            quantity in 1..=1_000_000_i64,
            by_hand in prop::option::weighted(0.1, 0..=MICROS_MAX),
        ) -> Line {
            let list = if small { list % 1_000_000_000 } else { list };
            let reduction = reduction.map(|(percent, part)| if percent {
                Reduction::Percent(part)
            } else {
                Reduction::Amount(list / 10_000 * part)
            });
            let price = Price { list, includes_tax, tax_rate, reduction, discountable };
            let price_override =
                by_hand.map(|amount| PriceOverride { amount, ..PriceOverride::default() });
            Line { price, quantity, price_override, ..Line::default() }
        }
    }

    prop_compose! {
        fn any_cart()(
            lines in prop::collection::vec(any_line(), 0..6),
            currency in prop::sample::select(vec!["EUR", "JPY", "KWD", "CLF"]),
            charge in 0..=MICROS_MAX,
            adjustment in -MICROS_MAX..=MICROS_MAX,
            small in any::<bool>(),
        ) -> Cart {
            let extra = |amount: i64| Extra {
                amount: if small { amount % 1_000_000_000 } else { amount },
                ..Extra::default()
            };
            let mut cart = cart(currency, lines);
            cart.charges = vec![extra(charge)];
            cart.adjustments = vec![extra(adjustment)];
            cart
        }
    }

    proptest! {
        #[test]
        fn totals_are_the_sums_of_what_the_lines_show(
            mut cart in any_cart(), hundredths in 0..=10_000_i64, tax_exempt in any::<bool>(),
        ) {
            let basis = Basis { discount_hundredths: hundredths, tax_exempt, ..Basis::default() };
            if price(&mut cart, basis).is_ok() {
                let unit = i64::try_from(smallest_unit(&cart.currency)).unwrap();
                let sum = |of: fn(&Amounts) -> i64| -> i64 {
                    cart.lines.iter().map(|line| of(&line.amounts)).sum()
                };
                let extras = cart.charges[0].amount + cart.adjustments[0].amount;
                prop_assert_eq!(cart.totals.subtotal, sum(|amounts| amounts.subtotal));
                prop_assert_eq!(cart.totals.discount, sum(|amounts| amounts.discount));
                prop_assert_eq!(cart.totals.tax, sum(|amounts| amounts.tax));
                prop_assert_eq!(cart.totals.total, (sum(|amounts| amounts.total) + extras).max(0));
                for line in &cart.lines {
                    let amounts = line.amounts;
                    prop_assert!(amounts.discount >= 0 && amounts.discount <= amounts.subtotal);
                    prop_assert!(amounts.tax >= 0 && amounts.tax <= amounts.total);
                    for amount in [amounts.subtotal, amounts.discount, amounts.tax, amounts.total] {
                        prop_assert_eq!(amount % unit, 0);
                    }
                }
            }
        }

        #[test]
        fn more_discount_never_costs_more_and_more_pieces_never_less(
            cart in any_cart(), less in 0..=10_000_i64, more in 0..=10_000_i64,
        ) {
            let (less, more) = (less.min(more), less.max(more));
            let (mut dear, mut cheap) = (cart.clone(), cart.clone());
            if price(&mut dear, discount(less)).is_ok() {
                prop_assert_eq!(price(&mut cheap, discount(more)), Ok(()));
                prop_assert!(cheap.totals.total <= dear.totals.total);
                let mut fewer = cart;
                for line in &mut fewer.lines {
                    line.quantity = (line.quantity / 2).max(1);
                }
                prop_assert_eq!(price(&mut fewer, discount(less)), Ok(()));
                prop_assert!(fewer.totals.subtotal <= dear.totals.subtotal);
            }
        }

        #[test]
        fn what_one_basis_can_price_every_basis_can(
            mut cart in any_cart(), first in 0..=10_000_i64, second in 0..=10_000_i64,
            exempt in any::<(bool, bool)>(),
        ) {
            let basis = |hundredths, tax_exempt| Basis { tax_exempt, ..discount(hundredths) };
            let before = price(&mut cart, basis(first, exempt.0));

            prop_assert_eq!(price(&mut cart, basis(second, exempt.1)), before);
        }
    }
}
