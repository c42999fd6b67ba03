//! The calls that edit lines.

use std::sync::Arc;

use super::Service;
use super::write::Write;
use crate::caller::Caller;
use crate::carts::convert::{self, Faults};
use crate::carts::edit::{Edit, NewLine};
use crate::carts::targets::{Target, item_ids};
use crate::carts::work::Act;
use crate::error::{Error, Result};
use crate::proto::pb::{self, ErrorReason};

impl Service {
    pub(super) async fn add(
        &self,
        caller: Arc<Caller>,
        request: pb::AddItemRequest,
    ) -> Result<pb::Cart> {
        let target = self.target(&caller, request.target)?;
        let line = convert::new_line(request.item, "item")?;
        let currency = line.price.currency.clone();
        self.run(
            Write::edit(caller, target, Act::Edit, request.etag, move |edit| {
                edit.add(&line, "item")
            })
            .opening(request.storefront, currency),
        )
        .await
    }

    pub(super) async fn update_line(
        &self,
        caller: Arc<Caller>,
        request: pb::UpdateItemRequest,
    ) -> Result<pb::Cart> {
        let mut faults = Faults::default();
        if request.name.is_empty() {
            faults.required("name");
        }
        let quantity = request
            .quantity
            .map(|quantity| convert::quantity(quantity, || "quantity".to_owned(), &mut faults));
        let clear = request.clear_price_override;
        if clear && request.price_override.is_some() {
            let text = "cannot be set and cleared at once";
            faults.invalid("clear_price_override", "CONFLICT", text);
        }
        let by_hand = request
            .price_override
            .map(|by_hand| convert::price_override(by_hand, &mut faults));
        if quantity.is_none() && by_hand.is_none() && !clear {
            faults.required("quantity");
        }
        faults.or(())?;
        let (cart, item) = item_ids(&request.name)?;
        let act = if by_hand.is_some() || clear {
            Act::Price
        } else {
            Act::Edit
        };
        let apply = move |edit: &mut Edit<'_>| {
            if let Some(quantity) = quantity {
                edit.set_quantity(&item, quantity)?;
            }
            if by_hand.is_some() || clear {
                edit.set_override(&item, by_hand.as_ref())?;
            }
            Ok(())
        };
        self.run(Write::edit(
            caller,
            Target::Cart(cart),
            act,
            request.etag,
            apply,
        ))
        .await
    }

    pub(super) async fn remove_line(
        &self,
        caller: Arc<Caller>,
        request: pb::RemoveItemRequest,
    ) -> Result<pb::Cart> {
        if request.name.is_empty() {
            return Err(Error::invalid_field("name", "REQUIRED", "is required"));
        }
        let (cart, item) = item_ids(&request.name)?;
        self.run(Write::edit(
            caller,
            Target::Cart(cart),
            Act::Edit,
            request.etag,
            move |edit| edit.remove(&item),
        ))
        .await
    }

    pub(super) async fn edit_all(
        &self,
        caller: Arc<Caller>,
        request: pb::EditCartRequest,
    ) -> Result<pb::Cart> {
        let target = self.target(&caller, request.target)?;
        if request.edits.is_empty() {
            return Err(Error::invalid_field("edits", "REQUIRED", "is required"));
        }
        let edits = request.edits.into_iter().enumerate();
        let edits = edits
            .map(|(at, edit)| Step::read(at, edit))
            .collect::<Result<Vec<_>>>()?;
        let currency = edits.iter().find_map(Step::currency).unwrap_or_default();
        let apply = move |edit: &mut Edit<'_>| {
            edits
                .iter()
                .enumerate()
                .try_for_each(|(at, step)| step.apply(at, edit))
        };
        self.run(
            Write::new(
                caller,
                target,
                Act::Edit,
                request.etag,
                move |work, caller, now| work.edit_at_once(caller, now, &apply),
            )
            .opening(request.storefront, currency),
        )
        .await
    }

    pub(super) async fn update_prices(
        &self,
        caller: Arc<Caller>,
        request: pb::UpdateItemPricesRequest,
    ) -> Result<pb::Cart> {
        let target = self.target(&caller, request.target)?;
        let prices = convert::product_prices(request.prices)?;
        self.run(Write::edit(
            caller,
            target,
            Act::Price,
            request.etag,
            move |edit| edit.set_prices(&prices),
        ))
        .await
    }

    pub(super) async fn clear(
        &self,
        caller: Arc<Caller>,
        request: pb::ClearCartRequest,
    ) -> Result<pb::Cart> {
        let target = self.target(&caller, request.target)?;
        let apply = |edit: &mut Edit<'_>| {
            edit.clear();
            Ok(())
        };
        self.run(Write::edit(caller, target, Act::Edit, request.etag, apply))
            .await
    }
}

