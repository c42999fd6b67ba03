//! The special groups: those of every new shop, and those that a shop's settings name.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::model::{Audience, Group, Special, State};
use super::{id_of, lock, reprice, sees_hidden, sql};
use crate::caller::Caller;
use crate::error::{Error, Result, Violation};
use crate::proto::pb;
use crate::resource;
use crate::shops::{HideGroups, Shop, Specials};
use crate::store::{Conn, Event, LockKey, Reaction, Tx};

/// Gives a new shop its special groups, and updates the groups when its settings name others.
pub(super) struct SpecialGroups;

impl Reaction<Shop> for SpecialGroups {
    fn hold<'t>(
        &'t self,
        tx: &'t mut Tx,
        event: Event<'t, Shop>,
    ) -> BoxFuture<'t, Result<Vec<String>>> {
        async move {
            match changed(event) {
                Some((shop, specials)) if event.before.is_none() => {
                    tx.require_all(specials.ids().map(|id| lock(&shop.id, id)))?;
                }
                Some((shop, specials)) => hold(tx, &shop.id, &specials).await?,
                None => {}
            }
            Ok(Vec::new())
        }
        .boxed()
    }

    fn react<'t>(
        &'t self,
        tx: &'t mut Tx,
        event: Event<'t, Shop>,
        _held: &'t [String],
    ) -> BoxFuture<'t, Result<()>> {
        async move {
            match changed(event) {
                Some((shop, _)) if event.before.is_none() => {
                    insert(tx, event.caller, &shop.id, event.now).await
                }
                Some((_, specials)) => repoint(tx, event.caller, &specials, event.now).await,
                None => Ok(()),
            }
        }
        .boxed()
    }
}

/// The shop and the groups that its settings name, if the shop is new or they have changed.
fn changed<'e>(event: Event<'e, Shop>) -> Option<(&'e Shop, Specials)> {
    let specials = |shop: &Shop| shop.doc.settings.specials();
    let shop = event.after?;
    let after = specials(shop);
    let same = event.before.is_some_and(|before| specials(before) == after);
    (!same).then_some((shop, after))
}

/// Hides groups from storefronts in the settings of their shop.
pub struct Hidden;

#[tonic::async_trait]
impl HideGroups for Hidden {
    async fn hide(
        &self,
        conn: &mut Conn,
        caller: &Caller,
        settings: &mut pb::ShopSettings,
    ) -> Result<()> {
        if sees_hidden(caller) {
            return Ok(());
        }
        let fields = [
            &mut settings.visitor_group,
            &mut settings.guest_group,
            &mut settings.customer_group,
        ];
        let ids: Vec<String> = fields
            .iter()
            .filter_map(|name| id_of(name).map(str::to_owned))
            .collect();
        let visible = sql::visible(conn, &caller.shop, &ids).await?;
        for name in fields {
            if !id_of(name).is_some_and(|id| visible.iter().any(|other| other == id)) {
                name.clear();
            }
        }
        Ok(())
    }
}

/// The special uses of the group `id`.
fn special(specials: &Specials, id: &str) -> Special {
    Special {
        visitor: specials.visitor == id,
        guest: specials.guest == id,
        customer: specials.customer == id,
    }
}

/// Inserts the groups of every new shop: `visitor`, `guest` and `customer`.
async fn insert(tx: &mut Tx, caller: &Caller, shop: &str, now: i64) -> Result<()> {
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

/// Makes other groups special. It updates the groups' own field, and carts without a customer get the prices
/// of the new group. The caller has the locks of [`hold`].
async fn repoint(tx: &mut Tx, caller: &Caller, specials: &Specials, now: i64) -> Result<()> {
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

/// Takes the locks of the groups before and after. Checks that the groups exist, are for customers and are
/// not disabled.
///
/// # Errors
/// INVALID_FIELD with the field of the settings, or the error of a missing lock, which is to be passed on.
async fn hold(tx: &mut Tx, shop: &str, specials: &Specials) -> Result<()> {
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
            None => Some(("NOT_FOUND", "the group does not exist")),
            Some(group) if group.audience != Audience::Customer => {
                Some(("WRONG_AUDIENCE", "the group is for staff"))
            }
            Some(group) if group.state == State::Disabled => {
                Some(("DISABLED", "the group is disabled"))
            }
            Some(_) => None,
        };
        if let Some((reason, text)) = problem {
            let field = format!("settings.{field}");
            violations.push(Violation::new(field, reason, text));
        }
    }
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid(violations))
    }
}
