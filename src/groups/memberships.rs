//! The members of groups, and the reasons of their memberships.
//!
//! A membership is the effect of its grants, one per source, and lasts as long as one of them. Everything
//! here runs in the transaction that writes the customer, under the customer's lock. The area of the
//! customers writes the customer's row.
//!
//! Invariant: the memberships of a customer that is not deleted are its `groups`, and there is at least one.
//! A membership begins only while the row of its group is held, so nobody joins a group that is being
//! deleted.

pub(crate) mod sql;

use std::collections::BTreeSet;

use super::{model::next_default, special_customer_group, sql as groups_sql};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::proto::pb;
use crate::store::{Conn, Tx};

use sql::GrantRow;

/// The source of a grant. The numbers are stored, and are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Source {
    /// Staff of the shop, or the creation of the account.
    Staff = 1,
    /// A request of the customer that was approved.
    Request = 2,
    /// A rule of the group.
    Rule = 3,
    /// Another system.
    Import = 4,
    /// The purchase of an order.
    Order = 5,
}

impl Source {
    /// The stored number.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// The source in the contract.
    #[must_use]
    pub const fn message(self) -> pb::MembershipSource {
        match self {
            Self::Staff => pb::MembershipSource::Staff,
            Self::Request => pb::MembershipSource::Request,
            Self::Rule => pb::MembershipSource::Rule,
            Self::Import => pb::MembershipSource::Import,
            Self::Order => pb::MembershipSource::Order,
        }
    }
}

/// A reason for a membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where it comes from.
    pub source: Source,
    /// The reason that staff wrote.
    pub reason: String,
    /// The person who granted it.
    pub actor: Option<String>,
    /// When it expires, in microseconds; None for never.
    pub expire_time: Option<i64>,
}

impl Grant {
    /// A grant of staff without a reason.
    #[must_use]
    pub fn of_staff(caller: &Caller) -> Self {
        let actor = caller.actor.as_deref().map(str::to_owned);
        Self {
            source: Source::Staff,
            reason: String::new(),
            actor,
            expire_time: None,
        }
    }
}

/// Begins the memberships of a new customer in these groups, which [`require_groups`](super::require_groups)
/// has approved. Takes two statements.
///
/// # Errors
/// An error of the database.
pub async fn begin(
    tx: &mut Tx,
    shop: &str,
    customer: &str,
    groups: &[String],
    caller: &Caller,
    now: i64,
) -> Result<()> {
    join(tx, shop, customer, groups, &Grant::of_staff(caller), now).await
}

/// Replaces the memberships granted by staff. Returns the resulting groups, sorted.
///
/// Grants of other sources stay. Staff adds no grant where one of them already makes the customer a member.
/// The result is empty only if `groups` is.
///
/// # Errors
/// An error of the database.
pub async fn set_staff(
    tx: &mut Tx,
    shop: &str,
    customer: &str,
    groups: &[String],
    caller: &Caller,
    now: i64,
) -> Result<Vec<String>> {
    let grants = sql::of_customer(tx, shop, customer).await?;
    let Replaced {
        add,
        drop,
        ended,
        groups,
    } = replace_staff(&grants, groups, now);
    if !add.is_empty() {
        join(tx, shop, customer, &add, &Grant::of_staff(caller), now).await?;
    }
    for grant in drop {
        sql::delete_grant(tx, shop, grant).await?;
    }
    if !ended.is_empty() {
        sql::delete_memberships(tx, shop, customer, &ended).await?;
    }
    Ok(groups)
}

/// The changes that [`set_staff`] has to make.
#[derive(Debug, PartialEq, Eq)]
struct Replaced<'a> {
    add: Vec<String>,
    drop: Vec<&'a GrantRow>,
    ended: Vec<String>,
    groups: Vec<String>,
}

fn replace_staff<'a>(grants: &'a [GrantRow], wanted: &[String], now: i64) -> Replaced<'a> {
    let staff = Source::Staff.number();
    let (drop, keep): (Vec<_>, Vec<_>) = grants
        .iter()
        .partition(|grant| grant.source == staff && !wanted.contains(&grant.group_id));
    let lasts = |grant: &GrantRow| grant.expire_time.is_none_or(|end| end > now);
    let held = |group: &String| {
        keep.iter()
            .any(|grant| grant.group_id == *group && lasts(grant))
    };
    let add: BTreeSet<String> = wanted
        .iter()
        .filter(|group| !held(group))
        .cloned()
        .collect();
    let mut groups = add.clone();
    groups.extend(keep.iter().map(|grant| grant.group_id.clone()));
    let ended: BTreeSet<String> = drop
        .iter()
        .map(|grant| grant.group_id.clone())
        .filter(|group| !groups.contains(group))
        .collect();
    Replaced {
        add: add.into_iter().collect(),
        drop,
        ended: ended.into_iter().collect(),
        groups: groups.into_iter().collect(),
    }
}

