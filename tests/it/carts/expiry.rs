//! Open carts that nobody touches any more: how long they are kept, and how their end is told.

use std::collections::HashSet;
use std::time::Duration;

use clientela::proto::pb::{self, ChangeKind, ErrorReason, cart_cause::Kind};
use prost_types::FieldMask;
use tonic::Code;

use super::upkeep::open;
use super::{Carts, customer, item, named, of, visitor};
use crate::customers::{self, person};
use crate::harness::{CartWatch, Setup, Shop, assert_refused};
use crate::on_both_engines;
use crate::watch::every;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MICROSECOND: Duration = Duration::from_micros(1);

/// Says for how many days open carts of visitors and of customers are kept.
async fn keep(shop: &Shop, visitors: i32, customers: i32) {
    let settings = pb::ShopSettings {
        visitor_cart_retention_days: Some(visitors),
        customer_cart_retention_days: Some(customers),
        ..Default::default()
    };
    let paths = [
        "visitor_cart_retention_days",
        "customer_cart_retention_days",
    ];
    let request = pb::UpdateShopSettingsRequest {
        settings: Some(settings),
        update_mask: Some(FieldMask {
            paths: paths.map(str::to_owned).into(),
        }),
        ..Default::default()
    };
    shop.admin()
        .update_shop_settings(request)
        .await
        .expect("the settings are changed");
}

async fn watched(shop: &Shop) -> CartWatch {
    let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    watch.snapshot().await;
    watch
}

/// The carts whose expiry was told, of which nothing else may have been told.
fn expired(watch: &CartWatch) -> HashSet<&str> {
    let changes = watch.changes.iter().map(|change| {
        let causes: Vec<Kind> = change.causes.iter().map(pb::CartCause::kind).collect();
        assert_eq!(
            (change.kind(), causes),
            (ChangeKind::Deleted, vec![Kind::Expired])
        );
        change.name.as_str()
    });
    changes.collect()
}

on_both_engines! {
    in Setup::held();

    async fn a_visitor_s_cart_ends_when_its_time_is_over_and_not_before(shop: Shop) {
        keep(&shop, 2, 0).await;
        let old = shop.add(of(&visitor()), item("shirt", 1)).await;
        let used = shop.add(of(&visitor()), item("shirt", 1)).await;
        let ordered = shop.add(of(&visitor()), item("shirt", 1)).await;
        let ordered = shop.try_order(named(&ordered.name), "kept").await.unwrap();
        let ada = customers::create(&mut shop.customers(), person("Ada")).await;
        let own = shop.add(of(&customer(&ada.name)), item("shirt", 1)).await;
        shop.clock.advance(MICROSECOND);
        let younger = shop.add(of(&visitor()), item("shirt", 1)).await;
        let mut watch = watched(&shop).await;

        shop.clock.advance(DAY);
        let used = shop.add(named(&used.name), item("shirt", 1)).await;
        watch.until("the use", |watch| !watch.changes.is_empty()).await;
        watch.changes.clear();
        shop.clock.advance(DAY);
        watch.until("the end of the old one", |watch| !watch.changes.is_empty()).await;

        // The younger one is exactly two days old now, which is not longer.
        assert_eq!(expired(&watch), HashSet::from([old.name.as_str()]));
        assert_eq!(watch.changes[0].version, old.version + 1);
        let gone = shop.try_get(named(&old.name)).await.unwrap_err();
        assert_refused(&gone, Code::NotFound, ErrorReason::NotFound);
        shop.clock.advance(MICROSECOND);
        watch.until("the end of the younger one", |watch| watch.changes.len() > 1).await;
        assert_eq!(expired(&watch), HashSet::from([old.name.as_str(), younger.name.as_str()]));
        shop.clock.advance(DAY);
        watch.until("the end of the used one", |watch| watch.changes.len() > 2).await;
        assert!(expired(&watch).contains(used.name.as_str()));
        for kept in [ordered, own] {
            assert_eq!(shop.get(named(&kept.name)).await, kept);
        }
    }

    async fn customers_have_a_retention_of_their_own(shop: Shop) {
        keep(&shop, 0, 3).await;
        let ada = customers::create(&mut shop.customers(), person("Ada")).await;
        let own = shop.add(of(&customer(&ada.name)), item("shirt", 1)).await;
        let of_visitor = shop.add(of(&visitor()), item("shirt", 1)).await;
        let mut watch = watched(&shop).await;

        shop.clock.advance(4 * DAY);
        watch.until("the end of the customer's", |watch| !watch.changes.is_empty()).await;

        assert_eq!(expired(&watch), HashSet::from([own.name.as_str()]));
        let next = shop.add(of(&customer(&ada.name)), item("hat", 1)).await;
        assert_ne!(next.name, own.name);
        assert_eq!(shop.get(named(&of_visitor.name)).await, of_visitor, "0 days are for ever");
    }

    async fn many_carts_end_together(shop: Shop) {
        keep(&shop, 1, 0).await;
        let carts = open(&shop, &visitor(), 100).await;
        let mut watch = watched(&shop).await;

        shop.clock.advance(2 * DAY);

        watch.until("the end of all", |watch| watch.carts.is_empty()).await;
        let names: HashSet<&str> = carts.iter().map(|cart| cart.name.as_str()).collect();
        assert_eq!(expired(&watch), names);
        assert_eq!(watch.changes.len(), carts.len(), "each once");
    }
}
