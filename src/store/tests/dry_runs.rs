//! Tests of writes that are rolled back.

use super::*;

/// Adds one to a counter and to the number of runs.
async fn counted(tx: &mut Tx, name: &str, runs: &AtomicUsize) -> Result<i64> {
    runs.fetch_add(1, Ordering::SeqCst);
    increment(tx, name).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_stores_nothing_and_makes_no_other_write_run_again() {
    for fixture in stores().await {
        let (written, dry) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let one = |n: usize| {
            let is_dry_run = n % 2 == 1;
            let runs = Arc::clone(if is_dry_run { &dry } else { &written });
            let store = &fixture.store;
            async move {
                let locks = Locks::of("counter", "s", "hot");
                if is_dry_run {
                    store
                        .dry_run(locks, runs, |tx, runs| counted(tx, "hot", runs).boxed())
                        .await
                } else {
                    store
                        .write_with(locks, runs, |tx, runs| counted(tx, "hot", runs).boxed())
                        .await
                }
            }
        };

        let all = join_all((0..200).map(one)).await;

        assert!(all.iter().all(Result::is_ok), "{all:?}");
        assert_eq!(fixture.counter("hot").await, Some(100));
        assert_eq!(written.load(Ordering::SeqCst), 100, "writes");
        assert_eq!(dry.load(Ordering::SeqCst), 100, "dry runs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_that_fails_or_needs_a_lock_is_answered_alone() {
    for fixture in stores().await {
        let refused: Result<()> = fixture
            .store
            .dry_run(Locks::none(), (), |tx, &()| {
                async move {
                    set_counter(tx, "gone", 7).await?;
                    Err(refusal())
                }
                .boxed()
            })
            .await;
        let late = fixture
            .store
            .dry_run(Locks::none(), (), |tx, &()| increment(tx, "late").boxed())
            .await;
        let panicked: Result<()> = fixture
            .store
            .dry_run(Locks::none(), (), |tx, &()| {
                async move {
                    set_counter(tx, "gone", 8).await?;
                    panic!("planted")
                }
                .boxed()
            })
            .await;

        assert_eq!(code(&refused), Some(Code::FailedPrecondition));
        assert_eq!(late.unwrap(), 1);
        assert_eq!(code(&panicked), Some(Code::Internal));
        assert_eq!(fixture.counter("gone").await, None);
        assert_eq!(fixture.counter("late").await, None);
        assert_eq!(fixture.increment("late").await.unwrap(), 1);
    }
}
