//! The calls that change lines: they find the cart or open one, edit it in memory, and write it once.

use std::sync::Arc;

use futures::FutureExt as _;
use tonic::Code;

use super::Service;
use crate::caller::Caller;
use crate::carts::convert::{self, Faults};
use crate::carts::edit::{Edit, NewLine};
use crate::carts::targets::{Hints, Slot, Target, item_ids};
use crate::carts::work::{self, Act, Got, Opening, Route};
use crate::clock::Clock;
use crate::customers;
use crate::error::{Error, Result};
use crate::ids;
use crate::numbers::Sequence;
use crate::proto::pb::{self, ErrorReason};
use crate::store::Tx;

/// How often a call looks for its cart again after others moved it.
pub(super) const ATTEMPTS: usize = 8;

/// What an edit does to an open cart; run again whenever the write is.
pub(super) type Apply = Arc<dyn Fn(&mut Edit<'_>) -> Result<()> + Send + Sync>;

/// An edit that is asked for.
pub(super) struct EditCall {
    /// Who asks.
    pub(super) caller: Arc<Caller>,
    /// Of which cart.
    pub(super) target: Target,
    /// Whether a cart is opened if there is none, and how.
    pub(super) opens: Option<Opens>,
    /// The version that must be current, if not empty.
    pub(super) etag: String,
    /// Checks everything and changes nothing.
    pub(super) validate_only: bool,
    /// Whether it has several steps, of which one may undo another.
    pub(super) cancels: bool,
    /// What sort of edit it is.
    pub(super) act: Act,
    /// What is done.
    pub(super) apply: Apply,
}

/// How a cart is opened if there is none.
#[derive(Clone)]
pub(super) struct Opens {
    pub(super) storefront: String,
    pub(super) currency: String,
}

/// How one attempt ended.
enum Outcome {
    Done(Box<pb::Cart>),
    /// The hint was wrong.
    Moved(Slot),
    /// The number of the new cart is in use.
    NumberTaken,
}

struct Attempt {
    caller: Arc<Caller>,
    route: Route,
    etag: String,
    validate_only: bool,
    cancels: bool,
    act: Act,
    apply: Apply,
    clock: Clock,
    hints: Hints,
}

impl Service {
    /// Runs an edit.
    pub(super) async fn run(&self, call: EditCall) -> Result<pb::Cart> {
        let EditCall {
            caller,
            target,
            opens,
            etag,
            validate_only,
            cancels,
            act,
            apply,
        } = call;
        for _ in 0..ATTEMPTS {
            let route = self.route(&caller, &target, opens.as_ref()).await?;
            let locks = route.locks(&caller);
            let attempt = Attempt {
                caller: Arc::clone(&caller),
                route,
                etag: etag.clone(),
                validate_only,
                cancels,
                act,
                apply: Arc::clone(&apply),
                clock: self.store.clock().clone(),
                hints: self.hints.clone(),
            };
            let outcome = self
                .store
                .write_with(locks, attempt, |tx, attempt| once(tx, attempt).boxed());
            match outcome.await? {
                Outcome::Done(cart) => {
                    self.note_visit(&caller, &cart);
                    return Ok(*cart);
                }
                Outcome::Moved(slot) => self.hints.forget(&caller.shop, &slot),
                Outcome::NumberTaken => {}
            }
        }
        Err(moved_too_often())
    }

    /// A shopper who changes a cart is there; staff who does it for one is not the shopper.
    pub(super) fn note_visit(&self, caller: &Caller, cart: &pb::Cart) {
        let is_shopper = caller.roles.has(pb::Role::Storefront) && caller.actor.is_none();
        if is_shopper && !cart.customer.is_empty() {
            let customer = customers::id_of(&cart.customer);
            let now = self.store.clock().now();
            customers::visits::note(&self.store, &caller.shop, customer, now);
        }
    }

    /// How an edit finds its cart, or where it opens one.
    pub(super) async fn route(
        &self,
        caller: &Caller,
        target: &Target,
        opens: Option<&Opens>,
    ) -> Result<Route> {
        let slot = match target {
            Target::Cart(id) => return Ok(Route::Id(id.clone())),
            Target::Slot(slot) => slot.clone(),
        };
        if let Some(id) = self.hints.get(&caller.shop, &slot) {
            return Ok(Route::Hint(slot, id));
        }
        let Some(Opens {
            storefront,
            currency,
        }) = opens.cloned()
        else {
            return Ok(Route::Open(slot));
        };
        let number = self.numbers.next(&caller.shop, Sequence::Cart).await?;
        Ok(Route::OpenOrNew(
            slot,
            Opening {
                id: ids::new_id(),
                number,
                storefront,
                currency,
            },
        ))
    }

    pub(super) async fn add(
        &self,
        caller: Arc<Caller>,
        request: pb::AddItemRequest,
    ) -> Result<pb::Cart> {
        let target = self.target(&caller, request.target)?;
        let line = convert::new_line(request.item, "item")?;
        let currency = line.price.currency.clone();
        self.run(EditCall {
            caller,
            target,
            opens: Some(Opens {
                storefront: request.storefront,
                currency,
            }),
            etag: request.etag,
            validate_only: false,
            cancels: false,
            act: Act::Edit,
            apply: Arc::new(move |edit| edit.add(&line, "item")),
        })
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
            let text = "cannot be given and taken away at once";
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
        self.run(EditCall {
            caller,
            target: Target::Cart(cart),
            opens: None,
            etag: request.etag,
            validate_only: false,
            cancels: false,
            act,
            apply: Arc::new(apply),
        })
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
        self.run(EditCall {
            caller,
            target: Target::Cart(cart),
            opens: None,
            etag: request.etag,
            validate_only: false,
            cancels: false,
            act: Act::Edit,
            apply: Arc::new(move |edit| edit.remove(&item)),
        })
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
        let cancels = edits.len() > 1;
        let apply = move |edit: &mut Edit<'_>| {
            edits
                .iter()
                .enumerate()
                .try_for_each(|(at, step)| step.apply(at, edit))
        };
        self.run(EditCall {
            caller,
            target,
            opens: Some(Opens {
                storefront: request.storefront,
                currency,
            }),
            etag: request.etag,
            validate_only: false,
            cancels,
            act: Act::Edit,
            apply: Arc::new(apply),
        })
        .await
    }

    pub(super) async fn update_prices(
        &self,
        caller: Arc<Caller>,
        request: pb::UpdateItemPricesRequest,
    ) -> Result<pb::Cart> {
        let target = self.target(&caller, request.target)?;
        let prices = convert::product_prices(request.prices)?;
        self.run(EditCall {
            caller,
            target,
            opens: None,
            etag: request.etag,
            validate_only: false,
            cancels: false,
            act: Act::Price,
            apply: Arc::new(move |edit| edit.set_prices(&prices)),
        })
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
        self.run(EditCall {
            caller,
            target,
            opens: None,
            etag: request.etag,
            validate_only: false,
            cancels: false,
            act: Act::Edit,
            apply: Arc::new(apply),
        })
        .await
    }
}

