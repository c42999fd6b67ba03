//! The change of one customer's membership, under the customer's lock.

use super::leave::leave;
use crate::caller::Caller;
use crate::customers::{self, AccountType, Customer};
use crate::error::Result;
use crate::groups::memberships::{self, Grant, Source, sql};
use crate::groups::{Audience, Group};
use crate::limits;
use crate::proto::pb::member_result::Outcome;
use crate::store::Tx;

pub(super) async fn add(
    tx: &mut Tx,
    caller: &Caller,
    group: &Group,
    customer: &str,
    grant: &Grant,
    make_default: bool,
    now: i64,
) -> Result<Outcome> {
    let shop = &*caller.shop;
    let found = match present(tx, shop, customer).await? {
        Ok(found) => found,
        Err(outcome) => return Ok(outcome),
    };
    if audience(&found) != group.audience {
        return Ok(Outcome::WrongAccountType);
    }
    let member = found.groups.contains(&group.id);
    if !member && found.groups.len() >= limits::GROUPS_PER_CUSTOMER_MAX {
        return Ok(Outcome::TooManyGroups);
    }
    let grants = sql::of_customer(tx, shop, customer).await?;
    let granted = grants.iter().any(|other| {
        other.group_id == group.id
            && other.source == grant.source.number()
            && other.expire_time.is_none_or(|end| end > now)
    });
    if !member || !granted {
        let groups = std::slice::from_ref(&group.id);
        memberships::join(tx, shop, customer, groups, grant, now).await?;
    }
    let moves = make_default && found.default_group != group.id;
    if !member || moves {
        let mut groups = found.groups.clone();
        groups.push(group.id.clone());
        let default = if make_default {
            &group.id
        } else {
            &found.default_group
        };
        customers::regroup(tx, caller, &found, groups, default.clone(), now).await?;
    }
    Ok(if member {
        Outcome::Unchanged
    } else {
        Outcome::Changed
    })
}

pub(super) async fn remove(
    tx: &mut Tx,
    caller: &Caller,
    group: &Group,
    customer: &str,
    include_rules: bool,
    now: i64,
) -> Result<Outcome> {
    let found = match present(tx, &caller.shop, customer).await? {
        Ok(found) => found,
        Err(outcome) => return Ok(outcome),
    };
    if group.special.customer && found.groups == [group.id.clone()] {
        return Ok(Outcome::LastGroup);
    }
    let rule = Source::Rule.number();
    let goes = |grant: &sql::GrantRow| {
        grant.group_id == group.id && (include_rules || grant.source != rule)
    };
    let ended = leave(tx, caller, customer, goes, now).await?;
    Ok(if ended.contains(&group.id) {
        Outcome::Changed
    } else {
        Outcome::Unchanged
    })
}

async fn present(
    tx: &mut Tx,
    shop: &str,
    customer: &str,
) -> Result<std::result::Result<Customer, Outcome>> {
    Ok(match customers::load(tx, shop, customer).await? {
        None => Err(Outcome::NotFound),
        Some(found) if found.is_deleted() => Err(Outcome::Deleted),
        Some(found) => Ok(found),
    })
}

fn audience(customer: &Customer) -> Audience {
    match customer.account_type {
        AccountType::Customer => Audience::Customer,
        AccountType::Staff => Audience::Staff,
    }
}
