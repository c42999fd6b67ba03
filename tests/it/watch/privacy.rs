//! Tests what a resumed watch reveals. It sends nothing about carts of other owners. Of resources outside its
//! filter it sends only those that its reader could have known.

use std::collections::BTreeSet;

use clientela::proto::pb::assign_cart_request::IfOpenCartExists;
use clientela::proto::pb::{
    self, CartTarget, ChangeKind, DeliveryMode, Role, WatchCartRequest, WatchOptions,
};

use super::owner::{assign, delete, of, order, register};
use super::writers::hold_the_log;
use super::{add, filtered, item, visitor};
use crate::harness::{CartWatch, Shop};
use crate::on_both_engines;

/// Opens a watch of an owner with a storefront's key, after a token or from the beginning.
async fn watch(shop: &Shop, key: &str, owner: &CartTarget, how: (DeliveryMode, &str)) -> CartWatch {
    let request = WatchCartRequest {
        target: Some(owner.clone()),
        options: Some(WatchOptions {
            delivery_mode: how.0.into(),
            resume_token: how.1.to_owned(),
            ..Default::default()
        }),
    };
    let stream = shop.carts_as(key).watch_cart(request).await;
    CartWatch::of(stream.expect("a stream").into_inner())
}

/// Changes the carts of other people in each way: by an edit, by each end, and by each change of owner.
async fn change_carts_of_others(shop: &Shop, when: &str) {
    let mut client = shop.carts();
    let buyer = register(shop, &format!("buyer-{when}")).await;
    for (number, what) in [
        "grows",
        "is ordered",
        "is deleted",
        "is assigned",
        "is merged",
    ]
    .into_iter()
    .enumerate()
    {
        let owner = visitor(&format!("of whom nobody else is to know, {number}"));
        add(&mut client, &owner, &format!("{when} {what}")).await;
        match number {
            1 => drop(order(shop, &owner).await),
            2 => delete(shop, &owner).await,
            3 => drop(assign(shop, &owner, &buyer).await),
            4 => {
                let request = pb::AssignCartRequest {
                    target: Some(owner),
                    customer: buyer.clone(),
                    if_open_cart_exists: IfOpenCartExists::Sum.into(),
                    ..Default::default()
                };
                client.assign_cart(request).await.expect("an assignment");
            }
            _ => {}
        }
    }
}

/// Returns the names in the changes of a stream.
fn sent_names(watch: &CartWatch) -> BTreeSet<&str> {
    watch
        .changes
        .iter()
        .map(|change| change.name.as_str())
        .collect()
}

