//! The calls of `CartService`. An operation of more than a line has a file of its own.

mod assign;
mod create;
mod edit;
mod figures;
mod freeze;
mod list;
mod lock;
mod merge;
mod moving;
mod order;
mod recover;
mod remove;
mod update;
mod watch;
mod write;

use std::sync::Arc;

use futures::FutureExt as _;
use tonic::{Request, Response, Status};

use super::figures::Figures;
use super::links::Links;
use super::sql::{self, Key, Query};
use super::targets::{Hints, Target, Visitors};
use super::work::{self, Work};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::feed::{self, Feed};
use crate::numbers::Numbers;
use crate::proto::pb;
use crate::proto::server::cart_service_server::CartService;
use crate::store::Store;

#[derive(Clone)]
pub struct Service {
    store: Store,
    feed: Feed,
    numbers: Numbers,
    visitors: Visitors,
    links: Links,
    hints: Hints,
    figures: Figures,
}

impl Service {
    /// Creates the service over this store and its feed.
    #[must_use]
    pub fn new(store: Store, feed: Feed, numbers: Numbers) -> Self {
        let visitors = Visitors::new(store.meta());
        let figures = Figures::new(store.clone(), feed.clone());
        let links = Links::new(store.meta());
        Self {
            store,
            feed,
            numbers,
            visitors,
            links,
            hints: Hints::default(),
            figures,
        }
    }

    fn target(&self, caller: &Caller, target: Option<pb::CartTarget>) -> Result<Target> {
        self.visitors.target(&caller.shop, target, "target")
    }

    async fn get(&self, caller: Arc<Caller>, request: pb::GetCartRequest) -> Result<pb::Cart> {
        let target = self.target(&caller, request.target)?;
        let now = self.store.clock().now();
        let found = self.store.read(move |conn| {
            async move {
                let owner;
                let (key, customer) = match &target {
                    Target::Cart(id) => (Key::Id(id), None),
                    Target::Slot(slot) => {
                        owner = slot.owner.key();
                        let key = Key::Open {
                            owner: &owner,
                            slot: &slot.slot,
                        };
                        (key, slot.owner.customer())
                    }
                };
                sql::read(
                    conn,
                    Query {
                        caller: &caller,
                        key,
                        customer,
                    },
                )
                .await
            }
            .boxed()
        });
        let mut found = found.await?;
        let cart = found.cart.take().ok_or_else(|| Error::not_found("cart"))?;
        let mut work = Work::new(cart, found);
        work::view(&mut work)?;
        Ok(work.shown(now))
    }
}

/// Converts the result of a unary call.
fn respond<T>(result: Result<T>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(Status::from)
}

/// Splits a request into its caller and its message.
fn open<T>(request: Request<T>) -> (Arc<Caller>, T) {
    let caller = Arc::new(Caller::of(&request).clone());
    (caller, request.into_inner())
}

#[tonic::async_trait]
impl CartService for Service {
    type WatchCartStream = feed::Stream;
    type WatchCartsStream = feed::Stream;
    type WatchCartFiguresStream = figures::Stream;

    async fn create_cart(
        &self,
        request: Request<pb::CreateCartRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.create(caller, request).await)
    }

    async fn get_cart(
        &self,
        request: Request<pb::GetCartRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.get(caller, request).await)
    }

    async fn list_carts(
        &self,
        request: Request<pb::ListCartsRequest>,
    ) -> Result<Response<pb::ListCartsResponse>, Status> {
        let (caller, request) = open(request);
        respond(self.list(&caller, request).await)
    }

    async fn add_item(
        &self,
        request: Request<pb::AddItemRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.add(caller, request).await)
    }

    async fn update_item(
        &self,
        request: Request<pb::UpdateItemRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.update_line(caller, request).await)
    }

    async fn remove_item(
        &self,
        request: Request<pb::RemoveItemRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.remove_line(caller, request).await)
    }

    async fn edit_cart(
        &self,
        request: Request<pb::EditCartRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.edit_all(caller, request).await)
    }

    async fn update_item_prices(
        &self,
        request: Request<pb::UpdateItemPricesRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.update_prices(caller, request).await)
    }

    async fn clear_cart(
        &self,
        request: Request<pb::ClearCartRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.clear(caller, request).await)
    }

    async fn update_cart(
        &self,
        request: Request<pb::UpdateCartRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.update(caller, request).await)
    }

    async fn assign_cart(
        &self,
        request: Request<pb::AssignCartRequest>,
    ) -> Result<Response<pb::AssignCartResponse>, Status> {
        let (caller, request) = open(request);
        respond(self.assign(caller, request).await)
    }

    async fn merge_carts(
        &self,
        request: Request<pb::MergeCartsRequest>,
    ) -> Result<Response<pb::MergeCartsResponse>, Status> {
        let (caller, request) = open(request);
        respond(self.merge(caller, request).await)
    }

    async fn move_items(
        &self,
        request: Request<pb::MoveItemsRequest>,
    ) -> Result<Response<pb::MoveItemsResponse>, Status> {
        let (caller, request) = open(request);
        respond(self.move_lines(caller, request).await)
    }

    async fn freeze_cart(
        &self,
        request: Request<pb::FreezeCartRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.freeze(caller, request).await)
    }

    async fn unfreeze_cart(
        &self,
        request: Request<pb::UnfreezeCartRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.unfreeze(caller, request).await)
    }

    async fn lock_cart(
        &self,
        request: Request<pb::LockCartRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.lock(caller, request).await)
    }

    async fn renew_cart_lock(
        &self,
        request: Request<pb::RenewCartLockRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.renew_lock(caller, request).await)
    }

    async fn unlock_cart(
        &self,
        request: Request<pb::UnlockCartRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.unlock(caller, request).await)
    }

    async fn create_recovery_link(
        &self,
        request: Request<pb::CreateRecoveryLinkRequest>,
    ) -> Result<Response<pb::CreateRecoveryLinkResponse>, Status> {
        let (caller, request) = open(request);
        respond(self.create_link(caller, request).await)
    }

    async fn recover_cart(
        &self,
        request: Request<pb::RecoverCartRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.recover(caller, request).await)
    }

    async fn order_cart(
        &self,
        request: Request<pb::OrderCartRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.order(caller, request).await)
    }

    async fn reopen_cart(
        &self,
        request: Request<pb::ReopenCartRequest>,
    ) -> Result<Response<pb::Cart>, Status> {
        let (caller, request) = open(request);
        respond(self.reopen(caller, request).await)
    }

    async fn delete_cart(
        &self,
        request: Request<pb::DeleteCartRequest>,
    ) -> Result<Response<()>, Status> {
        let (caller, request) = open(request);
        respond(self.delete(caller, request).await)
    }

    async fn watch_cart(
        &self,
        request: Request<pb::WatchCartRequest>,
    ) -> Result<Response<Self::WatchCartStream>, Status> {
        let (caller, request) = open(request);
        respond(self.watch_one(caller, request))
    }

    async fn watch_carts(
        &self,
        request: Request<pb::WatchCartsRequest>,
    ) -> Result<Response<Self::WatchCartsStream>, Status> {
        let (caller, request) = open(request);
        respond(self.watch_many(caller, request))
    }

    async fn watch_cart_figures(
        &self,
        request: Request<pb::WatchCartFiguresRequest>,
    ) -> Result<Response<Self::WatchCartFiguresStream>, Status> {
        let (caller, request) = open(request);
        respond(self.watch_figures(caller, request))
    }
}
