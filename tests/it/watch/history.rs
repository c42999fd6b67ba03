//! G7: a token whose history was deleted, or that is of another store, is refused or answered with a new
//! snapshot. No change is skipped silently.

use std::time::Duration;

use clientela::clock::Clock;
use clientela::feed::FeedSettings;
use clientela::jobs::FeedLimits;
use clientela::proto::pb::{self, ErrorReason, WatchOptions, snapshot_begin::Cause};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::writers::hold_the_log;
use super::{add, every, state, visitor, with};
use crate::carts::set;
use crate::harness::store::START;
use crate::harness::{CartWatch, Places, Point, Seen, Setup, Shop, assert_refused, eventually};
use crate::on_both_engines;

const HOUR: Duration = Duration::from_secs(3_600);

/// A server that keeps history for a day of its held clock, and whose streams never reach their maximal age.
pub fn forgetful() -> Setup {
    let setup = Setup::default();
    let feed = FeedSettings {
        stream_age: 1_000_000 * HOUR,
        ..setup.feed
    };
    Setup {
        clock: Clock::held_at(START),
        feed,
        feed_limits: FeedLimits {
            retention: 24 * HOUR,
            max_bytes: u64::MAX,
        },
        ..setup
    }
}

/// Resumes a watch after a token and returns the refusal, or None if a change comes.
async fn refusal(shop: &Shop, point: &Point) -> Option<Status> {
    let mut client = shop.carts();
    let mut watch = CartWatch::resume_at(point.clone(), &mut client, every())
        .await
        .unwrap();
    watch.next().await.err()
}

/// Asserts that a watch which may be reset is reset for this cause, and sends all carts.
async fn assert_reset(shop: &Shop, point: &Point, cause: Cause) {
    let options = WatchOptions {
        reset_on_expired_token: true,
        ..every().options.unwrap()
    };
    let mut client = shop.carts();
    let resumed = CartWatch::resume_at(point.clone(), &mut client, with(options)).await;
    let mut watch = resumed.unwrap();

    assert_eq!(watch.next().await.unwrap(), Seen::SnapshotBegin(cause));
    watch.snapshot().await;
    assert_eq!(watch.carts, state(shop).await);
    let next = add(&mut client, &visitor("who comes after the reset"), "a").await;
    watch
        .until("the next cart", |watch| {
            watch.carts.contains_key(&next.name)
        })
        .await;
}

/// Opens a watch, adds a cart, and returns the point at which the watch has it.
async fn point_with_a_cart(shop: &Shop, who: &str) -> Point {
    let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    watch.snapshot().await;
    let cart = add(&mut shop.carts(), &visitor(who), "a").await;
    watch
        .until("the cart", |watch| watch.carts.contains_key(&cart.name))
        .await;
    watch.point()
}

