//! WatchCustomers.

use std::sync::Arc;

use super::Service;
use crate::{
    caller::Caller,
    customers::{
        convert,
        fields::{FIELDS, visible_to},
        watch::Customers,
    },
    error::{Error, Result},
    feed::{self, Scope, WatchRequest},
    list,
    proto::pb,
};

impl Service {
    pub(super) fn watch(
        &self,
        caller: Caller,
        request: pb::WatchCustomersRequest,
    ) -> Result<feed::Stream> {
        let pb::WatchCustomersRequest {
            filter,
            names,
            options,
        } = request;
        if !filter.is_empty() && !names.is_empty() {
            let text = "customers are watched by a filter or by their names, not by both";
            return Err(Error::invalid_field("names", "NOT_ALLOWED", text));
        }
        let filter = if filter.trim().is_empty() {
            None
        } else {
            Some(list::filter(&filter, &FIELDS, &visible_to(caller.roles))?)
        };
        let scope = if names.is_empty() {
            Scope::All
        } else {
            Scope::Ids(
                names
                    .iter()
                    .map(|name| convert::id_of(name).to_owned())
                    .collect(),
            )
        };
        let caller = Arc::new(caller);
        self.feed.watch(WatchRequest {
            caller,
            resource: &Customers,
            scope,
            filter,
            options,
        })
    }
}
