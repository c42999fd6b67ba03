//! Ends memberships: by hand, because a grant has expired, or because the group is deleted.
//!
//! Invariant: a customer always has a group, and its default group is one of its groups. A customer who would
//! lose the last one gets the shop's special group `customer`, in the same transaction.

use std::collections::BTreeSet;

use crate::caller::Caller;
use crate::customers;
use crate::error::Result;
use crate::groups::memberships::sql::{self, GrantRow};
use crate::groups::memberships::{self, Grant};
use crate::groups::special_customer_group;
use crate::store::Tx;

/// Removes the grants of a customer that `goes` selects. Returns the groups in which the customer is no
/// longer a member. Needs the lock of the customer.
///
/// # Errors
/// An error of the database.
pub(super) async fn leave(
    tx: &mut Tx,
    caller: &Caller,
    customer: &str,
    goes: impl Fn(&GrantRow) -> bool,
    now: i64,
) -> Result<Vec<String>> {
    let shop = &*caller.shop;
    let grants = sql::of_customer(tx, shop, customer).await?;
    let (gone, kept): (Vec<GrantRow>, Vec<GrantRow>) = grants.into_iter().partition(goes);
    if gone.is_empty() {
        return Ok(Vec::new());
    }
    let kept: BTreeSet<String> = kept.into_iter().map(|grant| grant.group_id).collect();
    let mut ended: BTreeSet<String> = gone.iter().map(|grant| grant.group_id.clone()).collect();
    ended.retain(|group| !kept.contains(group));
    // A deleted customer has only grants left, and only they have to be removed.
    let present = customers::load(tx, shop, customer)
        .await?
        .filter(|found| !found.is_deleted());
    let Some(present) = present else {
        delete_grants(tx, shop, &gone).await?;
        return Ok(Vec::new());
    };
    let mut groups = present.groups.clone();
    groups.retain(|group| !ended.contains(group));
    let refuge = if groups.is_empty() {
        Some(special_customer_group(tx, shop).await?)
    } else {
        None
    };
    if let Some(refuge) = &refuge {
        ended.remove(refuge);
        groups.push(refuge.clone());
    }
    let default = if groups.contains(&present.default_group) {
        present.default_group.clone()
    } else {
        memberships::default_of(tx, shop, &groups).await?
    };
    delete_grants(tx, shop, &gone).await?;
    if let Some(refuge) = refuge {
        let grant = Grant::of_staff(caller);
        memberships::join(tx, shop, customer, &[refuge], &grant, now).await?;
    }
    let ended: Vec<String> = ended.into_iter().collect();
    if !ended.is_empty() {
        sql::delete_memberships(tx, shop, customer, &ended).await?;
    }
    if !ended.is_empty() {
        customers::regroup(tx, caller, &present, groups, default, now).await?;
    }
    Ok(ended)
}

async fn delete_grants(tx: &mut Tx, shop: &str, grants: &[GrantRow]) -> Result<()> {
    for grant in grants {
        sql::delete_grant(tx, shop, grant).await?;
    }
    Ok(())
}
