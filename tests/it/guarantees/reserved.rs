//! Tests that calls, lists and streams that take all their connections leave the database to everything else:
//! background work, the feed, and health.

use clientela::proto::pb::cart_cause::Kind;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::carts::abandonment::{DAY, MICRO, causes, watch};
use crate::carts::{Carts as _, item, of, visitor};
use crate::faults::health_turns;
use crate::harness::Setup;
use crate::harness::taken::take_all;
use crate::on_both_engines;

on_both_engines! {
    async fn a_cart_is_abandoned_and_sent_while_all_readers_are_taken(shop: Shop with Setup::held()) {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await.name;
        let mut watch = watch(&shop).await;
        let taken = take_all(&shop).await;

        shop.clock.advance(DAY + MICRO);

        watch.until("the abandonment", |watch| !causes(watch, &cart).is_empty()).await;
        assert_eq!(causes(&watch, &cart), [[Kind::Abandoned]]);
        let condition = shop.store().condition().await.expect("health has a connection of its own");
        assert!(condition.writable);
        health_turns(&shop, ServingStatus::Serving).await;
        drop(taken);
    }
}
