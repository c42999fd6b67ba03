//! G7 for open streams: on a log that was compacted beyond them, that has an unreadable change, or that
//! lacks their last changes after a failover. They end or begin again, and never skip a change silently.

use clientela::execute;
use clientela::proto::pb::{DeliveryMode, ErrorReason, WatchOptions, snapshot_begin::Cause};
use clientela::store::Locks;
use futures::FutureExt as _;
use sqlx::AssertSqlSafe;
use tokio::time::Instant;
use tonic::Code;

use super::watched::{Connection, Signal, Subject, Watch, Way};
use crate::customers::{self, person};
use crate::harness::{Engine, PATIENCE, Setup, Shop, assert_refused};
use crate::on_both_engines;
use crate::specimens::{Carts, Customers, Groups, Specimen as _, watched};

/// Adds a change to the log without waking the streams.
const UNHEARD: &str = "INSERT INTO change_log
    (shop_id, kind, resource_id, version, mark, deleted, payload, key_id, commit_time)
    SELECT shop_id, kind, resource_id, version + 1, mark + 1, deleted, payload, key_id, commit_time
    FROM change_log ORDER BY seq DESC LIMIT 1";

/// The statements of compaction.
const COMPACTED: [&str; 3] = [
    "INSERT INTO store_meta (key, value)
     SELECT 'compacted_through', xid || ' ' || seq || ' ' || mark FROM change_log
     WHERE seq = (SELECT MAX(seq) FROM change_log)
     ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    "DELETE FROM change_log WHERE request_id IS NULL",
    "UPDATE change_log SET payload = NULL, left_topic = NULL",
];

/// Adds a change that cannot be decoded, as a failing disk might leave it.
const UNREADABLE: &str = "INSERT INTO change_log
    (shop_id, kind, resource_id, version, mark, deleted, payload, key_id, commit_time)
    SELECT shop_id, kind, resource_id, version + 1, mark + 1, deleted, $1, key_id, commit_time
    FROM change_log WHERE kind = $2 AND resource_id = $3 ORDER BY seq DESC LIMIT 1";

/// Removes the newest change, as on a standby that did not receive it.
const LOST: &str = "DELETE FROM change_log WHERE seq = (SELECT MAX(seq) FROM change_log)";

/// Runs statements in one transaction that wakes no stream.
async fn harm(shop: &Shop, statements: &[&'static str]) {
    let statements = statements.to_vec();
    let harmed = shop
        .store()
        .write_with(Locks::none(), statements, |tx, statements| {
            async move {
                for statement in statements {
                    execute!(tx, sqlx::query(AssertSqlSafe(*statement)))?;
                }
                Ok(())
            }
            .boxed()
        });
    harmed.await.expect("the statements run");
}

/// Adds an unreadable change of a subject.
async fn spoil(shop: &Shop, subject: &Subject, payload: Option<Vec<u8>>) {
    let (_, id) = subject.name.split_once('/').unwrap();
    let data = (id.to_owned(), subject.kind.log_kind(), payload);
    let spoilt = shop
        .store()
        .write_with(Locks::none(), data, |tx, (id, kind, payload)| {
            async move {
                execute!(
                    tx,
                    sqlx::query(UNREADABLE)
                        .bind(payload.clone())
                        .bind(*kind)
                        .bind(id.clone())
                )?;
                Ok(())
            }
            .boxed()
        });
    spoilt.await.expect("the row is written");
}

fn options(delivery: DeliveryMode, reset: bool) -> WatchOptions {
    WatchOptions {
        delivery_mode: delivery.into(),
        reset_on_expired_token: reset,
        ..Default::default()
    }
}

/// Opens streams of a subject, of every kind and in both modes, and reads them up to the live changes.
async fn live(shop: &Shop, subject: &Subject, reset: bool) -> Vec<Watch> {
    let connection = Connection::of(shop);
    let mut watches = Vec::new();
    for delivery in [DeliveryMode::Latest, DeliveryMode::Every] {
        for way in subject.kind.ways() {
            let watch = subject
                .watch(&connection, *way, options(delivery, reset))
                .await;
            watches.push(watch.unwrap());
        }
    }
    if subject.kind.pattern() == Carts.pattern() {
        let filter = "update_time > now - 30m";
        let options = options(DeliveryMode::Latest, reset);
        let by_clock = subject
            .watch_filtered(&connection, Way::Filter, filter, options)
            .await;
        watches.push(by_clock.unwrap());
    }
    for watch in &mut watches {
        watch.snapshot().await;
    }
    let (version, _) = subject.write(shop).await;
    for watch in &mut watches {
        watch.until(version).await;
    }
    watches
}

/// Reads a stream to its end. It must not send a version of the subject after `known`.
async fn end(mut watch: Watch, subject: &Subject, known: i64) -> tonic::Status {
    // Heartbeats keep arriving, so the loop has a deadline of its own.
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(
            Instant::now() < deadline,
            "{}: the stream does not end",
            watch.what
        );
        match watch.next().await {
            Err(status) => return status,
            Ok(_) => {
                let version = watch.versions.get(&subject.name);
                let what = &watch.what;
                assert!(version <= Some(&known), "{what}: the stream skips a change");
            }
        }
    }
}

