//! Tests that steps are done once, and that failed steps and those of dead workers are retried.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use clientela::jobs::JobKind;

use super::worker::{Count, Seen, ask, counted, job, lost, reached, start, tried};
use crate::harness::store::{TestStore, stores};

#[tokio::test]
async fn several_workers_of_two_replicas_do_each_step_once() {
    for test in &stores().await {
        let id = ask(&test.store, JobKind::RepriceCarts).await;
        let _here = start(&test.store, Count::to(50));
        let _there = start(&test.replica().await, Count::to(50));

        let seen = reached(&test.store, &id, 3).await;

        assert_eq!(
            seen,
            Seen {
                state: 3,
                progress: 50,
                attempts: 0,
                error: None
            }
        );
        assert_eq!(counted(&test.store).await, 50);
    }
}

#[tokio::test]
async fn another_worker_continues_after_a_dead_one() {
    for TestStore { store, clock, .. } in &stores().await {
        let id = ask(store, JobKind::RepriceCarts).await;
        let handler = Count {
            dies_at: Some(3),
            ..Count::to(5)
        };
        let dead = start(store, handler.clone());
        lost(&handler).await;
        drop(dead);
        let _alive = start(store, handler);

        assert_eq!(job(store, &id).await.state, 2);
        clock.advance(Duration::from_secs(31));
        let seen = reached(store, &id, 3).await;

        assert_eq!(seen.progress, 5);
        assert_eq!(counted(store).await, 5);
    }
}

#[tokio::test]
async fn a_failed_step_has_no_effect_and_is_retried() {
    for TestStore { store, clock, .. } in &stores().await {
        let id = ask(store, JobKind::RepriceCarts).await;
        let handler = Count {
            failures: Arc::new(AtomicUsize::new(2)),
            ..Count::to(3)
        };
        let _workers = start(store, handler);

        tried(store, &id, 1).await;
        let waiting = job(store, &id).await;
        assert_eq!(
            (waiting.state, waiting.error.as_deref()),
            (1, Some("INTERNAL"))
        );
        clock.advance(Duration::from_secs(1));
        tried(store, &id, 2).await;
        clock.advance(Duration::from_secs(2));

        let seen = reached(store, &id, 3).await;
        assert_eq!(
            seen,
            Seen {
                state: 3,
                progress: 3,
                attempts: 2,
                error: None
            }
        );
        assert_eq!(counted(store).await, 3);
    }
}

#[tokio::test]
async fn a_job_that_may_fail_does_so_after_ten_attempts() {
    for TestStore { store, clock, .. } in &stores().await {
        let id = ask(store, JobKind::Purge).await;
        let failures = Arc::new(AtomicUsize::new(usize::MAX));
        let handler = Count {
            kind: JobKind::Purge,
            failures,
            ..Count::to(1)
        };
        let _workers = start(store, handler);

        for attempts in 1..10 {
            tried(store, &id, attempts).await;
            clock.advance(Duration::from_secs(300));
        }

        let seen = reached(store, &id, 4).await;
        assert_eq!(
            (seen.attempts, seen.error.as_deref()),
            (10, Some("INTERNAL"))
        );
        assert_eq!(counted(store).await, 0);
    }
}
