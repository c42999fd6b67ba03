//! UpdateCart, and the fields that it shares with CreateCart.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Service;
use super::write::Write;
use crate::attributes;
use crate::caller::Caller;
use crate::carts::convert::{self, ExtraInput, Faults};
use crate::carts::edit::{Cause, Edit};
use crate::carts::model::{Address, Cart};
use crate::carts::targets::{Target, cart_id};
use crate::carts::work::Act;
use crate::error::{Error, Result};
use crate::format;
use crate::mask;
use crate::proto::pb::{self, cart_cause};

/// The fields that callers may change.
pub(super) const WRITABLE: &[&str] = &[
    "language_code",
    "delivery_address",
    "billing_address",
    "shipping_method",
    "note",
    "attributes",
    "charges",
    "adjustments",
    "display_name",
];

/// The fields that an update may name without changing them. Immutable fields are checked separately.
const IGNORED: &[&str] = &[
    "name",
    "number",
    "customer",
    "visitor_id",
    "storefront",
    "slot",
    "currency_code",
    "customer_summary",
    "items",
    "item_count",
    "subtotal",
    "discount",
    "tax",
    "charges_total",
    "total",
    "state",
    "order_reference",
    "pricing_group",
    "pricing_revision",
    "version",
    "create_time",
    "update_time",
    "order_time",
    "freeze",
    "freeze_time",
    "lock",
    "etag",
    "merged_into",
    "activity_time",
    "abandonment",
    "abandon_time",
    "recover_time",
];

/// New values of a cart's own fields; None keeps the present value.
#[derive(Debug, Default)]
pub(super) struct Patch {
    language_code: Option<String>,
    delivery_address: Option<Option<Address>>,
    billing_address: Option<Option<Address>>,
    shipping_method: Option<String>,
    note: Option<String>,
    attributes: Option<Map<String, Value>>,
    charges: Option<Vec<ExtraInput>>,
    adjustments: Option<Vec<ExtraInput>>,
    display_name: Option<String>,
}

impl Patch {
    /// Reads these fields from a message.
    pub(super) fn read(cart: pb::Cart, fields: &[&str], faults: &mut Faults) -> Self {
        let named = |field: &str| fields.contains(&field);
        Self {
            language_code: named("language_code")
                .then(|| format::canonical_language(&cart.language_code)),
            delivery_address: named("delivery_address")
                .then(|| cart.delivery_address.map(convert::address)),
            billing_address: named("billing_address")
                .then(|| cart.billing_address.map(convert::address)),
            shipping_method: named("shipping_method").then_some(cart.shipping_method),
            note: named("note").then_some(cart.note),
            attributes: named("attributes").then(|| {
                cart.attributes
                    .as_ref()
                    .map(attributes::to_map)
                    .unwrap_or_default()
            }),
            charges: named("charges").then(|| convert::charges(cart.charges, faults)),
            adjustments: named("adjustments")
                .then(|| convert::adjustments(cart.adjustments, faults)),
            display_name: named("display_name").then_some(cart.display_name),
        }
    }

    /// Refuses amounts of another currency than the cart's.
    pub(super) fn check(&self, edit: &Edit<'_>) -> Result<()> {
        for (field, extras) in [
            ("charges", &self.charges),
            ("adjustments", &self.adjustments),
        ] {
            for (at, (_, currency)) in extras.iter().flatten().enumerate() {
                edit.check_currency(currency, || {
                    format!("cart.{field}[{at}].amount.currency_code")
                })?;
            }
        }
        Ok(())
    }

    /// Sets the values on a cart. Returns whether anything has changed.
    pub(super) fn apply(&self, cart: &mut Cart) -> bool {
        let extras = |extras: &Option<Vec<ExtraInput>>| {
            let extras = extras.as_ref()?;
            Some(
                extras
                    .iter()
                    .map(|(extra, _)| extra.clone())
                    .collect::<Vec<_>>(),
            )
        };
        let mut changed = replace(&mut cart.language_code, self.language_code.as_ref());
        changed |= replace(&mut cart.delivery_address, self.delivery_address.as_ref());
        changed |= replace(&mut cart.billing_address, self.billing_address.as_ref());
        changed |= replace(&mut cart.shipping_method, self.shipping_method.as_ref());
        changed |= replace(&mut cart.note, self.note.as_ref());
        changed |= replace(&mut cart.attributes, self.attributes.as_ref());
        changed |= replace(&mut cart.charges, extras(&self.charges).as_ref());
        changed |= replace(&mut cart.adjustments, extras(&self.adjustments).as_ref());
        changed |= replace(&mut cart.display_name, self.display_name.as_ref());
        changed
    }
}

/// Replaces a value by a new one, if there is one. Returns whether it differs.
fn replace<T: Clone + PartialEq>(old: &mut T, new: Option<&T>) -> bool {
    match new {
        Some(new) if new != old => {
            old.clone_from(new);
            true
        }
        _ => false,
    }
}

/// Whether a field of an update without a mask is set.
fn is_set(cart: &pb::Cart, field: &str) -> bool {
    match field {
        "language_code" => !cart.language_code.is_empty(),
        "delivery_address" => cart.delivery_address.is_some(),
        "billing_address" => cart.billing_address.is_some(),
        "shipping_method" => !cart.shipping_method.is_empty(),
        "note" => !cart.note.is_empty(),
        "attributes" => cart.attributes.is_some(),
        "charges" => !cart.charges.is_empty(),
        "adjustments" => !cart.adjustments.is_empty(),
        "display_name" => !cart.display_name.is_empty(),
        _ => false,
    }
}

impl Service {
    pub(super) async fn update(
        &self,
        caller: Arc<Caller>,
        request: pb::UpdateCartRequest,
    ) -> Result<pb::Cart> {
        let required = |field: &str| Error::invalid_field(field, "REQUIRED", "is required");
        let cart = request.cart.ok_or_else(|| required("cart"))?;
        if cart.name.is_empty() {
            return Err(required("cart.name"));
        }
        let id = cart_id(&cart.name)?;
        let fields = mask::changed(request.update_mask.as_ref(), WRITABLE, IGNORED, |field| {
            is_set(&cart, field)
        })?;
        let fixed = Fixed::of(&cart);
        let etag = cart.etag.clone();
        let mut faults = Faults::default();
        let patch = Patch::read(cart, &fields, &mut faults);
        faults.or(())?;
        let apply = move |edit: &mut Edit<'_>| {
            fixed.check(edit.cart)?;
            patch.check(edit)?;
            if patch.apply(edit.cart) {
                edit.note(Cause::of_cart(cart_cause::Kind::Updated));
            }
            Ok(())
        };
        self.run(
            Write::edit(caller, Target::Cart(id), Act::Edit, etag, apply)
                .trying(request.validate_only),
        )
        .await
    }
}

/// The immutable fields of a cart. A caller may send them back unchanged, or leave them out.
struct Fixed([(&'static str, String); 3]);

impl Fixed {
    fn of(cart: &pb::Cart) -> Self {
        Self([
            ("cart.number", cart.number.clone()),
            ("cart.storefront", cart.storefront.clone()),
            ("cart.currency_code", cart.currency_code.clone()),
        ])
    }

    fn check(&self, cart: &Cart) -> Result<()> {
        let mut faults = Faults::default();
        let stored = [&cart.number, &cart.storefront, &cart.currency];
        for ((field, sent), stored) in self.0.iter().zip(stored) {
            if !sent.is_empty() && sent != stored {
                faults.invalid(*field, "IMMUTABLE", "cannot be changed");
            }
        }
        faults.or(())
    }
}
