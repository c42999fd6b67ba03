//! Tests of group commit: the effect of one member of a batch on the others.

use super::*;

/// The action of a member of the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Good,
    RefusesBefore,
    FailsAfter,
    PanicsBefore,
    PanicsAfter,
    FailsStatement,
}

const KINDS: [Kind; 6] = [
    Kind::Good,
    Kind::RefusesBefore,
    Kind::FailsAfter,
    Kind::PanicsBefore,
    Kind::PanicsAfter,
    Kind::FailsStatement,
];

async fn member(tx: &mut Tx, kind: Kind, own: &str) -> Result<i64> {
    let _ = counter(tx, "shared").await?;
    match kind {
        Kind::RefusesBefore => return Err(refusal()),
        Kind::PanicsBefore => panic!("planted before a write"),
        _ => {}
    }
    set_counter(tx, own, 1).await?;
    let shared = increment(tx, "shared").await?;
    match kind {
        Kind::FailsAfter => Err(refusal()),
        Kind::PanicsAfter => panic!("planted after a write"),
        Kind::FailsStatement => {
            execute!(tx, sqlx::query("INSERT INTO no_such_table (a) VALUES (1)"))?;
            Ok(shared)
        }
        _ => Ok(shared),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_fail_or_panic_harm_nobody_else() {
    for fixture in stores().await {
        let kinds: Vec<Kind> = (0..120).map(|n| KINDS[n * 7 % KINDS.len()]).collect();
        let all = join_all(kinds.iter().enumerate().map(|(n, &kind)| {
            fixture.store.write_with(
                Locks::of("counter", "s", "shared"),
                format!("own-{n}"),
                move |tx, own| member(tx, kind, own).boxed(),
            )
        }))
        .await;

        let mut counted = Vec::new();
        for (n, (kind, outcome)) in kinds.iter().zip(&all).enumerate() {
            let own = fixture.counter(&format!("own-{n}")).await;
            match (kind, outcome) {
                (Kind::Good, Ok(shared)) => {
                    counted.push(*shared);
                    assert_eq!(own, Some(1), "{n}");
                }
                (Kind::Good, Err(error)) => panic!("{n}: {error:?}"),
                (_, outcome) => {
                    assert!(outcome.is_err(), "{n}: {kind:?}");
                    assert_eq!(own, None, "{n}: {kind:?} left something");
                }
            }
        }
        counted.sort_unstable();
        assert_eq!(counted, (1..=20).collect::<Vec<_>>());
        assert_eq!(fixture.counter("shared").await, Some(20));
    }
}

#[tokio::test]
async fn writes_that_wait_share_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = StoreConfig::new(DatabaseUrl::embedded(folder.path()));
    config.commit_delay = Some(Duration::from_millis(20));
    let fixture = Fixture::open(config, Place::Folder(folder)).await;
    let started = std::time::Instant::now();

    join_all((0..256).map(|n| fixture.increment(if n % 2 == 0 { "even" } else { "odd" })))
        .await
        .into_iter()
        .for_each(|outcome| assert!(outcome.is_ok()));

    // One commit each would take more than five seconds.
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_failed_commit_fails_every_member_and_the_writer_recovers() {
    let fixture = sqlite().await;
    fixture
        .store
        .write(Locks::none(), |tx| {
            async move {
                execute!(
                    tx,
                    sqlx::query(
                        "CREATE TABLE late (id INTEGER PRIMARY KEY, parent INTEGER \
                         REFERENCES late (id) DEFERRABLE INITIALLY DEFERRED)",
                    )
                )?;
                Ok(())
            }
            .boxed()
        })
        .await
        .unwrap();
    let orphan = fixture.store.write(Locks::none(), |tx| {
        async move {
            execute!(
                tx,
                sqlx::query("INSERT INTO late (id, parent) VALUES (1, 99)")
            )?;
            Ok(0)
        }
        .boxed()
    });

    let (orphan, other) = futures::join!(orphan, fixture.increment("beside"));

    assert!(orphan.is_err() && other.is_err());
    assert_eq!(fixture.counter("beside").await, None);
    assert_eq!(fixture.increment("beside").await.unwrap(), 1);
}

#[tokio::test]
async fn a_full_disk_has_its_own_reason_and_writes_recover() {
    let fixture = sqlite().await;
    let set_pages = |count: &'static str| {
        fixture.store.write(Locks::none(), move |tx| {
            async move {
                on!(tx, |e| sqlx::raw_sql(count).execute(e).await.map(|_| ()))?;
                Ok(())
            }
            .boxed()
        })
    };
    set_pages("PRAGMA max_page_count = 1").await.unwrap();
    let name = "n".repeat(200_000);

    let full = join_all((0..10).map(|_| fixture.increment(&name))).await;

    for outcome in full {
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), Code::ResourceExhausted);
        assert_eq!(error.reason(), ErrorReason::StorageFull);
    }
    assert_eq!(fixture.counter("any").await, None, "reads go on");
    set_pages("PRAGMA max_page_count = 1000000").await.unwrap();
    assert_eq!(fixture.increment(&name).await.unwrap(), 1);
}

#[tokio::test]
async fn a_foreign_lock_on_the_file_is_refused_as_unavailable() {
    use sqlx::ConnectOptions as _;
    let folder = tempfile::tempdir().unwrap();
    let mut config = StoreConfig::new(DatabaseUrl::embedded(folder.path()));
    config.busy_timeout = Duration::from_millis(20);
    let fixture = Fixture::open(config, Place::Folder(folder)).await;
    let DatabaseUrl::Embedded { data_dir } = &fixture.config.database else {
        unreachable!()
    };
    let mut foreign = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(data_dir.join(DATABASE_FILE))
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut foreign)
        .await
        .unwrap();

    let locked = fixture.increment("locked").await;
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut foreign)
        .await
        .unwrap();

    assert_eq!(code(&locked), Some(Code::Unavailable));
    assert_eq!(fixture.increment("locked").await.unwrap(), 1);
}

#[tokio::test]
async fn a_log_that_grew_too_long_is_folded_in_beside_readers() {
    let fixture = sqlite().await;
    let DatabaseUrl::Embedded { data_dir } = &fixture.config.database else {
        unreachable!()
    };
    let log = data_dir.join(format!("{DATABASE_FILE}-wal"));
    let length = || std::fs::metadata(&log).unwrap().len();
    // A reader that stays keeps SQLite from restarting the log by itself.
    let (leave, left) = tokio::sync::oneshot::channel::<()>();
    let reader = tokio::spawn({
        let store = fixture.store.clone();
        async move {
            let read = store.snapshot(|conn| {
                async move {
                    counter(conn, "any").await?;
                    left.await.map_err(Error::internal)
                }
                .boxed()
            });
            read.await.unwrap();
        }
    });
    let grow = |letter: &str| {
        fixture
            .store
            .write_with(Locks::none(), letter.repeat(8 << 20), |tx, text| {
                async move {
                    let big = "INSERT INTO store_meta (key, value) VALUES ('big', $1) \
                           ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                    execute!(tx, sqlx::query(big).bind(text.as_str()))?;
                    Ok(())
                }
                .boxed()
            })
    };
    // SQLite does not write an unchanged row, so the letters alternate.
    for letter in ["x", "y"].iter().cycle() {
        grow(letter).await.unwrap();
        if length() > 130 << 20 {
            break;
        }
    }

    leave.send(()).unwrap();
    reader.await.unwrap();
    for _ in 0..256 {
        fixture.increment("turn").await.unwrap();
    }

    assert!(length() <= 64 << 20, "{}", length());
}
