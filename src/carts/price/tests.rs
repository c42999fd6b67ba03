//! Tests of the amounts of lines and carts.

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
    fn a_cart_that_one_basis_can_price_has_a_price_on_every_basis(
        mut cart in any_cart(), first in 0..=10_000_i64, second in 0..=10_000_i64,
        exempt in any::<(bool, bool)>(),
    ) {
        let basis = |hundredths, tax_exempt| Basis { tax_exempt, ..discount(hundredths) };
        let before = price(&mut cart, basis(first, exempt.0));

        prop_assert_eq!(price(&mut cart, basis(second, exempt.1)), before);
    }
}
