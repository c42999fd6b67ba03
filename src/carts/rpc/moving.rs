//! MoveItems.

use std::collections::HashSet;
use std::sync::Arc;

use futures::FutureExt as _;
use tonic::Code;

use super::Service;
use super::merge::{admit_at, names, replayed, require_compatible, same_cart, write_both};
use super::write::{ATTEMPTS, Opens, moved_too_often, route_to};
use crate::caller::Caller;
use crate::carts::convert::Faults;
use crate::carts::moving::{Move, move_lines};
use crate::carts::outcomes;
use crate::carts::targets::{Hints, Slot, item_ids};
use crate::carts::work::{self, Lookup, Route, Work};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::feed;
use crate::limits::QUANTITY_MAX;
use crate::proto::pb::{self, ErrorReason};
use crate::store::Tx;

/// The moves of a call, which every attempt borrows.
struct Call {
    caller: Arc<Caller>,
    source: Route,
    items: Vec<Item>,
    source_etag: String,
    target_etag: String,
    clock: Clock,
    hints: Hints,
}

/// A line to move.
struct Item {
    /// The cart in its full name, if the request used that.
    cart: Option<String>,
    one: Move,
}

/// The result of one attempt.
enum Outcome {
    Done(Box<pb::MoveItemsResponse>),
    /// The hint was wrong.
    StaleHint(Slot),
    /// The number of the new cart is in use.
    NumberTaken,
}

impl Service {
    pub(super) async fn move_lines(
        &self,
        caller: Arc<Caller>,
        request: pb::MoveItemsRequest,
    ) -> Result<pb::MoveItemsResponse> {
        let shop = &caller.shop;
        let source = self.visitors.target(shop, request.source, "source")?;
        let target = self.visitors.target(shop, request.target, "target")?;
        // A new cart takes these from the source.
        let opens = Opens {
            storefront: String::new(),
            currency: String::new(),
        };
        let call = Arc::new(Call {
            caller: Arc::clone(&caller),
            source: route_to(source),
            items: read_items(request.items)?,
            source_etag: request.source_etag,
            target_etag: request.target_etag,
            clock: self.store.clock().clone(),
            hints: self.hints.clone(),
        });
        for _ in 0..ATTEMPTS {
            let target = self.route(&caller, &target, Some(&opens)).await?;
            let locks = call.source.locks(&caller).with(&target.locks(&caller));
            let data = (Arc::clone(&call), target);
            let outcome = self.store.write_with(locks, data, |tx, (call, target)| {
                once(tx, call, target).boxed()
            });
            match outcome.await? {
                Outcome::Done(answer) => {
                    if let Some(cart) = &answer.target {
                        self.note_visit(&caller, cart);
                    }
                    return Ok(*answer);
                }
                Outcome::StaleHint(slot) => self.hints.forget(&caller.shop, &slot),
                Outcome::NumberTaken => {}
            }
        }
        Err(moved_too_often())
    }
}

fn read_items(sent: Vec<pb::move_items_request::MovedItem>) -> Result<Vec<Item>> {
    let mut faults = Faults::default();
    if sent.is_empty() {
        faults.required("items");
    }
    let mut seen = HashSet::new();
    let mut items = Vec::with_capacity(sent.len());
    for (at, moved) in sent.into_iter().enumerate() {
        let quantity = moved.quantity.map(i64::from);
        if quantity.is_some_and(|quantity| !(1..=QUANTITY_MAX).contains(&quantity)) {
            let text = format!("takes 1 to {QUANTITY_MAX}");
            faults.invalid(format!("items[{at}].quantity"), "OUT_OF_RANGE", &text);
        }
        let at = format!("items[{at}].item");
        if moved.item.is_empty() {
            faults.required(at);
            continue;
        }
        let (cart, item) = if moved.item.contains('/') {
            let (cart, item) = item_ids(&moved.item).map_err(|error| error.with("field", &*at))?;
            (Some(cart), item)
        } else {
            (None, moved.item)
        };
        if !seen.insert(item.clone()) {
            faults.invalid(at, "DUPLICATE", "is named twice");
        }
        let one = Move { item, quantity };
        items.push(Item { cart, one });
    }
    faults.or(items)
}

async fn once(tx: &mut Tx, call: &Call, route: &Route) -> Result<Outcome> {
    let caller = &*call.caller;
    let now = call.clock.now();
    let mut source = match work::find(tx, caller, &call.source, None, now).await? {
        Lookup::Replay(replay) => {
            let of_cart = |cart| pb::MoveItemsResponse {
                target: Some(cart),
                ..Default::default()
            };
            let answer = replayed(tx, caller, &replay, of_cart).await?;
            return Ok(Outcome::Done(Box::new(answer)));
        }
        Lookup::Work(work) => work,
        Lookup::StaleHint => return Err(Error::not_found("cart")),
    };
    let mut target = match (work::find(tx, caller, route, None, now).await?, route) {
        (Lookup::Work(work), _) => work,
        (Lookup::StaleHint, Route::Hint(slot, _)) => return Ok(Outcome::StaleHint(slot.clone())),
        (Lookup::StaleHint | Lookup::Replay(_), _) => return Err(Error::not_found("cart")),
    };
    if source.cart.id == target.cart.id {
        return Err(same_cart());
    }
    admit_at(&mut source, caller, now, "source", &call.source_etag)?;
    admit_at(&mut target, caller, now, "target", &call.target_etag)?;
    if source.cart.owner != target.cart.owner {
        return Err(Error::new(
            Code::FailedPrecondition,
            ErrorReason::OwnerMismatch,
            "the two carts are of different owners",
        ));
    }
    if target.is_new {
        target.cart.currency.clone_from(&source.cart.currency);
        target.cart.storefront.clone_from(&source.cart.storefront);
    }
    require_compatible(&source, &target)?;
    let moves = moves(call, &source)?;
    let moved = move_lines(&mut source.cart, &mut target.cart, &moves)?;
    source.causes.extend(moved.source_causes);
    target.causes.extend(moved.target_causes);
    source.settle()?;
    target.settle()?;
    // The target first: if it is new and its number is in use, nothing is written.
    let Some((got, left)) = write_both(tx, caller, now, &mut target, &mut source).await? else {
        return Ok(Outcome::NumberTaken);
    };
    if !matches!(route, Route::Id(_) | Route::Hint(..)) {
        target.hint(tx, caller, &call.hints);
    }
    let answer = pb::MoveItemsResponse {
        lines: outcomes::lines(&source.cart.id, &target.cart.id, &moved.lines),
        source: Some(left),
        target: Some(got),
    };
    feed::answer(tx, caller, now, &answer, &names(&[&source, &target])).await?;
    Ok(Outcome::Done(Box::new(answer)))
}

/// The moves, if all of their lines belong to this cart.
fn moves(call: &Call, source: &Work) -> Result<Vec<Move>> {
    let moves = call.items.iter().enumerate().map(|(at, item)| {
        if item
            .cart
            .as_ref()
            .is_some_and(|cart| *cart != source.cart.id)
        {
            let at = format!("items[{at}].item");
            return Err(Error::not_found("item").with("field", at));
        }
        Ok(item.one.clone())
    });
    moves.collect()
}
