//! Tests how background work changes open carts: new prices after a change of a group, a customer or the
//! settings, and the customer's new name. Ordered carts stay unchanged.

mod skipped;
mod stale;

use std::collections::HashMap;

use clientela::proto::pb::{
    self, CartChange, CartOwner, CreateCartRequest, cart_cause::Kind, operation,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost_types::FieldMask;

use super::{Carts, EURO, customer, in_slot, item, named, of, total, visitor};
use crate::customers::{self, group, person};
use crate::harness::{CartWatch, Shop, eventually};
use crate::on_both_engines;
use crate::watch::every;

/// Carts that need more than two transactions, each of which takes at most 64.
pub(super) const MANY: usize = 150;

/// Opens carts of an owner, one in each slot, with a shirt of 10 EUR.
pub(super) async fn open(shop: &Shop, owner: &CartOwner, count: usize) -> Vec<pb::Cart> {
    let creations = stream::iter(0..count).map(|number| {
        let request = CreateCartRequest {
            owner: Some(in_slot(owner, &format!("s{number:03}"))),
            items: vec![item("shirt", 1)],
            ..Default::default()
        };
        let mut client = shop.carts();
        async move {
            client
                .create_cart(request)
                .await
                .map(tonic::Response::into_inner)
        }
    });
    creations
        .buffered(16)
        .try_collect()
        .await
        .expect("the carts are opened")
}

/// Creates a customer with this default group.
pub(super) async fn member(shop: &Shop, group: &str) -> pb::Customer {
    let ada = pb::Customer {
        groups: vec![group.to_owned()],
        ..person("Ada")
    };
    customers::create(&mut shop.customers(), ada).await
}

/// Creates a group with a discount and returns its name.
pub(super) async fn discounting(shop: &Shop, id: &str, discount_percent: &str) -> String {
    let discount_percent = discount_percent.to_owned();
    let discounting = pb::Group {
        discount_percent,
        ..Default::default()
    };
    group(shop, id, discounting).await
}

/// Changes one field of a group.
pub(super) async fn change_group(shop: &Shop, change: pb::Group, path: &str) {
    let paths = vec![path.to_owned()];
    let request = pb::UpdateGroupRequest {
        group: Some(change),
        update_mask: Some(FieldMask { paths }),
        ..Default::default()
    };
    shop.groups()
        .update_group(request)
        .await
        .expect("the group is changed");
}

/// Sets the discount of a group.
pub(super) async fn set_discount(shop: &Shop, group: &str, discount_percent: &str) {
    let change = pb::Group {
        name: group.to_owned(),
        discount_percent: discount_percent.to_owned(),
        ..Default::default()
    };
    change_group(shop, change, "discount_percent").await;
}

/// Opens a watch of every version and reads its snapshot.
pub(super) async fn watched(shop: &Shop) -> CartWatch {
    let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    watch.snapshot().await;
    watch
}

/// Returns all changes that the watch receives until the work on a subject has ended, and no change of a
/// later write.
pub(super) async fn changes_until_done(
    shop: &Shop,
    mut watch: CartWatch,
    kind: &str,
    subject: &str,
) -> Vec<CartChange> {
    let done = finished(shop, kind, subject).await;
    let clean = |done: &pb::Operation| done.error.is_empty() && done.attempts == 0;
    assert!(done.iter().all(clean), "{done:?}");
    let last = shop.add(of(&visitor()), item("the last", 1)).await;
    let came = |watch: &CartWatch| watch.carts.contains_key(&last.name);
    watch.until("the last cart", came).await;
    watch.changes.retain(|change| change.name != last.name);
    watch.changes
}

/// Waits for the end of the work on a subject and returns its operation, or None if it leaves none.
async fn finished(shop: &Shop, kind: &str, subject: &str) -> Option<pb::Operation> {
    let filter = format!("kind = {kind} AND subject = \"{subject}\"");
    eventually("the end of the work", || async {
        let operations = operations(shop, &filter).await;
        let done = operations
            .iter()
            .all(|each| each.state() == operation::State::Done);
        done.then(|| operations.into_iter().next())
    })
    .await
}

/// Returns the operations that match a filter, newest first.
pub(super) async fn operations(shop: &Shop, filter: &str) -> Vec<pb::Operation> {
    let request = pb::ListOperationsRequest {
        filter: filter.to_owned(),
        ..Default::default()
    };
    let listed = shop.operations().list_operations(request).await.unwrap();
    listed.into_inner().operations
}

pub(super) fn causes(change: &CartChange) -> Vec<Kind> {
    change.causes.iter().map(pb::CartCause::kind).collect()
}

/// Asserts that each of these carts changed once, for this reason, to this total, and returns them.
#[track_caller]
fn assert_each_once(
    changes: &[CartChange],
    before: &[pb::Cart],
    cause: Kind,
    total_after: i64,
) -> HashMap<String, pb::Cart> {
    let versions: HashMap<&str, i64> = before
        .iter()
        .map(|cart| (cart.name.as_str(), cart.version))
        .collect();
    assert_eq!(
        changes.len(),
        before.len(),
        "each once, and nothing else: {changes:?}"
    );
    for change in changes {
        assert_eq!(
            Some(&(change.version - 1)),
            versions.get(change.name.as_str()),
            "{change:?}"
        );
        assert!(causes(change).contains(&cause), "{change:?}");
        assert_eq!(change.cart.as_ref().map(total), Some(total_after));
    }
    changes
        .iter()
        .map(|change| (change.name.clone(), change.cart.clone().unwrap()))
        .collect()
}

on_both_engines! {
    async fn a_changed_discount_reaches_every_open_cart_of_the_group(shop: Shop) {
        let vip = discounting(&shop, "vip", "10").await;
        let ada = member(&shop, &vip).await;
        let mut carts = open(&shop, &customer(&ada.name), MANY).await;
        let mut ordered = Vec::new();
        for cart in carts.drain(..2) {
            ordered.push(shop.try_order(named(&cart.name), &cart.number).await.unwrap());
        }
        shop.add(of(&visitor()), item("not of the group", 1)).await;
        let watch = watched(&shop).await;

        set_discount(&shop, &vip, "25.5").await;

        let changes = changes_until_done(&shop, watch, "REPRICE_CARTS", &vip).await;
        let after = assert_each_once(&changes, &carts, Kind::Repriced, 7_450_000);
        let progress = finished(&shop, "REPRICE_CARTS", &vip).await.expect("it is kept").progress;
        assert_eq!(usize::try_from(progress).unwrap(), carts.len());
        for cart in after.values() {
            assert!(cart.pricing_revision > carts[0].pricing_revision);
            assert_eq!(cart.pricing_group, vip);
            assert_eq!(cart.discount.as_ref().unwrap().micros, 2_550_000);
        }
        for cart in ordered {
            assert_eq!(total(&cart), 9 * EURO);
            assert_eq!(shop.get(named(&cart.name)).await, cart);
        }
    }

    async fn a_disabled_group_gives_no_discount_and_its_display_fields_change_no_cart(shop: Shop) {
        let vip = discounting(&shop, "vip", "10").await;
        let ada = member(&shop, &vip).await;
        let carts = open(&shop, &customer(&ada.name), 2).await;
        let watch = watched(&shop).await;
        let same = pb::Group { name: vip.clone(), ..Default::default() };
        let excluded = pb::group::PriceDisplay::TaxExcluded.into();

        let shown = pb::Group { price_display: excluded, ..same.clone() };
        change_group(&shop, shown, "price_display").await;
        let shown = pb::Group { show_prices: Some(false), ..same.clone() };
        change_group(&shop, shown, "show_prices").await;
        let hidden = pb::group::State::Hidden.into();
        change_group(&shop, pb::Group { state: hidden, ..same.clone() }, "state").await;
        for cart in &carts {
            assert_eq!(shop.get(named(&cart.name)).await, *cart);
        }
        let disabled = pb::group::State::Disabled.into();
        change_group(&shop, pb::Group { state: disabled, ..same }, "state").await;

        let changes = changes_until_done(&shop, watch, "REPRICE_CARTS", &vip).await;
        assert_each_once(&changes, &carts, Kind::Repriced, 10 * EURO);
    }

    async fn a_changed_name_reaches_every_open_cart_of_the_customer(shop: Shop) {
        let ada = customers::create(&mut shop.customers(), person("Ada")).await;
        let mut carts = open(&shop, &customer(&ada.name), MANY).await;
        let ordered = carts.pop().unwrap();
        let ordered = shop.try_order(named(&ordered.name), "named").await.unwrap();
        let watch = watched(&shop).await;
        let renamed = pb::Customer { last_name: "Lovelace".into(), ..ada.clone() };

        customers::update(&mut shop.customers(), renamed, &["last_name"]).await.unwrap();

        let changes = changes_until_done(&shop, watch, "REFRESH_CUSTOMER", &ada.name).await;
        let after = assert_each_once(&changes, &carts, Kind::CustomerChanged, 10 * EURO);
        for cart in after.values() {
            assert_eq!(cart.customer_summary.as_ref().unwrap().display_name, "Ada Lovelace");
        }
        assert_eq!(shop.get(named(&ordered.name)).await, ordered);
    }

    /// Carts follow every change of the default group: an update, an addition, a removal, or the end of the
    /// group.
    async fn a_changed_default_group_brings_its_prices(shop: Shop) {
        let vip = discounting(&shop, "vip", "10").await;
        let club = discounting(&shop, "club", "20").await;
        let ada = member(&shop, "groups/customer").await;
        let cart = open(&shop, &customer(&ada.name), 1).await.remove(0);
        let mut watch = watched(&shop).await;
        let mut is_now = async |group: &str, expected: i64, groups: &[&str]| {
            let priced = |watch: &CartWatch| {
                let cart = &watch.carts[&cart.name];
                let summary = cart.customer_summary.as_ref().unwrap();
                let priced = (cart.pricing_group.as_str(), total(cart)) == (group, expected);
                priced && summary.groups == groups
            };
            watch.until(group, priced).await;
        };

        let default_group = vip.clone();
        let moved = pb::Customer { default_group, groups: vec![vip.clone()], ..ada.clone() };
        customers::update(&mut shop.customers(), moved, &["default_group", "groups"]).await.unwrap();
        is_now(&vip, 9 * EURO, &[&vip]).await;
        let request = pb::AddMembersRequest {
            group: club.clone(),
            members: vec![ada.name.clone()],
            make_default: true,
            ..Default::default()
        };
        shop.groups().add_members(request).await.unwrap();
        is_now(&club, 8 * EURO, &[&club, &vip]).await;
        let request = pb::RemoveMembersRequest {
            group: club.clone(),
            members: vec![ada.name.clone()],
            ..Default::default()
        };
        shop.groups().remove_members(request).await.unwrap();
        is_now(&vip, 9 * EURO, &[&vip]).await;
        let request = pb::DeleteGroupRequest { name: vip.clone(), ..Default::default() };
        shop.groups().delete_group(request).await.unwrap();
        is_now("groups/customer", 10 * EURO, &["groups/customer"]).await;
    }

    async fn open_carts_of_a_tax_exempt_customer_have_no_tax(shop: Shop) {
        let ada = customers::create(&mut shop.customers(), person("Ada")).await;
        let mut taxed = item("shirt", 1);
        taxed.price.as_mut().unwrap().tax_rate = "20".into();
        let before = shop.add(of(&customer(&ada.name)), taxed).await;
        let watch = watched(&shop).await;
        let exempt = pb::Customer { tax_exempt: true, ..ada.clone() };

        customers::update(&mut shop.customers(), exempt, &["tax_exempt"]).await.unwrap();

        assert_eq!(total(&before), 12 * EURO);
        let changes = changes_until_done(&shop, watch, "REFRESH_CUSTOMER", &ada.name).await;
        assert_each_once(&changes, &[before], Kind::Repriced, 10 * EURO);
    }

    async fn another_group_for_visitors_brings_its_prices_to_their_carts(shop: Shop) {
        let walk_in = discounting(&shop, "walk-in", "30").await;
        let mut carts = Vec::new();
        for _ in 0..3 {
            carts.push(shop.add(of(&visitor()), item("shirt", 1)).await);
        }
        let watch = watched(&shop).await;
        let settings = pb::ShopSettings { visitor_group: walk_in.clone(), ..Default::default() };
        let request = pb::UpdateShopSettingsRequest { settings: Some(settings), ..Default::default() };

        shop.admin().update_shop_settings(request).await.unwrap();

        assert!(carts.iter().all(|cart| cart.pricing_group == "groups/visitor"));
        let changes = changes_until_done(&shop, watch, "REPRICE_CARTS", "groups/visitor").await;
        let after = assert_each_once(&changes, &carts, Kind::Repriced, 7 * EURO);
        assert!(after.values().all(|cart| cart.pricing_group == walk_in));
    }
}
