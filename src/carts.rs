//! Carts: their lines, their prices, and their life.
//!
//! The interface for other areas is the table of filter fields ([`TABLE`]). Carts react to changes of their
//! customers, and `jobs` does the work on carts that other areas enqueue.

mod convert;
mod edit;
mod figures;
mod jobs;
mod leases;
mod links;
mod merging;
mod model;
mod moving;
mod outcomes;
mod price;
mod reactions;
mod rpc;
mod schema;
mod sql;
mod targets;
mod work;

pub use links::USED_LINKS;
pub use schema::TABLE;

use crate::area::{Area, bounded};
use crate::feed;
use crate::proto::server::cart_service_server::CartServiceServer;
use crate::store::StoreMeta;
use reactions::{Adopt, FollowCustomer};
use rpc::Service;

/// The carts as a part of the program over the store of this `meta`.
#[must_use]
pub fn area(meta: &StoreMeta) -> Area {
    Area::default()
        .service(|parts, routes| {
            let (store, feed) = (parts.store.clone(), parts.feed.clone());
            let service = Service::new(store, feed, parts.numbers.clone());
            routes.add_service(bounded!(CartServiceServer, service))
        })
        .handler(jobs::AbandonCarts)
        .handler(jobs::RepriceCarts)
        .handler(jobs::RefreshCustomer)
        .handler(jobs::DeleteCustomerCarts)
        .sweeper(jobs::ExpiredCarts)
        .sweeper(USED_LINKS)
        .upkeep(leases::EndLeases::default())
        .reaction(Adopt::new(meta))
        .reaction(FollowCustomer)
}

/// The kind of carts in the change log.
pub const KIND: feed::Kind = feed::Kind::new(3);
