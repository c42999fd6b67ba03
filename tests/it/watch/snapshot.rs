//! Tests snapshots of several pages with changes between the pages.

use std::collections::BTreeMap;

use clientela::feed::history::COMPACTED_THROUGH;
use clientela::proto::pb::{
    ChangeKind, ErrorReason, WatchOptions, snapshot_begin::Cause, watch_carts_response::Signal,
};
use clientela::store::Locks;
use clientela::{execute, on_write};
use futures::FutureExt as _;
use tonic::Code;

use super::stage::{Reader, Stage, stages};
use crate::harness::assert_refused;

/// One more than the size of a page.
const THINGS: usize = 201;

/// Returns a stage with more things than a page holds, and a reader that has received the first page.
async fn between_the_pages(
    stage: &Stage,
    options: WatchOptions,
) -> (Reader, BTreeMap<String, i64>) {
    for number in 0..THINGS {
        stage.put(&format!("thing-{number:03}"), 1).await;
    }
    stage.things.hold();
    stage.things.let_pass(1);
    let mut reader = stage.watch(options);
    let begin = reader.next().await.unwrap();
    assert!(matches!(begin.signal, Some(Signal::SnapshotBegin(_))));
    let mut held = BTreeMap::new();
    while held.len() < THINGS - 1 {
        fold(&mut held, &mut reader).await;
    }
    (reader, held)
}

/// Applies the next message and returns its signal.
async fn fold(held: &mut BTreeMap<String, i64>, reader: &mut Reader) -> Option<Signal> {
    let message = reader.next().await.unwrap();
    for change in message.changes {
        if change.kind() == ChangeKind::Upserted {
            held.insert(change.name, change.version);
        } else {
            held.remove(&change.name);
        }
    }
    message.signal
}

/// Reads to the end of the snapshot and returns the number of things that it states.
async fn end(held: &mut BTreeMap<String, i64>, reader: &mut Reader) -> usize {
    loop {
        if let Some(Signal::SnapshotEnd(end)) = fold(held, reader).await {
            return usize::try_from(end.count).unwrap();
        }
    }
}

/// Compacts the log up to its end.
async fn forget_history(stage: &Stage) {
    let end = stage.settled().await;
    let value = format!("{} {} {}", end.xid, end.seq, end.mark);
    let store = &stage.test.store;
    let forgotten = store.write_with(Locks::none(), value, |tx, value| {
        async move {
            on_write!(tx, |e| sqlx::query(
                "INSERT INTO store_meta (key, value) VALUES ($1, $2)"
            )
            .bind(COMPACTED_THROUGH)
            .bind(value)
            .execute(e)
            .await
            .map(drop))?;
            execute!(tx, sqlx::query("DELETE FROM change_log"))?;
            Ok(())
        }
        .boxed()
    });
    forgotten.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_counts_the_things_of_the_reader() {
    for stage in &stages().await {
        let (mut reader, mut held) = between_the_pages(stage, WatchOptions::default()).await;
        // Behind the reader, ahead of it, and both.
        stage.remove("thing-000").await;
        stage.remove("thing-001").await;
        stage.put("thing-000-and-a-half", 1).await;
        stage.put("thing-002", 2).await;
        stage.put("thing-999", 1).await;
        stage.put("thing-003-and-a-half", 1).await;
        stage.remove("thing-003-and-a-half").await;
        stage.put("thing-999", 2).await;
        stage.settled().await;

        stage.things.let_pass(1);

        let count = end(&mut held, &mut reader).await;
        assert_eq!(count, THINGS, "two went and two came");
        assert_eq!(count, held.len());
        assert_eq!(held["carts/thing-002"], 2);
        assert_eq!(held["carts/thing-999"], 2);
        assert!(!held.contains_key("carts/thing-001"));
    }
}

/// G7.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_whose_history_is_gone_before_its_end_is_refused() {
    for stage in &stages().await {
        let (mut reader, _) = between_the_pages(stage, WatchOptions::default()).await;
        stage.remove("thing-000").await;
        forget_history(stage).await;

        stage.things.let_pass(1);

        let status = loop {
            if let Err(status) = reader.next().await {
                break status;
            }
        };
        assert_refused(&status, Code::OutOfRange, ErrorReason::ResumeTokenExpired);
    }
}

/// G7.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_whose_history_is_gone_before_its_end_begins_again_on_request() {
    for stage in &stages().await {
        let options = WatchOptions {
            reset_on_expired_token: true,
            ..Default::default()
        };
        let (mut reader, mut held) = between_the_pages(stage, options).await;
        stage.remove("thing-000").await;
        forget_history(stage).await;

        stage.things.let_pass(3);

        let cause = loop {
            if let Some(Signal::SnapshotBegin(begin)) = fold(&mut held, &mut reader).await {
                break begin.cause();
            }
        };
        assert_eq!(cause, Cause::TokenExpired);
        held.clear();
        assert_eq!(end(&mut held, &mut reader).await, THINGS - 1);
        assert_eq!(held.len(), THINGS - 1);
    }
}
