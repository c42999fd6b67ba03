//! The order by number alone, in which a change that commits late is lost. Only PostgreSQL has such commits.

use clientela::feed::FaultInjection;

use super::recording::{Recording, Verdict};
use super::watcher::{Of, Watcher};
use crate::harness::{Engine, Setup, Shop, eventually};
use crate::watch::order::{GATE, WAITS};
use crate::watch::writers::{connection, in_each_transaction};

/// Of two carts the one that is written first commits last.
async fn a_change_that_commits_late(fault: FaultInjection) -> Verdict {
    let is_faulty = matches!(fault, FaultInjection::OrderOfNumbers);
    let shop = Shop::start_with(Engine::Postgres, Setup::faulty(fault)).await;
    let recording = Recording::new();
    let mut client = shop.carts();
    let first = recording.add(&mut client, "writes-first", "mug").await;
    let mut database = connection(&shop).await.expect("it is PostgreSQL");
    let create = sqlx::query("CREATE TABLE gate (cart TEXT)");
    create.execute(&mut database).await.unwrap();
    let close = sqlx::query("INSERT INTO gate VALUES ($1)").bind(&first.name);
    close.execute(&mut database).await.unwrap();
    in_each_transaction(&shop, GATE).await;
    let mut watcher = Watcher::new(&recording, "all", Of::All);
    watcher.open(&mut client).await;
    watcher.snapshot().await;

    let late = tokio::spawn({
        let (recording, mut client) = (recording.clone(), shop.carts());
        async move { recording.add(&mut client, "writes-first", "cup").await }
    });
    let database = tokio::sync::Mutex::new(database);
    eventually("a write that has its number and waits", async || {
        let mut database = database.lock().await;
        let waits = sqlx::query_scalar(WAITS).fetch_one(&mut *database).await;
        waits.unwrap_or(false).then_some(())
    })
    .await;
    let second = recording.add(&mut client, "commits-first", "mug").await;
    if is_faulty {
        // Nothing holds it back.
        watcher.until(&second).await;
    }
    let open = sqlx::query("DELETE FROM gate");
    open.execute(&mut *database.lock().await).await.unwrap();
    late.await.unwrap();
    let last = recording.add(&mut client, "writes-first", "jug").await;

    watcher.until(&last).await;
    recording.judge(&shop).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_the_log_is_accepted() {
    let verdict = a_change_that_commits_late(FaultInjection::None).await;

    verdict.assert_accepted();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_by_number_alone_is_seen() {
    let verdict = a_change_that_commits_late(FaultInjection::OrderOfNumbers).await;

    verdict.assert_refused("gap");
}
