//! All SQL over `job_skips`.

use sqlx::AssertSqlSafe;

use crate::error::Result;
use crate::jobs::model::Job;
use crate::store::{Conn, Texts, Tx, dialect};
use crate::{execute, on};

const PUT: &str = "INSERT INTO job_skips
    (shop_id, kind, subject, id, attempts, retry_time, error) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (shop_id, kind, subject, id) DO UPDATE SET attempts = excluded.attempts,
        retry_time = excluded.retry_time, error = excluded.error";

/// Records that a resource was skipped.
pub(super) async fn put(
    tx: &mut Tx,
    job: &Job,
    id: &str,
    attempts: i64,
    retry_time: i64,
    error: &str,
) -> Result<()> {
    execute!(
        tx,
        sqlx::query(PUT)
            .bind(&*job.shop)
            .bind(job.kind.number())
            .bind(&job.subject)
            .bind(id)
            .bind(attempts)
            .bind(retry_time)
            .bind(error)
    )?;
    Ok(())
}

const ATTEMPTS: &str = "SELECT attempts FROM job_skips
    WHERE shop_id = $1 AND kind = $2 AND subject = $3 AND id = $4";

/// The number of failed attempts at a resource.
pub(super) async fn attempts(conn: &mut Conn, job: &Job, id: &str) -> Result<i64> {
    let attempts: Option<i64> = on!(conn, |e| sqlx::query_scalar(ATTEMPTS)
        .bind(&*job.shop)
        .bind(job.kind.number())
        .bind(&job.subject)
        .bind(id)
        .fetch_optional(e)
        .await)?;
    Ok(attempts.unwrap_or_default())
}

/// Removes the records of resources that were written.
pub(super) async fn forget(tx: &mut Tx, job: &Job, ids: &[String]) -> Result<()> {
    let text = format!(
        "DELETE FROM job_skips WHERE shop_id = $1 AND kind = $2 AND subject = $3 AND {any}",
        any = dialect::any_of(tx.engine(), "id", "$4"),
    );
    execute!(
        tx,
        sqlx::query(AssertSqlSafe(text.as_str()))
            .bind(&*job.shop)
            .bind(job.kind.number())
            .bind(&job.subject)
            .bind(Texts(ids))
    )?;
    Ok(())
}

const DUE: &str = "SELECT id FROM job_skips
    WHERE shop_id = $1 AND kind = $2 AND subject = $3 AND id > $4 AND retry_time <= $5
    ORDER BY id LIMIT $6";

/// The skipped resources whose retry time has come.
pub(super) async fn due(
    conn: &mut Conn,
    job: &Job,
    after: &str,
    now: i64,
    limit: i64,
) -> Result<Vec<String>> {
    Ok(on!(conn, |e| sqlx::query_scalar(DUE)
        .bind(&*job.shop)
        .bind(job.kind.number())
        .bind(&job.subject)
        .bind(after)
        .bind(now)
        .bind(limit)
        .fetch_all(e)
        .await)?)
}

/// A summary of the resources that a job has skipped and not written since.
#[derive(Debug, sqlx_macros::FromRow)]
pub(super) struct Summary {
    pub(super) count: i64,
    /// When the first of them is retried, in microseconds.
    pub(super) retry_time: Option<i64>,
    id: Option<String>,
    error: Option<String>,
}

impl Summary {
    /// The first of them and its error, for people.
    pub(super) fn first(&self, job: &Job) -> Option<String> {
        let (id, error) = (self.id.as_deref()?, self.error.as_deref()?);
        Some(format!("{}: {error}", job.resource(id)))
    }
}

/// `id` and `error` are of one row: the one with the least id.
const SUMMARY: &str = "SELECT COUNT(*) AS count, MIN(retry_time) AS retry_time, MIN(id) AS id,
    (SELECT error FROM job_skips WHERE shop_id = $1 AND kind = $2 AND subject = $3
     ORDER BY id LIMIT 1) AS error
    FROM job_skips WHERE shop_id = $1 AND kind = $2 AND subject = $3";

/// Returns a summary of the resources that a job has skipped.
pub(super) async fn summary(conn: &mut Conn, job: &Job) -> Result<Summary> {
    Ok(on!(conn, |e| sqlx::query_as(SUMMARY)
        .bind(&*job.shop)
        .bind(job.kind.number())
        .bind(&job.subject)
        .fetch_one(e)
        .await)?)
}

const HAS_NEWER: &str = "SELECT EXISTS (SELECT 1 FROM jobs n JOIN jobs j ON j.id = $4
    WHERE n.shop_id = $1 AND n.kind = $2 AND n.subject = $3 AND n.state <= 2
        AND (n.create_time, n.id) > (j.create_time, j.id))";

/// Whether a later job of the same kind and subject was enqueued.
pub(super) async fn has_newer(conn: &mut Conn, job: &Job) -> Result<bool> {
    Ok(on!(conn, |e| sqlx::query_scalar(HAS_NEWER)
        .bind(&*job.shop)
        .bind(job.kind.number())
        .bind(&job.subject)
        .bind(&job.id)
        .fetch_one(e)
        .await)?)
}