on_both_engines! {
    async fn a_token_from_before_the_retention_has_expired(shop: Shop with forgetful()) {
        // Time alone changes no cart.
        let never = pb::ShopSettings { cart_abandoned_after_minutes: Some(0), ..Default::default() };
        set(&shop, &["cart_abandoned_after_minutes"], never).await;
        let old = point_with_a_cart(&shop, "who is from the day before").await;
        add(&mut shop.carts(), &visitor("whom the watch missed"), "a").await;
        assert!(refusal(&shop, &old).await.is_none(), "its history is there");

        shop.clock.advance(30 * HOUR);
        // One change stays, and those before it are deleted.
        let new = point_with_a_cart(&shop, "who is of today").await;
        let status = eventually("the end of the old history", || refusal(&shop, &old)).await;

        assert_refused(&status, Code::OutOfRange, ErrorReason::ResumeTokenExpired);
        assert_reset(&shop, &old, Cause::TokenExpired).await;
        assert!(refusal(&shop, &new).await.is_none(), "a younger token resumes");
    }

    /// The token is from after the backup: the restored store does not have its position yet.
    async fn a_token_of_the_future_is_of_another_history(shop: Shop) {
        let mut shop = shop;
        let before = point_with_a_cart(&shop, "who is in the copy").await;
        shop.stop().await;
        let backup = shop.back_up().await;
        shop.start_again(Setup::default()).await;
        let after = point_with_a_cart(&shop, "who is not in the copy").await;

        shop.stop().await;
        shop.restore(&backup).await;
        shop.start_again(Setup::default()).await;

        let status = refusal(&shop, &after).await.expect("a refusal");
        assert_refused(&status, Code::Aborted, ErrorReason::StoreEpochChanged);
        assert_reset(&shop, &after, Cause::EpochChanged).await;
        assert!(refusal(&shop, &before).await.is_none(), "a token from before the backup resumes");
    }

    /// After the restore the store has written past the position of the token.
    async fn a_token_of_a_replaced_future_is_of_another_history(shop: Shop) {
        let mut shop = shop;
        shop.stop().await;
        let backup = shop.back_up().await;
        shop.start_again(Setup::default()).await;
        let lost = point_with_a_cart(&shop, "who is not in the copy").await;
        shop.stop().await;
        shop.restore(&backup).await;
        shop.start_again(Setup::default()).await;

        for number in 0..10 {
            let cart = visitor(&format!("who came instead, {number}"));
            add(&mut shop.carts(), &cart, "a").await;
            let status = refusal(&shop, &lost).await.expect("a refusal");
            assert_refused(&status, Code::Aborted, ErrorReason::StoreEpochChanged);
        }

        assert_reset(&shop, &lost, Cause::EpochChanged).await;
    }

    /// A snapshot shows commits made while an older transaction is open, and the token of its end is from
    /// before that. So it is not enough that the backup has the position of the token.
    async fn a_token_of_a_snapshot_ahead_of_the_log_is_of_another_history(shop: Shop) {
        let mut shop = shop;
        add(&mut shop.carts(), &visitor("who is in the copy"), "a").await;
        shop.stop().await;
        let backup = shop.back_up().await;
        shop.start_again(Setup::default()).await;
        let held = hold_the_log(&shop).await;
        let lost = add(&mut shop.carts(), &visitor("who is not in the copy"), "a").await;
        let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        watch.snapshot().await;
        assert!(watch.carts.contains_key(&lost.name));
        let at_its_end = watch.point();
        // The log is still held: the resumed stream sends nothing but the request to reconnect.
        let mut watch = watch.resume(&mut shop.carts(), every()).await.unwrap();
        let (_, drained) = tokio::join!(shop.stop(), async {
            assert_eq!(watch.next().await.unwrap(), Seen::Draining);
            watch.next().await.unwrap_err()
        });
        let mut by_the_error = watch.point();
        let info = drained.get_details_error_info().unwrap();
        by_the_error.token.clone_from(&info.metadata["resume_token"]);
        drop(held);

        shop.restore(&backup).await;
        shop.start_again(Setup::default()).await;

        for point in [at_its_end, watch.point(), by_the_error] {
            let status = refusal(&shop, &point).await.expect("a refusal");
            assert_refused(&status, Code::Aborted, ErrorReason::StoreEpochChanged);
            assert_reset(&shop, &point, Cause::EpochChanged).await;
        }
    }

    /// If nothing was lost the token resumes, and changes shown by the snapshot may be sent again.
    async fn a_token_behind_its_snapshot_resumes(shop: Shop) {
        let held = hold_the_log(&shop).await;
        let shown = add(&mut shop.carts(), &visitor("whom the snapshot shows"), "a").await;
        let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        watch.snapshot().await;
        assert!(watch.carts.contains_key(&shown.name));
        let mut watch = watch.resume(&mut shop.carts(), every()).await.unwrap();

        drop(held);
        let next = add(&mut shop.carts(), &visitor("who comes next"), "a").await;

        watch.until("the next cart", |watch| watch.carts.contains_key(&next.name)).await;
        assert_eq!(watch.carts, state(&shop).await);
        let last = watch.point();
        add(&mut shop.carts(), &visitor("who comes last"), "a").await;
        assert!(refusal(&shop, &last).await.is_none(), "its last token resumes too");
    }

    /// A cart that waits for its interval holds the token back while other carts are sent. So it is not
    /// enough that the backup has the position of the token.
    async fn a_token_held_back_by_a_waiting_cart_is_of_another_history(shop: Shop with forgetful()) {
        let mut shop = shop;
        let before = point_with_a_cart(&shop, "who is in the copy").await;
        add(&mut shop.carts(), &visitor("who waits"), "a").await;
        shop.stop().await;
        let backup = shop.back_up().await;
        shop.start_again(forgetful()).await;
        let options = WatchOptions {
            min_update_interval: Some(Duration::from_secs(60).try_into().unwrap()),
            ..WatchOptions::default()
        };
        let mut client = shop.carts();
        let resumed = CartWatch::resume_at(before, &mut client, with(options)).await;
        let mut watch = resumed.unwrap();
        watch.until("the waiting cart", |watch| watch.changes.len() == 1).await;
        let in_the_copy = watch.token.clone();
        add(&mut client, &visitor("who waits"), "a").await;
        let lost = add(&mut client, &visitor("who is not in the copy"), "a").await;
        watch.until("the lost cart", |watch| watch.carts.contains_key(&lost.name)).await;
        let ahead = watch.point();
        let places = Places::of(shop.store(), "default");
        let beside = places.place(&ahead.token).seen_ahead();
        assert_ne!(beside, places.place(&in_the_copy).seen_ahead(), "the token has what was sent ahead of it");

        shop.stop().await;
        shop.restore(&backup).await;
        shop.start_again(forgetful()).await;

        add(&mut shop.carts(), &visitor("who came instead"), "a").await;
        let mut at_the_copy = ahead.clone();
        at_the_copy.token = in_the_copy;
        assert!(refusal(&shop, &at_the_copy).await.is_none(), "the backup has the position of the token");
        let status = refusal(&shop, &ahead).await.expect("a refusal");
        assert_refused(&status, Code::Aborted, ErrorReason::StoreEpochChanged);
        assert_reset(&shop, &ahead, Cause::EpochChanged).await;
    }
}
