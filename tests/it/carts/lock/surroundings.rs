//! Tests background work, lists, orders and registrations that meet a held cart.

use super::super::{EURO, customer, set, total};
use super::*;
use crate::harness::eventually;

on_both! {
    the_service_still_writes_a_held_cart;
    held_carts_are_found_and_show_their_expiry;
    an_order_by_the_holder_ends_the_hold;
    a_held_cart_is_not_expired;
    a_held_cart_stays_the_visitor_s_when_the_visitor_registers;
}

async fn the_service_still_writes_a_held_cart(shop: Shop) {
    let group = pb::CreateGroupRequest {
        group: Some(pb::Group {
            display_names: [("en".to_owned(), "Trade".to_owned())].into(),
            ..Default::default()
        }),
        group_id: "trade".into(),
        ..Default::default()
    };
    shop.groups().create_group(group).await.unwrap();
    let registration = pb::CreateCustomerRequest {
        customer: Some(pb::Customer {
            email: "ada@example.test".into(),
            groups: vec!["groups/trade".into()],
            default_group: "groups/trade".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let ada = shop
        .customers()
        .create_customer(registration)
        .await
        .unwrap()
        .into_inner();
    let cart = shop.add(of(&customer(&ada.name)), item("shirt", 1)).await;
    let mut anna = acting(&shop, "staff/anna").await;
    let held = take(&mut anna, &cart.name).await;
    let mut watch = watched(&shop).await;
    shop.clock.advance(Duration::from_secs(60));

    let change = pb::UpdateGroupRequest {
        group: Some(pb::Group {
            name: "groups/trade".into(),
            discount_percent: "50".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    shop.groups().update_group(change).await.unwrap();
    watch
        .until("the new price", |seen| {
            total(&seen.carts[&cart.name]) == 5 * EURO
        })
        .await;

    let repriced = shop.get(named(&cart.name)).await;
    assert_eq!(repriced.lock, held.lock);
    assert_eq!(watch.changes[0].causes[0].kind(), Kind::Repriced);
    // Work of the service is no activity of a shopper, even when a caller caused it.
    assert_eq!(repriced.activity_time, held.activity_time);
    assert_ne!(repriced.update_time, held.update_time);
}

async fn held_carts_are_found_and_show_their_expiry(shop: Shop) {
    let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
    shop.add(of(&visitor()), item("shirt", 1)).await;
    let mut anna = acting(&shop, "staff/anna").await;
    let filter = "lock.holder = \"staff/anna\"";
    let request = pb::WatchCartsRequest {
        filter: filter.into(),
        ..every()
    };
    let mut watch = CartWatch::open(&mut shop.carts(), request).await.unwrap();
    assert_eq!(watch.snapshot().await, 0);

    let held = take(&mut anna, &cart.name).await;
    let list = |filter: &str| pb::ListCartsRequest {
        filter: filter.into(),
        ..Default::default()
    };
    let page = shop
        .carts()
        .list_carts(list(filter))
        .await
        .unwrap()
        .into_inner();
    let others = shop
        .carts()
        .list_carts(list("lock.holder = \"staff/ben\""))
        .await
        .unwrap();

    assert_eq!(end(&held), Some(120));
    assert_eq!(page.carts, std::slice::from_ref(&held));
    assert!(others.into_inner().carts.is_empty());
    watch
        .until("the held cart", |seen| seen.carts.len() == 1)
        .await;
    assert_eq!(watch.carts[&cart.name], version_of(&held));
    release(&mut anna, &cart.name, false).await.unwrap();
    watch.until("its end", |seen| seen.carts.is_empty()).await;
}

async fn an_order_by_the_holder_ends_the_hold(shop: Shop) {
    let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
    let mut anna = acting(&shop, "staff/anna").await;
    take(&mut anna, &cart.name).await;
    let mut watch = watched(&shop).await;
    let order = pb::OrderCartRequest {
        target: named(&cart.name),
        order_reference: "by telephone".into(),
        ..Default::default()
    };

    let ordered = anna.order_cart(order).await.unwrap().into_inner();
    let lock = anna.lock_cart(taking(&cart.name, "")).await.unwrap_err();
    let renewal = renew(&mut anna, &cart.name, 60).await.unwrap_err();
    let release = release(&mut anna, &cart.name, false).await.unwrap_err();

    assert_eq!(ordered.lock, None);
    for closed in [lock, renewal, release] {
        assert_refused(&closed, Code::FailedPrecondition, ErrorReason::CartNotOpen);
    }
    watch
        .until("the order", |seen| seen.carts[&cart.name] == ordered)
        .await;
    let kinds: Vec<Kind> = causes(&watch, &cart.name)
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(kinds, [Kind::Ordered, Kind::Unlocked]);
}

async fn a_held_cart_is_not_expired(shop: Shop) {
    let settings = pb::ShopSettings {
        visitor_cart_retention_days: Some(1),
        ..Default::default()
    };
    set(&shop, &["visitor_cart_retention_days"], settings).await;
    let held = shop.add(of(&visitor()), item("shirt", 1)).await;
    let free = shop.add(of(&visitor()), item("shirt", 1)).await;
    let mut anna = acting(&shop, "staff/anna").await;
    let lease = Some(prost_types::Duration {
        seconds: 900,
        nanos: 0,
    });
    let request = pb::LockCartRequest {
        lease,
        ..taking(&held.name, "")
    };
    let held = anna.lock_cart(request).await.unwrap().into_inner();

    for _ in 0..25 * 4 {
        shop.clock.advance(Duration::from_secs(899));
        renew(&mut anna, &held.name, 900).await.unwrap();
    }

    eventually("the end of the free cart", || async {
        shop.try_get(named(&free.name)).await.err()
    })
    .await;
    let kept = shop.get(named(&held.name)).await;
    assert_eq!(version_of(&kept), version_of(&held));
}

async fn a_held_cart_stays_the_visitor_s_when_the_visitor_registers(shop: Shop) {
    let owner = visitor();
    let cart = shop.add(of(&owner), item("shirt", 1)).await;
    let mut anna = acting(&shop, "staff/anna").await;
    let held = take(&mut anna, &cart.name).await;
    let Some(pb::cart_owner::Owner::Visitor(token)) = owner.owner else {
        panic!("a visitor")
    };
    let request = pb::CreateCustomerRequest {
        customer: Some(pb::Customer {
            email: "ada@example.test".into(),
            ..Default::default()
        }),
        visitor: token,
        ..Default::default()
    };

    shop.customers().create_customer(request).await.unwrap();

    assert_eq!(shop.get(named(&cart.name)).await, held);
}
