//! Tests compaction and purge: the deleted rows, the kept rows, and the recorded horizon.

use std::time::Duration;

use clientela::caller::{Caller, RequestId};
use clientela::error::{Error, Result};
use clientela::feed::{self, Change, LogOrder, Progress, history};
use clientela::jobs::{
    ANSWERS, Compact, FeedLimits, Hold, Job, Jobs, JobsSettings, Purge, Sweeper,
};
use clientela::on;
use clientela::proto::pb;
use clientela::store::{Conn, Locks, Store};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::until;
use crate::harness::store::{TestStore, caller, stores};

const HOUR: Duration = Duration::from_secs(3600);

struct Workers(CancellationToken, JoinHandle<()>);

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.cancel();
        self.1.abort();
    }
}

fn settings() -> JobsSettings {
    JobsSettings {
        workers: 1,
        poll_interval: Duration::from_millis(10),
        schedule_interval_max: Duration::from_millis(10),
    }
}

fn start(store: &Store, retention: Duration, max_bytes: u64) -> Workers {
    start_held(store, retention, max_bytes, Hold::default())
}

fn start_held(store: &Store, retention: Duration, max_bytes: u64, hold: Hold) -> Workers {
    let stop = CancellationToken::new();
    let compact = Compact::to(FeedLimits {
        retention,
        max_bytes,
    });
    let compact = compact.held_by(hold.clone());
    let purge = Purge::new().held_by(hold);
    let jobs = Jobs::new(settings()).with(compact).with(purge);
    let task = tokio::spawn(jobs.run(store.clone(), stop.clone()));
    Workers(stop, task)
}

/// Appends one change, by the call with this request id if there is one.
async fn append(store: &Store, id: &str, request: Option<&str>) {
    let request = request.map(|id| RequestId {
        id: id.into(),
        digest: [7; 32],
    });
    let caller = Caller {
        request,
        ..caller()
    };
    let customer = pb::Customer {
        company: "x".repeat(100),
        ..pb::Customer::default()
    };
    let change = Change::upserted(clientela::customers::KIND, id, 1, &customer);
    let data = (caller, change, store.clock().now());
    let appended = store.write_with(Locks::none(), data, |tx, (caller, change, now)| {
        async move { feed::append(tx, caller, *now, change.clone()).await }.boxed()
    });
    appended.await.unwrap();
}

/// Returns the ids in the log, and whether they have a payload.
async fn log(store: &Store) -> Vec<(String, bool)> {
    let rows = store.read(|conn| {
        async move {
            let rows: Vec<(String, bool)> = on!(conn, |e| sqlx::query_as(
                "SELECT resource_id, payload IS NOT NULL FROM change_log ORDER BY xid, seq"
            )
            .fetch_all(e)
            .await)?;
            Ok(rows)
        }
        .boxed()
    });
    rows.await.unwrap()
}

/// Waits until the log has this content.
async fn becomes(store: &Store, expected: &[(&str, bool)]) {
    until(&format!("the log is {expected:?}"), || async {
        let log = log(store).await;
        log.iter()
            .map(|(id, there)| (id.as_str(), *there))
            .eq(expected.iter().copied())
    })
    .await;
}

#[tokio::test]
async fn history_is_deleted_after_its_retention_and_earlier_tokens_expire() {
    for TestStore { store, clock, .. } in &stores().await {
        append(store, "a", None).await;
        let end = || store.read(|conn| history::end(conn, LogOrder::default()).boxed());
        let first = end().await.unwrap();
        append(store, "b", None).await;
        clock.advance(30 * HOUR);
        append(store, "c", None).await;
        let _workers = start(store, 28 * HOUR, u64::MAX);

        becomes(store, &[("c", true)]).await;
        let last = end().await.unwrap();

        let check = |position| {
            let progress = Progress::at(position);
            store.read(move |conn| history::check(conn, progress).boxed())
        };
        let expired = check(first).await.unwrap_err();
        assert_eq!(expired.reason(), pb::ErrorReason::ResumeTokenExpired);
        check(last).await.unwrap();
    }
}

#[tokio::test]
async fn history_that_is_old_only_by_a_jumped_clock_stays_for_a_day() {
    for TestStore { store, clock, .. } in &stores().await {
        append(store, "a", None).await;
        append(store, "b", Some("request-1")).await;
        let hold = Hold::begin(store).await.unwrap();
        clock.set_forward(9_000 * HOUR);
        let _workers = start_held(store, 28 * HOUR, u64::MAX, hold);

        let before = store.statements();
        until("some searches", || async {
            store.statements() > before + 100
        })
        .await;
        assert_eq!(log(store).await.len(), 2);
        clock.advance(24 * HOUR);

        becomes(store, &[]).await;
    }
}