/// Returns the cause of the next snapshot. No change may be sent before it.
async fn reset(watch: &mut Watch) -> Cause {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(
            Instant::now() < deadline,
            "{}: the stream does not begin again",
            watch.what
        );
        let received = watch.next().await.unwrap();
        assert!(received.changes.is_empty(), "{}: {received:?}", watch.what);
        if let Some(Signal::Begin(cause)) = received.signal {
            return cause;
        }
    }
}

/// Damages the log, and asserts that every stream ends with this reason or begins again with this cause.
async fn all_end(
    shop: &Shop,
    statements: &[&'static str],
    code: Code,
    reason: ErrorReason,
    cause: Cause,
) {
    let other = Subject::make(shop, &Groups).await;
    for subject in &Subject::of_each_kind(shop).await {
        let mut watches = live(shop, subject, false).await;
        let mut anew = live(shop, subject, true).await;
        let known = subject.read(&Connection::of(shop)).await.unwrap();
        for watch in &mut watches {
            watch.until(known).await;
        }

        harm(shop, statements).await;
        // This write wakes the sleeping streams, which must notice that they missed a change.
        other.write(shop).await;
        let (last, _) = subject.write(shop).await;

        for watch in watches {
            assert_refused(&end(watch, subject, known).await, code, reason);
        }
        for watch in &mut anew {
            assert_eq!(reset(watch).await, cause, "{}", watch.what);
            watch.until(last).await;
            let (version, _) = subject.write(shop).await;
            watch.until(version).await;
        }
    }
}

on_both_engines! {
    async fn streams_behind_a_compaction_end(shop: Shop) {
        let statements = [&[UNHEARD, UNHEARD][..], &COMPACTED[..]].concat();
        let (code, reason) = (Code::OutOfRange, ErrorReason::ResumeTokenExpired);
        all_end(&shop, &statements, code, reason, Cause::TokenExpired).await;
    }

    async fn streams_ahead_of_the_store_end(shop: Shop) {
        let (code, reason) = (Code::Aborted, ErrorReason::StoreEpochChanged);
        all_end(&shop, &[LOST], code, reason, Cause::EpochChanged).await;
    }

    /// A compaction up to the position of the streams does not affect them.
    async fn streams_at_the_compacted_position_continue(shop: Shop) {
        for subject in &Subject::of_each_kind(&shop).await {
            let mut watches = live(&shop, subject, false).await;

            harm(&shop, &COMPACTED).await;

            for _ in 0..3 {
                let (version, _) = subject.write(&shop).await;
                for watch in &mut watches {
                    watch.until(version).await;
                }
            }
        }
    }

    /// Streams of other resources continue.
    async fn streams_that_would_send_an_unreadable_change_end(shop: Shop) {
        for kind in watched() {
            for payload in [Some(vec![0xff]), None] {
                let (subject, other) = (Subject::make(&shop, kind).await, Subject::make(&shop, kind).await);
                let gone = payload.is_none();
                let watches = live(&shop, &subject, false).await;
                let mut others = other.watch(&Connection::of(&shop), Way::Names, WatchOptions::default()).await.unwrap();
                others.snapshot().await;
                let known = subject.read(&Connection::of(&shop)).await.unwrap();

                spoil(&shop, &subject, payload).await;
                let (version, _) = other.write(&shop).await;

                others.until(version).await;
                for watch in watches {
                    let status = end(watch, &subject, known).await;
                    if gone {
                        assert_refused(&status, Code::OutOfRange, ErrorReason::ResumeTokenExpired);
                    } else {
                        assert_refused(&status, Code::Internal, ErrorReason::Internal);
                    }
                }
            }
        }
    }
}

/// The server's database is replaced by a copy that lacks the last writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_when_an_older_copy_replaces_their_database() {
    let mut shop = Shop::start(Engine::Postgres).await;
    let kept = customers::create(&mut shop.customers(), person("Ada")).await;
    shop.stop().await;
    let backup = shop.back_up().await;
    shop.start_again(Setup::default()).await;
    let subject = Subject::make(&shop, &Customers).await;
    let watches = live(&shop, &subject, false).await;
    let mut anew = live(&shop, &subject, true).await;
    let known = subject.read(&Connection::of(&shop)).await.unwrap();

    shop.replace_under_the_server(&backup).await;

    for watch in watches {
        let status = end(watch, &subject, known).await;
        assert_refused(&status, Code::Aborted, ErrorReason::StoreEpochChanged);
    }
    let mut all = anew.swap_remove(0);
    assert_eq!(
        (reset(&mut all).await, all.what.as_str()),
        (Cause::EpochChanged, "Customer by All")
    );
    all.snapshot().await;
    assert_eq!(
        all.versions.keys().collect::<Vec<_>>(),
        [&kept.name],
        "the snapshot has only this customer"
    );
    let deadline = Instant::now() + PATIENCE;
    let new = loop {
        assert!(Instant::now() < deadline, "the server accepts no write");
        if let Ok(new) = customers::try_create(&mut shop.customers(), person("Grace")).await {
            break new;
        }
    };
    while !all.versions.contains_key(&new.name) {
        all.next().await.unwrap();
    }
    assert_eq!(all.versions.len(), 2);
}
