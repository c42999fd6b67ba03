//! Tests how long idle open carts are kept.

use std::time::Duration;

use clientela::proto::pb::cart_cause::Kind;
use clientela::proto::pb::{self, ChangeKind, ErrorReason, ShopSettings, WatchCartsRequest};
use tonic::Code;

use super::abandonment::hold_until;
use super::{Carts, customer, in_slot, item, named, new_customer, of, set, visitor};
use crate::harness::{CartWatch, Setup, Shop, assert_refused, eventually, store::START};
use crate::on_both_engines;

pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) async fn keep_days(shop: &Shop, visitors: i32, customers: i32) {
    let settings = ShopSettings {
        visitor_cart_retention_days: Some(visitors),
        customer_cart_retention_days: Some(customers),
        ..Default::default()
    };
    let paths = [
        "visitor_cart_retention_days",
        "customer_cart_retention_days",
    ];
    set(shop, &paths, settings).await;
}

pub(super) async fn gone(shop: &Shop, name: &str) {
    let look = || async { shop.try_get(named(name)).await.err() };
    let status = eventually("the cart is gone", look).await;
    assert_refused(&status, Code::NotFound, ErrorReason::NotFound);
}

async fn empty(shop: &Shop, slot: &str) -> pb::Cart {
    let request = pb::CreateCartRequest {
        owner: Some(in_slot(&visitor(), slot)),
        ..Default::default()
    };
    shop.carts()
        .create_cart(request)
        .await
        .unwrap()
        .into_inner()
}

async fn a_customers(shop: &Shop) -> pb::Cart {
    let ada = new_customer(shop).await;
    shop.add(of(&customer(&ada)), item("shirt", 1)).await
}

on_both_engines! {
    async fn carts_of_visitors_and_of_customers_have_their_own_retention(shop: Shop with Setup::held()) {
        keep_days(&shop, 2, 4).await;
        let mut watch = CartWatch::open(&mut shop.carts(), WatchCartsRequest::default()).await.unwrap();
        watch.snapshot().await;
        let of_visitor = shop.add(of(&visitor()), item("shirt", 1)).await;
        let of_customer = a_customers(&shop).await;
        shop.clock.advance(2 * DAY);
        let younger = shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.clock.advance(HOUR);

        gone(&shop, &of_visitor.name).await;
        shop.get(named(&of_customer.name)).await;
        shop.clock.advance(2 * DAY);
        gone(&shop, &of_customer.name).await;
        gone(&shop, &younger.name).await;

        watch.until("the end of all three", |watch| {
            let ends = watch.changes.iter().filter(|change| change.kind() == ChangeKind::Deleted);
            ends.count() == 3
        }).await;
        assert!(watch.carts.is_empty());
        for change in watch.changes.iter().filter(|change| change.kind() == ChangeKind::Deleted) {
            let causes: Vec<Kind> = change.causes.iter().map(pb::CartCause::kind).collect();
            assert_eq!(causes.last(), Some(&Kind::Expired), "{change:?}");
        }
    }

    /// No caller has changed the cart, but the service has written it.
    async fn retention_counts_from_the_last_activity_of_a_caller(shop: Shop with Setup::held()) {
        keep_days(&shop, 3, 0).await;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.clock.advance(DAY + HOUR);
        let written = eventually("the cart is written", || async {
            let now = shop.get(named(&cart.name)).await;
            (now.version > cart.version).then_some(now)
        }).await;
        assert_eq!(written.activity_time, cart.activity_time);
        shop.clock.advance(2 * DAY);

        gone(&shop, &cart.name).await;
    }

    async fn a_new_setting_acts_without_a_restart_and_zero_keeps_all_carts(shop: Shop with Setup::held()) {
        keep_days(&shop, 0, 0).await;
        let of_visitor = shop.add(of(&visitor()), item("shirt", 1)).await;
        let of_customer = a_customers(&shop).await;
        let empty = empty(&shop, "main").await;
        shop.clock.advance(3_650 * DAY);
        // The purge that deletes this cart has checked the others.
        gone(&shop, &empty.name).await;
        shop.get(named(&of_visitor.name)).await;
        shop.get(named(&of_customer.name)).await;

        keep_days(&shop, 3_649, 0).await;

        gone(&shop, &of_visitor.name).await;
        shop.get(named(&of_customer.name)).await;
    }

    async fn empty_carts_expire_sooner_except_in_the_saved_slot(shop: Shop with Setup::held()) {
        let filled = shop.add(of(&visitor()), item("shirt", 1)).await;
        let saved = [empty(&shop, "saved").await, empty(&shop, "saved-2").await];
        let first = empty(&shop, "main").await;
        shop.clock.advance(6 * HOUR);
        let second = empty(&shop, "main").await;
        shop.clock.advance(HOUR);

        gone(&shop, &first.name).await;
        assert_eq!(shop.get(named(&second.name)).await, second);
        set(&shop, &["empty_cart_retention_hours"], ShopSettings {
            empty_cart_retention_hours: Some(0),
            ..Default::default()
        }).await;
        shop.clock.advance(DAY);
        // Meanwhile the other searches for due carts run.
        eventually("the filled cart is abandoned", || async {
            let cart = shop.get(named(&filled.name)).await;
            (cart.version > filled.version).then_some(())
        }).await;

        for saved in saved {
            assert_eq!(shop.get(named(&saved.name)).await, saved);
        }
        shop.get(named(&second.name)).await;
    }

    async fn a_cart_that_staff_holds_is_kept_until_the_hold_ends(shop: Shop with Setup::held()) {
        let mut shop = shop;
        keep_days(&shop, 1, 0).await;
        let held = shop.add(of(&visitor()), item("shirt", 1)).await;
        let free = shop.add(of(&visitor()), item("shirt", 1)).await;
        hold_until(&mut shop, &held.name, START + 3 * 86_400_000_000).await;

        shop.clock.advance(DAY + HOUR);
        gone(&shop, &free.name).await;
        let kept = shop.get(named(&held.name)).await;
        shop.clock.advance(2 * DAY);

        gone(&shop, &held.name).await;
        assert!(kept.lock.is_some());
    }

    async fn more_carts_than_one_batch_are_all_deleted(shop: Shop with Setup::held()) {
        let mut names = Vec::new();
        for slot in 0..70 {
            names.push(empty(&shop, &format!("slot-{slot}")).await.name);
        }
        shop.clock.advance(6 * HOUR + Duration::from_micros(1));

        for name in names {
            gone(&shop, &name).await;
        }
    }
}
