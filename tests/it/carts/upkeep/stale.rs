//! Tests stale prices while the background work is still to be done: no call shows or uses them.

use clientela::proto::pb::{self, AddItemRequest, ErrorReason, OrderCartRequest, cart_cause::Kind};
use tonic::Code;

use super::{causes, discounting, member, open, set_discount, watched};
use crate::carts::{Carts, EURO, customer, euros, in_slot, item, named, of, total, visitor};
use crate::customers::{self, metadata, person};
use crate::harness::{CartWatch, Setup, Shop, assert_refused, unique};
use crate::on_both_engines;
use crate::watch::every;

async fn listed(shop: &Shop) -> Vec<pb::Cart> {
    let order_by = "number".to_owned();
    let request = pb::ListCartsRequest {
        order_by,
        ..Default::default()
    };
    let answer = shop.carts().list_carts(request).await.unwrap();
    answer.into_inner().carts
}

on_both_engines! {
    async fn a_stale_cart_is_priced_before_it_is_shown(shop: Shop with Setup::idle()) {
        let vip = discounting(&shop, "vip", "10").await;
        let ada = member(&shop, &vip).await;
        let mut carts = open(&shop, &customer(&ada.name), 3).await;
        carts.sort_by(|a, b| a.number.cmp(&b.number));

        set_discount(&shop, &vip, "40").await;

        for (cart, listed) in carts.iter().zip(listed(&shop).await) {
            let shown = shop.get(named(&cart.name)).await;
            assert_eq!((total(cart), total(&shown)), (9 * EURO, 6 * EURO));
            assert!(shown.pricing_revision > cart.pricing_revision);
            // The stored cart is not written yet, so an earlier etag is still valid.
            assert_eq!((shown.version, &shown.etag), (cart.version, &cart.etag));
            assert_eq!(listed, shown);
        }
    }

    async fn a_stale_cart_is_priced_before_it_is_edited(shop: Shop with Setup::idle()) {
        let vip = discounting(&shop, "vip", "10").await;
        let ada = member(&shop, &vip).await;
        let cart = open(&shop, &customer(&ada.name), 1).await.remove(0);
        let mut watch = watched(&shop).await;
        set_discount(&shop, &vip, "40").await;
        let request = AddItemRequest {
            target: named(&cart.name),
            item: Some(item("shirt", 2)),
            etag: cart.etag.clone(),
            ..Default::default()
        };

        let edited = shop.carts().add_item(request).await.unwrap().into_inner();

        assert_eq!((total(&edited), edited.version), (18 * EURO, cart.version + 1));
        watch.until("the edit", |watch| !watch.changes.is_empty()).await;
        assert_eq!(causes(&watch.changes[0]), [Kind::ItemAdded, Kind::Repriced]);
        assert_eq!(watch.carts[&cart.name], edited);
    }

    async fn a_stale_cart_is_ordered_at_the_current_prices(shop: Shop with Setup::idle()) {
        let vip = discounting(&shop, "vip", "10").await;
        let ada = member(&shop, &vip).await;
        let cart = open(&shop, &customer(&ada.name), 1).await.remove(0);
        let stays = open(&shop, &visitor(), 1).await.remove(0);
        set_discount(&shop, &vip, "40").await;
        let order = |total| OrderCartRequest {
            target: named(&cart.name),
            order_reference: format!("stale-{}", cart.number),
            expected_total: euros(total),
            ..Default::default()
        };

        let refused = shop.carts().order_cart(order(9)).await.unwrap_err();
        let ordered = shop.carts().order_cart(order(6)).await.unwrap().into_inner();
        set_discount(&shop, &vip, "0").await;

        assert_refused(&refused, Code::Aborted, ErrorReason::TotalChanged);
        assert_eq!(metadata(&refused, "total"), Some((6 * EURO).to_string()));
        assert_eq!(total(&ordered), 6 * EURO);
        assert_eq!(shop.get(named(&cart.name)).await, ordered, "the order stays unchanged");
        assert_eq!(shop.get(named(&stays.name)).await, stays);
        let reopen = pb::ReopenCartRequest { name: cart.name.clone(), ..Default::default() };
        let reopened = shop.carts().reopen_cart(reopen).await.unwrap().into_inner();
        assert_eq!(total(&reopened), 10 * EURO, "the reopened cart has the current prices");
    }

    async fn a_cart_is_priced_by_its_customer_s_current_group(shop: Shop with Setup::idle()) {
        let vip = discounting(&shop, "vip", "10").await;
        let ada = customers::create(&mut shop.customers(), person("Ada")).await;
        let cart = open(&shop, &customer(&ada.name), 1).await.remove(0);
        let moved = pb::Customer { groups: vec![vip.clone()], default_group: vip.clone(), ..ada };

        customers::update(&mut shop.customers(), moved, &["groups", "default_group"]).await.unwrap();

        let shown = shop.get(named(&cart.name)).await;
        assert_eq!((&shown.pricing_group, total(&shown), total(&cart)), (&vip, 9 * EURO, 10 * EURO));
        assert_eq!(shown.version, cart.version);
    }

    async fn a_deleted_customer_gets_no_new_cart(shop: Shop with Setup::idle()) {
        let ada = customers::create(&mut shop.customers(), person("Ada")).await;
        shop.add(of(&customer(&ada.name)), item("shirt", 1)).await;
        customers::delete(&mut shop.customers(), &ada.name).await;

        let other = in_slot(&customer(&ada.name), "other");
        let refused = shop.try_add(of(&other), item("shirt", 1)).await.unwrap_err();
        assert_refused(&refused, Code::FailedPrecondition, ErrorReason::CustomerDeleted);
    }

    /// The next server does the pending work.
    async fn pending_work_waits_for_a_server(shop: Shop with Setup::idle()) {
        let mut shop = shop;
        let vip = discounting(&shop, "vip", "10").await;
        let ada = member(&shop, &vip).await;
        let carts = open(&shop, &customer(&ada.name), 70).await;
        set_discount(&shop, &vip, "40").await;
        let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        watch.snapshot().await;
        assert!(watch.carts.values().all(|cart| total(cart) == 9 * EURO), "the stored totals");
        shop.stop().await;

        shop.start_again(Setup::default()).await;

        let mut watch = watch.resume(&mut shop.carts(), every()).await.unwrap();
        let priced = |watch: &CartWatch| watch.carts.values().all(|cart| total(cart) == 6 * EURO);
        watch.until("the new prices", priced).await;
        let repriced = watch.changes.iter().filter(|change| causes(change) == [Kind::Repriced]).count();
        // On PostgreSQL a change just before the token may be sent once more.
        assert_eq!(repriced, carts.len());
        let reference = format!("late-{}", unique());
        shop.try_order(named(&carts[0].name), &reference).await.unwrap();
    }
}
