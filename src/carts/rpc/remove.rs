//! DeleteCart.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::Service;
use super::write::{At, End, Step, Write};
use crate::caller::Caller;
use crate::carts::edit::Cause;
use crate::carts::work::{Act, Work};
use crate::error::Result;
use crate::feed;
use crate::proto::pb::{self, cart_cause};
use crate::store::Tx;

/// The deletion of a cart.
struct Deletion {
    etag: String,
}

impl Service {
    pub(super) async fn delete(
        &self,
        caller: Arc<Caller>,
        request: pb::DeleteCartRequest,
    ) -> Result<()> {
        let target = self.target(&caller, request.target)?;
        let etag = request.etag;
        let write = Write::of(caller, target, Deletion { etag }).silent();
        self.run(write).await.map(|_| ())
    }
}

impl Step for Deletion {
    fn apply<'t>(
        &'t self,
        tx: &'t mut Tx,
        work: &'t mut Work,
        at: At<'t>,
    ) -> BoxFuture<'t, Result<End>> {
        async move {
            work.admit(at.caller, at.now, Act::Delete)?;
            work.check_etag(&self.etag)?;
            work.causes.push(Cause::of_cart(cart_cause::Kind::Deleted));
            let deletion = work.remove(tx, at.caller, at.now).await?;
            feed::append(tx, at.caller, at.now, deletion).await?;
            at.hints.forget(&at.caller.shop, &work.slot());
            Ok(End::Done(Box::default()))
        }
        .boxed()
    }
}
