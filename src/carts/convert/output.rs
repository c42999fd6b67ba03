//! Conversion of the model to messages of the contract.

use super::{REDUCTION_PLACES, TAX_PLACES};
use crate::attributes;
use crate::carts::edit::Cause;
use crate::carts::model::{
    self, Address, Amounts, Cart, DiscountReason, Extra, Line, Lock, Price, Reduction,
};
use crate::customers::Summary;
use crate::feed::{etag, timestamp};
use crate::proto::pb;

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

/// Converts a cart to its message.
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

/// Converts a hold without its end, which is derived: [`lease`] fills it in.
fn lock(lock: &Lock) -> pb::CartLock {
    pb::CartLock {
        holder: lock.holder.clone(),
        api_key: format!("apiKeys/{}", lock.key_id),
        purpose: lock.purpose.clone(),
        acquire_time: Some(timestamp(lock.acquire_time)),
        expire_time: None,
    }
}

/// Fills in the time at which the hold on a cart ends.
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

pub(super) fn price(currency: &str, price: &Price) -> pb::ItemPrice {
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

/// Converts a cause to its message.
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
        display_name: cause.display_name.clone(),
    }
}

/// The full name of a line in a cart with this name.
pub fn item_name(cart: &str, id: &str) -> String {
    format!("{cart}/items/{id}")
}

pub(super) fn money(currency: &str, micros: i64) -> Option<pb::Money> {
    Some(pb::Money {
        currency_code: currency.to_owned(),
        micros,
    })
}

/// A decimal without trailing zeros: `20`, `12.5`.
pub(super) fn decimal_text(value: i64, places: u32) -> String {
    let whole = 10_i64.pow(places);
    let fraction = value % whole;
    if fraction == 0 {
        return (value / whole).to_string();
    }
    let digits = format!("{fraction:0width$}", width = places as usize);
    format!("{}.{}", value / whole, digits.trim_end_matches('0'))
}
