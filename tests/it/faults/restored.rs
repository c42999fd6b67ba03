//! Tests a PostgreSQL store that was restored into another cluster, whose transaction numbers are behind
//! those in the data. Streams report it, begin with a snapshot, and continue.

use clientela::proto::pb::{ErrorReason, WatchOptions, snapshot_begin::Cause};
use tonic::Code;

use super::{other_session, run};
use crate::harness::{CartWatch, Engine, Seen, Setup, Shop, assert_refused};
use crate::watch::{add, every, visitor};

/// Makes the rows look as if a cluster that is far ahead had written them, and had compacted and measured
/// some of its history.
const AHEAD: &str = "
    UPDATE change_log SET xid = xid + 4000000000000;
    UPDATE jobs SET xid = xid + 4000000000000;
    INSERT INTO store_meta (key, value)
        SELECT 'compacted_through', xid || ' ' || seq || ' ' || mark
        FROM change_log ORDER BY xid, seq LIMIT 1;
    INSERT INTO store_meta (key, value)
        SELECT 'feed_measured', xid || ' ' || seq || ' 1000'
        FROM change_log ORDER BY xid DESC, seq DESC LIMIT 1
        ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// The copy of a store whose whole history had been compacted.
const WITHOUT_HISTORY: &str = "DELETE FROM change_log";

async fn continues_after(harm: &[&str]) {
    let mut shop = Shop::start_with(Engine::Postgres, Setup::default()).await;
    let mut before = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    before.snapshot().await;
    add(&mut shop.carts(), &visitor("of before"), "mug").await;
    before
        .until("the change", |watch| watch.changes.len() == 1)
        .await;
    shop.stop().await;
    let mut connection = other_session(&shop).await;
    for statement in harm {
        run(&mut connection, statement).await;
    }

    shop.start_again(Setup::default()).await;

    // An earlier token belongs to another history.
    let options = WatchOptions {
        resume_token: before.token.clone(),
        ..every().options.unwrap_or_default()
    };
    let request = crate::watch::with(options.clone());
    let mut refused = CartWatch::open(&mut shop.carts(), request).await.unwrap();
    let status = refused.next().await.unwrap_err();
    assert_refused(&status, Code::Aborted, ErrorReason::StoreEpochChanged);
    let reset = WatchOptions {
        reset_on_expired_token: true,
        ..options
    };
    let mut fresh = CartWatch::open(&mut shop.carts(), crate::watch::with(reset))
        .await
        .unwrap();
    let begun = fresh.next().await.unwrap();
    assert_eq!(begun, Seen::SnapshotBegin(Cause::EpochChanged));
    assert_eq!(fresh.snapshot().await, 1);
    // Later changes are new history, which can be read back from the log.
    add(&mut shop.carts(), &visitor("of after"), "cup").await;
    fresh
        .until("the change", |watch| watch.carts.len() == 2)
        .await;
    add(&mut shop.carts(), &visitor("of after"), "jug").await;
    shop.stop().await;
    shop.start_again(Setup::default()).await;
    let mut resumed = fresh.resume(&mut shop.carts(), every()).await.unwrap();
    resumed
        .until("the change made meanwhile", |watch| {
            !watch.changes.is_empty()
        })
        .await;
    assert_eq!(resumed.changes[0].version, 2, "no new snapshot was needed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_continue_in_a_cluster_that_is_behind_the_data() {
    continues_after(&[AHEAD]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_continue_in_a_cluster_that_is_behind_a_store_without_history() {
    continues_after(&[AHEAD, WITHOUT_HISTORY]).await;
}
