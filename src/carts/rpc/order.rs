//! OrderCart and ReopenCart.

use std::future::ready;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tonic::Code;

use super::Service;
use super::write::{At, End, Step, Write, named};
use crate::caller::Caller;
use crate::carts::convert;
use crate::carts::edit::Cause;
use crate::carts::model::{self, Cart, Freeze, State};
use crate::carts::sql;
use crate::carts::targets::Target;
use crate::carts::work::{self, Act, Route, Work};
use crate::error::{Error, Result};
use crate::feed;
use crate::proto::pb::{self, ErrorReason, cart_cause};
use crate::store::{LockKey, Tx};

/// An order of a cart.
struct Order {
    reference: String,
    expected: Option<pb::Money>,
    etag: String,
}

/// The reopening of an ordered cart.
struct Reopening {
    etag: String,
}

impl Service {
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
        let lock = LockKey::of("order", &caller.shop, &request.order_reference);
        let order = Order {
            reference: request.order_reference,
            expected: request.expected_total,
            etag: request.etag,
        };
        self.run(Write::of(caller, target, order).locking(lock))
            .await
    }

    pub(super) async fn reopen(
        &self,
        caller: Arc<Caller>,
        request: pb::ReopenCartRequest,
    ) -> Result<pb::Cart> {
        let target = Target::Cart(named(&request.name)?);
        let etag = request.etag;
        self.run(Write::of(caller, target, Reopening { etag }))
            .await
    }
}

impl Step for Order {
    // Payment webhooks repeat. The second time the owner may have no open cart, or already the next one.
    fn answer<'t>(
        &'t self,
        tx: &'t mut Tx,
        at: At<'t>,
    ) -> Option<BoxFuture<'t, Result<Option<pb::Cart>>>> {
        let answer = async move {
            let ordered = sql::by_order(tx, &at.caller.shop, &self.reference).await?;
            let Some(ordered) = ordered else {
                return Ok(None);
            };
            let answer = repeated(at.route, &ordered)?;
            feed::remember(tx, at.caller, at.now, &ordered.id, &answer).await?;
            Ok(Some(answer))
        };
        Some(answer.boxed())
    }

    fn apply<'t>(
        &'t self,
        _: &'t mut Tx,
        work: &'t mut Work,
        at: At<'t>,
    ) -> BoxFuture<'t, Result<End>> {
        ready(self.place(work, at).map(|()| End::Save)).boxed()
    }
}

impl Order {
    fn place(&self, work: &mut Work, at: At<'_>) -> Result<()> {
        work.admit(at.caller, at.now, Act::Order)?;
        work.check_etag(&self.etag)?;
        if work.cart.is_saved() {
            let text = "items saved for later cannot be ordered; move them into another cart first";
            return Err(Error::invalid_field("target", "SAVED_FOR_LATER", text));
        }
        if work.cart.lines.is_empty() {
            return Err(Error::new(
                Code::FailedPrecondition,
                ErrorReason::CartEmpty,
                "an empty cart cannot be ordered",
            ));
        }
        work.causes.push(Cause::of_cart(cart_cause::Kind::Ordered));
        work.settle()?;
        check_total(&work.cart, self.expected.as_ref())?;
        let cart = &mut work.cart;
        cart.state = State::Ordered;
        cart.order_reference.clone_from(&self.reference);
        cart.order_time = Some(at.now);
        Ok(())
    }
}

/// The answer if a cart was ordered with this reference before.
fn repeated(route: &Route, ordered: &Cart) -> Result<pb::Cart> {
    let same = match route {
        Route::Id(id) => *id == ordered.id,
        Route::Hint(slot, _) | Route::Open(slot) | Route::OpenOrNew(slot, _) => {
            slot.owner == ordered.owner && slot.slot == ordered.slot
        }
    };
    if !same {
        return Err(Error::new(
            Code::AlreadyExists,
            ErrorReason::OrderReferenceTaken,
            "another cart was ordered with this reference; choose another one",
        )
        .with("cart", model::name(&ordered.id)));
    }
    Ok(convert::message(ordered))
}

fn check_total(cart: &Cart, expected: Option<&pb::Money>) -> Result<()> {
    let Some(expected) = expected else {
        return Ok(());
    };
    if expected.micros == cart.totals.total && expected.currency_code == cart.currency {
        return Ok(());
    }
    let text = "the cart's total differs from the expected one; read the cart again";
    Err(Error::new(Code::Aborted, ErrorReason::TotalChanged, text)
        .with("total", cart.totals.total.to_string())
        .with("currency_code", cart.currency.clone())
        .with("current_etag", feed::etag(&cart.name(), cart.version)))
}

impl Step for Reopening {
    fn apply<'t>(
        &'t self,
        tx: &'t mut Tx,
        work: &'t mut Work,
        at: At<'t>,
    ) -> BoxFuture<'t, Result<End>> {
        self.reopen(tx, work, at).boxed()
    }
}

impl Reopening {
    async fn reopen(&self, tx: &mut Tx, work: &mut Work, at: At<'_>) -> Result<End> {
        let At { caller, now, .. } = at;
        work.admit(caller, now, Act::Reopen)?;
        if work.cart.state != State::Ordered {
            return Err(work.with_state(Error::new(
                Code::FailedPrecondition,
                ErrorReason::CartNotOrdered,
                "only an ordered cart can be reopened",
            )));
        }
        work.check_etag(&self.etag)?;
        if work.cart.owner.customer().is_some() {
            work::require_customer(work.customer.as_ref())?;
        }
        work::require_free(tx, &caller.shop, &work.slot()).await?;
        work.cart.state = State::Open;
        work.cart.order_reference.clear();
        work.cart.order_time = None;
        work.cart.freeze = Freeze::None;
        work.cart.freeze_time = None;
        work.causes.push(Cause::of_cart(cart_cause::Kind::Reopened));
        work.hint(tx, caller, at.hints);
        Ok(End::Settle)
    }
}
