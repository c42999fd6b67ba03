//! The calls of GroupService.

use std::sync::Arc;

use futures::FutureExt as _;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

use super::fields::TABLE;
use super::model::{Group, name, required_id};
use super::read;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::feed::{self, Feed};
use crate::jobs::{self, JobKind, NewJob};
use crate::proto::pb;
use crate::proto::server::group_service_server::GroupService;
use crate::resource;
use crate::store::{Store, Tx};

/// The metadata key under which DeleteGroup returns the operation that continues the deletion.
const OPERATION: &str = "clientela-operation";

/// The members of groups. A membership is also a field of its customer, so the area of the customers provides
/// this part of GroupService.
#[tonic::async_trait]
pub trait Members: Send + Sync + 'static {
    /// Implements AddMembers.
    async fn add(
        &self,
        store: &Store,
        caller: &Caller,
        request: pb::AddMembersRequest,
    ) -> Result<Vec<pb::MemberResult>>;

    /// Implements RemoveMembers.
    async fn remove(
        &self,
        store: &Store,
        caller: &Caller,
        request: pb::RemoveMembersRequest,
    ) -> Result<Vec<pb::MemberResult>>;

    /// Implements ListMembers.
    async fn list(
        &self,
        store: &Store,
        caller: &Caller,
        request: pb::ListMembersRequest,
    ) -> Result<pb::ListMembersResponse>;
}

/// Implements GroupService.
#[derive(Clone)]
pub struct Service {
    store: Store,
    feed: Feed,
    members: Arc<dyn Members>,
}

impl Service {
    /// Creates the service over a store and its feed, with the area that changes members.
    #[must_use]
    pub fn new(store: Store, feed: Feed, members: Arc<dyn Members>) -> Self {
        Self {
            store,
            feed,
            members,
        }
    }

    /// Fills in the derived fields.
    async fn complete(
        &self,
        caller: &Caller,
        language_code: String,
        groups: Vec<pb::Group>,
    ) -> Result<Vec<pb::Group>> {
        let shop = Arc::clone(&caller.shop);
        self.store
            .read(move |conn| read::complete(conn, shop, language_code, groups).boxed())
            .await
    }

    async fn complete_one(
        &self,
        caller: &Caller,
        language_code: String,
        group: pb::Group,
    ) -> Result<Response<pb::Group>> {
        let mut groups = self.complete(caller, language_code, vec![group]).await?;
        Ok(Response::new(groups.swap_remove(0)))
    }
}

/// Deletes a group and enqueues the removal of its members. Returns the name of the operation. For a repeated
/// request it is that of the first one, or None if the operation is no longer stored.
async fn delete(
    tx: &mut Tx,
    caller: &Caller,
    id: &str,
    etag: &str,
    now: i64,
) -> Result<Option<String>> {
    if !resource::delete_row::<Group>(tx, caller, id, etag, now).await? {
        return feed::answered(tx, caller).await;
    }
    let group = name(id);
    let job = NewJob::now(JobKind::DeleteGroup, &*group, now);
    let operation = jobs::enqueue(tx, caller, now, job).await?;
    let operation = format!("operations/{operation}");
    feed::answer(tx, caller, now, &operation, &[group]).await?;
    Ok(Some(operation))
}

#[tonic::async_trait]
impl GroupService for Service {
    async fn create_group(
        &self,
        request: Request<pb::CreateGroupRequest>,
    ) -> Result<Response<pb::Group>, Status> {
        let caller = Caller::of(&request).clone();
        let request = request.into_inner();
        let pb::CreateGroupRequest {
            group,
            group_id,
            validate_only,
            ..
        } = request;
        let create =
            resource::create::<Group>(&self.store, caller.clone(), group_id, group, validate_only);
        let answer = create.await?;
        Ok(self.complete_one(&caller, String::new(), answer).await?)
    }

    async fn get_group(
        &self,
        request: Request<pb::GetGroupRequest>,
    ) -> Result<Response<pb::Group>, Status> {
        let caller = Caller::of(&request).clone();
        let request = request.into_inner();
        let id = required_id(&request.name)?;
        let group = {
            let caller = caller.clone();
            self.store
                .read(|conn| async move { read::get(conn, &caller, &id).await }.boxed())
        };
        Ok(self
            .complete_one(&caller, request.language_code, group.await?)
            .await?)
    }

    async fn list_groups(
        &self,
        request: Request<pb::ListGroupsRequest>,
    ) -> Result<Response<pb::ListGroupsResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let request = request.into_inner();
        let list = read::list(&self.store, &caller, &request)?;
        let page = self
            .store
            .read(|conn| async move { list.read(conn).await }.boxed())
            .await?;
        let groups = self
            .complete(&caller, request.language_code, page.items)
            .await?;
        Ok(Response::new(pb::ListGroupsResponse {
            groups,
            next_page_token: page.next_page_token,
            count: page.count,
        }))
    }

    async fn update_group(
        &self,
        request: Request<pb::UpdateGroupRequest>,
    ) -> Result<Response<pb::Group>, Status> {
        let caller = Caller::of(&request).clone();
        let request = request.into_inner();
        let pb::UpdateGroupRequest {
            group,
            update_mask,
            validate_only,
            ..
        } = request;
        let mask = update_mask.as_ref();
        let update =
            resource::update::<Group>(&self.store, caller.clone(), group, mask, validate_only);
        let answer = update.await?;
        Ok(self.complete_one(&caller, String::new(), answer).await?)
    }

    async fn delete_group(
        &self,
        request: Request<pb::DeleteGroupRequest>,
    ) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request).clone();
        let request = request.into_inner();
        let id = required_id(&request.name)?;
        let now = self.store.clock().now();
        let locks = resource::locks::<Group>(&caller, &id);
        let work = (caller, id, request.etag, now);
        let operation = self
            .store
            .write_with(locks, work, |tx, (caller, id, etag, now)| {
                delete(tx, caller, id, etag, *now).boxed()
            })
            .await?;
        let mut response = Response::new(());
        if let Some(operation) = operation {
            let name = MetadataValue::try_from(operation).map_err(Error::internal)?;
            response.metadata_mut().insert(OPERATION, name);
        }
        Ok(response)
    }

    async fn add_members(
        &self,
        request: Request<pb::AddMembersRequest>,
    ) -> Result<Response<pb::AddMembersResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let results = self
            .members
            .add(&self.store, &caller, request.into_inner())
            .await?;
        Ok(Response::new(pb::AddMembersResponse { results }))
    }

    async fn remove_members(
        &self,
        request: Request<pb::RemoveMembersRequest>,
    ) -> Result<Response<pb::RemoveMembersResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let results = self
            .members
            .remove(&self.store, &caller, request.into_inner())
            .await?;
        Ok(Response::new(pb::RemoveMembersResponse { results }))
    }

    async fn list_members(
        &self,
        request: Request<pb::ListMembersRequest>,
    ) -> Result<Response<pb::ListMembersResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let answer = self
            .members
            .list(&self.store, &caller, request.into_inner())
            .await?;
        Ok(Response::new(answer))
    }

    type WatchGroupsStream = feed::Stream;

    async fn watch_groups(
        &self,
        request: Request<pb::WatchGroupsRequest>,
    ) -> Result<Response<Self::WatchGroupsStream>, Status> {
        let caller = Arc::new(Caller::of(&request).clone());
        let pb::WatchGroupsRequest {
            filter,
            names,
            options,
        } = request.into_inner();
        let stream = resource::watch(&self.feed, &TABLE, caller, &filter, &names, options)?;
        Ok(Response::new(stream))
    }
}