#[tokio::test]
async fn history_beyond_its_size_is_deleted_at_any_time_and_request_ids_stay() {
    for TestStore { store, clock, .. } in &stores().await {
        append(store, "a", Some("request-1")).await;
        for id in ["b", "c", "d"] {
            append(store, id, None).await;
        }
        let hold = Hold::begin(store).await.unwrap();
        clock.set_forward(9_000 * HOUR);
        let one = 100 + 250;
        let _workers = start_held(store, 28 * HOUR, 3 * one, hold);

        becomes(store, &[("a", false), ("c", true), ("d", true)]).await;
    }
}

#[tokio::test]
async fn a_row_that_records_a_request_loses_its_payload_first() {
    for TestStore { store, clock, .. } in &stores().await {
        append(store, "a", Some("request-1")).await;
        append(store, "b", None).await;
        clock.advance(3 * HOUR);
        let _workers = start(store, HOUR, u64::MAX);

        becomes(store, &[("a", false)]).await;
        clock.advance(23 * HOUR);

        becomes(store, &[]).await;
    }
}

#[tokio::test]
async fn history_beyond_its_size_is_deleted_oldest_first() {
    for TestStore { store, .. } in &stores().await {
        for id in ["a", "b", "c", "d"] {
            append(store, id, None).await;
        }
        let one = 100 + 250;
        let _workers = start(store, 1_000 * HOUR, 3 * one);

        becomes(store, &[("c", true), ("d", true)]).await;
        append(store, "e", None).await;
        append(store, "f", None).await;

        becomes(store, &[("e", true), ("f", true)]).await;
    }
}

/// Stores an answer and returns its caller.
async fn answer(store: &Store) -> Caller {
    let request = Some(RequestId {
        id: "r".into(),
        digest: [7; 32],
    });
    let caller = Caller {
        request,
        ..caller()
    };
    let data = (caller.clone(), store.clock().now());
    let stored = store.write_with(Locks::none(), data, |tx, (caller, now)| {
        async move { feed::answer(tx, caller, *now, &pb::Group::default(), &[]).await }.boxed()
    });
    stored.await.unwrap();
    caller
}

async fn is_answered(store: &Store, caller: &Caller) -> bool {
    let caller = caller.clone();
    let answered =
        store.read(|conn| async move { feed::answered::<pb::Group>(conn, &caller).await }.boxed());
    answered.await.unwrap().is_some()
}

#[tokio::test]
async fn answers_are_deleted_after_a_day() {
    for TestStore { store, clock, .. } in &stores().await {
        let caller = answer(store).await;
        let _workers = start(store, 1_000 * HOUR, u64::MAX);

        clock.advance(24 * HOUR);
        assert!(is_answered(store, &caller).await);
        clock.advance(2 * HOUR);

        until("the answer is deleted", || async {
            !is_answered(store, &caller).await
        })
        .await;
    }
}

/// A part of the purge that always fails.
struct Stuck;

impl Sweeper for Stuck {
    fn due<'a>(&'a self, _: &'a mut Conn, _: i64) -> BoxFuture<'a, Result<Vec<String>>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn sweep<'a>(&'a self, _: &'a Store, _: &'a Job) -> BoxFuture<'a, Result<bool>> {
        async { Err(Error::internal("it cannot be removed")) }.boxed()
    }
}

#[tokio::test]
async fn a_failing_part_of_a_purge_blocks_no_other_part() {
    for TestStore { store, clock, .. } in &stores().await {
        let caller = answer(store).await;
        let purge = Purge::default().with(Stuck).with(ANSWERS);
        let stop = CancellationToken::new();
        let task = tokio::spawn(
            Jobs::new(settings())
                .with(purge)
                .run(store.clone(), stop.clone()),
        );
        let _workers = Workers(stop, task);

        clock.advance(26 * HOUR);

        until("the answer is deleted", || async {
            !is_answered(store, &caller).await
        })
        .await;
        // The failure is recorded, and the part is retried.
        until("the failure is noted", || async {
            let failed = store.read(|conn| {
                async move {
                    let failed: i64 = on!(conn, |e| sqlx::query_scalar(
                        "SELECT COUNT(*) FROM jobs WHERE state = 1 AND error = 'INTERNAL'"
                    )
                    .fetch_one(e)
                    .await)?;
                    Ok(failed)
                }
                .boxed()
            });
            failed.await.unwrap() == 1
        })
        .await;
    }
}
