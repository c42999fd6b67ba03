//! How customers leave groups: by hand, because a grant has run out, or because the group is gone.
//!
//! Invariant: nobody is without a group at any moment, or has a default group that is not one of his;
//! who would be gets the shop's special group `customer`, in the same transaction.

use std::collections::BTreeSet;

use crate::caller::Caller;
use crate::customers;
use crate::error::Result;
use crate::groups::memberships::sql::{self, GrantRow};
use crate::groups::memberships::{self, Grant};
use crate::groups::special_customer_group;
use crate::store::Tx;

/// Takes the grants from a customer that `goes` names; gives the groups in which it is no member any
/// more. Needs the lock of the customer.
///
/// # Errors
/// The database's.
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
    // Of a customer that is deleted only the grants are left, and they alone have to go.
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
