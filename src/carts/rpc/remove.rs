//! DeleteCart.

use std::sync::Arc;

use futures::FutureExt as _;

use super::Service;
use crate::caller::Caller;
use crate::carts::edit::Cause;
use crate::carts::work::{self, Act, Got};
use crate::error::{Error, Result};
use crate::feed;
use crate::proto::pb::{self, cart_cause};

impl Service {
    pub(super) async fn delete(
        &self,
        caller: Arc<Caller>,
        request: pb::DeleteCartRequest,
    ) -> Result<()> {
        let route = Self::route_to(self.target(&caller, request.target)?);
        let locks = route.locks(&caller);
        let (clock, hints) = (self.store.clock().clone(), self.hints.clone());
        let data = (caller, route, request.etag);
        self.store
            .write_with(locks, data, move |tx, (caller, route, etag)| {
                let (now, hints) = (clock.now(), hints.clone());
                async move {
                    let mut work = match work::find(tx, caller, route, None, now).await? {
                        Got::Replay(_) => return Ok(()),
                        Got::Work(work) => work,
                        Got::Moved => return Err(Error::not_found("cart")),
                    };
                    work.admit(caller, now, Act::Delete)?;
                    work.check_etag(etag)?;
                    work.causes.push(Cause::of_cart(cart_cause::Kind::Deleted));
                    let deletion = work.remove(tx, caller, now).await?;
                    feed::append(tx, caller, now, deletion).await?;
                    hints.forget(&caller.shop, &work.slot());
                    Ok(())
                }
                .boxed()
            })
            .await
    }
}
