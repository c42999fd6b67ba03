//! G1, G2, G4: a client that folds a stream has the committed state, in order, with nothing skipped.

use std::collections::BTreeMap;

use clientela::proto::pb::{self, OrderCartRequest, WatchOptions};

use super::owner::delete;
use super::writers::{Writers, hold_the_log};
use super::{add, clear, every, filtered, item, state, visitor, with};
use crate::harness::{CartWatch, Seen};
use crate::on_both_engines;

/// Reads a watch until its carts equal those of a list.
async fn assert_reaches(watch: &mut CartWatch, expected: &BTreeMap<String, pb::Cart>) {
    watch
        .until("the listed state", |watch| watch.carts == *expected)
        .await;
}

on_both_engines! {
    /// On PostgreSQL the position of a snapshot in the log may be before the state that it shows. A cart that
    /// ended in between is sent neither before the end of the snapshot nor after it. One cart here grows and
    /// is deleted. The other grows and is emptied, so it leaves the filter.
    async fn changes_in_a_snapshot_are_not_sent_after_it(shop: Shop) {
        let mut client = shop.carts();
        for (filter, expected) in [("", 1), ("item_count > 0", 0)] {
            let deleted = visitor(&format!("deleted {filter}"));
            let emptied = visitor(&format!("emptied {filter}"));
            let gone = add(&mut client, &deleted, "a").await.name;
            add(&mut client, &emptied, "a").await;
            let held = hold_the_log(&shop).await;
            add(&mut client, &deleted, "b").await;
            delete(&shop, &deleted).await;
            add(&mut client, &emptied, "b").await;
            clear(&shop, &emptied).await;

            let mut watch = CartWatch::open(&mut client, filtered(filter)).await.unwrap();
            let count = watch.snapshot().await;
            let whole = watch.point();
            drop(held);
            let last = add(&mut client, &emptied, "c").await;
            let is_seen = |watch: &CartWatch| watch.carts.get(&last.name) == Some(&last);
            watch.until("the last change", is_seen).await;

            assert_eq!(count, expected, "{filter}");
            let sent = watch.changes.iter().map(|change| (&change.name, change.version));
            assert_eq!(sent.collect::<Vec<_>>(), [(&last.name, 4)], "{filter}");

            // The token does not name the ended carts, so a stream from there may send how they ended.
            let resumed = CartWatch::resume_at(whole, &mut client, filtered(filter)).await;
            let mut resumed = resumed.unwrap().lenient();
            resumed.until("the last change", is_seen).await;
            assert!(!resumed.carts.contains_key(&gone), "{filter}");
            delete(&shop, &emptied).await;
        }
    }

    /// G1, G2, G4: the order and completeness within a stream are asserted by the watch itself.
    async fn folding_every_change_gives_the_listed_state(shop: Shop) {
        let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        let writers = Writers::start(&shop, 12, 5).await;
        watch.until("four hundred changes", |watch| watch.changes.len() >= 400).await;

        let done = writers.finish().await;

        let expected = state(&shop).await;
        assert!(done >= 300, "the writers were busy: {done}");
        assert_reaches(&mut watch, &expected).await;
    }

    async fn folding_the_latest_changes_gives_the_listed_state(shop: Shop) {
        let latest = with(WatchOptions::default());
        let mut watch = CartWatch::open(&mut shop.carts(), latest).await.unwrap();
        let writers = Writers::start(&shop, 8, 5).await;
        watch.until("two hundred changes", |watch| watch.changes.len() >= 200).await;

        writers.finish().await;

        let expected = state(&shop).await;
        assert_reaches(&mut watch, &expected).await;
    }

    async fn a_snapshot_during_writes_and_its_changes_give_the_listed_state(shop: Shop) {
        let writers = Writers::start(&shop, 8, 40).await;
        let mut watches = Vec::new();
        for _ in 0..5 {
            let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
            watch.snapshot().await;
            watch.until("some changes", |watch| watch.changes.len() >= 20).await;
            watches.push(watch);
        }

        writers.finish().await;

        let expected = state(&shop).await;
        for watch in &mut watches {
            assert_reaches(watch, &expected).await;
        }
    }

    async fn a_filtered_watch_sends_carts_that_enter_and_leave(shop: Shop) {
        let filter = r#"total >= "25.00 EUR" AND state = OPEN"#;
        let mut watch = CartWatch::open(&mut shop.carts(), filtered(filter)).await.unwrap();
        assert_eq!(watch.snapshot().await, 0);
        let cart = visitor("who fills a cart slowly");
        let mut client = shop.carts();
        let name = add(&mut client, &cart, "a").await.name;
        add(&mut client, &cart, "b").await;
        assert!(watch.carts.is_empty());

        add(&mut client, &cart, "c").await;

        watch.until("the cart to enter", |watch| watch.carts.contains_key(&name)).await;
        assert_eq!(watch.changes.len(), 1, "a cart that did not match was not sent: {:?}", watch.changes);
        let order = OrderCartRequest {
            target: Some(cart),
            order_reference: "left".into(),
            ..Default::default()
        };
        client.order_cart(order).await.unwrap();
        watch.until("the cart to leave", |watch| watch.carts.is_empty()).await;
        let left = watch.changes.last().unwrap();
        assert_eq!((left.kind(), &left.cart), (pb::ChangeKind::LeftFilter, &None));
    }

    async fn a_filtered_watch_during_writes_folds_to_the_filtered_list(shop: Shop) {
        let filter = "item_count > 3 AND state = OPEN";
        let mut watch = CartWatch::open(&mut shop.carts(), filtered(filter)).await.unwrap();
        let writers = Writers::start(&shop, 8, 6).await;
        watch.until("a hundred changes", |watch| watch.changes.len() >= 100).await;

        writers.finish().await;

        let matches = |cart: &pb::Cart| {
            cart.item_count > 3 && cart.state() == pb::cart::State::Open
        };
        let expected =
            state(&shop).await.into_iter().filter(|(_, cart)| matches(cart)).collect();
        assert_reaches(&mut watch, &expected).await;
    }

    async fn a_watch_of_names_sends_only_these(shop: Shop) {
        let mut client = shop.carts();
        let mine = add(&mut client, &visitor("mine, all of it"), "a").await;
        add(&mut client, &visitor("of somebody else"), "a").await;
        let mut request = every();
        request.names = vec![mine.name.clone()];
        let mut watch = CartWatch::open(&mut client, request).await.unwrap();
        assert_eq!(watch.snapshot().await, 1);

        add(&mut client, &visitor("of somebody else"), "b").await;
        let changed = add(&mut client, &visitor("mine, all of it"), "b").await;

        watch.until("the change", |watch| !watch.changes.is_empty()).await;
        assert_eq!(watch.carts, BTreeMap::from([(mine.name.clone(), changed)]));
        assert_eq!(watch.changes.len(), 1);
    }

    async fn a_change_has_its_cause(shop: Shop) {
        let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        watch.snapshot().await;
        let mut client = shop.carts();
        add(&mut client, &visitor("who is watched"), "a").await;

        let cart = add(&mut client, &visitor("who is watched"), "a").await;

        watch.until("two changes", |watch| watch.changes.len() == 2).await;
        let causes = &watch.changes[1].causes;
        assert_eq!(causes.len(), 1, "{causes:?}");
        let cause = &causes[0];
        assert_eq!(cause.kind(), pb::cart_cause::Kind::ItemAdded);
        assert_eq!((cause.quantity_before, cause.quantity_after), (1, 2));
        assert_eq!((&cause.item, cause.product.as_str()), (&cart.items[0].name, "a"));
        assert!(watch.changes[1].commit_time.is_some());
    }

    async fn a_removed_line_is_sent_by_its_name(shop: Shop) {
        let mut client = shop.carts();
        let owner = visitor("who thinks again");
        let mut named = item("a", 2);
        named.display_name = "An apple".into();
        let request = pb::AddItemRequest {
            target: Some(owner.clone()),
            item: Some(named),
            ..Default::default()
        };
        client.add_item(request).await.unwrap();
        let cart = add(&mut client, &owner, "nameless").await;
        let mut watch = CartWatch::open(&mut client, every()).await.unwrap();
        watch.snapshot().await;

        for item in &cart.items {
            let request = pb::RemoveItemRequest { name: item.name.clone(), ..Default::default() };
            client.remove_item(request).await.unwrap();
        }

        watch.until("two changes", |watch| watch.changes.len() == 2).await;
        let sent = watch.changes.iter().map(|change| {
            let cause = &change.causes[0];
            (cause.kind(), cause.product.as_str(), cause.display_name.as_str())
        });
        let removed = pb::cart_cause::Kind::ItemRemoved;
        let expected = [(removed, "a", "An apple"), (removed, "nameless", "")];
        assert_eq!(sent.collect::<Vec<_>>(), expected);
    }

    async fn a_watch_can_begin_without_a_snapshot(shop: Shop) {
        let mut client = shop.carts();
        let options = WatchOptions { skip_snapshot: true, ..every().options.unwrap() };
        let mut watch = CartWatch::open(&mut client, with(options)).await.unwrap();

        let cart = add(&mut client, &visitor("from after"), "a").await;

        assert!(matches!(watch.next().await.unwrap(), Seen::Changes(_)), "no snapshot begins");
        assert_eq!(watch.carts, BTreeMap::from([(cart.name.clone(), cart)]));
    }
}
