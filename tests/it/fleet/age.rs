//! Tests the maximal age of connections to PostgreSQL. An address may change to another server, which only a
//! new connection finds.

use std::time::Duration;

use clientela::clock::Clock;
use clientela::on;
use clientela::store::{DatabaseUrl, Purpose, Store, StoreConfig};
use futures::FutureExt as _;

use crate::harness::postgres;

/// Returns the process of PostgreSQL behind the connection of a read for background work.
async fn process(store: &Store) -> i32 {
    let store = store.reserved_for(Purpose::Jobs);
    let read = store.read(|conn| {
        let asked = async move {
            Ok(on!(conn, |e| sqlx::query_scalar(
                "SELECT pg_backend_pid()"
            )
            .fetch_one(e)
            .await)?)
        };
        asked.boxed()
    });
    read.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_beyond_its_age_is_replaced() {
    let database = postgres::database().await;
    let usual = StoreConfig::new(DatabaseUrl::postgres(&database.url).unwrap());
    let at_once = StoreConfig {
        connection_age: Duration::ZERO,
        ..usual.clone()
    };
    let keeps = Store::open(&usual, Clock::system()).await.unwrap();
    let replaces = Store::open(&at_once, Clock::system()).await.unwrap();

    assert_eq!(process(&keeps).await, process(&keeps).await);
    assert_ne!(process(&replaces).await, process(&replaces).await);

    keeps.close().await;
    replaces.close().await;
}
