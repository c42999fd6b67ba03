//! Messages of the contract to the model and back.
//!
//! The access layer has checked each field by its own rule; here is checked what needs the whole
//! message: what is required, and what fits together.

use super::edit::{Cause, NewLine, NewPrice, OverrideInput, ProductPrice};
use super::model::{
    self, Address, Amounts, Cart, DiscountReason, Extra, Line, Lock, Price, Reduction,
};
use crate::access::format;
use crate::attributes;
use crate::customers::Summary;
use crate::error::{Error, Result, Violation};
use crate::feed::{etag, timestamp};
use crate::limits::QUANTITY_MAX;
use crate::proto::pb;

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

/// A line that is to be added; `at` is its path in the request.
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

/// A quantity in its range.
pub fn quantity(quantity: i32, at: impl FnOnce() -> String, faults: &mut Faults) -> i64 {
    let quantity = i64::from(quantity);
    if quantity == 0 {
        faults.required(at());
    } else if !(1..=QUANTITY_MAX).contains(&quantity) {
        faults.invalid(at(), "OUT_OF_RANGE", &format!("takes 1 to {QUANTITY_MAX}"));
    }
    quantity
}

fn new_price(price: Option<pb::ItemPrice>, at: &str, faults: &mut Faults) -> NewPrice {
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

/// An amount that has to be there, and its currency.
pub fn amount(
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

/// New prices of products.
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

/// A price given by hand.
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

/// An address as it is put on a cart.
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

fn address_message(address: &Address) -> pb::Address {
    pb::Address {
        label: address.label.clone(),
        first_name: address.first_name.clone(),
        last_name: address.last_name.clone(),
        company: address.company.clone(),
        vat_number: address.vat_number.clone(),
        tax_id: address.tax_id.clone(),
        line1: address.line1.clone(),
        line2: address.line2.clone(),
        city: address.city.clone(),
        postal_code: address.postal_code.clone(),
        region: address.region.clone(),
        country_code: address.country_code.clone(),
        phone: address.phone.clone(),
        mobile: address.mobile.clone(),
        note: address.note.clone(),
        ..pb::Address::default()
    }
}

/// A cart as the contract has it.
pub fn message(cart: &Cart) -> pb::Cart {
    let name = cart.name();
    let money = |micros| money(&cart.currency, micros);
    let charge = |extra: &Extra| pb::Charge {
        kind: extra.kind.clone(),
        label: extra.label.clone(),
        amount: money(extra.amount),
    };
    let adjustment = |extra: &Extra| pb::Adjustment {
        kind: extra.kind.clone(),
        label: extra.label.clone(),
        amount: money(extra.amount),
    };
    pb::Cart {
        number: cart.number.clone(),
        customer: cart
            .owner
            .customer()
            .map(|id| format!("customers/{id}"))
            .unwrap_or_default(),
        visitor_id: cart.owner.visitor().unwrap_or_default().to_owned(),
        storefront: cart.storefront.clone(),
        slot: cart.slot.clone(),
        currency_code: cart.currency.clone(),
        customer_summary: cart.customer.as_ref().map(summary),
        items: cart
            .lines
            .iter()
            .map(|line| item(&name, &cart.currency, line))
            .collect(),
        item_count: cart.item_count(),
        subtotal: money(cart.totals.subtotal),
        discount: money(cart.totals.discount),
        tax: money(cart.totals.tax),
        charges: cart.charges.iter().map(charge).collect(),
        adjustments: cart.adjustments.iter().map(adjustment).collect(),
        charges_total: money(cart.totals.charges),
        total: money(cart.totals.total),
        state: cart.state as i32,
        order_reference: cart.order_reference.clone(),
        language_code: cart.language_code.clone(),
        delivery_address: cart.delivery_address.as_ref().map(address_message),
        billing_address: cart.billing_address.as_ref().map(address_message),
        shipping_method: cart.shipping_method.clone(),
        note: cart.note.clone(),
        attributes: attributes::to_struct_if_any(&cart.attributes),
        pricing_group: match cart.basis.group.as_str() {
            "" => String::new(),
            group => format!("groups/{group}"),
        },
        pricing_revision: cart.basis.revision,
        version: cart.version,
        create_time: Some(timestamp(cart.create_time)),
        update_time: Some(timestamp(cart.update_time)),
        order_time: cart.order_time.map(timestamp),
        display_name: cart.display_name.clone(),
        freeze: cart.freeze as i32,
        freeze_time: cart.freeze_time.map(timestamp),
        lock: cart.lock.as_ref().map(lock),
        merged_into: match cart.merged_into.as_str() {
            "" => String::new(),
            id => model::name(id),
        },
        activity_time: Some(timestamp(cart.activity_time)),
        abandonment: cart.abandonment as i32,
        abandon_time: cart.abandon_time.map(timestamp),
        recover_time: cart.recover_time.map(timestamp),
        etag: etag(&name, cart.version),
        name,
    }
}

/// A hold without its end, which is derived: [`lease`] fills it in.
fn lock(lock: &Lock) -> pb::CartLock {
    pb::CartLock {
        holder: lock.holder.clone(),
        api_key: format!("apiKeys/{}", lock.key_id),
        purpose: lock.purpose.clone(),
        acquire_time: Some(timestamp(lock.acquire_time)),
        expire_time: None,
    }
}

/// Fills in when the hold on a cart ends.
pub fn lease(message: &mut pb::Cart, cart: &Cart) {
    if let Some(lock) = &mut message.lock {
        lock.expire_time = cart.lock_expire_time.map(timestamp);
    }
}

fn summary(summary: &Summary) -> pb::CustomerSummary {
    pb::CustomerSummary {
        display_name: summary.display_name.clone(),
        kind: summary.kind.number(),
        groups: summary
            .groups
            .iter()
            .map(|id| format!("groups/{id}"))
            .collect(),
    }
}

fn item(cart: &str, currency: &str, line: &Line) -> pb::Item {
    let money = |micros| money(currency, micros);
    let Amounts {
        unit_price,
        subtotal,
        discount,
        tax,
        total,
        reason,
    } = line.amounts;
    let by_hand = line
        .price_override
        .as_ref()
        .map(|by_hand| pb::PriceOverride {
            amount: money(by_hand.amount),
            reason: by_hand.reason.clone(),
            actor: by_hand.actor.clone(),
            time: Some(timestamp(by_hand.time)),
        });
    let reason = match reason {
        DiscountReason::None => pb::DiscountReason::Unspecified,
        DiscountReason::Group => pb::DiscountReason::Group,
        DiscountReason::NotDiscountable => pb::DiscountReason::NotDiscountable,
        DiscountReason::PriceOverride => pb::DiscountReason::PriceOverride,
    };
    pb::Item {
        name: item_name(cart, &line.id),
        product: line.product.clone(),
        variant: line.variant.clone(),
        attributes: attributes::to_struct_if_any(&line.attributes),
        display_name: line.display_name.clone(),
        image_uri: line.image_uri.clone(),
        category_ids: line.category_ids.clone(),
        price: Some(price(currency, &line.price)),
        quantity: i32::try_from(line.quantity).unwrap_or(i32::MAX),
        price_override: by_hand,
        unit_price: money(unit_price),
        subtotal: money(subtotal),
        discount: money(discount),
        tax: money(tax),
        total: money(total),
        discount_reason: reason.into(),
        add_time: Some(timestamp(line.add_time)),
    }
}

fn price(currency: &str, price: &Price) -> pb::ItemPrice {
    let reduction = price.reduction.map(|reduction| pb::Reduction {
        reduction: Some(match reduction {
            Reduction::Percent(hundredths) => {
                pb::reduction::Reduction::Percent(decimal_text(hundredths, REDUCTION_PLACES))
            }
            Reduction::Amount(micros) => pb::reduction::Reduction::Amount(pb::Money {
                currency_code: currency.to_owned(),
                micros,
            }),
        }),
    });
    pb::ItemPrice {
        list_price: money(currency, price.list),
        price_includes_tax: price.includes_tax,
        tax_rate: match price.tax_rate {
            0 => String::new(),
            rate => decimal_text(rate, TAX_PLACES),
        },
        reduction,
        discountable: Some(price.discountable),
    }
}

/// What happened, as the contract has it.
pub fn cause(cart: &str, cause: &Cause, actor: &str, now: i64) -> pb::CartCause {
    let count = |quantity| i32::try_from(quantity).unwrap_or(i32::MAX);
    pb::CartCause {
        kind: cause.kind.into(),
        item: match cause.item.as_str() {
            "" => String::new(),
            item => item_name(cart, item),
        },
        product: cause.product.clone(),
        quantity_before: count(cause.before),
        quantity_after: count(cause.after),
        actor: actor.to_owned(),
        time: Some(timestamp(now)),
        cart: match cause.cart.as_str() {
            "" => String::new(),
            id => model::name(id),
        },
    }
}

/// The full name of a line of a cart with this name.
pub fn item_name(cart: &str, id: &str) -> String {
    format!("{cart}/items/{id}")
}

fn money(currency: &str, micros: i64) -> Option<pb::Money> {
    Some(pb::Money {
        currency_code: currency.to_owned(),
        micros,
    })
}

/// A decimal without zeros that say nothing: `20`, `12.5`.
fn decimal_text(value: i64, places: u32) -> String {
    let whole = 10_i64.pow(places);
    let fraction = value % whole;
    if fraction == 0 {
        return (value / whole).to_string();
    }
    let digits = format!("{fraction:0width$}", width = places as usize);
    format!("{}.{}", value / whole, digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn euros(micros: i64) -> Option<pb::Money> {
        money("EUR", micros)
    }

    #[test]
    fn all_faults_of_a_line_are_told_at_once() {
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
        assert_eq!(error.to_string(), "InvalidField: 3 fields are invalid");
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
}
