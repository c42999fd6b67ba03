//! Why the log is read as it is: the naive order loses changes on PostgreSQL.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::postgres::{PgPool, PgPoolOptions};

use crate::harness::postgres;

const CREATE: &str = "CREATE TABLE log (
    xid BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    seq BIGINT GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (xid, seq))";
const WRITERS: usize = 10;
const WRITES: usize = 40;

/// Writers whose transactions hold their row for uneven times before they commit.
async fn write_unevenly(pool: &PgPool) {
    let writers = (0..WRITERS).map(|writer| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for write in 0..WRITES {
                let mut tx = pool.begin().await.unwrap();
                sqlx::query("INSERT INTO log DEFAULT VALUES")
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                // The unevenness is the point of this test.
                sqlx::query("SELECT pg_sleep($1)")
                    .bind(f64::from(((writer * 7 + write * 3) % 8) as u8) / 1_000.0)
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

/// Whether no transaction that is open anywhere in the cluster holds the end of the log back.
const WHOLE: &str = "SELECT COALESCE(MAX(xid), 0) <
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM log";

/// What a reader sees that follows the log by `sql` from the last row on.
async fn follow(pool: &PgPool, sql: &'static str, writing: tokio::task::JoinHandle<()>) -> usize {
    let mut seen = HashSet::new();
    let mut last = (0_i64, 0_i64);
    loop {
        let written = writing.is_finished();
        let whole: bool = sqlx::query_scalar(WHOLE).fetch_one(pool).await.unwrap();
        let finished = written && whole;
        let rows: Vec<(i64, i64)> = sqlx::query_as(sql)
            .bind(last.0)
            .bind(last.1)
            .fetch_all(pool)
            .await
            .unwrap();
        if let Some(row) = rows.last() {
            last = *row;
        }
        seen.extend(rows);
        if finished {
            return seen.len();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn seen_by(sql: &'static str) -> usize {
    let database = postgres::database().await;
    let pool = PgPoolOptions::new()
        .max_connections(20)
        .connect(&database.url)
        .await
        .unwrap();
    sqlx::query(CREATE).execute(&pool).await.unwrap();
    let writing = tokio::spawn({
        let pool = pool.clone();
        async move { write_unevenly(&pool).await }
    });
    let seen = follow(&pool, sql, writing).await;
    pool.close().await;
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_naive_order_loses_changes() {
    let naive = "SELECT xid, seq FROM log WHERE $1 = $1 AND seq > $2 ORDER BY seq";

    let seen = seen_by(naive).await;

    assert!(
        seen < WRITERS * WRITES,
        "a fault that this test plants was not caught"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_the_feed_loses_none() {
    let ours = "SELECT xid, seq FROM log WHERE (xid, seq) > ($1, $2)
        AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint ORDER BY xid, seq";

    let seen = seen_by(ours).await;

    assert_eq!(seen, WRITERS * WRITES);
}
