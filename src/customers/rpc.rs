//! The calls of CustomerService. Each operation has a file of its own.

mod create;
mod delete;
mod list;
mod password;
mod read;
mod secret;
mod update;

use std::sync::Arc;

use futures::FutureExt as _;
use tonic::{Request, Response, Status};

use super::{
    addresses,
    cache::Customers,
    convert,
    derived::Derived,
    fields::TABLE,
    model::{Address, Title},
    sql,
};
use crate::{
    caller::Caller,
    error::{Error, Result},
    feed::{self, Feed, Replay},
    groups,
    numbers::Numbers,
    passwords::Passwords,
    proto::{pb, server::customer_service_server::CustomerService},
    resource::{self, Query},
    store::{Conn, Engine, Store},
};

/// Implements CustomerService.
pub struct Service {
    store: Store,
    feed: Feed,
    passwords: Passwords,
    numbers: Numbers,
    /// Only on the embedded engine, where no other process writes rows.
    cache: Option<Customers>,
}

impl Service {
    /// Creates the service from these parts of the program.
    #[must_use]
    pub fn new(store: Store, feed: Feed, passwords: Passwords, numbers: Numbers) -> Self {
        let cache = (store.engine() == Engine::Sqlite).then(Customers::new);
        Self {
            store,
            feed,
            passwords,
            numbers,
            cache,
        }
    }

    /// Ends a write: fills in the derived fields and removes the fields that the caller may not see.
    async fn finish(&self, caller: &Caller, mut customer: pb::Customer) -> Result<pb::Customer> {
        let id = convert::id_of(&customer.name).to_owned();
        let shop = Arc::clone(&caller.shop);
        let groups: Vec<String> = if groups::sees_hidden(caller) {
            Vec::new()
        } else {
            let ids = customer
                .groups
                .iter()
                .filter_map(|name| groups::id_of(name));
            ids.map(str::to_owned).collect()
        };
        let row = self
            .store
            .read(|conn| async move { sql::derived(conn, &shop, &id, &groups).await }.boxed())
            .await?;
        let derived = Derived::new(row, &customer.name)?;
        derived.fill(&mut customer, self.store.clock().now());
        if !groups::sees_hidden(caller) {
            derived.hide(&mut customer);
        }
        Ok(customer)
    }
}

/// The answer to a repeated request about a customer: that of the first time, or the present state if the log
/// no longer has it.
async fn replayed(conn: &mut Conn, caller: &Caller, replay: &Replay) -> Result<pb::Customer> {
    if let Some(answer) = replay.answer()? {
        return Ok(answer);
    }
    let customer = sql::get(conn, &caller.shop, &replay.id).await?;
    customer
        .map(|customer| convert::message(&customer))
        .ok_or_else(not_found)
}

/// The refusal of a customer that does not exist.
fn not_found() -> Error {
    Error::not_found("customer")
}

#[tonic::async_trait]
impl CustomerService for Service {
    async fn create_customer(
        &self,
        request: Request<pb::CreateCustomerRequest>,
    ) -> Result<Response<pb::Customer>, Status> {
        let (caller, request) = Caller::parts(request);
        Ok(Response::new(self.create(caller, request).await?))
    }

    async fn get_customer(
        &self,
        request: Request<pb::GetCustomerRequest>,
    ) -> Result<Response<pb::Customer>, Status> {
        let (caller, request) = Caller::parts(request);
        Ok(Response::new(self.get(&caller, &request.name).await?))
    }

    async fn batch_get_customers(
        &self,
        request: Request<pb::BatchGetCustomersRequest>,
    ) -> Result<Response<pb::BatchGetCustomersResponse>, Status> {
        let (caller, request) = Caller::parts(request);
        Ok(Response::new(self.batch_get(&caller, request.names).await?))
    }

    async fn list_customers(
        &self,
        request: Request<pb::ListCustomersRequest>,
    ) -> Result<Response<pb::ListCustomersResponse>, Status> {
        let (caller, request) = Caller::parts(request);
        Ok(Response::new(self.list(caller, request).await?))
    }

    async fn update_customer(
        &self,
        request: Request<pb::UpdateCustomerRequest>,
    ) -> Result<Response<pb::Customer>, Status> {
        let (caller, request) = Caller::parts(request);
        Ok(Response::new(self.update(caller, request).await?))
    }

    async fn delete_customer(
        &self,
        request: Request<pb::DeleteCustomerRequest>,
    ) -> Result<Response<()>, Status> {
        let (caller, request) = Caller::parts(request);
        Ok(Response::new(self.delete(caller, request).await?))
    }

    async fn undelete_customer(
        &self,
        request: Request<pb::UndeleteCustomerRequest>,
    ) -> Result<Response<pb::Customer>, Status> {
        let (caller, request) = Caller::parts(request);
        Ok(Response::new(self.undelete(caller, request).await?))
    }

    async fn lookup_customer(
        &self,
        request: Request<pb::LookupCustomerRequest>,
    ) -> Result<Response<pb::Customer>, Status> {
        let (caller, request) = Caller::parts(request);
        Ok(Response::new(self.lookup(&caller, request.key).await?))
    }