/// Others moved the cart as often as it is looked for.
pub(super) fn moved_too_often() -> Error {
    Error::new(
        Code::Aborted,
        ErrorReason::Conflict,
        "other writes moved the cart several times in a row",
    )
}

async fn once(tx: &mut Tx, attempt: &Attempt) -> Result<Outcome> {
    let Attempt {
        caller,
        route,
        etag,
        validate_only,
        cancels,
        act,
        apply,
        clock,
        hints,
    } = attempt;
    let now = clock.now();
    let mut work = match work::find(tx, caller, route, None, now).await? {
        Got::Replay(replay) => {
            let answer = work::replayed(tx, caller, &replay).await?;
            return Ok(Outcome::Done(Box::new(answer)));
        }
        Got::Moved => {
            return match route {
                Route::Hint(slot, _) => Ok(Outcome::Moved(slot.clone())),
                _ => Err(Error::internal(
                    "a cart moved that was found without a hint",
                )),
            };
        }
        Got::Work(work) => work,
    };
    work.admit(caller, now, *act)?;
    work.check_etag(etag)?;
    let (before, met) = (cancels.then(|| work.cart.clone()), work.causes.len());
    work.edit(caller, now, |edit| apply(edit))?;
    if before.is_some_and(|before| before == work.cart) {
        work.causes.truncate(met);
    }
    work.settle()?;
    if *validate_only {
        return Ok(Outcome::Done(Box::new(work.answer())));
    }
    if work.is_idle() {
        let answer = work.leave(tx, caller, now, work.answer()).await?;
        return Ok(Outcome::Done(Box::new(answer)));
    }
    let Some(answer) = work.save(tx, caller, now).await? else {
        return Ok(Outcome::NumberTaken);
    };
    if !matches!(route, Route::Id(_) | Route::Hint(..)) {
        work.hint(tx, caller, hints);
    }
    Ok(Outcome::Done(Box::new(answer)))
}

/// One edit of EditCart.
enum Step {
    Add(Box<NewLine>),
    Set(ItemRef, i64),
    Remove(ItemRef),
    SetAttributes(serde_json::Map<String, serde_json::Value>),
}

/// A line, by its full name or only its last part.
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

    /// The line's id. A line of another cart is not in this one.
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

/// The error with the edit that it is about.
fn named(error: Error, at: usize) -> Error {
    if error.metadata("field").is_some() || error.reason() == ErrorReason::InvalidField {
        return error;
    }
    error.with("field", format!("edits[{at}]"))
}
