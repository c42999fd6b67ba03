//! The common part of all writes of customers: locks, unique values, the row, the log, and the reactions of
//! other areas.
//!
//! Invariant: a customer's row and its external ids are written only here, under the customer's lock. Each
//! write is one version and one change of the log.

use tonic::Code;

use super::{
    convert,
    model::{Customer, Kind},
    sql,
};
use crate::{
    caller::Caller,
    error::{Error, Result},
    feed::{Change, LogRow},
    groups::{self, memberships},
    limits,
    proto::pb::{self, ErrorReason},
    shops::Settings,
    store::{Conn, Event, LockKey, Tx},
};

/// The lock of a customer's row and of everything that belongs to the customer.
#[must_use]
pub fn lock(shop: &str, id: &str) -> LockKey {
    LockKey::of("customer", shop, id)
}

pub(super) fn claim_lock(shop: &str, claim: &str) -> LockKey {
    LockKey::of("email", shop, claim)
}

pub(super) fn number_lock(shop: &str, number: &str) -> LockKey {
    LockKey::of("number", shop, number)
}

pub(super) fn external_lock(shop: &str, system: &str, id: &str) -> LockKey {
    LockKey::of("external", shop, &format!("{system}/{id}"))
}

/// The locks of the unique values that `after` has and `before` has not.
pub(super) fn unique_locks(
    shop: &str,
    before: Option<&Customer>,
    after: &Customer,
) -> Vec<LockKey> {
    let mut locks = Vec::new();
    if let Some(claim) = &after.email_claim
        && before.is_none_or(|before| before.email_claim.as_ref() != Some(claim))
    {
        locks.push(claim_lock(shop, claim));
    }
    if before.is_none_or(|before| before.number != after.number) {
        locks.push(number_lock(shop, &after.number));
    }
    for (system, id) in new_external_ids(before, after) {
        locks.push(external_lock(shop, system, id));
    }
    locks
}

fn new_external_ids<'a>(
    before: Option<&'a Customer>,
    after: &'a Customer,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let is_new = move |(system, id): &(&String, &String)| {
        before.is_none_or(|before| before.external_ids.get(*system) != Some(*id))
    };
    let pairs = after.external_ids.iter().filter(is_new);
    pairs.map(|(system, id)| (system.as_str(), id.as_str()))
}

/// The source of a customer's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// The caller chose it.
    Chosen,
    /// It was allocated from the sequence, and another can be allocated.
    Drawn,
}

/// The result of a check for unique values.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unique {
    /// No other customer has any of them.
    Yes,
    /// Only the allocated number is in use.
    DrawAgain,
}

/// Checks that no other customer has the unique values. The caller must hold their locks.
///
/// # Errors
/// NAME_TAKEN, EMAIL_TAKEN, NUMBER_TAKEN, EXTERNAL_ID_TAKEN.
pub(super) async fn check_unique(
    tx: &mut Tx,
    caller: &Caller,
    before: Option<&Customer>,
    after: &Customer,
    number: Number,
) -> Result<Unique> {
    let shop = &*caller.shop;
    let claim = after.email_claim.as_deref();
    let is_changed = before.is_none_or(|before| {
        before.number != after.number || before.email_claim.as_deref() != claim
    });
    let holders = if is_changed {
        sql::holders(tx, shop, &after.id, &after.number, claim).await?
    } else {
        Vec::new()
    };
    let others = || {
        holders
            .iter()
            .filter(|holder| before.is_none() || holder.id != after.id)
    };
    if before.is_none() && others().any(|holder| holder.id == after.id) {
        return Err(
            taken(ErrorReason::NameTaken, "a customer with this id exists")
                .with("name", convert::name(&after.id)),
        );
    }
    let holds_claim =
        |holder: &&sql::Holder| claim.is_some() && holder.email_claim.as_deref() == claim;
    if let Some(holder) = others().find(holds_claim) {
        return Err(email_taken(caller, &holder.id));
    }
    for (system, id) in new_external_ids(before, after) {
        let holder = sql::external_holder(tx, shop, system, id).await?;
        if let Some(holder) = holder.filter(|holder| *holder != after.id) {
            let text = "another customer has this external id";
            return Err(taken(ErrorReason::ExternalIdTaken, text)
                .with("customer", convert::name(&holder))
                .with("system", system));
        }
    }
    match others().find(|holder| holder.number == after.number) {
        None => Ok(Unique::Yes),
        Some(_) if number == Number::Drawn => Ok(Unique::DrawAgain),
        Some(holder) => Err(
            taken(ErrorReason::NumberTaken, "another customer has this number")
                .with("name", convert::name(&holder.id)),
        ),
    }
}

fn taken(reason: ErrorReason, text: &'static str) -> Error {
    Error::new(Code::AlreadyExists, reason, text)
}

/// The refusal of an e-mail address that another customer has. A storefront does not learn which customer
/// that is.
pub(super) fn email_taken(caller: &Caller, holder: &str) -> Error {
    let error = taken(ErrorReason::EmailTaken, "the e-mail address is registered");
    if groups::sees_hidden(caller) {
        error.with("customer", convert::name(holder))
    } else {
        error
    }
}

/// The refusal of an action that needs a customer who is not deleted.
pub(super) fn deleted() -> Error {
    let text = "the customer is deleted";
    Error::new(Code::FailedPrecondition, ErrorReason::CustomerDeleted, text)
}

/// The refusal of a default group that is not one of the groups.
pub(super) fn default_not_member(group: &str) -> Error {
    let text = "the default group is not one of the groups";
    Error::new(
        Code::InvalidArgument,
        ErrorReason::DefaultGroupNotMember,
        text,
    )
    .with("default_group", groups::name(group))
}

