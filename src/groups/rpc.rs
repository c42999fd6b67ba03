//! The calls of GroupService.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

use super::fields::{self, SCHEMA};
use super::watch::Groups;
use super::{convert, lock, read, write};
use crate::caller::Caller;
use crate::error::{Error, Result, Violation};
use crate::feed::{self, Feed, Scope, WatchRequest};
use crate::proto::pb;
use crate::proto::server::group_service_server::GroupService;
use crate::store::{Locks, Store, Tx};
use crate::{ids, list};

/// In which answers of DeleteGroup name the operation that goes on.
const OPERATION: &str = "clientela-operation";

/// The members of groups. A membership is also a field of its customer, so the area of the customers provides
/// this part of GroupService.
#[tonic::async_trait]
pub trait Members: Send + Sync + 'static {
    /// AddMembers.
    async fn add(
        &self,
        store: &Store,
        caller: &Caller,
        request: pb::AddMembersRequest,
    ) -> Result<Vec<pb::MemberResult>>;

    /// RemoveMembers.
    async fn remove(
        &self,
        store: &Store,
        caller: &Caller,
        request: pb::RemoveMembersRequest,
    ) -> Result<Vec<pb::MemberResult>>;

    /// ListMembers.
    async fn list(
        &self,
        store: &Store,
        caller: &Caller,
        request: pb::ListMembersRequest,
    ) -> Result<pb::ListMembersResponse>;
}

/// GroupService.
#[derive(Clone)]
pub struct Service {
    store: Store,
    feed: Feed,
    members: Arc<dyn Members>,
}

impl Service {
    /// The service over a store and its feed, with the area that changes members.
    #[must_use]
    pub fn new(store: Store, feed: Feed, members: impl Members) -> Self {
        Self {
            store,
            feed,
            members: Arc::new(members),
        }
    }

    /// Writes, or tries whether it could.
    async fn write<T, D, F>(&self, validate_only: bool, locks: Locks, data: D, f: F) -> Result<T>
    where
        T: Send + 'static,
        D: Send + Sync + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t D) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        if validate_only {
            self.store.rehearse(locks, data, f).await
        } else {
            self.store.write_with(locks, data, f).await
        }
    }

    fn now(&self) -> i64 {
        self.store.clock().now()
    }

    /// Fills in what is derived.
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

#[tonic::async_trait]
impl GroupService for Service {
    async fn create_group(
        &self,
        request: Request<pb::CreateGroupRequest>,
    ) -> Result<Response<pb::Group>, Status> {
        let caller = Caller::of(&request).clone();
        let request = request.into_inner();
        let group = convert::new_group(request.group)?;
        let id = if request.group_id.is_empty() {
            ids::new_id()
        } else {
            request.group_id
        };
        let locks = feed::locks(&caller).and(lock(&caller.shop, &id));
        let create = write::Create {
            caller: caller.clone(),
            now: self.now(),
            id,
            group,
        };
        let run = self.write(request.validate_only, locks, create, |tx, create| {
            write::create(tx, create).boxed()
        });
        let answer = run.await?;
        Ok(self.complete_one(&caller, String::new(), answer).await?)
    }

    async fn get_group(
        &self,
        request: Request<pb::GetGroupRequest>,
    ) -> Result<Response<pb::Group>, Status> {
        let caller = Caller::of(&request).clone();
        let request = request.into_inner();
        let id = convert::required_id(&request.name)?;
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
        let list = read::List::new(&self.store, &caller, &request)?;
        let read::Page {
            groups,
            next_page_token,
            count,
        } = self.store.read(|conn| list.read(conn).boxed()).await?;
        let groups = self
            .complete(&caller, request.language_code, groups)
            .await?;
        Ok(Response::new(list::fits(pb::ListGroupsResponse {
            groups,
            next_page_token,
            count,
        })?))
    }

    async fn update_group(
        &self,
        request: Request<pb::UpdateGroupRequest>,
    ) -> Result<Response<pb::Group>, Status> {
        let caller = Caller::of(&request).clone();
        let request = request.into_inner();
        let sent = request.group.as_ref();
        let (name, etag) = sent
            .map(|group| (group.name.as_str(), group.etag.clone()))
            .unwrap_or_default();
        let id = convert::required_id(name)?;
        let update = convert::Update::new(request.group, request.update_mask.as_ref())?;
        let locks = feed::locks(&caller).and(lock(&caller.shop, &id));
        let update = write::Update {
            caller: caller.clone(),
            now: self.now(),
            id,
            etag,
            update,
        };
        let run = self.write(request.validate_only, locks, update, |tx, update| {
            write::update(tx, update).boxed()
        });
        let answer = run.await?;
        Ok(self.complete_one(&caller, String::new(), answer).await?)
    }

    async fn delete_group(
        &self,
        request: Request<pb::DeleteGroupRequest>,
    ) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request).clone();
        let request = request.into_inner();
        let id = convert::required_id(&request.name)?;
        let locks = feed::locks(&caller).and(lock(&caller.shop, &id));
        let delete = write::Delete {
            caller,
            now: self.now(),
            id,
            etag: request.etag,
        };
        let operation = self
            .store
            .write_with(locks, delete, |tx, delete| {
                write::delete(tx, delete).boxed()
            })
            .await?;
        let mut response = Response::new(());
        if let Some(operation) = operation {
            let name = format!("operations/{operation}");
            let name = MetadataValue::try_from(name).map_err(Error::internal)?;
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
        if !filter.is_empty() && !names.is_empty() {
            let violation = Violation::new("names", "CONFLICT", "not together with a filter");
            return Err(Error::invalid(vec![violation]).into());
        }
        let scope = if names.is_empty() {
            Scope::All
        } else {
            Scope::Ids(
                names
                    .iter()
                    .map(|name| convert::required_id(name))
                    .collect::<Result<_>>()?,
            )
        };
        let filter = list::filter(&filter, &SCHEMA, &fields::visible)?;
        let filter = (!filter.is_everything()).then_some(filter);
        let request = WatchRequest {
            caller,
            resource: &Groups,
            scope,
            filter,
            options,
        };
        Ok(Response::new(self.feed.watch(request)?))
    }
}
