//! Customers: accounts, guests and staff, with their addresses, titles and passwords.
//!
//! The face for the other areas: [`load`] and what is read of a customer, [`regroup`] for the groups
//! that others decide, [`visits`], and what a new shop begins with ([`titles`]). Invariant: a
//! customer that is not deleted has at least one group, and its default group is one of them.

mod addresses;
mod cache;
mod convert;
mod derived;
mod fields;
mod model;
mod rpc;
mod sql;
pub mod titles;
mod tombstones;
pub mod visits;
mod watch;
mod write;

pub use convert::{COLLECTION, id_of, message, name};
pub use fields::FIELDS;
pub use model::{AccountType, Address, Consent, Customer, Kind, Money, Risk, State, Summary};
pub use rpc::Service;
pub use write::lock;

use crate::{
    access::Caller,
    error::{Error, Result},
    groups,
    proto::pb,
    store::{Conn, Tx},
};

/// A customer, deleted or not; None if there is none of this id.
///
/// # Errors
/// The database's.
pub async fn load(conn: &mut Conn, shop: &str, id: &str) -> Result<Option<Customer>> {
    sql::get(conn, shop, id).await
}

/// The customers of these ids, in their order; those that do not exist are left out.
///
/// # Errors
/// The database's.
pub async fn load_many(conn: &mut Conn, shop: &str, ids: &[String]) -> Result<Vec<Customer>> {
    sql::get_many(conn, shop, ids).await
}

/// Whose these e-mail addresses are, in their normal form: pairs of address and id. Deleted customers
/// have none.
///
/// # Errors
/// The database's.
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
/// The database's.
pub async fn has_address(conn: &mut Conn, shop: &str, customer: &str, id: &str) -> Result<bool> {
    addresses::exists(conn, shop, customer, id).await
}

/// Gives a customer the groups and the default group that `change` makes of the present ones, which
/// are sorted. The memberships themselves are the caller's to write. None if there is no customer.
///
/// The customer's lock must be held. Where nothing changes there is no new version.
///
/// # Errors
/// Internal when the result has no group, or a default that is none of them.
pub async fn regroup(
    tx: &mut Tx,
    caller: &Caller,
    shop: &str,
    id: &str,
    change: impl FnOnce(&mut Vec<String>, &mut String),
    now: i64,
) -> Result<Option<Customer>> {
    debug_assert!(
        tx.holds(lock(shop, id)),
        "the lock of customer {id} is held"
    );
    let Some(before) = sql::get(tx, shop, id).await? else {
        return Ok(None);
    };
    let mut after = before.clone();
    change(&mut after.groups, &mut after.default_group);
    after.groups.sort_unstable();
    after.groups.dedup();
    if !after.groups.contains(&after.default_group) {
        return Err(Error::internal(format!(
            "customer {id} would have a foreign default group"
        )));
    }
    if after != before {
        write::store(tx, caller, Some(&before), &mut after, now).await?;
    }
    Ok(Some(after))
}

/// What carts show of their customer.
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
