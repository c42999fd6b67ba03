//! Tests of the locks of writes.

use super::*;

#[tokio::test]
async fn a_lock_found_missing_is_taken_by_a_new_start() {
    for fixture in stores().await {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);

        let value = fixture
            .store
            .write(Locks::of("counter", "s", "a"), move |tx| {
                counted.fetch_add(1, Ordering::Relaxed);
                async move {
                    tx.require(LockKey::of("counter", "s", "a"))?;
                    tx.require_all(["b", "c"].map(|id| LockKey::of("counter", "s", id)))?;
                    increment(tx, "c").await
                }
                .boxed()
            })
            .await
            .unwrap();

        assert_eq!(value, 1);
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn locks_that_never_end_are_refused() {
    for fixture in stores().await {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);

        let refused: Result<()> = fixture
            .store
            .write(Locks::none(), move |tx| {
                let run = counted.fetch_add(1, Ordering::Relaxed);
                async move { tx.require(LockKey::of("counter", "s", &run.to_string())) }.boxed()
            })
            .await;

        assert_eq!(code(&refused), Some(Code::Aborted));
        assert_eq!(runs.load(Ordering::Relaxed), 5);
    }
}

#[tokio::test]
async fn a_lock_after_a_write_is_refused() {
    for fixture in stores().await {
        let refused: Result<()> = fixture
            .store
            .write(Locks::none(), |tx| {
                async move {
                    set_counter(tx, "late", 1).await?;
                    tx.require(LockKey::of("counter", "s", "late"))
                }
                .boxed()
            })
            .await;

        assert_eq!(code(&refused), Some(Code::Internal));
        assert_eq!(fixture.counter("late").await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_lock_in_any_order_never_wait_in_a_circle() {
    for fixture in stores().await {
        let pair = |a: &'static str, b: &'static str| {
            let locks = Locks::of("counter", "s", a).and(LockKey::of("counter", "s", b));
            fixture.store.write(locks, move |tx| {
                async move {
                    increment(tx, a).await?;
                    increment(tx, b).await
                }
                .boxed()
            })
        };
        let there = join_all((0..100).map(|_| pair("x", "y")));
        let back = join_all((0..100).map(|_| pair("y", "x")));

        let (there, back) = futures::join!(there, back);

        assert!(there.iter().chain(&back).all(Result::is_ok));
        assert_eq!(fixture.counter("x").await, Some(200));
    }
}
