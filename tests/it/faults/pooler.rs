//! Tests a pooler in front of PostgreSQL: one with a session for each connection works, another kind is
//! refused.

use std::time::Duration;

use super::process::Serve;
use super::{assert_unavailable, read, recovers, run, write};
use clientela::error::Result;
use clientela::on;
use clientela::store::{Conn, Locks, Store};
use futures::FutureExt as _;

use crate::harness::pooler::Pooler;
use crate::harness::postgres::{Cluster, Durability};
use crate::harness::{CartWatch, Setup, Shop, eventually};
use crate::watch::{add, every, visitor};
use sqlx::{Connection as _, PgConnection};

const LIMITS_OF_TIME: &str = "SELECT current_setting('statement_timeout'),
    current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')";

type Limits = (String, String, String);

async fn limits_here(conn: &mut Conn) -> Result<Limits> {
    Ok(on!(conn, |e| sqlx::query_as(LIMITS_OF_TIME)
        .fetch_one(e)
        .await)?)
}

/// Returns the limits of a statement, of a wait for a lock and of an idle transaction. The first entry is
/// from a session that reads, the second from one that writes.
async fn limits_of_time(store: &Store) -> [Limits; 2] {
    let read = store.read(|conn| limits_here(conn).boxed());
    let write = store.write(Locks::none(), |tx| limits_here(tx).boxed());
    [read.await.unwrap(), write.await.unwrap()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_behind_a_pooler_of_sessions_serves_with_its_limits_of_time() {
    let cluster = Cluster::start(Durability::None, &[]).await;
    cluster.create_database("shop", None).await;
    let pooler = Pooler::before(&cluster, "session").await;
    let setup = || Setup {
        store: |store| {
            store.lock_timeout = Duration::from_millis(300);
            store.statement_timeout = Duration::from_secs(2);
        },
        ..Setup::idle()
    };
    let shop = Shop::start_on(pooler.url(&cluster, "shop"), setup()).await;
    for limits in limits_of_time(shop.store()).await {
        let limits = (limits.0.as_str(), limits.1.as_str(), limits.2.as_str());
        assert_eq!(limits, ("2s", "300ms", "5s"));
    }
    let replica = shop.replica(setup()).await;
    let mut watch = CartWatch::open(&mut replica.carts_as(&shop.admin_key), every())
        .await
        .unwrap();
    watch.snapshot().await;

    let cart = add(&mut shop.carts(), &visitor("pooled"), "mug").await;

    while !watch.carts.contains_key(&cart.name) {
        watch.next().await.unwrap();
    }
    eventually("hints", || async {
        write(&shop).await.unwrap();
        (replica.store().hints_received() > 0).then_some(())
    })
    .await;
    let mut other = PgConnection::connect(&cluster.url("shop")).await.unwrap();
    run(
        &mut other,
        "BEGIN; LOCK TABLE carts IN ACCESS EXCLUSIVE MODE",
    )
    .await;
    assert_unavailable(&read(&shop).await.unwrap_err());
    run(&mut other, "ROLLBACK").await;
    recovers("reads", || read(&shop)).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_shares_sessions_is_refused() {
    let cluster = Cluster::start(Durability::None, &[]).await;
    cluster.create_database("shop", None).await;
    let pooler = Pooler::before(&cluster, "transaction").await;
    let folder = tempfile::tempdir().unwrap();

    let serve = Serve::default().and("CLIENTELA_DATABASE_URL", pooler.url(&cluster, "shop"));
    let output = serve.refused(folder.path());

    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("pool_mode=session"), "{said}");
    assert_eq!(said.lines().count(), 1, "one sentence: {said}");
}
