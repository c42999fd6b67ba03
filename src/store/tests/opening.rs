//! Tests of the checks before a store is served.

use super::*;

#[cfg(unix)]
fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_store_can_be_read_by_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("deep").join("data");
    let config = StoreConfig::new(DatabaseUrl::embedded(&data_dir));
    let fixture = Fixture::open(config, Place::Folder(folder)).await;
    fixture.increment("any").await.unwrap();

    assert_eq!(mode(&data_dir), 0o700);
    let files: Vec<_> = std::fs::read_dir(&data_dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_second_process_is_refused_until_the_first_has_closed() {
    let fixture = sqlite().await;

    let second = Store::open(&fixture.config, Clock::system()).await;
    assert!(matches!(second, Err(OpenError::InUse(_))));

    fixture.store.close().await;
    assert!(Store::open(&fixture.config, Clock::system()).await.is_ok());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(DATABASE_FILE);
    for content in ["not a database at all, by far", "short"] {
        std::fs::write(&file, content).unwrap();
        let config = StoreConfig::new(DatabaseUrl::embedded(folder.path()));

        let refused = Store::open(&config, Clock::system()).await;

        assert!(matches!(refused, Err(OpenError::WrongHeader(_))));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
    }
}

#[tokio::test]
async fn the_database_of_another_program_is_refused() {
    use sqlx::ConnectOptions as _;
    let folder = tempfile::tempdir().unwrap();
    let mut other = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(folder.path().join(DATABASE_FILE))
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql("CREATE TABLE notes (a TEXT)")
        .execute(&mut other)
        .await
        .unwrap();
    sqlx::Connection::close(other).await.unwrap();
    let config = StoreConfig::new(DatabaseUrl::embedded(folder.path()));

    let refused = Store::open(&config, Clock::system()).await;

    assert!(matches!(refused, Err(OpenError::Foreign(_))));
}

#[tokio::test]
async fn a_store_of_a_newer_release_is_refused() {
    for fixture in stores().await {
        fixture
            .store
            .write(Locks::none(), |tx| {
                async move {
                    execute!(
                        tx,
                        sqlx::query(
                            "UPDATE store_meta SET value = '99' \
                             WHERE key = 'minimum_reader_version'",
                        )
                    )?;
                    Ok(())
                }
                .boxed()
            })
            .await
            .unwrap();
        fixture.store.close().await;

        let refused = Store::open(&fixture.config, Clock::system()).await;

        assert!(matches!(
            refused,
            Err(OpenError::TooNew { needed: 99, own: 1 })
        ));
    }
}

#[tokio::test]
async fn a_store_keeps_its_identity_and_no_two_share_one() {
    let mut ids = Vec::new();
    for fixture in stores().await {
        let first = fixture.store.meta().clone();
        fixture.store.close().await;

        let again = Store::open(&fixture.config, Clock::system()).await.unwrap();

        assert_eq!(again.meta().store_id(), first.store_id());
        assert_eq!(again.meta().secret(), first.secret());
        assert_eq!(again.meta().epoch(), first.epoch());
        ids.push(first.store_id().to_owned());
    }
    ids.dedup();
    assert!(!ids.is_empty());
}

#[tokio::test]
async fn replicas_that_start_at_once_agree_on_one_identity() {
    let fixture = postgres().await;

    let replicas = join_all((0..4).map(|_| Store::open(&fixture.config, Clock::system()))).await;

    for replica in replicas {
        assert_eq!(
            replica.unwrap().meta().secret(),
            fixture.store.meta().secret()
        );
    }
}

#[tokio::test]
async fn a_commit_at_one_replica_wakes_the_other() {
    let fixture = postgres().await;
    let other = Store::open(&fixture.config, Clock::system()).await.unwrap();
    let mut woken = other.committed();

    // The other replica misses hints until it listens, so commits are repeated.
    let commits = async {
        loop {
            fixture
                .store
                .write(Locks::none(), |tx| {
                    async move {
                        tx.mark_logged();
                        Ok(())
                    }
                    .boxed()
                })
                .await
                .unwrap();
            tokio::task::yield_now().await;
        }
    };
    let wake = async {
        // The first wake is the listener's own at its beginning; the second is a hint.
        woken.changed().await.unwrap();
        woken.changed().await.unwrap();
    };

    let waited = async {
        tokio::select! {
            () = commits => unreachable!(),
            () = wake => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waited)
        .await
        .expect("a hint arrives");
}

#[tokio::test]
async fn an_unreachable_database_is_reported_when_the_store_opens() {
    let url = DatabaseUrl::postgres("postgres://nobody@127.0.0.1:1/none").unwrap();

    let refused = Store::open(&StoreConfig::new(url), Clock::system()).await;

    assert!(matches!(refused, Err(OpenError::Database(_))));
}

#[tokio::test]
async fn a_connection_that_the_server_ended_is_replaced() {
    let fixture = postgres().await;
    let pid = |fixture: &Fixture| {
        let store = fixture.store.clone();
        async move {
            store
                .write(Locks::none(), |tx| {
                    async move {
                        let pid: i64 = on!(tx, |e| {
                            sqlx::query_scalar("SELECT pg_backend_pid()::bigint")
                                .fetch_one(e)
                                .await
                        })?;
                        Ok(pid)
                    }
                    .boxed()
                })
                .await
                .unwrap()
        }
    };
    let first = pid(&fixture).await;
    fixture
        .store
        .read(move |conn| {
            async move {
                let ended: bool = on!(conn, |e| {
                    sqlx::query_scalar("SELECT pg_terminate_backend($1::int, 5000)")
                        .bind(first)
                        .fetch_one(e)
                        .await
                })?;
                assert!(ended);
                Ok(())
            }
            .boxed()
        })
        .await
        .unwrap();

    // Nothing had been done on it, so the write does not fail.
    assert_ne!(pid(&fixture).await, first);
}

#[tokio::test]
async fn a_restored_copy_begins_a_new_epoch_and_keeps_its_order() {
    let fixture = postgres().await;
    let before = fixture.store.meta().epoch().to_owned();
    fixture
        .store
        .write(Locks::none(), |tx| {
            async move {
                execute!(
                    tx,
                    sqlx::query(
                        "INSERT INTO change_log (xid, shop_id, kind, resource_id, version, mark, \
                         deleted, key_id, commit_time) \
                         VALUES (9000000000000000000, 's', 1, 'r', 1, 1, FALSE, 'k', 1)",
                    )
                )?;
                Ok(())
            }
            .boxed()
        })
        .await
        .unwrap();
    fixture.store.close().await;

    let again = Store::open(&fixture.config, Clock::system()).await.unwrap();

    assert_ne!(again.meta().epoch(), before);
    let first: i64 = again
        .read(|conn| {
            async move {
                Ok(on!(conn, |e| {
                    sqlx::query_scalar("SELECT MAX(xid) FROM change_log")
                        .fetch_one(e)
                        .await
                })?)
            }
            .boxed()
        })
        .await
        .unwrap();
    assert_eq!(first, 0);
}

/// Without this SQLite plans a statement anew for each value, once its tables were analysed.
#[tokio::test]
async fn the_library_keeps_to_a_plan_whatever_the_values_are() {
    let options: Vec<String> = sqlite()
        .await
        .store
        .read(|conn| {
            async move {
                let options = on!(conn, |e| sqlx::query_scalar("PRAGMA compile_options")
                    .fetch_all(e)
                    .await)?;
                Ok(options)
            }
            .boxed()
        })
        .await
        .unwrap();

    assert!(
        options.iter().any(|option| option == "ENABLE_QPSG"),
        "{options:?}"
    );
}
