//! Customers: accounts, guests and staff, with their addresses, titles and passwords.
//!
//! The interface for other areas: [`load`] and other reads, [`regroup`] for groups that others decide, and
//! [`visits`]. Higher areas react to a [`Customer`] that is created or changed, and to a [`Registration`].
//! Invariant: a customer that is not deleted has at least one group, and its default group is one of them.

mod addresses;
mod cache;
mod convert;
mod derived;
mod fields;
mod members;
mod model;
mod reindex;
mod rpc;
mod sql;
mod titles;
pub mod visits;
mod write;

pub use convert::{COLLECTION, id_of, message, name};
pub use fields::TABLE;
pub use members::Members;
pub use model::{AccountType, Address, Consent, Customer, Kind, Money, Risk, State, Summary};
pub use sql::INDEX_NOTED;
pub use write::lock;

use members::{DeleteGroup, ExpireMemberships};
use reindex::{Order, Reindex};
use rpc::Service;
use titles::DefaultTitles;

use crate::{
    area::{Area, Parts, bounded},
    caller::Caller,
    error::{Error, Result},
    feed, groups,
    proto::{pb, server::customer_service_server::CustomerServiceServer},
    store::{Conn, Tx},
};

/// The customers as a part of the program.
#[must_use]
pub fn area() -> Area {
    Area::default()
        .service(|parts, routes| {
            let Parts {
                store,
                feed,
                passwords,
                numbers,
                ..
            } = parts;
            let (store, feed) = (store.clone(), feed.clone());
            let service = Service::new(store, feed, passwords.clone(), numbers.clone());
            routes.add_service(bounded!(CustomerServiceServer, service))
        })
        .handler(DeleteGroup)
        .handler(ExpireMemberships)
        .handler(Reindex)
        .upkeep(visits::Flush)
        .reaction(DefaultTitles)
        .reaction(Order)
}

/// The kind of customers in the change log.
pub const KIND: feed::Kind = feed::Kind::new(1);
/// The kind of customers' addresses in the change log.
const ADDRESS: feed::Kind = feed::Kind::new(4);
/// The kind of titles in the change log.
const TITLE: feed::Kind = feed::Kind::new(5);

/// A new customer, as an event for higher areas that have to take locks for it. The event of the [`Customer`]
/// itself comes before it.
pub struct Registration {
    /// The id of the customer.
    pub customer: String,
    /// The token of the visitor who becomes the customer; empty if there is none.
    pub visitor: String,
}

/// Loads a customer, deleted or not; None if it does not exist.
///
/// # Errors
/// An error of the database.
pub async fn load(conn: &mut Conn, shop: &str, id: &str) -> Result<Option<Customer>> {
    sql::get(conn, shop, id).await
}

/// Loads the customers with these ids, in their order. Absent customers are left out.
///
/// # Errors
/// An error of the database.
pub async fn load_many(conn: &mut Conn, shop: &str, ids: &[String]) -> Result<Vec<Customer>> {
    sql::get_many(conn, shop, ids).await
}

/// Finds the owners of e-mail addresses in their normal form, as pairs of address and id. Deleted customers
/// own none.
///
/// # Errors
/// An error of the database.
pub async fn ids_by_email(
    conn: &mut Conn,
    shop: &str,
    claims: &[String],
) -> Result<Vec<(String, String)>> {
    sql::ids_by_claim(conn, shop, claims).await
}

/// Whether the customer has this address.
///
/// # Errors
/// An error of the database.
pub async fn has_address(conn: &mut Conn, shop: &str, customer: &str, id: &str) -> Result<bool> {
    addresses::exists(conn, shop, customer, id).await
}

/// Sets the groups of a stored customer, and a default group among them. The caller writes the memberships
/// themselves.
///
/// The caller must hold the customer's lock. If nothing changes there is no new version.
///
/// # Errors
/// Internal if there is no group, or if the default is not among them. Or an error of the database.
pub async fn regroup(
    tx: &mut Tx,
    caller: &Caller,
    before: &Customer,
    mut groups: Vec<String>,
    default_group: String,
    now: i64,
) -> Result<()> {
    let id = &before.id;
    debug_assert!(
        tx.holds(lock(&caller.shop, id)),
        "the lock of customer {id} is held"
    );
    groups.sort_unstable();
    groups.dedup();
    if !groups.contains(&default_group) {
        return Err(Error::internal(format!(
            "customer {id} would have a foreign default group"
        )));
    }
    let mut after = Customer {
        groups,
        default_group,
        ..before.clone()
    };
    if after == *before {
        return Ok(());
    }
    write::store(tx, caller, None, before, &mut after, now).await
}

/// The summary that carts show of their customer.
#[must_use]
pub fn summary(customer: &Customer) -> pb::CustomerSummary {
    let Summary {
        display_name,
        kind,
        groups,
    } = customer.summary();
    pb::CustomerSummary {
        display_name,
        kind: kind.number(),
        groups: groups.iter().map(|id| groups::name(id)).collect(),
    }
}