/// The group that an account of this kind gets automatically.
pub(super) fn special_group(settings: &Settings, kind: Kind) -> &str {
    match kind {
        Kind::Guest => &settings.guest_group,
        Kind::Registered => &settings.customer_group,
    }
}

/// Checks that a customer may be in its new groups, or in all of them if its account type is new. The special
/// groups are open to every customer without another group. `sent` are the groups as the request names them.
///
/// # Errors
/// INVALID_FIELD or GROUP_NOT_FOR_ACCOUNT.
pub(super) async fn check_groups(
    conn: &mut Conn,
    shop: &str,
    settings: &Settings,
    before: Option<&Customer>,
    after: &Customer,
    sent: &[String],
) -> Result<()> {
    let moved = before.is_none_or(|before| before.account_type != after.account_type);
    let is_special = |id: &str| id == special_group(settings, after.kind);
    let to_check: Vec<String> = after
        .groups
        .iter()
        .filter(|id| !is_special(id))
        .filter(|id| moved || before.is_none_or(|before| !before.groups.contains(id)))
        .cloned()
        .collect();
    if to_check.is_empty() {
        return Ok(());
    }
    let account_type = pb::customer::AccountType::try_from(after.account_type.number())
        .expect("the model's numbers are those of the contract");
    // A request that names only a default group makes the customer a member of it.
    let path = |id: &str| match sent.iter().position(|name| groups::name(id) == *name) {
        Some(at) => format!("customer.groups[{at}]"),
        None => "customer.default_group".to_owned(),
    };
    groups::require_groups(conn, shop, &to_check, account_type, path).await
}

/// Replaces the groups that staff granted, and decides the resulting groups and their default. The default is
/// the requested one, which must be among them, else the old one, else the next.
///
/// # Errors
/// DEFAULT_GROUP_NOT_MEMBER.
pub(super) async fn set_groups(
    tx: &mut Tx,
    caller: &Caller,
    after: &mut Customer,
    asked_default: bool,
    now: i64,
) -> Result<()> {
    let shop = &*caller.shop;
    after.groups = memberships::set_staff(tx, shop, &after.id, &after.groups, caller, now).await?;
    if after.groups.len() > limits::GROUPS_PER_CUSTOMER_MAX {
        let text = "with the groups that others granted there are more than 100";
        return Err(Error::invalid_field("customer.groups", "TOO_MANY", text));
    }
    if after.groups.contains(&after.default_group) {
        return Ok(());
    }
    if asked_default {
        return Err(default_not_member(&after.default_group));
    }
    after.default_group = memberships::default_of(tx, shop, &after.groups).await?;
    Ok(())
}

/// Writes the first version of a customer: the row, the external ids and the change in the log. Runs the
/// reactions of other areas.
///
/// # Errors
/// An error of the database.
pub(super) async fn add(
    tx: &mut Tx,
    caller: &Caller,
    settings: &Settings,
    customer: &mut Customer,
    now: i64,
) -> Result<()> {
    let shop = &*caller.shop;
    customer.version = 1;
    customer.update_time = now;
    for (system, id) in new_external_ids(None, customer) {
        sql::set_external_id(tx, shop, &customer.id, (system, id), true).await?;
    }
    let message = convert::message(customer);
    let row = LogRow::new(tx, caller, now, change_of(customer, &message));
    let language = settings.language();
    sql::insert(tx, shop, (customer, &message), language, &row).await?;
    let event = Event {
        caller,
        before: None,
        after: Some(&*customer),
        now,
    };
    tx.react(event).await
}

/// Writes the next version of a customer: the row, the external ids and the change in the log. Runs the
/// reactions of other areas. A new last name needs the `language` of the shop's order.
///
/// # Errors
/// An error of the database.
pub(super) async fn store(
    tx: &mut Tx,
    caller: &Caller,
    language: Option<&str>,
    before: &Customer,
    after: &mut Customer,
    now: i64,
) -> Result<()> {
    let shop = &*caller.shop;
    after.version = before.version + 1;
    after.update_time = now;
    for (system, id) in new_external_ids(Some(after), before) {
        sql::set_external_id(tx, shop, &after.id, (system, id), false).await?;
    }
    for (system, id) in new_external_ids(Some(before), after) {
        sql::set_external_id(tx, shop, &after.id, (system, id), true).await?;
    }
    let message = convert::message(after);
    let row = LogRow::new(tx, caller, now, change_of(after, &message));
    sql::update(tx, shop, before, (after, &message), language, &row).await?;
    let event = Event {
        caller,
        before: Some(before),
        after: Some(&*after),
        now,
    };
    tx.react(event).await
}

fn change_of(customer: &Customer, message: &pb::Customer) -> Change {
    let (kind, id, version) = (crate::customers::KIND, &customer.id, customer.version);
    if customer.is_deleted() {
        Change::deleted(kind, id, version)
    } else {
        Change::upserted(kind, id, version, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> Customer {
        Customer {
            id: "ada".to_owned(),
            number: "7".to_owned(),
            email_claim: Some("ada@example.test".to_owned()),
            external_ids: [("erp".to_owned(), "1".to_owned())].into(),
            groups: vec!["customer".to_owned()],
            default_group: "customer".to_owned(),
            ..Customer::default()
        }
    }

    #[test]
    fn only_new_values_are_locked() {
        let before = ada();
        let mut after = before.clone();
        assert_eq!(unique_locks("s", Some(&before), &after), []);

        after.external_ids.insert("crm".to_owned(), "2".to_owned());
        after.email_claim = None;

        assert_eq!(
            unique_locks("s", Some(&before), &after),
            [external_lock("s", "crm", "2")]
        );
        assert_eq!(unique_locks("s", None, &before).len(), 3);
    }
}
