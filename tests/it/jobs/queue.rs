//! Tests the queue: requested jobs, when they are claimed, and how they end.

use std::sync::Arc;
use std::time::Duration;

use clientela::error::{Error, Result};
use clientela::jobs::{self, JobKind, Jobs, NewJob};
use clientela::store::Locks;
use clientela::{execute, on};
use futures::FutureExt as _;

use super::until;
use super::worker::{ADD, Count, ask, counted, enqueue, job, lost, reached, run, settings, start};
use crate::harness::store::{START, TestStore, caller, stores};

#[tokio::test]
async fn a_job_without_an_operation_is_deleted_when_it_is_done() {
    for TestStore { store, .. } in &stores().await {
        let id = ask(store, JobKind::RefreshCustomer).await;
        let kept = ask(store, JobKind::RepriceCarts).await;
        let other = Count {
            kind: JobKind::RefreshCustomer,
            ..Count::to(2)
        };
        let _workers = run(store, Jobs::new(settings()).with(Count::to(1)).with(other));

        reached(store, &kept, 3).await;
        until("the job is gone", || {
            let id = id.clone();
            async move {
                let left = store.read(|conn| {
                    async move {
                        let left: i64 = on!(conn, |e| sqlx::query_scalar(
                            "SELECT COUNT(*) FROM jobs WHERE id = $1"
                        )
                        .bind(&id)
                        .fetch_one(e)
                        .await)?;
                        Ok(left)
                    }
                    .boxed()
                });
                left.await.unwrap() == 0
            }
        })
        .await;
        assert_eq!(counted(store).await, 3);
    }
}

#[tokio::test]
async fn a_job_that_has_not_begun_is_not_requested_twice() {
    for TestStore { store, .. } in &stores().await {
        let first = ask(store, JobKind::RepriceCarts).await;
        let second = ask(store, JobKind::RepriceCarts).await;
        let other = ask(store, JobKind::RefreshCustomer).await;

        assert_eq!(first, second);
        assert_ne!(first, other);

        let _workers = start(store, Count::to(1));
        reached(store, &first, 3).await;
        let again = ask(store, JobKind::RepriceCarts).await;

        assert_ne!(first, again);
        reached(store, &again, 3).await;
        assert_eq!(counted(store).await, 2);
    }
}

#[tokio::test]
async fn a_failed_write_requests_no_job() {
    for TestStore { store, .. } in &stores().await {
        let refused: Result<()> = store
            .write(Locks::none(), |tx| {
                async move {
                    enqueue(tx, JobKind::RepriceCarts).await?;
                    Err(Error::not_found("group"))
                }
                .boxed()
            })
            .await;

        assert!(refused.is_err());
        let asked = store.read(|conn| {
            async move {
                let text = "SELECT count(*) FROM jobs";
                Ok(on!(conn, |e| sqlx::query_scalar::<_, i64>(text)
                    .fetch_one(e)
                    .await)?)
            }
            .boxed()
        });
        assert_eq!(asked.await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_scheduled_job_waits_for_its_time() {
    for TestStore { store, clock, .. } in &stores().await {
        let later = NewJob {
            run_at: START + 60_000_000,
            ..NewJob::now(JobKind::RepriceCarts, "groups/vip", START)
        };
        let id = store.write_with(Locks::none(), later, |tx, later| {
            async move { jobs::enqueue(tx, &caller(), START, later.clone()).await }.boxed()
        });
        let id = id.await.unwrap();
        let _workers = start(store, Count::to(1));
        let at_once = ask(store, JobKind::RefreshCustomer).await;

        clock.advance(Duration::from_secs(59));
        assert_eq!(job(store, &id).await.state, 1);
        clock.advance(Duration::from_secs(1));

        reached(store, &id, 3).await;
        // No worker here handles this kind; the job waits for a release that does.
        assert_eq!(job(store, &at_once).await.state, 1);
    }
}

#[tokio::test]
async fn the_step_of_a_cancelled_job_has_no_effect() {
    for TestStore { store, .. } in &stores().await {
        let id = ask(store, JobKind::Purge).await;
        let handler = Count {
            kind: JobKind::Purge,
            dies_at: Some(2),
            ..Count::to(5)
        };
        let _workers = start(store, handler.clone());
        lost(&handler).await;

        let cancelled = {
            let id = id.clone();
            store.write(Locks::none(), move |tx| {
                let id = id.clone();
                async move { jobs::cancel(tx, &id, START).await }.boxed()
            })
        };

        assert!(cancelled.await.unwrap());
        assert_eq!(job(store, &id).await.state, 5);
        assert_eq!(counted(store).await, 2);
    }
}

#[tokio::test]
async fn an_effect_waits_for_writers_in_progress() {
    // SQLite has one writer, so no write can be in progress while a job is claimed.
    let postgres = stores().await.pop();
    for TestStore { store, .. } in postgres.iter() {
        let (wrote, go) = (
            Arc::new(tokio::sync::Notify::new()),
            Arc::new(tokio::sync::Notify::new()),
        );
        let writer = {
            let (store, wrote, go) = (store.clone(), Arc::clone(&wrote), Arc::clone(&go));
            tokio::spawn(async move {
                let held = (wrote, go);
                store
                    .write_with(Locks::none(), held, |tx, (wrote, go)| {
                        async move {
                            execute!(tx, sqlx::query(ADD).bind("s").bind("other"))?;
                            wrote.notify_one();
                            go.notified().await;
                            Ok(())
                        }
                        .boxed()
                    })
                    .await
            })
        };
        wrote.notified().await;
        let id = ask(store, JobKind::RepriceCarts).await;
        let _workers = start(store, Count::to(1));

        reached(store, &id, 2).await;
        assert_eq!(counted(store).await, 0);
        go.notify_one();

        reached(store, &id, 3).await;
        writer.await.unwrap().unwrap();
        assert_eq!(counted(store).await, 1);
    }
}
