//! OrderCart and ReopenCart.

use std::sync::Arc;

use futures::FutureExt as _;
use tonic::Code;

use super::Service;
use crate::caller::Caller;
use crate::carts::convert;
use crate::carts::edit::Cause;
use crate::carts::model::{self, Cart, Freeze, State};
use crate::carts::sql;
use crate::carts::targets::{Target, cart_id};
use crate::carts::work::{self, Act, Got, Route, Work};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::feed;
use crate::proto::pb::{self, ErrorReason, cart_cause};
use crate::store::{LockKey, Tx};

struct Order {
    caller: Arc<Caller>,
    route: Route,
    reference: String,
    expected: Option<pb::Money>,
    etag: String,
    clock: Clock,
}

impl Service {
    /// How a write that opens nothing finds its cart.
    pub(super) fn route_to(target: Target) -> Route {
        match target {
            Target::Cart(id) => Route::Id(id),
            Target::Slot(slot) => Route::Open(slot),
        }
    }

    pub(super) async fn order(
        &self,
        caller: Arc<Caller>,
        request: pb::OrderCartRequest,
    ) -> Result<pb::Cart> {
        let target = self.target(&caller, request.target)?;
        if request.order_reference.is_empty() {
            return Err(Error::invalid_field(
                "order_reference",
                "REQUIRED",
                "is required",
            ));
        }
        let route = Self::route_to(target);
        let lock = LockKey::of("order", &caller.shop, &request.order_reference);
        let locks = route.locks(&caller).and(lock);
        let order = Order {
            caller,
            route,
            reference: request.order_reference,
            expected: request.expected_total,
            etag: request.etag,
            clock: self.store.clock().clone(),
        };
        self.store
            .write_with(locks, order, |tx, order| once(tx, order).boxed())
            .await
    }

    pub(super) async fn reopen(
        &self,
        caller: Arc<Caller>,
        request: pb::ReopenCartRequest,
    ) -> Result<pb::Cart> {
        if request.name.is_empty() {
            return Err(Error::invalid_field("name", "REQUIRED", "is required"));
        }
        let route = Route::Id(cart_id(&request.name)?);
        let locks = route.locks(&caller);
        let (clock, hints) = (self.store.clock().clone(), self.hints.clone());
        let data = (caller, route, request.etag);
        self.store
            .write_with(locks, data, move |tx, (caller, route, etag)| {
                let (now, hints) = (clock.now(), hints.clone());
                async move {
                    let mut work = match work::find(tx, caller, route, None, now).await? {
                        Got::Replay(replay) => {
                            return work::replayed(tx, caller, &replay).await;
                        }
                        Got::Work(work) => work,
                        Got::Moved => return Err(Error::not_found("cart")),
                    };
                    reopen(tx, caller, now, etag, &mut work).await?;
                    let answer = work.save(tx, caller, now).await?;
                    work.hint(tx, caller, &hints);
                    answer.ok_or_else(|| Error::internal("an old cart was added"))
                }
                .boxed()
            })
            .await
    }
}

async fn once(tx: &mut Tx, order: &Order) -> Result<pb::Cart> {
    let Order {
        caller,
        route,
        reference,
        ..
    } = order;
    let now = order.clock.now();
    // The reference first: the webhook of a payment comes twice, and the second time the owner may
    // have no open cart any more, or already the next.
    let found = match work::find(tx, caller, route, None, now).await {
        Ok(Got::Replay(replay)) => {
            return work::replayed(tx, caller, &replay).await;
        }
        Ok(Got::Work(work)) => Ok(work),
        Ok(Got::Moved) => Err(Error::not_found("cart")),
        Err(error) if error.reason() == ErrorReason::NotFound => Err(error),
        Err(error) => return Err(error),
    };
    if let Some(ordered) = sql::by_order(tx, &caller.shop, reference).await? {
        let answer = repeated(route, &ordered)?;
        feed::remember(tx, caller, now, &ordered.id, &answer).await?;
        return Ok(answer);
    }
    let mut work = found?;
    work.admit(caller, now, Act::Order)?;
    work.check_etag(&order.etag)?;
    if work.cart.is_saved() {
        let text = "what is saved for later cannot be ordered; move it into another cart first";
        return Err(Error::invalid_field("target", "SAVED_FOR_LATER", text));
    }
    if work.cart.lines.is_empty() {
        return Err(Error::new(
            Code::FailedPrecondition,
            ErrorReason::CartEmpty,
            "an empty cart cannot be ordered",
        ));
    }
    let before = work.cart.version;
    work.causes.push(Cause::of_cart(cart_cause::Kind::Ordered));
    work.settle()?;
    check_total(&work.cart, before, order.expected.as_ref())?;
    let cart = &mut work.cart;
    cart.state = State::Ordered;
    cart.order_reference.clone_from(reference);
    cart.order_time = Some(now);
    let answer = work.save(tx, caller, now).await?;
    answer.ok_or_else(|| Error::internal("an old cart was added"))
}

/// The answer where a cart was ordered with this reference before.
fn repeated(route: &Route, ordered: &Cart) -> Result<pb::Cart> {
    let same = match route {
        Route::Id(id) => *id == ordered.id,
        Route::Open(slot) => slot.owner == ordered.owner && slot.slot == ordered.slot,
        Route::Hint(..) | Route::OpenOrNew(..) => false,
    };
    if !same {
        return Err(Error::new(
            Code::AlreadyExists,
            ErrorReason::OrderReferenceTaken,
            "another cart was ordered with this reference",
        )
        .with("cart", model::name(&ordered.id)));
    }
    Ok(convert::message(ordered))
}

fn check_total(cart: &Cart, version: i64, expected: Option<&pb::Money>) -> Result<()> {
    let Some(expected) = expected else {
        return Ok(());
    };
    if expected.micros == cart.totals.total && expected.currency_code == cart.currency {
        return Ok(());
    }
    let text = "the cart's total is another than was expected";
    Err(Error::new(Code::Aborted, ErrorReason::TotalChanged, text)
        .with("total", cart.totals.total.to_string())
        .with("currency_code", cart.currency.clone())
        .with("current_etag", feed::etag(&cart.name(), version)))
}

async fn reopen(tx: &mut Tx, caller: &Caller, now: i64, etag: &str, work: &mut Work) -> Result<()> {
    work.admit(caller, now, Act::Reopen)?;
    if work.cart.state != State::Ordered {
        return Err(work.told_of(Error::new(
            Code::FailedPrecondition,
            ErrorReason::CartNotOrdered,
            "only an ordered cart can be reopened",
        )));
    }
    work.check_etag(etag)?;
    if work.cart.owner.customer().is_some() {
        work::require_customer(work.customer.as_ref())?;
    }
    let slot = work.slot();
    tx.require(slot.lock(&caller.shop))?;
    if let Some(other) = sql::open_in(tx, &caller.shop, &slot.owner.key(), &slot.slot).await? {
        return Err(work::open_cart_exists(&other));
    }
    work.cart.state = State::Open;
    work.cart.order_reference.clear();
    work.cart.order_time = None;
    work.cart.freeze = Freeze::None;
    work.cart.freeze_time = None;
    work.causes.push(Cause::of_cart(cart_cause::Kind::Reopened));
    work.settle()
}