on_both_engines! {
    /// The watch sends neither carts that changed before the resume nor carts that change after it. The same
    /// holds while an open transaction holds the log back.
    async fn a_resumed_watch_of_an_owner_reveals_no_carts_of_others(shop: Shop) {
        let key = shop.key(&[Role::Storefront]).await;
        let mut client = shop.carts();
        for (round, delivery) in [DeliveryMode::Latest, DeliveryMode::Every].into_iter().enumerate() {
            let owner = visitor(&format!("who minds their own business, {round}"));
            change_carts_of_others(&shop, &format!("before-{round}")).await;
            let mine = add(&mut client, &owner, "a").await;
            let mut known = watch(&shop, &key, &owner, (delivery, "")).await;
            known.snapshot().await;
            let token = known.token.clone();
            change_carts_of_others(&shop, &format!("meanwhile-{round}")).await;
            let held = hold_the_log(&shop).await;
            change_carts_of_others(&shop, &format!("held-{round}")).await;

            let mut resumed = watch(&shop, &key, &owner, (delivery, &token)).await;
            add(&mut client, &owner, "b").await;
            drop(held);
            resumed.until("the owner's line", |watch| watch.carts.contains_key(&mine.name)).await;
            change_carts_of_others(&shop, &format!("after-{round}")).await;
            order(&shop, &owner).await;
            let next = add(&mut client, &owner, "c").await;
            resumed.until("the owner's next cart", |watch| watch.carts.contains_key(&next.name)).await;

            assert_eq!(sent_names(&resumed), BTreeSet::from([mine.name.as_str(), next.name.as_str()]));
        }
    }

    /// The change has the version by which the cart ended. Later versions belong to the next owner.
    async fn a_resumed_watch_receives_the_end_of_the_owners_own_cart(shop: Shop) {
        let key = shop.key(&[Role::Storefront]).await;
        let mut client = shop.carts();
        let heir = register(&shop, "heir").await;
        for (number, kind) in [ChangeKind::LeftFilter, ChangeKind::Deleted, ChangeKind::LeftFilter]
            .into_iter()
            .enumerate()
        {
            let owner = visitor(&format!("whose cart ends unseen, {number}"));
            let cart = add(&mut client, &owner, "a").await;
            let mut known = watch(&shop, &key, &owner, (DeliveryMode::Every, "")).await;
            known.snapshot().await;
            match number {
                0 => drop(order(&shop, &owner).await),
                1 => delete(&shop, &owner).await,
                _ => {
                    assign(&shop, &owner, &heir).await;
                    add(&mut client, &of(&heir), "b").await;
                    delete(&shop, &of(&heir)).await;
                }
            }
            let next = add(&mut client, &owner, "b").await;

            let mut resumed = watch(&shop, &key, &owner, (DeliveryMode::Every, &known.token)).await;

            resumed.until("the next cart", |watch| watch.carts.contains_key(&next.name)).await;
            // A resumed watch may send a change again.
            let is_known = |change: &&pb::CartChange| {
                change.name == cart.name && change.version <= cart.version
            };
            let sent: Vec<_> = resumed.changes.iter()
                .filter(|change| !is_known(change))
                .map(|change| (change.name.as_str(), change.kind(), change.version))
                .collect();
            let ended = (cart.name.as_str(), kind, cart.version + 1);
            let came = (next.name.as_str(), ChangeKind::Upserted, next.version);
            assert_eq!(sent, [ended, came]);
        }
    }

    /// A key that may watch with a filter may also watch all carts, so these names are no secret. Still the
    /// stream sends no new cart outside the filter, and each other cart once.
    async fn a_resumed_watch_of_a_filter_sends_each_possible_match_once(shop: Shop) {
        let mut client = shop.carts();
        let filter = || filtered("item_count >= 5");
        let (old, matching) = (visitor("who buys little"), visitor("who buys much"));
        let small = add(&mut client, &old, "a").await;
        let mut watch = CartWatch::open(&mut client, filter()).await.unwrap();
        watch.snapshot().await;
        let request = pb::AddItemRequest {
            target: Some(visitor("who buys as much")),
            item: Some(item("many", 5)),
            ..Default::default()
        };
        let first = client.add_item(request).await.unwrap().into_inner();
        // Its token is later than every earlier change, also that of the small cart.
        watch.until("the matching cart", |watch| watch.carts.contains_key(&first.name)).await;
        delete(&shop, &visitor("who buys as much")).await;
        watch.until("its end", |watch| watch.carts.is_empty()).await;
        let point = watch.point();
        add(&mut client, &old, "b").await;
        add(&mut client, &old, "c").await;
        let new = add(&mut client, &visitor("who has just come"), "a").await;
        add(&mut client, &visitor("who has just come"), "b").await;
        let request = pb::AddItemRequest {
            target: Some(matching),
            item: Some(item("many", 5)),
            ..Default::default()
        };
        let large = client.add_item(request).await.unwrap().into_inner();

        let mut resumed = CartWatch::resume_at(point, &mut client, filter()).await.unwrap();
        let came = |watch: &CartWatch| watch.carts.contains_key(&large.name);
        resumed.until("the matching cart", came).await;
        add(&mut client, &old, "d").await;
        delete(&shop, &visitor("who has just come")).await;
        delete(&shop, &visitor("who buys much")).await;
        resumed.until("its end", |watch| watch.carts.is_empty()).await;

        let left: Vec<_> = resumed.changes.iter()
            .filter(|change| change.name == small.name)
            .map(pb::CartChange::kind)
            .collect();
        assert_eq!(left, [ChangeKind::LeftFilter]);
        assert!(!sent_names(&resumed).contains(new.name.as_str()), "{:?}", resumed.changes);
    }
}