/// One edit of EditCart.
enum Step {
    Add(Box<NewLine>),
    Set(ItemRef, i64),
    Remove(ItemRef),
    SetAttributes(serde_json::Map<String, serde_json::Value>),
}

/// A line, by its full name or only its last segment.
struct ItemRef {
    cart: Option<String>,
    item: String,
}

impl ItemRef {
    fn read(text: &str, at: impl FnOnce() -> String) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::invalid_field(at(), "REQUIRED", "is required"));
        }
        if !text.contains('/') {
            return Ok(Self {
                cart: None,
                item: text.to_owned(),
            });
        }
        let (cart, item) = item_ids(text)?;
        Ok(Self {
            cart: Some(cart),
            item,
        })
    }

    /// The line's id. A line of another cart is not found in this one.
    fn of<'a>(&'a self, edit: &Edit<'_>) -> Result<&'a str> {
        match &self.cart {
            Some(cart) if *cart != edit.cart.id => Err(Error::not_found("item")),
            _ => Ok(&self.item),
        }
    }
}

impl Step {
    fn read(at: usize, edit: pb::CartEdit) -> Result<Self> {
        use pb::cart_edit::Edit as Sent;
        let path = |field: &str| format!("edits[{at}].{field}");
        match edit.edit {
            None => Err(Error::invalid_field(
                format!("edits[{at}]"),
                "REQUIRED",
                "is required",
            )),
            Some(Sent::Add(item)) => {
                convert::new_line(Some(item), &path("add")).map(|line| Self::Add(Box::new(line)))
            }
            Some(Sent::Set(set)) => {
                let mut faults = Faults::default();
                let quantity =
                    convert::quantity(set.quantity, || path("set.quantity"), &mut faults);
                faults.or(())?;
                let item = ItemRef::read(&set.item, || path("set.item"));
                Ok(Self::Set(item.map_err(|error| named(error, at))?, quantity))
            }
            Some(Sent::Remove(item)) => {
                let item = ItemRef::read(&item, || path("remove"));
                Ok(Self::Remove(item.map_err(|error| named(error, at))?))
            }
            Some(Sent::SetAttributes(attributes)) => {
                Ok(Self::SetAttributes(crate::attributes::to_map(&attributes)))
            }
        }
    }

    fn currency(&self) -> Option<String> {
        match self {
            Self::Add(line) => Some(line.price.currency.clone()),
            Self::Set(..) | Self::Remove(_) | Self::SetAttributes(_) => None,
        }
    }

    fn apply(&self, at: usize, edit: &mut Edit<'_>) -> Result<()> {
        let done = match self {
            Self::Add(line) => edit.add(line, &format!("edits[{at}].add")),
            Self::Set(item, quantity) => item
                .of(edit)
                .and_then(|item| edit.set_quantity(item, *quantity)),
            Self::Remove(item) => item.of(edit).and_then(|item| edit.remove(item)),
            Self::SetAttributes(attributes) => {
                edit.set_attributes(attributes);
                Ok(())
            }
        };
        done.map_err(|error| named(error, at))
    }
}

/// Adds to an error the edit that it concerns.
fn named(error: Error, at: usize) -> Error {
    if error.metadata("field").is_some() || error.reason() == ErrorReason::InvalidField {
        return error;
    }
    error.with("field", format!("edits[{at}]"))
}
