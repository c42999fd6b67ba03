//! Tests that a clock that may be wrong deletes nothing because of its age.

use std::time::Duration;

use clientela::on;
use clientela::proto::pb::WatchCartsRequest;
use futures::FutureExt as _;

use super::retention::{HOUR, gone, keep_days};
use super::{Carts, item, named, of, visitor};
use crate::harness::{CartWatch, Seen, Setup, Shop, eventually, store::START};
use crate::on_both_engines;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

fn later(by: Duration) -> Setup {
    Setup::held_at(START + clientela::clock::micros(by))
}

/// Waits until background work has searched several times, and expects that the cart stays.
async fn stays(shop: &Shop, name: &str) {
    let before = shop.store().statements();
    eventually("some looks", || async {
        (shop.store().statements() > before + 200).then_some(())
    })
    .await;
    shop.get(named(name)).await;
}

/// Returns whether the log still has the first change of a cart.
async fn is_in_history(shop: &Shop, name: &str) -> bool {
    let id = name.rsplit('/').next().unwrap().to_owned();
    let found = shop.store().read(|conn| {
        async move {
            let rows: i64 = on!(conn, |e| sqlx::query_scalar(
                "SELECT COUNT(*) FROM change_log WHERE resource_id = $1 AND version = 1"
            )
            .bind(&id)
            .fetch_one(e)
            .await)?;
            Ok(rows == 1)
        }
        .boxed()
    });
    found.await.unwrap()
}

on_both_engines! {
    async fn a_start_a_year_ahead_deletes_no_history_for_a_day(shop: Shop with Setup::held()) {
        let mut shop = shop;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await.name;
        let mut watch = CartWatch::open(&mut shop.carts(), WatchCartsRequest::default()).await.unwrap();
        watch.snapshot().await;
        let known = watch.point();
        drop(watch);
        shop.stop().await;
        shop.start_again(later(YEAR)).await;

        stays(&shop, &cart).await;
        shop.clock.advance(DAY - HOUR);
        stays(&shop, &cart).await;
        assert!(is_in_history(&shop, &cart).await);
        let watch = CartWatch::resume_at(known, &mut shop.carts(), WatchCartsRequest::default()).await;
        let first = watch.unwrap().next().await.unwrap();
        assert!(!matches!(first, Seen::SnapshotBegin(_)), "{first:?}");
        shop.clock.advance(HOUR);

        eventually("the end of the history", || async {
            (!is_in_history(&shop, &cart).await).then_some(())
        })
        .await;
    }

    async fn a_start_a_year_ahead_deletes_no_cart_for_a_day(shop: Shop with Setup::held()) {
        let mut shop = shop;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await.name;
        shop.stop().await;
        shop.start_again(later(YEAR)).await;

        stays(&shop, &cart).await;
        shop.clock.advance(DAY - HOUR);
        stays(&shop, &cart).await;
        shop.clock.advance(HOUR);

        gone(&shop, &cart).await;
    }

    async fn a_restart_neither_extends_nor_ends_the_wait(shop: Shop with Setup::held()) {
        let mut shop = shop;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await.name;
        shop.stop().await;
        shop.start_again(later(YEAR)).await;
        shop.clock.advance(12 * HOUR);
        stays(&shop, &cart).await;

        shop.stop().await;
        shop.start_again(later(YEAR + 12 * HOUR)).await;
        stays(&shop, &cart).await;
        shop.clock.advance(11 * HOUR);
        stays(&shop, &cart).await;
        shop.clock.advance(HOUR);

        gone(&shop, &cart).await;
    }

    async fn a_corrected_clock_needs_no_wait(shop: Shop with Setup::held()) {
        let mut shop = shop;
        keep_days(&shop, 2, 0).await;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await.name;
        shop.stop().await;
        shop.start_again(later(YEAR)).await;
        stays(&shop, &cart).await;
        shop.stop().await;
        shop.start_again(later(HOUR)).await;

        shop.clock.advance(2 * DAY);

        gone(&shop, &cart).await;
    }

    async fn a_clock_that_jumps_while_the_server_runs_deletes_no_cart_for_a_day(shop: Shop with Setup::held()) {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await.name;

        shop.clock.set_forward(YEAR);
        stays(&shop, &cart).await;
        shop.clock.advance(DAY - HOUR);
        stays(&shop, &cart).await;
        shop.clock.advance(HOUR);

        gone(&shop, &cart).await;
    }

    async fn a_server_that_ran_yesterday_waits_for_nothing(shop: Shop with Setup::held()) {
        let mut shop = shop;
        keep_days(&shop, 1, 0).await;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await.name;
        shop.stop().await;
        shop.start_again(later(DAY)).await;

        shop.clock.advance(HOUR);

        gone(&shop, &cart).await;
    }
}
