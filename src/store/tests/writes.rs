//! Tests of writes on either engine.

use tokio::sync::Notify;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_increments_at_once_count_a_thousand() {
    for fixture in stores().await {
        let all = join_all((0..1000).map(|_| fixture.increment("hot"))).await;

        let mut seen: Vec<i64> = all.into_iter().map(Result::unwrap).collect();
        seen.sort_unstable();
        assert_eq!(seen, (1..=1000).collect::<Vec<_>>());
        assert_eq!(fixture.counter("hot").await, Some(1000));
    }
}

#[tokio::test]
async fn a_read_sees_every_write_that_was_answered() {
    for fixture in stores().await {
        for expected in 1..=50 {
            fixture.increment("seen").await.unwrap();
            assert_eq!(fixture.counter("seen").await, Some(expected));
        }
    }
}

#[tokio::test]
async fn a_snapshot_sees_one_moment() {
    for fixture in stores().await {
        fixture.increment("still").await.unwrap();
        let store = fixture.store.clone();
        let writer = Arc::new(fixture);
        let inside = Arc::clone(&writer);

        let (before, after) = store
            .snapshot(move |conn| {
                async move {
                    let before = counter(conn, "still").await?;
                    inside.increment("still").await?;
                    Ok((before, counter(conn, "still").await?))
                }
                .boxed()
            })
            .await
            .unwrap();

        assert_eq!((before, after), (Some(1), Some(1)));
        assert_eq!(writer.counter("still").await, Some(2));
    }
}

#[tokio::test]
async fn a_write_that_fails_leaves_nothing() {
    for fixture in stores().await {
        let refused: Result<()> = fixture
            .store
            .write(Locks::none(), |tx| {
                async move {
                    set_counter(tx, "gone", 7).await?;
                    Err(refusal())
                }
                .boxed()
            })
            .await;

        assert_eq!(code(&refused), Some(Code::FailedPrecondition));
        assert_eq!(fixture.counter("gone").await, None);
    }
}

#[tokio::test]
async fn a_write_that_asks_to_be_run_again_is_run_again_a_few_times() {
    for fixture in stores().await {
        for (asks, succeeds) in [(2, true), (10, false)] {
            let runs = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&runs);

            let outcome = fixture
                .store
                .write(Locks::none(), move |tx| {
                    let run = counted.fetch_add(1, Ordering::Relaxed);
                    async move {
                        set_counter(tx, "again", i64::try_from(run).unwrap()).await?;
                        if run < asks {
                            Err(tx.run_again())
                        } else {
                            Ok(())
                        }
                    }
                    .boxed()
                })
                .await;

            let refusal = outcome.err().map(|error| (error.code(), error.reason()));
            let outrun = (Code::Aborted, ErrorReason::Conflict);
            assert_eq!(refusal, (!succeeds).then_some(outrun));
            assert_eq!(runs.load(Ordering::Relaxed), 3);
        }
        assert_eq!(fixture.counter("again").await, Some(2));
    }
}

#[tokio::test]
async fn a_write_goes_on_when_its_caller_has_gone() {
    for fixture in stores().await {
        let (entered, inside) = tokio::sync::oneshot::channel::<()>();
        let entered = std::sync::Mutex::new(Some(entered));
        let store = fixture.store.clone();

        let caller = tokio::spawn(async move {
            store
                .write_with(Locks::none(), entered, |tx, entered| {
                    async move {
                        set_counter(tx, "left", 1).await?;
                        if let Some(entered) = entered.lock().unwrap().take() {
                            entered.send(()).unwrap();
                        }
                        set_counter(tx, "left", 2).await?;
                        Ok(())
                    }
                    .boxed()
                })
                .await
        });
        inside.await.unwrap();
        caller.abort();

        // SQLite has one writer; on PostgreSQL closing waits for every write.
        fixture.store.close().await;
        let again = Store::open(&fixture.config, Clock::system()).await.unwrap();
        let fixture = Fixture {
            store: again,
            ..fixture
        };
        assert_eq!(fixture.counter("left").await, Some(2));
    }
}

#[tokio::test]
async fn a_write_after_a_failed_statement_is_refused() {
    for fixture in stores().await {
        let refused: Result<()> = fixture
            .store
            .write(Locks::none(), |tx| {
                async move {
                    set_counter(tx, "kept", 1).await?;
                    let clash = execute!(
                        tx,
                        sqlx::query(
                            "INSERT INTO sequences (shop_id, name, next) VALUES ($1, $2, $3)"
                        )
                        .bind("s")
                        .bind("kept")
                        .bind(1_i64)
                    );
                    assert!(clash.is_err_and(|error| is_unique_violation(&error)));
                    assert!(set_counter(tx, "kept", 2).await.is_err());
                    // Answering as if nothing had happened does not help.
                    Ok(())
                }
                .boxed()
            })
            .await;

        assert_eq!(code(&refused), Some(Code::Internal));
        assert_eq!(fixture.counter("kept").await, None);
    }
}

