//! Tests of the policies on each kind of line, and of the limits.

use proptest::prelude::*;
use serde_json::json;

use super::super::model::{Address, Price, PriceOverride};
use super::*;

fn line(product: &str, quantity: i64, list: i64) -> Line {
    Line {
        id: product.to_owned(),
        product: product.to_owned(),
        quantity,
        price: Price {
            list,
            ..Price::default()
        },
        ..Line::default()
    }
}

fn cart(lines: Vec<Line>) -> Cart {
    Cart {
        lines,
        ..Cart::default()
    }
}

fn extra(kind: &str, label: &str, amount: i64) -> Extra {
    Extra {
        kind: kind.to_owned(),
        label: label.to_owned(),
        amount,
    }
}

/// Merges 2 hats of 7 each into `there` hats of 5 each. Returns the outcome, the remaining line and the
/// causes.
fn hats(there: i64, policy: Policy) -> (LineOutcome, Line, Vec<Kind>) {
    let mut target = cart(vec![line("hat", there, 5)]);
    let merged = merge(&cart(vec![line("hat", 2, 7)]), &mut target, policy);
    let kinds = merged.causes.iter().map(|cause| cause.kind).collect();
    let [outcome]: [LineOutcome; 1] = merged.outcomes.lines.try_into().unwrap();
    (outcome, target.lines.remove(0), kinds)
}

#[test]
fn a_line_that_only_the_source_has_moves_unchanged() {
    let by_hand = PriceOverride {
        amount: 3,
        ..PriceOverride::default()
    };
    let moved = Line {
        price_override: Some(by_hand),
        add_time: 9,
        ..line("hat", 2, 7)
    };
    for policy in [
        Policy::Sum,
        Policy::Max,
        Policy::GuestWins,
        Policy::CustomerWins,
    ] {
        let mut target = cart(vec![line("shirt", 1, 5)]);

        let merged = merge(&cart(vec![moved.clone()]), &mut target, policy);

        assert_eq!(target.lines[1], moved);
        let outcome = &merged.outcomes.lines[0];
        assert_eq!(
            (outcome.kind, outcome.reason),
            (OutcomeKind::Moved, LineReason::NewLine)
        );
        assert_eq!((outcome.source, outcome.before, outcome.after), (2, 0, 2));
        assert_eq!(merged.causes.len(), 1);
    }
}

#[test]
fn sum_adds_the_quantities_and_keeps_the_price_of_the_target() {
    let (outcome, line, causes) = hats(3, Policy::Sum);

    assert_eq!(
        (outcome.kind, outcome.reason),
        (OutcomeKind::Summed, LineReason::Sum)
    );
    assert_eq!((outcome.source, outcome.before, outcome.after), (2, 3, 5));
    assert_eq!((line.quantity, line.price.list), (5, 5));
    assert_eq!(causes, [Kind::ItemAdded]);
}

#[test]
fn sum_stops_at_the_quantity_limit_of_a_line() {
    let (outcome, line, _) = hats(QUANTITY_MAX - 1, Policy::Sum);
    assert_eq!(
        (outcome.kind, outcome.reason),
        (OutcomeKind::Capped, LineReason::QuantityLimit)
    );
    assert_eq!((line.quantity, outcome.after), (QUANTITY_MAX, QUANTITY_MAX));

    let (outcome, _, causes) = hats(QUANTITY_MAX, Policy::Sum);
    assert_eq!(outcome.kind, OutcomeKind::Capped);
    assert!(causes.is_empty(), "{causes:?}");

    let (outcome, ..) = hats(QUANTITY_MAX - 2, Policy::Sum);
    assert_eq!(outcome.kind, OutcomeKind::Summed);
}

#[test]
fn max_takes_the_larger_quantity_with_its_price() {
    let (outcome, line, causes) = hats(1, Policy::Max);
    assert_eq!(outcome.kind, OutcomeKind::Replaced);
    assert_eq!((line.quantity, line.price.list), (2, 7));
    assert_eq!(causes, [Kind::ItemQuantityChanged, Kind::ItemPriceChanged]);

    for there in [2, 3] {
        let (outcome, line, causes) = hats(there, Policy::Max);
        assert_eq!(
            (outcome.kind, outcome.reason),
            (OutcomeKind::Kept, LineReason::Max)
        );
        assert_eq!((line.quantity, line.price.list), (there, 5));
        assert!(causes.is_empty());
    }
}

#[test]
fn guest_wins_and_customer_wins_ignore_the_quantities() {
    let (outcome, line, causes) = hats(9, Policy::GuestWins);
    assert_eq!(
        (outcome.kind, outcome.reason),
        (OutcomeKind::Replaced, LineReason::GuestWins)
    );
    assert_eq!((line.quantity, line.price.list), (2, 7));
    assert_eq!(causes, [Kind::ItemQuantityChanged, Kind::ItemPriceChanged]);

    let (outcome, line, causes) = hats(1, Policy::CustomerWins);
    assert_eq!(
        (outcome.kind, outcome.reason),
        (OutcomeKind::Kept, LineReason::CustomerWins)
    );
    assert_eq!((line.quantity, line.price.list), (1, 5));
    assert!(causes.is_empty());
}

#[test]
fn lines_beyond_the_limit_of_a_cart_are_dropped_and_known_lines_are_merged() {
    let full = (0..CART_ITEMS_MAX - 1).map(|n| line(&format!("p{n}"), 1, 5));
    let mut target = cart(full.collect());
    let source = cart(vec![
        line("first", 1, 5),
        line("second", 2, 5),
        line("p7", 3, 5),
    ]);

    let outcomes = merge(&source, &mut target, Policy::Sum).outcomes.lines;

    let kinds: Vec<_> = outcomes.iter().map(|outcome| outcome.kind).collect();
    assert_eq!(
        kinds,
        [
            OutcomeKind::Moved,
            OutcomeKind::Dropped,
            OutcomeKind::Summed
        ]
    );
    assert_eq!(outcomes[1].reason, LineReason::LineLimit);
    assert_eq!((outcomes[1].before, outcomes[1].after), (0, 0));
    assert_eq!(target.lines.len(), CART_ITEMS_MAX);
}

