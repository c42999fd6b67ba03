//! Tests the order by number alone, which loses a change that commits late. Only PostgreSQL has such commits.

use clientela::feed::FaultInjection;

use super::recording::{Recording, Verdict};
use super::watcher::{Of, Watcher};
use crate::harness::{Engine, Setup, Shop};
use crate::watch::order::Gate;

/// The first of two carts to be written is the last to commit.
async fn a_change_that_commits_late(fault: FaultInjection) -> Verdict {
    let is_faulty = matches!(fault, FaultInjection::OrderOfNumbers);
    let shop = Shop::start_with(Engine::Postgres, Setup::faulty(fault)).await;
    let recording = Recording::new();
    let mut client = shop.carts();
    let first = recording.add(&mut client, "writes-first", "mug").await;
    let gate = Gate::close(&shop, &first.name).await;
    let mut watcher = Watcher::new(&recording, "all", Of::All);
    watcher.open(&mut client).await;
    watcher.snapshot().await;

    let late = tokio::spawn({
        let (recording, mut client) = (recording.clone(), shop.carts());
        async move { recording.add(&mut client, "writes-first", "cup").await }
    });
    gate.reached().await;
    let second = recording.add(&mut client, "commits-first", "mug").await;
    if is_faulty {
        // No open transaction delays it.
        watcher.until(&second).await;
    }
    gate.open().await;
    late.await.unwrap();
    let last = recording.add(&mut client, "writes-first", "jug").await;

    watcher.until(&last).await;
    recording.check(&shop).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_the_log_is_accepted() {
    let verdict = a_change_that_commits_late(FaultInjection::None).await;

    verdict.assert_accepted();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_by_number_alone_is_found() {
    let verdict = a_change_that_commits_late(FaultInjection::OrderOfNumbers).await;

    verdict.assert_refused("gap");
}
