//! G6: a stream can resume from every token that it sent, and loses nothing. The state at the token may be
//! sent again. The watch itself asserts that no version is missing.

use std::collections::BTreeMap;
use std::time::Duration;

use clientela::proto::pb::{self, AddItemRequest, WatchCartsRequest, WatchOptions};

use super::writers::Writers;
use super::{add, every, filtered, item, state, visitor, with};
use crate::harness::{CartWatch, Point, Seen, Shop};
use crate::on_both_engines;

/// The approximate number of tokens that are tried.
const TRIED: usize = 15;

/// Returns the points of a watch during writes, at least [`TRIED`] of them, and the state at the end.
async fn points(
    shop: &Shop,
    request: &WatchCartsRequest,
    matches: fn(&pb::Cart) -> bool,
) -> (Vec<Point>, BTreeMap<String, pb::Cart>) {
    for number in 0..20 {
        let cart = visitor(&format!("who was there before, {number}"));
        add(&mut shop.carts(), &cart, "a").await;
    }
    let mut watch = CartWatch::open(&mut shop.carts(), request.clone())
        .await
        .unwrap();
    watch.snapshot().await;
    let writers = Writers::start(shop, 8, 5).await;
    let mut points = Vec::new();
    // The server decides how many changes a message has, so the writers continue until it has sent enough.
    watch
        .until("enough messages", |watch| {
            points.push(watch.point());
            points.len() > TRIED
        })
        .await;
    let writing = tokio::spawn({
        let mut client = shop.carts();
        async move {
            writers.finish().await;
            let request = AddItemRequest {
                target: Some(visitor("who comes last")),
                item: Some(item("last", 4)),
                ..Default::default()
            };
            client.add_item(request).await.expect("the last addition");
        }
    });
    let is_last = |cart: &pb::Cart| cart.items.iter().any(|item| item.product == "last");
    watch
        .until("the last cart", |watch| {
            points.push(watch.point());
            watch.carts.values().any(is_last)
        })
        .await;
    writing.await.expect("the writers do not panic");
    let mut expected = state(shop).await;
    expected.retain(|_, cart| matches(cart));
    watch
        .until("the listed state", |watch| {
            points.push(watch.point());
            watch.carts == expected
        })
        .await;
    (points, expected)
}

/// Resumes from many of the points and asserts that each stream reaches the state of the end.
async fn assert_all_go_on(shop: &Shop, request: WatchCartsRequest, matches: fn(&pb::Cart) -> bool) {
    let (points, expected) = points(shop, &request, matches).await;
    let step = points.len() / TRIED;
    for point in points.into_iter().rev().step_by(step) {
        let mut client = shop.carts();
        let resumed = CartWatch::resume_at(point, &mut client, request.clone()).await;
        let mut watch = resumed.unwrap();
        watch
            .until("the listed state", |watch| watch.carts == expected)
            .await;
    }
}

on_both_engines! {
    async fn every_version_after_any_token_comes(shop: Shop) {
        assert_all_go_on(&shop, every(), |_| true).await;
    }

    async fn the_latest_versions_after_any_token_come(shop: Shop) {
        assert_all_go_on(&shop, with(WatchOptions::default()), |_| true).await;
    }

    /// A cart that waits for its interval holds the token back.
    async fn a_cart_that_waits_for_its_interval_is_not_lost_by_a_resume(shop: Shop) {
        let min_update_interval = Some(Duration::from_millis(100).try_into().unwrap());
        let options = WatchOptions { min_update_interval, ..Default::default() };

        assert_all_go_on(&shop, with(options), |_| true).await;
    }

    async fn carts_that_enter_and_leave_a_filter_after_any_token_are_sent(shop: Shop) {
        let matches = |cart: &pb::Cart| {
            cart.item_count > 3 && cart.state() == pb::cart::State::Open
        };

        assert_all_go_on(&shop, filtered("item_count > 3 AND state = OPEN"), matches).await;
    }

    /// After the last token no known version is sent.
    async fn resuming_at_the_last_token_repeats_nothing(shop: Shop) {
        let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        watch.snapshot().await;
        let cart = add(&mut shop.carts(), &visitor("who is known"), "a").await;
        watch.until("the change", |watch| watch.carts.contains_key(&cart.name)).await;

        let mut resumed = watch.resume(&mut shop.carts(), every()).await.unwrap();
        let next = add(&mut shop.carts(), &visitor("who is new"), "a").await;

        let Seen::Changes(changes) = resumed.next().await.unwrap() else {
            panic!("a change comes first");
        };
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].cart.as_ref(), Some(&next));
    }

    async fn repeated_resumes_during_writes_lose_nothing(shop: Shop) {
        let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        watch.snapshot().await;
        let writers = Writers::start(&shop, 8, 5).await;
        for _ in 0..10 {
            watch.until("more changes", |watch| watch.changes.len() >= 15).await;
            watch = watch.resume(&mut shop.carts(), every()).await.unwrap();
        }

        writers.finish().await;

        let expected = state(&shop).await;
        watch.until("the listed state", |watch| watch.carts == expected).await;
    }
}