    async fn batch_lookup_customers(
        &self,
        request: Request<pb::BatchLookupCustomersRequest>,
    ) -> Result<Response<pb::BatchLookupCustomersResponse>, Status> {
        let (caller, request) = Caller::parts(request);
        Ok(Response::new(
            self.batch_lookup(&caller, request.keys).await?,
        ))
    }

    async fn verify_password(
        &self,
        request: Request<pb::VerifyPasswordRequest>,
    ) -> Result<Response<pb::VerifyPasswordResponse>, Status> {
        let (caller, request) = Caller::parts(request);
        Ok(Response::new(self.verify_password(caller, request).await?))
    }

    async fn create_address(
        &self,
        request: Request<pb::CreateAddressRequest>,
    ) -> Result<Response<pb::Address>, Status> {
        let (caller, request) = Caller::parts(request);
        Ok(Response::new(
            addresses::create(&self.store, caller, request).await?,
        ))
    }

    async fn get_address(
        &self,
        request: Request<pb::GetAddressRequest>,
    ) -> Result<Response<pb::Address>, Status> {
        let (caller, request) = Caller::parts(request);
        Ok(Response::new(
            resource::get::<Address>(&self.store, &caller, &request.name).await?,
        ))
    }

    async fn list_addresses(
        &self,
        request: Request<pb::ListAddressesRequest>,
    ) -> Result<Response<pb::ListAddressesResponse>, Status> {
        let (caller, request) = Caller::parts(request);
        Ok(Response::new(
            addresses::list(&self.store, &caller, request).await?,
        ))
    }

    async fn update_address(
        &self,
        request: Request<pb::UpdateAddressRequest>,
    ) -> Result<Response<pb::Address>, Status> {
        let (caller, request) = Caller::parts(request);
        let (sent, mask) = (request.address, request.update_mask.as_ref());
        let update =
            resource::update::<Address>(&self.store, caller, sent, mask, request.validate_only);
        Ok(Response::new(update.await?))
    }

    async fn delete_address(
        &self,
        request: Request<pb::DeleteAddressRequest>,
    ) -> Result<Response<()>, Status> {
        let (caller, request) = Caller::parts(request);
        let delete = resource::delete::<Address>(&self.store, caller, &request.name, request.etag);
        delete.await?;
        Ok(Response::new(()))
    }

    async fn create_title(
        &self,
        request: Request<pb::CreateTitleRequest>,
    ) -> Result<Response<pb::Title>, Status> {
        let (caller, request) = Caller::parts(request);
        let pb::CreateTitleRequest {
            title,
            title_id,
            validate_only,
            ..
        } = request;
        let title = resource::create::<Title>(&self.store, caller, title_id, title, validate_only);
        Ok(Response::new(title.await?))
    }

    async fn get_title(
        &self,
        request: Request<pb::GetTitleRequest>,
    ) -> Result<Response<pb::Title>, Status> {
        let (caller, request) = Caller::parts(request);
        let title = resource::get::<Title>(&self.store, &caller, &request.name);
        Ok(Response::new(title.await?))
    }

    async fn list_titles(
        &self,
        request: Request<pb::ListTitlesRequest>,
    ) -> Result<Response<pb::ListTitlesResponse>, Status> {
        let (caller, request) = Caller::parts(request);
        let query = Query {
            page_size: request.page_size,
            page_token: &request.page_token,
            ..Query::default()
        };
        let page = resource::list::<Title>(&self.store, &caller, "ListTitles", &query).await?;
        Ok(Response::new(pb::ListTitlesResponse {
            titles: page.items,
            next_page_token: page.next_page_token,
        }))
    }

    async fn update_title(
        &self,
        request: Request<pb::UpdateTitleRequest>,
    ) -> Result<Response<pb::Title>, Status> {
        let (caller, request) = Caller::parts(request);
        let pb::UpdateTitleRequest {
            title,
            update_mask,
            validate_only,
            ..
        } = request;
        let mask = update_mask.as_ref();
        let title = resource::update::<Title>(&self.store, caller, title, mask, validate_only);
        Ok(Response::new(title.await?))
    }

    async fn delete_title(
        &self,
        request: Request<pb::DeleteTitleRequest>,
    ) -> Result<Response<()>, Status> {
        let (caller, request) = Caller::parts(request);
        let pb::DeleteTitleRequest { name, etag, .. } = request;
        resource::delete::<Title>(&self.store, caller, &name, etag).await?;
        Ok(Response::new(()))
    }

    type WatchCustomersStream = feed::Stream;

    async fn watch_customers(
        &self,
        request: Request<pb::WatchCustomersRequest>,
    ) -> Result<Response<Self::WatchCustomersStream>, Status> {
        let (caller, request) = Caller::parts(request);
        let pb::WatchCustomersRequest {
            filter,
            names,
            options,
        } = request;
        let caller = Arc::new(caller);
        let stream = resource::watch(&self.feed, &TABLE, caller, &filter, &names, options)?;
        Ok(Response::new(stream))
    }
}
