//! Tests a PostgreSQL that does not answer at all, as when its machine or the network is gone.

use std::time::Duration;

use tonic_health::pb::health_check_response::ServingStatus;

use super::proxy::Proxy;
use super::writer::Writer;
use super::{assert_unavailable, follow, health_turns, read, recovers, state, write};
use crate::harness::postgres::{Cluster, Durability};
use crate::harness::{CartWatch, Setup, Shop};
use crate::watch::every;

/// Starts a shop that reaches its database through a proxy that can go silent.
pub async fn behind_a_proxy() -> (Cluster, Proxy, Shop) {
    let setup = Setup {
        store: |store| {
            store.acquire_timeout = Duration::from_secs(2);
            store.silence_limit = Duration::from_secs(2);
        },
        ..Default::default()
    };
    let (cluster, proxy, url) = database_behind_a_proxy().await;
    let shop = Shop::start_on(url, setup).await;
    (cluster, proxy, shop)
}

/// Starts a database and a proxy in front of it, and returns its URL through the proxy.
pub async fn database_behind_a_proxy() -> (Cluster, Proxy, String) {
    let cluster = Cluster::start(Durability::None, &[]).await;
    cluster.create_database("shop", None).await;
    let direct = cluster.url("shop");
    let address = direct.split(['@', '/']).nth(3).unwrap();
    let proxy = Proxy::to(address.parse().unwrap()).await;
    let url = direct.replace(address, &proxy.address.to_string());
    (cluster, proxy, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_a_silent_database_are_dropped_and_replaced() {
    let (_cluster, proxy, shop) = behind_a_proxy().await;
    let watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    let writer = Writer::start(&shop);
    writer.acknowledges(20).await;

    proxy.silence();

    assert_unavailable(&read(&shop).await.unwrap_err());
    assert_unavailable(&write(&shop).await.unwrap_err());
    health_turns(&shop, ServingStatus::NotServing).await;

    proxy.let_pass();

    health_turns(&shop, ServingStatus::Serving).await;
    recovers("reads", || read(&shop)).await;
    recovers("writes", || write(&shop)).await;
    writer.acknowledges(20).await;
    let written = writer.stop().await;
    assert!(!written.refusals.is_empty());
    let carts = state(&shop).await;
    written.assert_complete(&carts);
    follow(&mut shop.carts(), watch, &every(), &carts).await;
}
