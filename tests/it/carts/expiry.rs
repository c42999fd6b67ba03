//! Tests how open carts end without a caller, after their retention or with their customer, and how watches
//! receive that.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use clientela::proto::pb::{self, ChangeKind, ErrorReason, cart_cause::Kind};
use tonic::Code;

use super::upkeep::{MANY, causes, changes_until_done, open, watched};
use super::{Carts, customer, item, named, of, set, visitor};
use crate::customers::{self, person};
use crate::harness::{CartWatch, Setup, Shop, assert_refused, unique};
use crate::on_both_engines;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MICROSECOND: Duration = Duration::from_micros(1);

/// Sets for how many days open carts of visitors and of customers are kept. No cart counts as abandoned
/// before that.
async fn keep(shop: &Shop, visitors: i32, customers: i32) {
    let settings = pb::ShopSettings {
        visitor_cart_retention_days: Some(visitors),
        customer_cart_retention_days: Some(customers),
        cart_abandoned_after_minutes: Some(0),
        ..Default::default()
    };
    let paths = [
        "visitor_cart_retention_days",
        "customer_cart_retention_days",
        "cart_abandoned_after_minutes",
    ];
    set(shop, &paths, settings).await;
}

/// Returns the carts whose expiry the watch received. It must have received no other change.
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
    async fn a_visitor_s_cart_expires_after_its_retention_and_not_before(shop: Shop with Setup::held()) {
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

        // The younger one is exactly two days old now: not over the limit.
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

    async fn customers_have_a_separate_retention(shop: Shop with Setup::held()) {
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
        assert_eq!(shop.get(named(&of_visitor.name)).await, of_visitor, "0 days mean no expiry");
    }

    async fn many_carts_expire_together(shop: Shop with Setup::held()) {
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

on_both_engines! {
    async fn a_deleted_customer_s_open_carts_go_and_the_ordered_ones_stay(shop: Shop) {
        let ada = customers::create(&mut shop.customers(), person("Ada")).await;
        let mut carts = open(&shop, &customer(&ada.name), MANY).await;
        let ordered = carts.pop().unwrap();
        let reference = format!("kept-{}", unique());
        let ordered = shop.try_order(named(&ordered.name), &reference).await.unwrap();
        let of_another = shop.add(of(&visitor()), item("shirt", 1)).await;
        let watch = watched(&shop).await;

        customers::delete(&mut shop.customers(), &ada.name).await;

        let changes = changes_until_done(&shop, watch, "DELETE_CUSTOMER_CARTS", &ada.name).await;
        let versions: HashMap<&str, i64> =
            carts.iter().map(|cart| (cart.name.as_str(), cart.version)).collect();
        assert_eq!(changes.len(), carts.len(), "each once, and nothing else");
        for change in &changes {
            assert_eq!((change.kind(), causes(change)), (ChangeKind::Deleted, vec![Kind::Deleted]));
            assert_eq!(Some(&(change.version - 1)), versions.get(change.name.as_str()));
        }
        let gone = shop.try_get(named(&carts[0].name)).await.unwrap_err();
        assert_refused(&gone, Code::NotFound, ErrorReason::NotFound);
        assert_eq!(shop.get(named(&ordered.name)).await, ordered);
        assert_eq!(shop.get(named(&of_another.name)).await, of_another);
        let refused = shop.try_add(of(&customer(&ada.name)), item("hat", 1)).await.unwrap_err();
        assert_refused(&refused, Code::FailedPrecondition, ErrorReason::CustomerDeleted);
    }
}