#[test]
fn a_voucher_of_both_carts_is_kept_once() {
    let mut target = cart(Vec::new());
    target.adjustments = vec![extra("voucher", "TEN", -10)];
    let mut source = cart(Vec::new());
    source.charges = vec![
        extra("shipping", "Express", 5),
        extra("shipping", "Express", 6),
    ];
    source.adjustments = vec![
        extra("voucher", "TEN", -12),
        extra("voucher", "FIVE", -5),
        extra("points", "TEN", -1),
    ];

    let extras = merge(&source, &mut target, Policy::Sum).outcomes.extras;

    let reasons: Vec<_> = extras.iter().map(|extra| extra.reason).collect();
    let known = Some(ExtraReason::Known);
    assert_eq!(reasons, [None, known, known, None, None]);
    assert_eq!(target.charges, [extra("shipping", "Express", 5)]);
    assert_eq!(
        target.adjustments,
        [
            extra("voucher", "TEN", -10),
            extra("voucher", "FIVE", -5),
            extra("points", "TEN", -1)
        ]
    );
}

#[test]
fn charges_beyond_the_limit_are_not_moved() {
    let mut target = cart(Vec::new());
    target.charges = (0..CHARGES_MAX - 1)
        .map(|n| extra("fee", &n.to_string(), 1))
        .collect();
    let mut source = cart(Vec::new());
    source.charges = vec![extra("fee", "a", 1), extra("fee", "b", 1)];

    let extras = merge(&source, &mut target, Policy::Sum).outcomes.extras;

    assert_eq!(
        (extras[0].reason, extras[1].reason),
        (None, Some(ExtraReason::Limit))
    );
    assert_eq!(target.charges.len(), CHARGES_MAX);
}

#[test]
fn values_of_the_target_stay_and_absent_values_are_filled() {
    let attributes = |value| match value {
        Value::Object(map) => map,
        _ => panic!("an object"),
    };
    let at = |city: &str| {
        Some(Address {
            city: city.to_owned(),
            ..Address::default()
        })
    };
    let mut target = Cart {
        note: "ring twice".to_owned(),
        billing_address: at("Lyon"),
        attributes: attributes(json!({"gift": true})),
        ..Cart::default()
    };
    let source = Cart {
        note: "leave it".to_owned(),
        language_code: "fr".to_owned(),
        display_name: "Birthday".to_owned(),
        billing_address: at("Nice"),
        delivery_address: at("Brest"),
        attributes: attributes(json!({"gift": false, "campaign": "spring"})),
        ..Cart::default()
    };

    merge(&source, &mut target, Policy::GuestWins);

    assert_eq!(
        (target.note.as_str(), target.language_code.as_str()),
        ("ring twice", "fr")
    );
    assert_eq!(
        (target.billing_address, target.delivery_address),
        (at("Lyon"), at("Brest"))
    );
    assert_eq!(
        Value::Object(target.attributes),
        json!({"gift": true, "campaign": "spring"})
    );
    assert_eq!(target.display_name, "");
}

#[test]
fn attributes_beyond_the_size_limit_are_not_moved() {
    let text = |bytes| Value::String("x".repeat(bytes));
    let mut target = Cart::default();
    target
        .attributes
        .insert("a".to_owned(), text(ATTRIBUTES_BYTES_MAX - 100));
    let mut source = Cart::default();
    source.attributes.insert("b".to_owned(), text(200));
    source.attributes.insert("c".to_owned(), text(10));

    merge(&source, &mut target, Policy::Sum);

    let keys: Vec<_> = target.attributes.keys().map(String::as_str).collect();
    assert_eq!(keys, ["a", "c"]);
}

prop_compose! {
    fn any_lines()(quantities in prop::collection::btree_map(0..12_u8, 1..=QUANTITY_MAX, 0..8))
        -> Vec<Line>
    {
        quantities.into_iter().map(|(n, quantity)| line(&format!("p{n}"), quantity, 1)).collect()
    }
}

proptest! {
    #[test]
    fn every_line_of_the_source_has_one_outcome_and_the_target_holds_it(
        source in any_lines(),
        there in any_lines(),
        policy in prop::sample::select(vec![
            Policy::Sum, Policy::Max, Policy::GuestWins, Policy::CustomerWins,
        ]),
    ) {
        let source = cart(source);
        let mut target = cart(there.clone());

        let outcomes = merge(&source, &mut target, policy).outcomes.lines;

        let ids: Vec<_> = outcomes.iter().map(|outcome| &outcome.item).collect();
        prop_assert_eq!(ids, source.lines.iter().map(|line| &line.id).collect::<Vec<_>>());
        for outcome in &outcomes {
            let line = target.lines.iter().find(|line| line.id == outcome.item).unwrap();
            prop_assert_eq!(line.quantity, outcome.after);
            prop_assert!(line.quantity <= QUANTITY_MAX);
            let before = there.iter().find(|line| line.id == outcome.item);
            prop_assert_eq!(before.map_or(0, |line| line.quantity), outcome.before);
        }
        for line in &there {
            if outcomes.iter().all(|outcome| outcome.item != line.id) {
                prop_assert!(target.lines.contains(line));
            }
        }
        let mut ids: Vec<_> = target.lines.iter().map(|line| line.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), target.lines.len());
    }
}
