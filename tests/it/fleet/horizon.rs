//! Tests that an open transaction anywhere in the cluster holds the feed back: streams report it, and lose
//! nothing.

use std::time::Duration;

use clientela::proto::pb::WatchOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::harness::postgres::{Cluster, Durability};
use crate::harness::{CartWatch, Seen, Setup, Shop};
use crate::watch::{add, every, visitor, with};

/// Opens a session in another database of the cluster with an uncommitted write.
async fn open_transaction(cluster: &Cluster) -> PgConnection {
    cluster.create_database("neighbour", None).await;
    let mut session = PgConnection::connect(&cluster.url("neighbour"))
        .await
        .unwrap();
    session
        .execute("CREATE TABLE notes (text TEXT)")
        .await
        .unwrap();
    session
        .execute("BEGIN; INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    session
}

fn nanos(lag: prost_types::Duration) -> Duration {
    Duration::try_from(lag).expect("a lag is not negative")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_another_database_holds_the_feed_back_and_nothing_is_lost() {
    let cluster = Cluster::start(Durability::None, &[]).await;
    cluster.create_database("shop", None).await;
    let shop = Shop::start_on(cluster.url("shop"), Setup::default()).await;
    let heartbeat_interval = Some(prost_types::Duration {
        seconds: 1,
        nanos: 0,
    });
    let request = with(WatchOptions {
        heartbeat_interval,
        ..every().options.unwrap()
    });
    let mut watch = CartWatch::open(&mut shop.carts(), request).await.unwrap();
    watch.snapshot().await;
    let mut neighbour = open_transaction(&cluster).await;

    let mut wanted = Vec::new();
    for round in 0..3 {
        for who in ["one", "another"] {
            let cart = add(
                &mut shop.carts(),
                &visitor(who),
                &format!("product {round}"),
            )
            .await;
            wanted.push((cart.name, cart.version));
        }
    }
    watch.lags.clear();
    let grows = |lags: &[prost_types::Duration]| {
        let lags: Vec<Duration> = lags.iter().copied().map(nanos).collect();
        let positive: Vec<&Duration> = lags.iter().filter(|lag| !lag.is_zero()).collect();
        positive.len() >= 3 && positive[0] < positive[positive.len() - 1]
    };
    while !grows(&watch.lags) {
        assert_eq!(
            watch.next().await.unwrap(),
            Seen::Heartbeat,
            "all other changes are held back"
        );
    }
    assert!(watch.changes.is_empty());

    neighbour.execute("COMMIT").await.unwrap();

    watch
        .until("the changes held back", |watch| {
            watch.changes.len() == wanted.len()
        })
        .await;
    let seen: Vec<(String, i64)> = watch
        .changes
        .iter()
        .map(|change| (change.name.clone(), change.version))
        .collect();
    assert_eq!(seen, wanted, "in the order in which they were made");
    watch
        .until("the lag to end", |watch| {
            watch.lags.last().copied().map(nanos) == Some(Duration::ZERO)
        })
        .await;
}
