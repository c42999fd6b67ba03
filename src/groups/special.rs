//! The special groups: those that every shop begins with, and those that its settings name.

use super::model::{Group, Special};
use super::{lock, reprice, sql};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::resource;
use crate::shops::Specials;
use crate::store::{LockKey, Tx};

/// What the group `id` is special for.
fn special(specials: &Specials, id: &str) -> Special {
    Special {
        visitor: specials.visitor == id,
        guest: specials.guest == id,
        customer: specials.customer == id,
    }
}

/// The locks of making a new shop's special groups.
pub fn locks_of_special(shop: &str) -> impl Iterator<Item = LockKey> {
    let specials = Specials::default();
    specials.ids().map(|id| lock(shop, id)).into_iter()
}

/// Makes the groups that every shop begins with: `visitor`, `guest` and `customer`.
///
/// # Errors
/// The database's.
pub async fn insert_special(tx: &mut Tx, caller: &Caller, shop: &str, now: i64) -> Result<()> {
    let names = [
        ("visitor", "Visitor"),
        ("guest", "Guest"),
        ("customer", "Customer"),
    ];
    for (id, display_name) in names {
        let group = Group {
            id: id.to_owned(),
            version: 1,
            display_names: [("en".to_owned(), display_name.to_owned())].into(),
            special: special(&Specials::default(), id),
            pricing_revision: 1,
            create_time: now,
            update_time: now,
            ..Group::default()
        };
        let caller = Caller {
            shop: shop.into(),
            ..caller.clone()
        };
        resource::insert_row(tx, &caller, &group, now).await?;
    }
    Ok(())
}

/// Lets a shop's settings name other special groups: the groups say so themselves, and carts without
/// a customer get the prices of the new one. Call it in the transaction that writes the settings, and
/// after their change was appended. Takes the locks of the groups before and after, so nothing may
/// have been written yet when it is called for the first time: call [`hold_special`] for that.
///
/// # Errors
/// The database's.
pub async fn repoint(tx: &mut Tx, caller: &Caller, specials: &Specials, now: i64) -> Result<()> {
    let shop = &*caller.shop;
    let mut groups = sql::special(tx, shop).await?;
    let before = groups
        .iter()
        .find(|group| group.special.visitor)
        .map(|group| group.id.clone());
    for id in specials.ids() {
        if groups.iter().all(|group| group.id != id) {
            let group = resource::load::<Group>(tx, shop, id).await?;
            groups.push(group.ok_or_else(|| Error::not_found("group"))?);
        }
    }
    for group in groups {
        let after = Group {
            special: special(specials, &group.id),
            ..group.clone()
        };
        if after != group {
            resource::change(tx, caller, &group, after, now).await?;
        }
    }
    if let Some(before) = before.filter(|before| *before != specials.visitor) {
        reprice(tx, caller, &before, now).await?;
        reprice(tx, caller, &specials.visitor, now).await?;
    }
    Ok(())
}

/// Makes sure that the locks which [`repoint`] needs are held, and that the groups exist, are for
/// customers and not disabled. The first thing to do about them, before any write.
///
/// # Errors
/// INVALID_FIELD with the field of the settings; or that a lock is missing, to be passed on.
pub async fn hold_special(tx: &mut Tx, shop: &str, specials: &Specials) -> Result<()> {
    let now = sql::special(tx, shop).await?;
    let ids = now
        .iter()
        .map(|group| group.id.as_str())
        .chain(specials.ids());
    let keys: Vec<LockKey> = ids.map(|id| lock(shop, id)).collect();
    tx.require_all(keys)?;
    let fields = ["visitor_group", "guest_group", "customer_group"];
    let mut violations = Vec::new();
    for (id, field) in specials.ids().into_iter().zip(fields) {
        let problem = match resource::load::<Group>(tx, shop, id).await? {
            None => Some(("NOT_FOUND", "there is no such group")),
            Some(group) if group.audience != super::Audience::Customer => {
                Some(("WRONG_AUDIENCE", "the group is for staff"))
            }
            Some(group) if group.state == super::State::Disabled => {
                Some(("DISABLED", "the group is disabled"))
            }
            Some(_) => None,
        };
        if let Some((reason, text)) = problem {
            let field = format!("settings.{field}");
            violations.push(crate::error::Violation::new(field, reason, text));
        }
    }
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid(violations))
    }
}
