//! Tests filters with `now`: resources that enter and leave by the clock alone. The clock stands still until
//! the test moves it.

use std::collections::BTreeMap;
use std::time::Duration;

use clientela::clock::Clock;
use clientela::feed::FeedSettings;
use clientela::proto::pb::{
    self, ChangeKind, WatchCartsRequest, WatchOptions, snapshot_begin::Cause,
};

use super::{add, filtered, visitor};
use crate::harness::store::START;
use crate::harness::{CartWatch, Seen, Setup, Shop};
use crate::on_both_engines;

/// Carts that have been idle for a while.
const ABANDONED: &str = "update_time < now - 30m";
/// Carts with recent activity.
const ACTIVE: &str = "update_time > now - 30m";

const MINUTE: Duration = Duration::from_secs(60);

/// A server whose clock is held, and whose streams never reach their maximal age.
fn held() -> Setup {
    let setup = Setup::default();
    let feed = FeedSettings {
        stream_age: 1_000_000 * MINUTE,
        ..setup.feed
    };
    Setup {
        clock: Clock::held_at(START),
        feed,
        ..setup
    }
}

fn only(cart: &pb::Cart) -> BTreeMap<String, pb::Cart> {
    BTreeMap::from([(cart.name.clone(), cart.clone())])
}

async fn watch(shop: &Shop, request: WatchCartsRequest) -> CartWatch {
    CartWatch::open(&mut shop.carts(), request).await.unwrap()
}

/// Returns the kind and version of the last change that the stream sent.
fn last(watch: &CartWatch) -> (ChangeKind, i64) {
    let change = watch.changes.last().expect("a change came");
    (change.kind(), change.version)
}

on_both_engines! {
    async fn a_cart_enters_at_its_time_and_leaves_on_a_change(shop: Shop with held()) {
        let owner = visitor("who wanders off");
        let cart = add(&mut shop.carts(), &owner, "a").await;
        let mut abandoned = watch(&shop, filtered(ABANDONED)).await;
        assert_eq!(abandoned.snapshot().await, 0);

        shop.clock.advance(29 * MINUTE);
        assert_eq!(abandoned.next().await.unwrap(), Seen::Heartbeat, "it is not yet time");
        shop.clock.advance(2 * MINUTE);
        abandoned.until("the cart to enter", |watch| watch.carts == only(&cart)).await;
        let changed = add(&mut shop.carts(), &owner, "b").await;
        abandoned.until("the cart to leave", |watch| watch.carts.is_empty()).await;
        let left = last(&abandoned);
        shop.clock.advance(31 * MINUTE);

        abandoned.until("the cart to enter again", |watch| watch.carts == only(&changed)).await;
        assert_eq!(left, (ChangeKind::LeftFilter, 2));
    }

    async fn a_cart_created_while_the_stream_is_open_enters_at_its_time(shop: Shop with held()) {
        let mut abandoned = watch(&shop, filtered(ABANDONED)).await;
        abandoned.snapshot().await;
        let cart = add(&mut shop.carts(), &visitor("who comes late"), "a").await;

        shop.clock.advance(31 * MINUTE);

        abandoned.until("the cart to enter", |watch| watch.carts == only(&cart)).await;
        assert_eq!(abandoned.changes.len(), 1, "no change came before");
    }

    /// The change has the version that was sent before, as no write changed the cart.
    async fn a_cart_leaves_at_the_end_of_its_time(shop: Shop with held()) {
        let owner = visitor("who is active for a while");
        let cart = add(&mut shop.carts(), &owner, "a").await;
        let mut active = watch(&shop, filtered(ACTIVE)).await;
        assert_eq!(active.snapshot().await, 1);

        shop.clock.advance(31 * MINUTE);
        active.until("the cart to leave", |watch| watch.carts.is_empty()).await;
        let left = last(&active);
        let changed = add(&mut shop.carts(), &owner, "b").await;

        active.until("the cart to enter", |watch| watch.carts == only(&changed)).await;
        assert_eq!(left, (ChangeKind::LeftFilter, cart.version));
    }

    async fn a_cart_passes_through_a_window_of_time(shop: Shop with held()) {
        let window = "update_time < now - 10m AND update_time > now - 20m";
        let cart = add(&mut shop.carts(), &visitor("who is reminded"), "a").await;
        let mut due = watch(&shop, filtered(window)).await;
        due.snapshot().await;

        shop.clock.advance(11 * MINUTE);
        due.until("the cart to enter", |watch| watch.carts == only(&cart)).await;
        shop.clock.advance(11 * MINUTE);

        due.until("the cart to leave", |watch| watch.carts.is_empty()).await;
        let sent: Vec<_> = due.changes.iter().map(|change| (change.kind(), change.version)).collect();
        assert_eq!(sent, [(ChangeKind::Upserted, 1), (ChangeKind::LeftFilter, 1)]);
    }

    /// The log does not record effects of the clock while no stream was open.
    async fn a_token_leads_to_a_new_snapshot(shop: Shop with held()) {
        let cart = add(&mut shop.carts(), &visitor("who is active for a while"), "a").await;
        let mut active = watch(&shop, filtered(ACTIVE)).await;
        active.snapshot().await;
        assert_eq!(active.carts, only(&cart));
        let point = active.point();
        drop(active);
        shop.clock.advance(31 * MINUTE);

        let resumed = CartWatch::resume_at(point, &mut shop.carts(), filtered(ACTIVE)).await;

        let mut resumed = resumed.unwrap();
        assert_eq!(resumed.next().await.unwrap(), Seen::SnapshotBegin(Cause::FilterChanged));
        assert_eq!(resumed.snapshot().await, 0);
    }

    async fn without_a_snapshot_only_carts_that_enter_from_now_on_are_sent(shop: Shop with held()) {
        add(&mut shop.carts(), &visitor("who left long ago"), "a").await;
        shop.clock.advance(31 * MINUTE);
        let cart = add(&mut shop.carts(), &visitor("who is about to leave"), "a").await;
        let mut request = filtered(ABANDONED);
        let options = request.options.take().unwrap();
        request.options = Some(WatchOptions { skip_snapshot: true, ..options });
        let mut abandoned = watch(&shop, request).await;
        shop.clock.advance(MINUTE);
        assert_eq!(abandoned.next().await.unwrap(), Seen::Heartbeat);
        assert!(!abandoned.token.is_empty());

        shop.clock.advance(30 * MINUTE);

        abandoned.until("the cart to enter", |watch| !watch.carts.is_empty()).await;
        assert_eq!(abandoned.carts, only(&cart));
    }
}
