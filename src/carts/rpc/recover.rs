//! CreateRecoveryLink and RecoverCart.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::Service;
use super::merge::leave_slot;
use super::write::{At, End, Step, Write};
use crate::caller::Caller;
use crate::carts::edit::Cause;
use crate::carts::links::{self, Link};
use crate::carts::model::{self, Owner};
use crate::carts::sql;
use crate::carts::targets::{Slot, Target};
use crate::carts::work::{self, Act, Work};
use crate::clock;
use crate::error::{Error, Result};
use crate::feed::timestamp;
use crate::limits::{LINK_LIFE_DEFAULT, LINK_LIFE_MAX, LINK_LIFE_MIN};
use crate::proto::pb::{self, cart_cause};
use crate::store::{Conn, Tx};

/// The return of a visitor or a customer to a cart by a link.
struct Recovery {
    link: Link,
    /// The visitor; None if the request names none.
    visitor: Option<Owner>,
}

impl Service {
    pub(super) async fn create_link(
        &self,
        caller: Arc<Caller>,
        request: pb::CreateRecoveryLinkRequest,
    ) -> Result<pb::CreateRecoveryLinkResponse> {
        let target = self.target(&caller, request.target)?;
        let life = life(request.time_to_live)?;
        let shop = Arc::clone(&caller.shop);
        let found = self
            .store
            .read(move |conn| async move { look(conn, &shop, &target).await }.boxed())
            .await?;
        found.require_open()?;
        let expire_time = self.store.clock().now() + clock::micros(life);
        let link = Link::new(found.cart.id, expire_time);
        Ok(pb::CreateRecoveryLinkResponse {
            token: self.links.seal(&caller.shop, &link),
            cart: model::name(&link.cart),
            expire_time: Some(timestamp(expire_time)),
        })
    }

    pub(super) async fn recover(
        &self,
        caller: Arc<Caller>,
        request: pb::RecoverCartRequest,
    ) -> Result<pb::Cart> {
        if request.token.is_empty() {
            return Err(Error::invalid_field("token", "REQUIRED", "is required"));
        }
        let link = self.links.open(&caller.shop, &request.token)?;
        let visitor = (!request.visitor.is_empty())
            .then(|| self.visitors.owner(&caller.shop, &request.visitor));
        let target = Target::Cart(link.cart.clone());
        let recovery = Recovery { link, visitor };
        self.run(Write::of(caller, target, recovery).of_shopper())
            .await
    }
}

fn life(sent: Option<prost_types::Duration>) -> Result<Duration> {
    let Some(sent) = sent else {
        return Ok(LINK_LIFE_DEFAULT);
    };
    Duration::try_from(sent)
        .ok()
        .filter(|life| (LINK_LIFE_MIN..=LINK_LIFE_MAX).contains(life))
        .ok_or_else(|| {
            let text = "takes 1 minute to 90 days";
            Error::invalid_field("time_to_live", "OUT_OF_RANGE", text)
        })
}

/// Reads the target cart without a write.
async fn look(conn: &mut Conn, shop: &str, target: &Target) -> Result<Work> {
    let id = match target {
        Target::Cart(id) => Some(id.clone()),
        Target::Slot(slot) => sql::open_in(conn, shop, &slot.owner.key(), &slot.slot).await?,
    };
    let ids: Vec<String> = id.into_iter().collect();
    let found = sql::read_many(conn, shop, &ids).await?.pop();
    found.map(Work::of).ok_or_else(|| Error::not_found("cart"))
}

impl Step for Recovery {
    fn apply<'t>(
        &'t self,
        tx: &'t mut Tx,
        work: &'t mut Work,
        at: At<'t>,
    ) -> BoxFuture<'t, Result<End>> {
        self.recover(tx, work, at).boxed()
    }
}

impl Recovery {
    async fn recover(&self, tx: &mut Tx, work: &mut Work, at: At<'_>) -> Result<End> {
        let (link, shop) = (&self.link, &*at.caller.shop);
        if link.expire_time <= at.now {
            return Err(links::expired());
        }
        if links::is_used(tx, shop, link).await? {
            return Err(links::used());
        }
        work.admit(at.caller, at.now, Act::Edit)?;
        if work.cart.owner.visitor().is_some() {
            self.hand_over(tx, work, at).await?;
        }
        work.settle()?;
        if !links::redeem(tx, shop, link).await? {
            return Err(links::used());
        }
        work.hint(tx, at.caller, at.hints);
        // Saved even if nothing else changed: the holder of a link is active, and any change that somebody
        // makes recovers an abandoned cart.
        Ok(End::Save)
    }

    /// Gives a visitor's cart to the visitor of the request.
    async fn hand_over(&self, tx: &mut Tx, work: &mut Work, at: At<'_>) -> Result<()> {
        let Some(visitor) = &self.visitor else {
            let text = "is required for the cart of a visitor";
            return Err(Error::invalid_field("visitor", "REQUIRED", text));
        };
        if work.cart.owner == *visitor {
            return Ok(());
        }
        let slot = Slot {
            owner: visitor.clone(),
            slot: work.cart.slot.clone(),
        };
        work::require_free(tx, &at.caller.shop, &slot).await?;
        leave_slot(work, at.caller, at.hints);
        work.cart.owner = slot.owner;
        work.causes.push(Cause::of_cart(cart_cause::Kind::Assigned));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_lives_as_long_as_is_said_within_its_limits() {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });

        assert_eq!(life(None).unwrap(), LINK_LIFE_DEFAULT);
        for good in [60, 7_776_000] {
            assert!(life(seconds(good)).is_ok(), "{good}");
        }
        for bad in [59, 7_776_001, 0, -60] {
            assert!(life(seconds(bad)).is_err(), "{bad}");
        }
    }
}
