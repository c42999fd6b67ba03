//! The calls of OperationService.

use futures::FutureExt as _;
use tonic::{Code, Request, Response, Status};

use super::{has_ended, id_of, is_cancellable, read, state_text, watch};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::feed::{self, Change, Feed};
use crate::jobs;
use crate::proto::pb::{self, ErrorReason};
use crate::proto::server::operation_service_server::OperationService;
use crate::store::{LockKey, Store, Tx};

/// The service of operations.
#[derive(Clone)]
pub struct Service {
    store: Store,
    feed: Feed,
}

impl Service {
    /// Makes the service. Its streams count among those of the feed and end with them.
    #[must_use]
    pub fn new(store: Store, feed: Feed) -> Self {
        Self { store, feed }
    }

    async fn get(&self, caller: &Caller, name: &str) -> Result<pb::Operation> {
        let (caller, id) = (caller.clone(), id(name)?);
        self.store
            .read(|conn| async move { read::get(conn, &caller, &id).await }.boxed())
            .await
    }
}

#[tonic::async_trait]
impl OperationService for Service {
    async fn get_operation(
        &self,
        request: Request<pb::GetOperationRequest>,
    ) -> Result<Response<pb::Operation>, Status> {
        let caller = Caller::of(&request).clone();
        Ok(Response::new(
            self.get(&caller, &request.into_inner().name).await?,
        ))
    }

    async fn list_operations(
        &self,
        request: Request<pb::ListOperationsRequest>,
    ) -> Result<Response<pb::ListOperationsResponse>, Status> {
        let caller = Caller::of(&request).clone();
        let list = read::list(&self.store, &caller, &request.into_inner())?;
        let page = self
            .store
            .read(|conn| async move { list.read(conn).await }.boxed())
            .await?;
        Ok(Response::new(pb::ListOperationsResponse {
            operations: page.items,
            next_page_token: page.next_page_token,
        }))
    }

    async fn cancel_operation(
        &self,
        request: Request<pb::CancelOperationRequest>,
    ) -> Result<Response<pb::Operation>, Status> {
        let caller = Caller::of(&request).clone();
        let id = id(&request.into_inner().name)?;
        let locks = feed::locks(&caller).and(LockKey::of("operation", &caller.shop, &id));
        let data = (caller, id, self.store.clock().now());
        let cancelled = self
            .store
            .write_with(locks, data, |tx, (caller, id, now)| {
                cancel(tx, caller, id, *now).boxed()
            })
            .await?;
        Ok(Response::new(cancelled))
    }

    type WatchOperationStream = watch::Stream;

    async fn watch_operation(
        &self,
        request: Request<pb::WatchOperationRequest>,
    ) -> Result<Response<Self::WatchOperationStream>, Status> {
        let caller = Caller::of(&request).clone();
        let id = id(&request.into_inner().name)?;
        // An operation that cannot be watched is refused at once.
        self.get(&caller, &super::name(&id)).await?;
        Ok(Response::new(watch::stream(
            self.store.clone(),
            &self.feed,
            caller,
            id,
        )?))
    }
}

async fn cancel(tx: &mut Tx, caller: &Caller, id: &str, now: i64) -> Result<pb::Operation> {
    if let Some(replay) = feed::replay(tx, caller).await? {
        return match replay.answer()? {
            Some(answer) => Ok(answer),
            None => read::get(tx, caller, id).await,
        };
    }
    let operation = read::get(tx, caller, id).await?;
    if has_ended(&operation) {
        let text = "the operation has ended";
        return Err(
            Error::new(Code::FailedPrecondition, ErrorReason::OperationEnded, text)
                .with("state", state_text(operation.state())),
        );
    }
    if !is_cancellable(&operation) {
        return Err(Error::new(
            Code::FailedPrecondition,
            ErrorReason::OperationNotCancellable,
            "the operation keeps the data consistent and cannot be cancelled; wait until it ends",
        ));
    }
    if !jobs::cancel(tx, id, now).await? {
        // It ended after it was read, and the next run sees that.
        return Err(tx.run_again());
    }
    let cancelled = read::get(tx, caller, id).await?;
    feed::append(
        tx,
        caller,
        now,
        Change::upserted(crate::operations::KIND, id, now, &cancelled),
    )
    .await?;
    Ok(cancelled)
}

/// The id in an operation's name. The access layer has refused texts that are no names.
fn id(name: &str) -> Result<String> {
    let id = id_of(name).map(str::to_owned);
    id.ok_or_else(|| {
        Error::invalid_field("name", "INVALID", "an operation is named operations/{id}")
    })
}
