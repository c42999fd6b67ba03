//! WatchCart and WatchCarts.

use std::sync::Arc;

use super::Service;
use crate::caller::Caller;
use crate::carts::schema::{TABLE, topic};
use crate::carts::targets::Target;
use crate::error::Result;
use crate::feed::{Scope, Stream, WatchRequest};
use crate::proto::pb;
use crate::resource;

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
        let options = request.options;
        self.feed.watch(WatchRequest {
            caller,
            resource: &*TABLE,
            scope,
            filter: None,
            options,
        })
    }

    pub(super) fn watch_many(
        &self,
        caller: Arc<Caller>,
        request: pb::WatchCartsRequest,
    ) -> Result<Stream> {
        let pb::WatchCartsRequest {
            filter,
            names,
            options,
        } = request;
        resource::watch(&self.feed, &TABLE, caller, &filter, &names, options)
    }
}
