//! Tests of how reads end, and of the connections that reads of each purpose have.

use super::*;

/// A statement that takes far longer than any test.
async fn endless(conn: &mut Conn) -> Result<i64> {
    let text = conn.engine().pick(
        "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)
         SELECT COUNT(*) FROM c",
        "SELECT COUNT(*) FROM pg_sleep(100000)",
    );
    Ok(on!(conn, |e| sqlx::query_scalar(text).fetch_one(e).await)?)
}

/// A fixture with one connection for each sort of reads, and a time limit for statements.
async fn narrow(limit: Duration) -> Vec<Fixture> {
    let mut narrow = Vec::new();
    for fixture in stores().await {
        let mut config = fixture.config.clone();
        (config.read_connections, config.list_connections) = (1, 1);
        config.statement_timeout = limit;
        fixture.store.close().await;
        narrow.push(Fixture::open(config, fixture._place).await);
    }
    narrow
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_takes_too_long_is_ended_and_its_connection_goes_on() {
    for fixture in narrow(Duration::from_millis(200)).await {
        let ended = fixture.store.read(|conn| endless(conn).boxed()).await;
        let in_snapshot = fixture.store.snapshot(|conn| endless(conn).boxed()).await;

        for ended in [ended, in_snapshot] {
            let error = ended.unwrap_err();
            assert_eq!(error.code(), Code::Unavailable);
            assert_eq!(error.reason(), ErrorReason::DatabaseUnavailable);
        }
        assert_eq!(fixture.counter("any").await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_ends_with_its_caller() {
    for fixture in narrow(Duration::from_secs(3_600)).await {
        for _ in 0..3 {
            let given_up = Duration::from_millis(100);
            let read = fixture.store.read(|conn| endless(conn).boxed());
            assert!(tokio::time::timeout(given_up, read).await.is_err());
            let snapshot = fixture.store.snapshot(|conn| endless(conn).boxed());
            assert!(tokio::time::timeout(given_up, snapshot).await.is_err());
        }

        // There is one connection, and it is free again.
        assert_eq!(fixture.counter("any").await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_of_one_purpose_that_take_all_its_connections_do_not_block_others() {
    for fixture in narrow(Duration::from_secs(3_600)).await {
        let store = &fixture.store;
        for taken in Purpose::ALL {
            let (leave, left) = tokio::sync::watch::channel(());
            let (taking, takes) = tokio::sync::mpsc::channel(64);
            let takers = taken.connections(&fixture.config);
            for _ in 0..takers {
                let (store, mut left, taking) =
                    (store.reserved_for(taken), left.clone(), taking.clone());
                tokio::spawn(async move {
                    let read = store.read(|_| {
                        async move {
                            taking.send(()).await.map_err(Error::internal)?;
                            let _ = left.changed().await;
                            Ok(())
                        }
                        .boxed()
                    });
                    read.await
                });
            }
            let mut takes = takes;
            for _ in 0..takers {
                takes.recv().await.unwrap();
            }

            for other in Purpose::ALL.into_iter().filter(|other| *other != taken) {
                let reader = store.reserved_for(other);
                let read =
                    reader.read(|conn| async move { Ok(counter(conn, "any").await?) }.boxed());
                assert_eq!(read.await.unwrap(), None, "{other:?} beside {taken:?}");
            }
            drop(leave);
        }
    }
}
