//! FreezeCart and UnfreezeCart.

use std::sync::Arc;

use super::Service;
use super::write::Write;
use crate::caller::Caller;
use crate::carts::edit::Cause;
use crate::carts::model::Freeze;
use crate::carts::work::{Act, Work};
use crate::error::Result;
use crate::proto::pb::{self, cart_cause};

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
        let apply = move |work: &mut Work, _: &Caller, now: i64| {
            // Settles the present prices, which are then frozen. Prices that are already frozen stay.
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
        let target = self.target(&caller, request.target)?;
        self.run(Write::new(caller, target, Act::Freeze, request.etag, apply))
            .await
    }

    pub(super) async fn unfreeze(
        &self,
        caller: Arc<Caller>,
        request: pb::UnfreezeCartRequest,
    ) -> Result<pb::Cart> {
        let apply = |work: &mut Work, _: &Caller, _: i64| {
            if !work.cart.freeze.is_none() {
                work.cart.freeze = Freeze::None;
                work.cart.freeze_time = None;
                work.causes.push(Cause::of_cart(cart_cause::Kind::Unfrozen));
            }
            Ok(())
        };
        let target = self.target(&caller, request.target)?;
        self.run(Write::new(caller, target, Act::Freeze, request.etag, apply))
            .await
    }
}
