//! FreezeCart and UnfreezeCart, and what they share with UnlockCart: a write that changes what of a
//! cart is held.

use std::sync::Arc;

use futures::FutureExt as _;

use super::Service;
use crate::caller::Caller;
use crate::carts::edit::Cause;
use crate::carts::model::Freeze;
use crate::carts::work::{self, Act, Got, Route, Work};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::proto::pb::{self, cart_cause};
use crate::store::Tx;

/// What a hold becomes; run again whenever the write is.
type Apply = Arc<dyn Fn(&mut Work, i64) -> Result<()> + Send + Sync>;

/// A change of what of a cart is held.
pub(super) struct Holding {
    /// Who asks.
    pub(super) caller: Arc<Caller>,
    /// Of which cart.
    pub(super) route: Route,
    /// The version that must be current, if not empty.
    pub(super) etag: String,
    /// What the gate is asked.
    pub(super) act: Act,
    /// What is done.
    pub(super) apply: Apply,
}

impl Service {
    pub(super) async fn freeze(
        &self,
        caller: Arc<Caller>,
        request: pb::FreezeCartRequest,
    ) -> Result<pb::Cart> {
        let freeze = match request.freeze() {
            pb::cart::Freeze::Unspecified | pb::cart::Freeze::Soft => Freeze::Soft,
            pb::cart::Freeze::Hard => Freeze::Hard,
        };
        let apply = move |work: &mut Work, now: i64| {
            // The prices of now, which are then held; those that were held before stay.
            work.settle()?;
            let cart = &mut work.cart;
            if cart.freeze == freeze {
                return Ok(());
            }
            if cart.freeze.is_none() {
                cart.freeze_time = Some(now);
            }
            cart.freeze = freeze;
            work.causes.push(Cause::of_cart(cart_cause::Kind::Frozen));
            Ok(())
        };
        let holding = Holding {
            route: Self::route_to(self.target(&caller, request.target)?),
            caller,
            etag: request.etag,
            act: Act::Freeze,
            apply: Arc::new(apply),
        };
        self.change_hold(holding).await
    }

    pub(super) async fn unfreeze(
        &self,
        caller: Arc<Caller>,
        request: pb::UnfreezeCartRequest,
    ) -> Result<pb::Cart> {
        let apply = |work: &mut Work, _: i64| {
            if !work.cart.freeze.is_none() {
                work.cart.freeze = Freeze::None;
                work.cart.freeze_time = None;
                work.causes.push(Cause::of_cart(cart_cause::Kind::Unfrozen));
            }
            work.settle()
        };
        let holding = Holding {
            route: Self::route_to(self.target(&caller, request.target)?),
            caller,
            etag: request.etag,
            act: Act::Freeze,
            apply: Arc::new(apply),
        };
        self.change_hold(holding).await
    }

    /// Runs a change of what is held.
    pub(super) async fn change_hold(&self, holding: Holding) -> Result<pb::Cart> {
        let locks = holding.route.locks(&holding.caller);
        let data = (holding, self.store.clock().clone());
        self.store
            .write_with(locks, data, |tx, (holding, clock)| {
                once(tx, holding, clock).boxed()
            })
            .await
    }
}

async fn once(tx: &mut Tx, holding: &Holding, clock: &Clock) -> Result<pb::Cart> {
    let caller = &*holding.caller;
    let now = clock.now();
    let mut work = match work::find(tx, caller, &holding.route, None, now).await? {
        Got::Replay(replay) => return work::replayed(tx, caller, &replay).await,
        Got::Work(work) => work,
        Got::Moved => return Err(Error::not_found("cart")),
    };
    work.admit(caller, now, holding.act)?;
    work.check_etag(&holding.etag)?;
    (holding.apply)(&mut work, now)?;
    if work.is_idle() {
        return work.leave(tx, caller, now, work.answer()).await;
    }
    let answer = work.save(tx, caller, now).await?;
    answer.ok_or_else(|| Error::internal("an old cart was added"))
}
