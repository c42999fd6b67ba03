//! Conversion of requests to the model. All faults of a request are collected.

use super::{Faults, REDUCTION_PLACES, TAX_PLACES};
use crate::attributes;
use crate::carts::edit::{NewLine, NewPrice, OverrideInput, ProductPrice};
use crate::carts::model::{Address, Extra, Price, Reduction};
use crate::error::{Error, Result};
use crate::format;
use crate::limits::QUANTITY_MAX;
use crate::proto::pb;

/// Reads a line that is to be added; `at` is its path in the request.
///
/// # Errors
/// All fields that are wrong.
pub fn new_line(item: Option<pb::ItemInput>, at: &str) -> Result<NewLine> {
    let mut faults = Faults::default();
    let Some(item) = item else {
        faults.required(at);
        return Err(Error::invalid(faults.0));
    };
    if item.product.is_empty() {
        faults.required(format!("{at}.product"));
    }
    let quantity = quantity(item.quantity, || format!("{at}.quantity"), &mut faults);
    let price = new_price(item.price, &format!("{at}.price"), &mut faults);
    faults.or(NewLine {
        product: item.product,
        variant: item.variant,
        attributes: item
            .attributes
            .as_ref()
            .map(attributes::to_map)
            .unwrap_or_default(),
        display_name: item.display_name,
        image_uri: item.image_uri,
        category_ids: item.category_ids,
        price,
        quantity,
    })
}

/// Reads a quantity and checks its range.
pub fn quantity(quantity: i32, at: impl FnOnce() -> String, faults: &mut Faults) -> i64 {
    let quantity = i64::from(quantity);
    if quantity == 0 {
        faults.required(at());
    } else if !(1..=QUANTITY_MAX).contains(&quantity) {
        faults.invalid(at(), "OUT_OF_RANGE", &format!("takes 1 to {QUANTITY_MAX}"));
    }
    quantity
}

pub(super) fn new_price(price: Option<pb::ItemPrice>, at: &str, faults: &mut Faults) -> NewPrice {
    let price = price.unwrap_or_default();
    let (list, currency) = amount(
        price.list_price,
        || format!("{at}.list_price"),
        true,
        faults,
    );
    let tax_rate = decimal(
        &price.tax_rate,
        TAX_PLACES,
        || format!("{at}.tax_rate"),
        faults,
    );
    let mut reduction_currency = None;
    let reduction = price.reduction.and_then(|reduction| reduction.reduction);
    let reduction = reduction.map(|reduction| match reduction {
        pb::reduction::Reduction::Percent(percent) => {
            let at = || format!("{at}.reduction.percent");
            Reduction::Percent(decimal(&percent, REDUCTION_PLACES, at, faults))
        }
        pb::reduction::Reduction::Amount(money) => {
            let at = || format!("{at}.reduction.amount");
            let (micros, currency) = amount(Some(money), at, true, faults);
            reduction_currency = Some(currency);
            if micros > list {
                faults.invalid(at(), "OUT_OF_RANGE", "is more than the list price");
            }
            Reduction::Amount(micros)
        }
    });
    NewPrice {
        price: Price {
            list,
            includes_tax: price.price_includes_tax,
            tax_rate,
            reduction,
            discountable: price.discountable.unwrap_or(true),
        },
        currency,
        reduction_currency,
    }
}

/// Reads a required amount and its currency.
fn amount(
    money: Option<pb::Money>,
    at: impl Fn() -> String,
    positive: bool,
    faults: &mut Faults,
) -> (i64, String) {
    let Some(money) = money else {
        faults.required(at());
        return (0, String::new());
    };
    if money.currency_code.is_empty() {
        faults.required(format!("{}.currency_code", at()));
    }
    if positive && money.micros < 0 {
        faults.invalid(at(), "OUT_OF_RANGE", "is negative");
    }
    (money.micros, money.currency_code)
}

fn decimal(text: &str, places: u32, at: impl Fn() -> String, faults: &mut Faults) -> i64 {
    if text.is_empty() {
        return 0;
    }
    format::percent(text, places).unwrap_or_else(|| {
        faults.invalid(at(), "MALFORMED", "is no decimal from 0 to 100");
        0
    })
}

/// Reads new prices of products.
///
/// # Errors
/// All fields that are wrong.
pub fn product_prices(
    prices: Vec<pb::update_item_prices_request::ProductPrice>,
) -> Result<Vec<ProductPrice>> {
    let mut faults = Faults::default();
    if prices.is_empty() {
        faults.required("prices");
    }
    let prices = prices.into_iter().enumerate().map(|(at, price)| {
        if price.product.is_empty() {
            faults.required(format!("prices[{at}].product"));
        }
        ProductPrice {
            product: price.product,
            variant: Some(price.variant).filter(|variant| !variant.is_empty()),
            price: new_price(price.price, &format!("prices[{at}].price"), &mut faults),
        }
    });
    let prices = prices.collect();
    faults.or(prices)
}

/// Reads a price that staff sets by hand.
pub fn price_override(by_hand: pb::PriceOverride, faults: &mut Faults) -> OverrideInput {
    let at = || "price_override.amount".to_owned();
    let (amount, currency) = amount(by_hand.amount, at, true, faults);
    if by_hand.reason.is_empty() {
        faults.required("price_override.reason");
    }
    OverrideInput {
        amount,
        currency,
        reason: by_hand.reason,
    }
}

/// A charge or an adjustment, with its currency.
pub type ExtraInput = (Extra, String);

/// Charges.
pub fn charges(charges: Vec<pb::Charge>, faults: &mut Faults) -> Vec<ExtraInput> {
    let charges = charges.into_iter().enumerate().map(|(at, charge)| {
        let at = format!("cart.charges[{at}]");
        extra(charge.kind, charge.label, charge.amount, &at, true, faults)
    });
    charges.collect()
}

/// Adjustments.
pub fn adjustments(adjustments: Vec<pb::Adjustment>, faults: &mut Faults) -> Vec<ExtraInput> {
    let adjustments = adjustments.into_iter().enumerate().map(|(at, adjustment)| {
        let at = format!("cart.adjustments[{at}]");
        extra(
            adjustment.kind,
            adjustment.label,
            adjustment.amount,
            &at,
            false,
            faults,
        )
    });
    adjustments.collect()
}

fn extra(
    kind: String,
    label: String,
    money: Option<pb::Money>,
    at: &str,
    positive: bool,
    faults: &mut Faults,
) -> ExtraInput {
    if kind.is_empty() {
        faults.required(format!("{at}.kind"));
    }
    let (amount, currency) = amount(money, || format!("{at}.amount"), positive, faults);
    (
        Extra {
            kind,
            label,
            amount,
        },
        currency,
    )
}

/// Converts an address to its stored form in a cart.
pub fn address(address: pb::Address) -> Address {
    Address {
        label: address.label,
        first_name: address.first_name,
        last_name: address.last_name,
        company: address.company,
        vat_number: address.vat_number,
        tax_id: address.tax_id,
        line1: address.line1,
        line2: address.line2,
        city: address.city,
        postal_code: address.postal_code,
        region: address.region,
        country_code: address.country_code,
        phone: address.phone,
        mobile: address.mobile,
        note: address.note,
    }
}
