//! All SQL over `jobs`.
//!
//! `run_at` is the next time at which a job may be claimed: its own time, the time of its next attempt, or
//! the end of its lease. A row with `state <= 2` has not ended.

use std::sync::Arc;

use serde_json::Value;
use sqlx::AssertSqlSafe;

use super::model::{Job, JobKind, JobState, NewJob, Step};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::store::{Conn, Engine, Tx, dialect};
use crate::{execute, on, on_write};

/// If the same job waits already, its row is written again, so that no worker can begin it before this
/// transaction has ended.
const ENQUEUE: &str = "INSERT INTO jobs
    (id, shop_id, kind, subject, state, cursor, progress, doc, key_id, actor, on_behalf_of,
     run_at, attempts, create_time, update_time)
    VALUES ($1, $2, $3, $4, 1, '', 0, $5, $6, $7, $8, $9, 0, $10, $10)
    ON CONFLICT (shop_id, kind, subject) WHERE state = 1 AND attempts = 0
    DO UPDATE SET xid = excluded.xid, update_time = excluded.update_time,
        run_at = CASE WHEN excluded.run_at < jobs.run_at THEN excluded.run_at ELSE jobs.run_at END
    RETURNING id";

/// Inserts the row of a job, or finds the one that waits already. Returns its id.
pub(super) async fn enqueue(
    tx: &mut Tx,
    caller: &Caller,
    id: &str,
    now: i64,
    job: &NewJob,
) -> Result<String> {
    let doc = job.doc.to_string();
    Ok(on_write!(tx, |e| sqlx::query_scalar(ENQUEUE)
        .bind(id)
        .bind(&*caller.shop)
        .bind(job.kind.number())
        .bind(&job.subject)
        .bind(&doc)
        .bind(&*caller.key_id)
        .bind(caller.actor.as_deref())
        .bind(caller.on_behalf_of.as_deref())
        .bind(job.run_at)
        .bind(now)
        .fetch_one(e)
        .await)?)
}

const NEXT: &str = "SELECT run_at FROM jobs WHERE state <= 2 ORDER BY run_at LIMIT 1";

/// The time at which the next job may be claimed.
pub(super) async fn next(conn: &mut Conn) -> Result<Option<i64>> {
    Ok(on!(conn, |e| sqlx::query_scalar(NEXT)
        .fetch_optional(e)
        .await)?)
}

#[derive(sqlx_macros::FromRow)]
struct ClaimRow {
    id: String,
    shop_id: String,
    kind: i64,
    subject: String,
    doc: String,
    cursor: String,
    attempts: i64,
    key_id: String,
    actor: Option<String>,
    on_behalf_of: Option<String>,
    xid: i64,
}

/// The statement that claims one job of the kinds that this release knows, after the pair of shop and kind
/// that had the last turn.
fn claim_text(engine: Engine, kinds: &[JobKind]) -> String {
    let kinds = numbers(kinds);
    format!(
        "UPDATE jobs SET state = 2, lease_owner = $1, run_at = $2, update_time = $3, xid = {xid}
         WHERE id = (SELECT id FROM jobs WHERE state <= 2 AND run_at <= $3 AND kind IN ({kinds})
                        AND (shop_id, kind) > ($4, $5)
                     ORDER BY shop_id, kind, run_at, id LIMIT 1{skip})
         RETURNING id, shop_id, kind, subject, doc, cursor, attempts, key_id, actor, on_behalf_of, xid",
        xid = dialect::current_xid(engine),
        skip = dialect::skip_locked(engine),
    )
}

fn numbers(kinds: &[JobKind]) -> String {
    let kinds: Vec<String> = kinds.iter().map(|kind| kind.number().to_string()).collect();
    kinds.join(", ")
}

/// A shop and a kind of job, between which workers take turns.
pub(super) type Pair = (Arc<str>, i64);

/// The pair before all others.
pub(super) fn first_pair() -> Pair {
    (Arc::from(""), i64::MIN)
}

/// Claims a job until `lease_until`: from the next pair after `turn` with a due job, the one that has waited
/// longest.
pub(super) async fn claim(
    tx: &mut Tx,
    kinds: &[JobKind],
    turn: &Pair,
    lease_owner: &str,
    now: i64,
    lease_until: i64,
) -> Result<Option<Job>> {
    let text = claim_text(tx.engine(), kinds);
    for (shop, kind) in [turn, &first_pair()] {
        let row: Option<ClaimRow> =
            on_write!(tx, |e| sqlx::query_as(AssertSqlSafe(text.as_str()))
                .bind(lease_owner)
                .bind(lease_until)
                .bind(now)
                .bind(&**shop)
                .bind(kind)
                .fetch_optional(e)
                .await)?;
        if let Some(row) = row {
            return row.job(lease_owner).map(Some);
        }
    }
    Ok(None)
}

/// Whether another job of these kinds could be claimed.
pub(super) async fn others_are_due(
    conn: &mut Conn,
    kinds: &[JobKind],
    id: &str,
    now: i64,
) -> Result<bool> {
    let text = format!(
        "SELECT EXISTS (SELECT 1 FROM jobs
         WHERE state <= 2 AND run_at <= $1 AND id <> $2 AND kind IN ({kinds}))",
        kinds = numbers(kinds),
    );
    Ok(on!(conn, |e| sqlx::query_scalar(AssertSqlSafe(
        text.as_str()
    ))
    .bind(now)
    .bind(id)
    .fetch_one(e)
    .await)?)
}