#[tokio::test]
async fn a_hook_runs_after_a_commit_before_the_answer_and_never_after_a_rollback() {
    for fixture in stores().await {
        let (done, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut woken = fixture.store.committed();
        woken.mark_unchanged();

        for (count, fails) in [(&done, false), (&dropped, true)] {
            let count = Arc::clone(count);
            let _ = fixture
                .store
                .write(Locks::none(), move |tx| {
                    let count = Arc::clone(&count);
                    async move {
                        tx.after_commit(move || {
                            count.fetch_add(1, Ordering::Relaxed);
                        });
                        set_counter(tx, "hook", 1).await?;
                        if fails {
                            return Err(refusal());
                        }
                        tx.mark_logged();
                        Ok(())
                    }
                    .boxed()
                })
                .await;
        }

        assert_eq!(done.load(Ordering::Relaxed), 1);
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
        assert!(woken.has_changed().unwrap());
    }
}

#[tokio::test]
async fn a_closed_store_answers_that_it_is_not_available() {
    for fixture in stores().await {
        fixture.store.close().await;

        let read = fixture.store.read(|conn| counter_of(conn).boxed()).await;
        let written = fixture.increment("closed").await;

        for error in [read.unwrap_err(), written.unwrap_err()] {
            assert_eq!(error.code(), Code::Unavailable);
            assert_eq!(error.reason(), ErrorReason::DatabaseUnavailable);
        }
    }
}

async fn counter_of(conn: &mut Conn) -> Result<Option<i64>> {
    Ok(counter(conn, "closed").await?)
}

#[tokio::test]
async fn statements_are_counted() {
    for fixture in stores().await {
        let before = fixture.store.statements();

        fixture.increment("counted").await.unwrap();

        assert_eq!(fixture.store.statements() - before, 2);
    }
}

#[tokio::test]
async fn a_list_is_one_parameter_on_either_engine() {
    for fixture in stores().await {
        for name in ["a", "b", "c"] {
            fixture.increment(name).await.unwrap();
        }
        let names = vec!["a".to_owned(), "c".to_owned(), "it's \"x\"".to_owned()];

        let found: Vec<(String, i64)> = fixture
            .store
            .read(move |conn| {
                async move {
                    let mut statement = Statement::new(
                        conn.engine(),
                        "SELECT name, next FROM sequences WHERE shop_id = ",
                    );
                    statement.bind("s").push(" AND ");
                    let list = statement.keep(Bind::Texts(names));
                    let piece = dialect::any_of(statement.engine(), "name", &list);
                    statement
                        .push_piece(&piece)
                        .push(" ORDER BY name LIMIT ")
                        .push_number(10);
                    Ok(statement.fetch_all(conn).await?)
                }
                .boxed()
            })
            .await
            .unwrap();

        assert_eq!(found, [("a".to_owned(), 1), ("c".to_owned(), 1)]);
    }
}

#[tokio::test]
async fn a_vanished_reader_leaves_its_connection_usable() {
    for mut fixture in stores().await {
        fixture.config.read_connections = 1;
        fixture.store.close().await;
        let store = Store::open(&fixture.config, Clock::system()).await.unwrap();
        fixture.store = store;
        for _ in 0..20 {
            let store = fixture.store.clone();
            let reader = tokio::spawn(async move {
                store
                    .snapshot(|conn| counter_of(conn).boxed())
                    .await
                    .map(|_| ())
            });
            tokio::task::yield_now().await;
            reader.abort();
            let _ = reader.await;
        }

        assert_eq!(fixture.counter("closed").await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_get_their_turn_beside_calls() {
    for fixture in stores().await {
        let calls = join_all((0..200).map(|_| fixture.increment("calls")));
        let jobs = join_all((0..20).map(|_| {
            fixture
                .store
                .write_job(Locks::of("counter", "s", "jobs"), |tx| {
                    increment(tx, "jobs").boxed()
                })
        }));

        let (calls, jobs) = futures::join!(calls, jobs);

        assert!(calls.iter().all(Result::is_ok) && jobs.iter().all(Result::is_ok));
        assert_eq!(fixture.counter("jobs").await, Some(20));
    }
}

#[tokio::test]
async fn a_panic_harms_its_own_write_only() {
    for fixture in stores().await {
        let panicked: Result<()> = fixture
            .store
            .write(Locks::none(), |tx| {
                async move {
                    set_counter(tx, "panic", 1).await?;
                    panic!("planted")
                }
                .boxed()
            })
            .await;

        assert_eq!(code(&panicked), Some(Code::Internal));
        assert_eq!(fixture.counter("panic").await, None);
        assert_eq!(fixture.increment("panic").await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_call_waits_no_longer_than_told_for_a_connection() {
    for mut fixture in stores().await {
        fixture.store.close().await;
        fixture.config.read_connections = 1;
        fixture.config.acquire_timeout = Duration::from_secs(1);
        let store = Store::open(&fixture.config, Clock::system()).await.unwrap();
        let inner = store.clone();

        let error = store
            .read(move |_| {
                async move {
                    Ok(inner
                        .read(|conn| counter_of(conn).boxed())
                        .await
                        .unwrap_err())
                }
                .boxed()
            })
            .await
            .unwrap();

        assert_eq!(error.code(), Code::Unavailable);
    }
}

/// The turns of a call are released when its write ends, not when its caller leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_keeps_what_its_call_holds_until_it_ends() {
    for fixture in stores().await {
        let held = Arc::new(());
        let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, ends) = (Arc::clone(&begun), Arc::clone(&may_end));
        let store = fixture.store.clone();
        let call = holding(Arc::clone(&held), async move {
            store
                .write(Locks::none(), move |_| {
                    let (begins, ends) = (Arc::clone(&begins), Arc::clone(&ends));
                    async move {
                        begins.notify_one();
                        ends.notified().await;
                        Ok(())
                    }
                    .boxed()
                })
                .await
        });
        let call = tokio::spawn(call);
        begun.notified().await;

        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());

        assert_eq!(Arc::strong_count(&held), 2, "the write continues");
        may_end.notify_one();
        let given_back = async {
            while Arc::strong_count(&held) > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), given_back)
            .await
            .expect("the write ends");
    }
}