/// Adds a grant. Returns whether the membership began with it. Does not check the number of the customer's
/// groups.
///
/// # Errors
/// An error of the database.
pub async fn grant(
    tx: &mut Tx,
    shop: &str,
    customer: &str,
    group: &str,
    grant: &Grant,
    now: i64,
) -> Result<bool> {
    let grants = sql::of_customer(tx, shop, customer).await?;
    let member = grants.iter().any(|other| other.group_id == group);
    join(tx, shop, customer, &[group.to_owned()], grant, now).await?;
    Ok(!member)
}

/// Grants memberships and begins those that did not exist.
pub(crate) async fn join(
    tx: &mut Tx,
    shop: &str,
    customer: &str,
    groups: &[String],
    grant: &Grant,
    now: i64,
) -> Result<()> {
    if sql::put_grants(tx, shop, customer, groups, grant, now).await? != groups.len() {
        // A group was deleted since it was read; a new run sees that.
        return Err(tx.run_again());
    }
    sql::put_memberships(tx, shop, customer, groups)
        .await
        .map(drop)
}

/// Ends all memberships of a customer that is being deleted, who is then neither counted nor listed. The
/// grants stay for [`restore`].
///
/// # Errors
/// An error of the database.
pub async fn withdraw(tx: &mut Tx, shop: &str, customer: &str) -> Result<()> {
    sql::delete_all_memberships(tx, shop, customer).await
}

/// Begins the memberships of a deleted customer again. Returns its groups, sorted and at least one: if all of
/// them are deleted, it is the shop's special group `customer`.
///
/// # Errors
/// An error of the database.
pub async fn restore(
    tx: &mut Tx,
    shop: &str,
    customer: &str,
    caller: &Caller,
    now: i64,
) -> Result<Vec<String>> {
    let grants = sql::of_customer(tx, shop, customer).await?;
    let granted: BTreeSet<String> = grants.into_iter().map(|grant| grant.group_id).collect();
    let granted: Vec<String> = granted.into_iter().collect();
    let there = groups_sql::facts(tx, shop, &granted).await?;
    let groups: Vec<String> = there.into_iter().map(|facts| facts.id).collect();
    if groups.is_empty() {
        let group = special_customer_group(tx, shop).await?;
        begin(
            tx,
            shop,
            customer,
            std::slice::from_ref(&group),
            caller,
            now,
        )
        .await?;
        return Ok(vec![group]);
    }
    if sql::put_memberships(tx, shop, customer, &groups).await? != groups.len() {
        return Err(tx.run_again());
    }
    Ok(groups)
}

/// The group among a customer's groups that becomes the default if one has to be chosen.
///
/// # Errors
/// An error of the database.
pub async fn default_of(conn: &mut Conn, shop: &str, groups: &[String]) -> Result<String> {
    let facts = groups_sql::facts(conn, shop, groups).await?;
    let default = next_default(
        facts
            .iter()
            .map(|facts| (facts.priority, facts.id.as_str())),
    );
    let default = default.or_else(|| groups.first().map(String::as_str));
    default
        .map(str::to_owned)
        .ok_or_else(|| Error::internal("a default was to be chosen from no groups"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(group: &str, source: Source, expire_time: Option<i64>) -> GrantRow {
        GrantRow {
            group_id: group.to_owned(),
            customer_id: "ada".to_owned(),
            source: source.number(),
            reason: String::new(),
            actor: None,
            start_time: 0,
            expire_time,
        }
    }

    fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
        texts.map(str::to_owned).into()
    }

    #[test]
    fn grants_from_other_sources_stay() {
        let grants = [
            grant("a", Source::Staff, None),
            grant("b", Source::Staff, None),
            grant("b", Source::Import, None),
            grant("c", Source::Rule, None),
        ];

        let replaced = replace_staff(&grants, &texts(["c", "d"]), 10);

        assert_eq!(replaced.add, texts(["d"]));
        assert_eq!(replaced.drop, [&grants[0], &grants[1]]);
        assert_eq!(replaced.ended, texts(["a"]));
        assert_eq!(replaced.groups, texts(["b", "c", "d"]));
    }

    #[test]
    fn a_grant_that_has_run_out_is_renewed_by_staff() {
        let grants = [
            grant("a", Source::Staff, Some(10)),
            grant("b", Source::Order, Some(11)),
        ];

        let replaced = replace_staff(&grants, &texts(["a", "b"]), 10);

        assert_eq!(replaced.add, texts(["a"]));
        assert_eq!(replaced.groups, texts(["a", "b"]));
        assert!(replaced.ended.is_empty() && replaced.drop.is_empty());
    }

    #[test]
    fn the_same_groups_again_change_nothing() {
        let grants = [grant("a", Source::Staff, None)];

        let replaced = replace_staff(&grants, &texts(["a", "a"]), 10);

        assert!(replaced.add.is_empty() && replaced.drop.is_empty() && replaced.ended.is_empty());
        assert_eq!(replaced.groups, texts(["a"]));
    }
}
