//! Tests of the conversions between messages and the model.

use crate::proto::pb;

use super::input::new_price;
use super::output::{decimal_text, money, price};
use super::*;

fn euros(micros: i64) -> Option<pb::Money> {
    money("EUR", micros)
}

#[test]
fn all_faults_of_a_line_are_reported_at_once() {
    let item = pb::ItemInput {
        price: Some(pb::ItemPrice {
            list_price: euros(5),
            reduction: Some(pb::Reduction {
                reduction: Some(pb::reduction::Reduction::Amount(pb::Money {
                    currency_code: "EUR".to_owned(),
                    micros: 6,
                })),
            }),
            ..pb::ItemPrice::default()
        }),
        quantity: -1,
        ..pb::ItemInput::default()
    };

    let error = new_line(Some(item), "edits[3].add").unwrap_err();

    assert_eq!(error.reason(), pb::ErrorReason::InvalidField);
    let said = error.to_string();
    assert!(
        said.starts_with("InvalidField: 3 fields are invalid; first: edits[3].add."),
        "{said}"
    );
    assert!(new_line(None, "item").is_err());
}

#[test]
fn a_price_comes_back_as_it_was_sent() {
    let sent = pb::ItemPrice {
        list_price: euros(13_445_378),
        price_includes_tax: true,
        tax_rate: "5.5".to_owned(),
        reduction: Some(pb::Reduction {
            reduction: Some(pb::reduction::Reduction::Percent("20".to_owned())),
        }),
        discountable: Some(false),
    };
    let mut faults = Faults::default();

    let read = new_price(Some(sent.clone()), "price", &mut faults);

    assert!(faults.or(()).is_ok());
    assert_eq!(price("EUR", &read.price), sent);
    assert_eq!(read.price.tax_rate, 55_000);
}

#[test]
fn decimals_are_written_without_idle_zeros() {
    assert_eq!(decimal_text(2_000, 2), "20");
    assert_eq!(decimal_text(1_250, 2), "12.5");
    assert_eq!(decimal_text(5, 2), "0.05");
    assert_eq!(decimal_text(55_000, 4), "5.5");
}
