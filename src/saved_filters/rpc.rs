//! The calls of SavedFilterService.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::TABLE;
use super::model::SavedFilter;
use crate::caller::Caller;
use crate::feed::{self, Feed};
use crate::proto::pb;
use crate::proto::server::saved_filter_service_server::SavedFilterService;
use crate::resource::{self, Query};
use crate::store::Store;

/// Implements SavedFilterService.
#[derive(Clone)]
pub struct Service {
    store: Store,
    feed: Feed,
}

impl Service {
    /// Creates the service over a store and its feed.
    #[must_use]
    pub fn new(store: Store, feed: Feed) -> Self {
        Self { store, feed }
    }
}

#[tonic::async_trait]
impl SavedFilterService for Service {
    async fn create_saved_filter(
        &self,
        request: Request<pb::CreateSavedFilterRequest>,
    ) -> Result<Response<pb::SavedFilter>, Status> {
        let (caller, request) = Caller::parts(request);
        let (id, sent) = (request.saved_filter_id, request.saved_filter);
        let create =
            resource::create::<SavedFilter>(&self.store, caller, id, sent, request.validate_only);
        Ok(Response::new(create.await?))
    }

    async fn get_saved_filter(
        &self,
        request: Request<pb::GetSavedFilterRequest>,
    ) -> Result<Response<pb::SavedFilter>, Status> {
        let (caller, request) = Caller::parts(request);
        let get = resource::get::<SavedFilter>(&self.store, &caller, &request.name);
        Ok(Response::new(get.await?))
    }

    async fn list_saved_filters(
        &self,
        request: Request<pb::ListSavedFiltersRequest>,
    ) -> Result<Response<pb::ListSavedFiltersResponse>, Status> {
        let (caller, request) = Caller::parts(request);
        let query = Query {
            filter: &request.filter,
            order_by: &request.order_by,
            page_size: request.page_size,
            page_token: &request.page_token,
            count: request.count,
        };
        let list = resource::list::<SavedFilter>(&self.store, &caller, "ListSavedFilters", &query);
        let page = list.await?;
        Ok(Response::new(pb::ListSavedFiltersResponse {
            saved_filters: page.items,
            next_page_token: page.next_page_token,
            count: page.count,
        }))
    }

    async fn update_saved_filter(
        &self,
        request: Request<pb::UpdateSavedFilterRequest>,
    ) -> Result<Response<pb::SavedFilter>, Status> {
        let (caller, request) = Caller::parts(request);
        let (sent, mask) = (request.saved_filter, request.update_mask.as_ref());
        let update =
            resource::update::<SavedFilter>(&self.store, caller, sent, mask, request.validate_only);
        Ok(Response::new(update.await?))
    }

    async fn delete_saved_filter(
        &self,
        request: Request<pb::DeleteSavedFilterRequest>,
    ) -> Result<Response<()>, Status> {
        let (caller, request) = Caller::parts(request);
        let delete =
            resource::delete::<SavedFilter>(&self.store, caller, &request.name, request.etag);
        Ok(Response::new(delete.await?))
    }

    type WatchSavedFiltersStream = feed::Stream;

    async fn watch_saved_filters(
        &self,
        request: Request<pb::WatchSavedFiltersRequest>,
    ) -> Result<Response<Self::WatchSavedFiltersStream>, Status> {
        let (caller, request) = Caller::parts(request);
        let (filter, names) = (&request.filter, &request.names);
        let caller = Arc::new(caller);
        let watch = resource::watch(&self.feed, &TABLE, caller, filter, names, request.options);
        Ok(Response::new(watch?))
    }
}
