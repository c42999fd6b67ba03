//! Groups: sets of customers with privileges, and their memberships.
//!
//! The interface for other areas: checks that groups exist and suit an account, memberships
//! ([`memberships`]), and the special groups that a shop's settings name. Carts read the privileges from the
//! columns `state`, `discount_hundredths` and `pricing_revision`.

mod counts;
mod fields;
pub mod memberships;
mod model;
mod read;
mod rpc;
mod rules;
mod special;
mod sql;

use std::collections::HashMap;
use std::sync::Arc;

use tonic::Code;

pub use fields::TABLE;
pub(crate) use model::required_id;
pub use model::{
    Audience, COLLECTION, Group, PriceDisplay, Special, State, id_of, name, next_default,
};
pub use rpc::Members;
pub use special::Hidden;
pub(crate) use sql::forget_count;

use crate::area::{Area, bounded};
use crate::caller::Caller;
use crate::error::{Error, Result, Violation};
use crate::feed;
use crate::jobs::{self, JobKind, NewJob};
use crate::proto::pb::{self, ErrorReason, customer::AccountType};
use crate::proto::server::group_service_server::GroupServiceServer;
use crate::resource;
use crate::store::{Conn, LockKey, Tx};
use counts::SumCounts;
use rpc::Service;
use special::SpecialGroups;

/// The groups as a part of the program. The area of the customers provides `members`.
#[must_use]
pub fn area(members: impl Members) -> Area {
    let members: Arc<dyn Members> = Arc::new(members);
    Area::default()
        .service(move |parts, routes| {
            let (store, feed) = (parts.store.clone(), parts.feed.clone());
            let service = Service::new(store, feed, Arc::clone(&members));
            routes.add_service(bounded!(GroupServiceServer, service))
        })
        .upkeep(SumCounts::default())
        .reaction(SpecialGroups)
}

/// The kind of groups in the change log.
pub const KIND: feed::Kind = feed::Kind::new(2);

/// The lock of a group's row.
#[must_use]
pub fn lock(shop: &str, id: &str) -> LockKey {
    LockKey::of("group", shop, id)
}

/// Loads a group; None if it does not exist.
///
/// # Errors
/// An error of the database.
pub async fn load(conn: &mut Conn, shop: &str, id: &str) -> Result<Option<Group>> {
    resource::load(conn, shop, id).await
}

/// Checks that all these groups exist and are for accounts of this type. `path` returns the path of an id in
/// the request, for example `customer.groups[2]`.
///
/// # Errors
/// INVALID_FIELD with all groups that do not exist, or GROUP_NOT_FOR_ACCOUNT.
pub async fn require_groups(
    conn: &mut Conn,
    shop: &str,
    ids: &[String],
    account_type: AccountType,
    path: impl Fn(&str) -> String,
) -> Result<()> {
    let facts = sql::facts(conn, shop, ids).await?;
    let audiences: HashMap<&str, i64> = facts
        .iter()
        .map(|facts| (facts.id.as_str(), facts.audience))
        .collect();
    let missing: Vec<Violation> = ids
        .iter()
        .filter(|id| !audiences.contains_key(id.as_str()))
        .map(|id| {
            let text = format!("group {} does not exist", name(id));
            Violation::new(path(id), "NOT_FOUND", text)
        })
        .collect();
    if !missing.is_empty() {
        return Err(Error::invalid(missing));
    }
    let wanted = Audience::of_account(account_type).message() as i64;
    match ids.iter().find(|id| audiences[id.as_str()] != wanted) {
        Some(id) => Err(not_for_account(id, account_type)),
        None => Ok(()),
    }
}

/// The refusal of a group that is for the other account type.
fn not_for_account(group: &str, account_type: AccountType) -> Error {
    Error::new(
        Code::FailedPrecondition,
        ErrorReason::GroupNotForAccount,
        "the group is for the other account type",
    )
    .with("group", name(group))
    .with("account_type", account_type.as_str_name())
}

/// Whether the caller sees hidden groups. Keys with only the storefront role do not. They see a group only
/// while it is known to be visible; a deleted group is not.
#[must_use]
pub fn sees_hidden(caller: &Caller) -> bool {
    use pb::Role;
    let staff = [
        Role::Operator,
        Role::Admin,
        Role::Support,
        Role::Monitor,
        Role::Ingest,
    ];
    staff.into_iter().any(|role| caller.roles.has(role))
}

/// The shop's special group `customer`, for customers without another group.
///
/// # Errors
/// An error of the database, or INTERNAL if the shop has none.
pub(crate) async fn special_customer_group(conn: &mut Conn, shop: &str) -> Result<String> {
    let special = sql::special(conn, shop).await?;
    special
        .into_iter()
        .find(|group| group.special.customer)
        .map(|group| group.id)
        .ok_or_else(|| Error::internal(format!("shop {shop} has no special group for customers")))
}

/// Enqueues the update of the open carts that were priced with a group.
async fn reprice(tx: &mut Tx, caller: &Caller, group: &str, now: i64) -> Result<()> {
    let job = NewJob::now(JobKind::RepriceCarts, name(group), now);
    jobs::enqueue(tx, caller, now, job).await.map(drop)
}
