//! WatchCart and WatchCarts.

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use prost::Message as _;
use tonic::Status;

use super::Service;
use crate::access::Caller;
use crate::carts::feed::CARTS;
use crate::carts::schema::{SCHEMA, topic};
use crate::carts::targets::{Target, cart_id};
use crate::carts::work;
use crate::error::{Error, Result};
use crate::feed::{Frame, Scope, Stream, WatchRequest};
use crate::proto::pb;
use crate::store::Store;
use crate::{groups, list};

impl Service {
    pub(super) fn watch_one(
        &self,
        caller: Arc<Caller>,
        request: pb::WatchCartRequest,
    ) -> Result<Stream> {
        let scope = match self.target(&caller, request.target)? {
            Target::Cart(id) => Scope::Ids(vec![id]),
            Target::Slot(slot) => Scope::Topic(topic(&slot.owner.key(), &slot.slot)),
        };
        let sees_hidden = groups::sees_hidden(&caller);
        let shop = Arc::clone(&caller.shop);
        let options = request.options;
        let request = WatchRequest {
            caller,
            resource: &CARTS,
            scope,
            filter: None,
            options,
        };
        let stream = self.feed.watch(request)?;
        if sees_hidden {
            return Ok(stream);
        }
        let store = self.store.clone();
        let stream = stream.then(move |frame| {
            let (store, shop) = (store.clone(), Arc::clone(&shop));
            async move {
                without_hidden(&store, &shop, frame?)
                    .await
                    .map_err(Status::from)
            }
        });
        Ok(Box::pin(stream))
    }

    pub(super) fn watch_many(
        &self,
        caller: Arc<Caller>,
        request: pb::WatchCartsRequest,
    ) -> Result<Stream> {
        if !request.names.is_empty() && !request.filter.is_empty() {
            let text = "a watch has a filter or names, not both";
            return Err(Error::invalid_field("names", "CONFLICT", text));
        }
        let filter = list::filter(&request.filter, &SCHEMA, &|_| true)?;
        let filter = (!filter.is_everything()).then_some(filter);
        let scope = if request.names.is_empty() {
            Scope::All
        } else {
            Scope::Ids(
                request
                    .names
                    .iter()
                    .map(|name| cart_id(name))
                    .collect::<Result<_>>()?,
            )
        };
        let options = request.options;
        self.feed.watch(WatchRequest {
            caller,
            resource: &CARTS,
            scope,
            filter,
            options,
        })
    }
}

/// A frame without the groups that storefronts do not see. Frames are shared by all streams, so this
/// one is made anew; a storefront watches one cart at a time, which changes seldom.
async fn without_hidden(store: &Store, shop: &Arc<str>, frame: Frame) -> Result<Frame> {
    let mut response = pb::WatchCartsResponse::decode(frame.encode_to_vec().as_slice())
        .map_err(Error::internal)?;
    let carts = response
        .changes
        .iter()
        .filter_map(|change| change.cart.as_ref());
    if carts.clone().all(|cart| cart.customer_summary.is_none()) {
        return Ok(frame);
    }
    let shop = Arc::clone(shop);
    let hidden = store
        .read(move |conn| async move { groups::hidden(conn, &shop).await }.boxed())
        .await?;
    for change in &mut response.changes {
        change.cart = change.cart.take().map(|cart| work::shown(cart, &hidden));
    }
    Ok(Frame::new(vec![Bytes::from(response.encode_to_vec())]))
}
