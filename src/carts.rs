//! Carts: what shoppers put into them, what it costs, and how they end.
//!
//! The face for the other areas: a visitor's carts become a customer's ([`adoptable`], [`adopt`]), the
//! work on carts that other areas only ask for ([`jobs`]), and what filters of carts may name
//! ([`TABLE`]).

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
mod rpc;
mod schema;
mod sql;
mod targets;
mod work;

pub use links::USED_LINKS;
pub use schema::TABLE;

use crate::area::{Area, bounded};
use crate::caller::Caller;
use crate::error::Result;
use crate::feed;
use crate::proto::pb::cart_cause;
use crate::proto::server::cart_service_server::CartServiceServer;
use crate::store::{Engine, StoreMeta, Tx};
use edit::Cause;
use model::Owner;
use rpc::Service;
use sql::{Herd, Key, Query};
use targets::{Visitors, lock};
use work::{Act, Work};

/// The carts as a part of the program.
#[must_use]
pub fn area() -> Area {
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
}

/// Carts in the change log.
pub const KIND: feed::Kind = feed::Kind::new(3);

/// Open carts of one visitor that a customer adopts; further ones stay the visitor's until they expire.
const ADOPTED_MAX: i64 = 16;

/// A visitor, as carts know it.
#[derive(Debug, Clone)]
pub struct Visitor(Owner);

/// The visitor with this token.
#[must_use]
pub fn visitor(meta: &StoreMeta, shop: &str, token: &str) -> Visitor {
    Visitor(Visitors::new(meta).owner(shop, token))
}

/// Whether a customer may have an open cart. PostgreSQL, where a cart may be made side by side with this
/// transaction, is not asked.
///
/// # Errors
/// The database's.
pub async fn may_be_open(tx: &mut Tx, shop: &str, customer: &str) -> Result<bool> {
    Ok(match tx.engine() {
        Engine::Postgres => true,
        Engine::Sqlite => {
            let one = sql::herd(tx, shop, Herd::OpenOf, customer, "", 1).await?;
            !one.is_empty()
        }
    })
}

/// The open carts of a visitor, by id. To be asked before the first write: it takes the carts' locks.
///
/// # Errors
/// The database's; where a lock is missing, the error that has the write run again.
pub async fn adoptable(tx: &mut Tx, shop: &str, visitor: &Visitor) -> Result<Vec<String>> {
    let open = sql::open_of(tx, shop, &visitor.0.key(), ADOPTED_MAX).await?;
    let ids: Vec<String> = open.into_iter().map(|(id, _)| id).collect();
    tx.require_all(ids.iter().map(|id| lock(shop, id)))?;
    Ok(ids)
}

/// Gives carts found by [`adoptable`] to a customer whose row is new in the same transaction and whose
/// change is already in the log. A cart that staff holds or that is wholly frozen stays the visitor's:
/// nobody fails to register because of it.
///
/// # Errors
/// The database's.
pub async fn adopt(
    tx: &mut Tx,
    caller: &Caller,
    carts: &[String],
    customer: &str,
    now: i64,
) -> Result<()> {
    for id in carts {
        let customer_row = Some(customer);
        let query = Query {
            caller,
            key: Key::Id(id),
            customer: customer_row,
        };
        let mut found = sql::read(tx, query).await?;
        let Some(cart) = found.cart.take() else {
            continue;
        };
        let mut work = Work::new(cart, found);
        if work.admit(caller, now, Act::Edit).is_err() {
            continue;
        }
        work.cart.owner = Owner::Customer(customer.to_owned());
        work.causes.push(Cause::of_cart(cart_cause::Kind::Assigned));
        work.settle()?;
        work.save(tx, caller, now).await?;
    }
    Ok(())
}