impl ClaimRow {
    fn job(self, lease_owner: &str) -> Result<Job> {
        let corrupt = |what: &dyn std::fmt::Display| Error::corrupt("jobs", &self.id, what);
        let kind = JobKind::of(self.kind).ok_or_else(|| corrupt(&"unknown kind"))?;
        let doc: Value = serde_json::from_str(&self.doc).map_err(|error| corrupt(&error))?;
        Ok(Job {
            shop: Arc::from(self.shop_id),
            kind,
            subject: self.subject,
            doc,
            cursor: self.cursor,
            attempts: self.attempts,
            key_id: self.key_id,
            actor: self.actor,
            on_behalf_of: self.on_behalf_of,
            xid: self.xid,
            lease_owner: lease_owner.to_owned(),
            id: self.id,
        })
    }
}

const ADVANCE: &str = "UPDATE jobs SET cursor = $3, progress = progress + $4, state = $5,
    run_at = $6, update_time = $7, end_time = $8, skipped = skipped * $9 + $10,
    error = CASE WHEN $10 > 0 THEN $11 WHEN skipped * $9 > 0 THEN error END,
    attempts = attempts + $12, lease_owner = CASE WHEN $12 = 0 THEN lease_owner END
    WHERE id = $1 AND lease_owner = $2 AND state = 2";

/// A job that is not kept is deleted, unless it has skipped resources to report.
const VANISH: &str = "DELETE FROM jobs
    WHERE id = $1 AND lease_owner = $2 AND state = 2 AND skipped * $3 = 0";

/// Records a step. Returns false if the job no longer belongs to this worker.
pub(super) async fn advance(
    tx: &mut Tx,
    job: &Job,
    now: i64,
    lease_until: i64,
    step: &Step,
) -> Result<bool> {
    let skipped_before = i64::from(!step.recounted);
    if step.done && !job.kind.is_kept() && step.skipped == 0 {
        let vanished = execute!(
            tx,
            sqlx::query(VANISH)
                .bind(&job.id)
                .bind(&job.lease_owner)
                .bind(skipped_before)
        )?;
        if vanished == 1 {
            return Ok(true);
        }
    }
    let state = match step {
        Step { done: true, .. } => JobState::Done,
        Step {
            resume_at: Some(_), ..
        } => JobState::Pending,
        _ => JobState::Running,
    };
    let done = execute!(
        tx,
        sqlx::query(ADVANCE)
            .bind(&job.id)
            .bind(&job.lease_owner)
            .bind(&step.cursor)
            .bind(step.worked)
            .bind(state.number())
            .bind(step.resume_at.unwrap_or(lease_until))
            .bind(now)
            .bind(step.done.then_some(now))
            .bind(skipped_before)
            .bind(step.skipped)
            .bind(step.note.as_deref())
            .bind(i64::from(step.resume_at.is_some()))
    )?;
    Ok(done == 1)
}

const RELEASE: &str = "UPDATE jobs SET run_at = $3, update_time = $4
    WHERE id = $1 AND lease_owner = $2 AND state = 2";

/// Moves the end of a lease: later to renew it, to now to return the job.
pub(super) async fn lease(tx: &mut Tx, job: &Job, now: i64, until: i64) -> Result<bool> {
    let done = execute!(
        tx,
        sqlx::query(RELEASE)
            .bind(&job.id)
            .bind(&job.lease_owner)
            .bind(until)
            .bind(now)
    )?;
    Ok(done == 1)
}

const FAIL: &str = "UPDATE jobs SET state = $3, attempts = attempts + 1, run_at = $4,
    update_time = $5, end_time = $6, error = $7, lease_owner = NULL
    WHERE id = $1 AND lease_owner = $2 AND state = 2";

/// Records a failure: to be retried at `retry_at`, or for good.
pub(super) async fn fail(
    tx: &mut Tx,
    job: &Job,
    now: i64,
    retry_at: Option<i64>,
    error: &str,
) -> Result<bool> {
    let state = if retry_at.is_some() {
        JobState::Pending
    } else {
        JobState::Failed
    };
    let end_time = retry_at.is_none().then_some(now);
    let done = execute!(
        tx,
        sqlx::query(FAIL)
            .bind(&job.id)
            .bind(&job.lease_owner)
            .bind(state.number())
            .bind(retry_at.unwrap_or(now))
            .bind(now)
            .bind(end_time)
            .bind(error)
    )?;
    Ok(done == 1)
}

const CANCEL: &str =
    "UPDATE jobs SET state = 5, update_time = $2, end_time = $2, lease_owner = NULL
    WHERE id = $1 AND state <= 2";

/// Cancels a job. Returns false if it has ended.
pub(super) async fn cancel(tx: &mut Tx, id: &str, now: i64) -> Result<bool> {
    let done = execute!(tx, sqlx::query(CANCEL).bind(id).bind(now))?;
    Ok(done == 1)
}

const IS_LIVE: &str = "SELECT EXISTS (SELECT 1 FROM jobs
    WHERE shop_id = $1 AND kind = $2 AND subject = $3 AND state <= 2)";

/// Whether such a job waits or runs.
pub(super) async fn is_live(
    conn: &mut Conn,
    shop: &str,
    kind: JobKind,
    subject: &str,
) -> Result<bool> {
    Ok(on!(conn, |e| sqlx::query_scalar(IS_LIVE)
        .bind(shop)
        .bind(kind.number())
        .bind(subject)
        .fetch_one(e)
        .await)?)
}

/// Whether every writer that was in progress at the claim of the job has ended.
pub(super) async fn is_past(conn: &mut Conn, xid: i64) -> Result<bool> {
    let text = dialect::select_horizon(conn.engine());
    let horizon: i64 = on!(conn, |e| sqlx::query_scalar(text).fetch_one(e).await)?;
    Ok(horizon > xid)
}
