//! Tests replicas on machines with different clocks: the clock of the database counts.

use std::time::Duration;

use clientela::clock::Clock;
use clientela::proto::pb::{self, ErrorReason, Role, cart_service_client::CartServiceClient};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::carts::{item, named, of, visitor};
use crate::faults::health_of_turns;
use crate::harness::logged::Logged;
use crate::harness::{Engine, Replica, Setup, Shop, assert_refused, eventually};

const HOUR: i64 = 3_600_000_000;

/// Starts a replica of the shop on a machine with a wrong clock.
async fn replica(shop: &Shop, wrong_by: i64) -> Replica {
    let setup = Setup {
        clock: Clock::wrong_by(wrong_by),
        ..Setup::default()
    };
    shop.replica(setup).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_of_staff_counts_at_replicas_with_wrong_clocks() {
    let shop = Shop::start(Engine::Postgres).await;
    let (ahead, behind) = (replica(&shop, HOUR).await, replica(&shop, -HOUR).await);
    let staff = shop.key(&[Role::Support]).await;
    let anna = Shop::with_key(&staff).and("clientela-actor", "staff/anna");
    let everywhere = [shop.channel(), ahead.channel(), behind.channel()];
    for holder in &everywhere {
        let owner = visitor();
        let add = pb::AddItemRequest {
            target: of(&owner),
            item: Some(item("mug", 1)),
            ..Default::default()
        };
        let cart = shop
            .carts()
            .add_item(add.clone())
            .await
            .unwrap()
            .into_inner();
        let lock = pb::LockCartRequest {
            target: named(&cart.name),
            ..Default::default()
        };
        let mut holder = CartServiceClient::with_interceptor(holder.clone(), anna.clone());
        let held = holder.lock_cart(lock).await.unwrap().into_inner();
        let expires = held.lock.unwrap().expire_time.unwrap().seconds;
        let left = expires - Clock::system().now() / 1_000_000;
        // The rest of the default of two minutes, however slow the machine is.
        assert!((-3_000..=121).contains(&left), "{left}");

        for other in &everywhere {
            let keyed = Shop::with_key(&shop.admin_key);
            let mut other = CartServiceClient::with_interceptor(other.clone(), keyed);
            let refused = other.add_item(add.clone()).await.unwrap_err();
            assert_refused(&refused, Code::FailedPrecondition, ErrorReason::CartLocked);
        }
    }
    ahead.stop().await;
    behind.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_with_a_very_wrong_clock_is_not_serving() {
    let shop = Shop::start(Engine::Postgres).await;
    let seconds = |seconds: u64| i64::try_from(Duration::from_secs(seconds).as_micros()).unwrap();
    let (off, far_off) = (
        replica(&shop, seconds(5)).await,
        replica(&shop, -seconds(60)).await,
    );

    health_of_turns(off.channel(), ServingStatus::Serving).await;
    health_of_turns(far_off.channel(), ServingStatus::NotServing).await;
    health_of_turns(shop.channel(), ServingStatus::Serving).await;
    off.stop().await;
    far_off.stop().await;
}

/// All log lines come from the one thread of the test.
#[tokio::test]
async fn a_replica_with_a_wrong_clock_warns_once_and_serves() {
    let logged = Logged::here();
    let warnings = || logged.saying("this machine's clock differs from the database's");
    let shop = Shop::start(Engine::Postgres).await;
    health_of_turns(shop.channel(), ServingStatus::Serving).await;
    assert!(warnings().is_empty(), "{:?}", warnings());

    let off = replica(&shop, 5_000_000).await;

    eventually("the warning", async || {
        (!warnings().is_empty()).then_some(())
    })
    .await;
    health_of_turns(off.channel(), ServingStatus::Serving).await;
    off.stop().await;
    assert_eq!(warnings().len(), 1, "{:?}", warnings());
}
