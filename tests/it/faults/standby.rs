//! Tests an address of the database that leads to a standby: for a moment, as when a balancer errs, or until
//! the standby is promoted in place of a lost primary.

use std::net::SocketAddr;
use std::time::Duration;

use tonic_health::pb::health_check_response::ServingStatus;

use super::database_silent::database_behind_a_proxy;
use super::writer::Writer;
use super::{assert_unavailable, follow, health_turns, read, recovers, state, write};
use crate::harness::postgres::Stop;
use crate::harness::{CartWatch, Setup, Shop, eventually};
use crate::watch::every;

/// The default, but a replica learns of the writes of another only by hints.
fn by_hints() -> Setup {
    let mut setup = Setup::default();
    setup.feed.poll_interval = Duration::from_secs(3_600);
    setup
}

fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_a_standby_are_dropped_and_the_primary_is_found_again() {
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

    // The connections that were opened meanwhile are not cut.
    proxy.lead_to(cluster.address());

    health_turns(&shop, ServingStatus::Serving).await;
    recovers("reads", || read(&shop)).await;
    recovers("writes", || write(&shop)).await;
    writer.acknowledges(20).await;
    let written = writer.stop().await;
    assert!(!written.refusals.is_empty());
    let received = replica.store().hints_received();
    eventually("hints", || async {
        write(&shop).await.unwrap();
        (replica.store().hints_received() > received).then_some(())
    })
    .await;
    let stands = state(&shop).await;
    written.assert_complete(&stands);
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

    // A primary that shuts down first sends its standby everything.
    cluster.stop(Stop::Fast).await;
    proxy.lead_to(at(standby));
    health_turns(&shop, ServingStatus::NotServing).await;
    assert_unavailable(&read(&shop).await.unwrap_err());
    assert_unavailable(&write(&shop).await.unwrap_err());
    cluster.promote_standby().await;

    health_turns(&shop, ServingStatus::Serving).await;
    recovers("writes", || write(&shop)).await;
    written.assert_complete(&state(&shop).await);
}
