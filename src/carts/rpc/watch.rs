//! WatchCart and WatchCarts.

use std::sync::Arc;

use super::Service;
use crate::caller::Caller;
use crate::carts::feed::CARTS;
use crate::carts::schema::{SCHEMA, topic};
use crate::carts::targets::{Target, cart_id};
use crate::error::{Error, Result};
use crate::feed::{Scope, Stream, WatchRequest};
use crate::list;
use crate::proto::pb;

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
            resource: &CARTS,
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
