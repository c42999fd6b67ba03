//! The address of the database leads to a standby: for a moment, as when a balancer errs, or until that is
//! promoted in the place of a primary that is gone.

use std::net::SocketAddr;
use std::time::Duration;

use tonic_health::pb::health_check_response::ServingStatus;

use super::database_silent::database_behind_a_proxy;
use super::writer::Writer;
use super::{assert_unavailable, comes_back, follow, health_turns, read, state, write};
use crate::harness::postgres::Stop;
use crate::harness::{CartWatch, Setup, Shop, eventually};
use crate::watch::every;

/// As usual, but a replica learns of the writes of another by hints alone.
fn by_hints() -> Setup {
    let mut setup = Setup::default();
    setup.feed.poll_interval = Duration::from_secs(3_600);
    setup
}

fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_a_standby_are_given_up_and_the_primary_is_found_again() {
    let (cluster, proxy, url) = database_behind_a_proxy().await;
    let shop = Shop::start_on(url, by_hints()).await;
    let replica = shop.replica(by_hints()).await;
    let mut carts = replica.carts_as(&shop.admin_key);
    let watch = CartWatch::open(&mut carts, every()).await.unwrap();
    let writer = Writer::start(&shop);
    writer.acknowledges(20).await;
    let standby = cluster.standby().await;

    proxy.lead_to(at(standby));
    proxy.cut();

    health_turns(&shop, ServingStatus::NotServing).await;
    assert_unavailable(&read(&shop).await.unwrap_err());
    assert_unavailable(&write(&shop).await.unwrap_err());

    // What was connected meanwhile is not cut.
    proxy.lead_to(cluster.address());

    health_turns(&shop, ServingStatus::Serving).await;
    comes_back("reads", || read(&shop)).await;
    comes_back("writes", || write(&shop)).await;
    writer.acknowledges(20).await;
    let written = writer.stop().await;
    assert!(!written.refusals.is_empty());
    let heard = replica.store().hints_heard();
    eventually("hints", || async {
        write(&shop).await.unwrap();
        (replica.store().hints_heard() > heard).then_some(())
    })
    .await;
    let stands = state(&shop).await;
    written.assert_stands(&stands);
    follow(&mut carts, watch, &every(), &stands).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_serves_once_it_is_promoted() {
    let (cluster, proxy, url) = database_behind_a_proxy().await;
    let shop = Shop::start_on(url, Setup::default()).await;
    let standby = cluster.standby().await;
    let writer = Writer::start(&shop);
    writer.acknowledges(20).await;
    let written = writer.stop().await;

    // A primary that ends in good order lets its standby have all.
    cluster.stop(Stop::Fast).await;
    proxy.lead_to(at(standby));
    health_turns(&shop, ServingStatus::NotServing).await;
    assert_unavailable(&read(&shop).await.unwrap_err());
    assert_unavailable(&write(&shop).await.unwrap_err());
    cluster.promote_standby().await;

    health_turns(&shop, ServingStatus::Serving).await;
    comes_back("writes", || write(&shop)).await;
    written.assert_stands(&state(&shop).await);
}
