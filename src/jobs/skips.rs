//! Skipped resources: a job continues without the resources that a step could not write, and retries them
//! later.
//!
//! A step writes its whole batch in one transaction. If that fails because of one of the resources, the step
//! writes each resource by itself and records those that fail in `job_skips`. A job with a subject waits,
//! after its walk, until it can retry them, and ends when none is left. Jobs that search for due resources
//! exclude them from their queries until their retry time.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tonic::Code;

use super::aged::Aged;
use super::model::{Job, JobKind, Step, doubled};
use crate::clock;
use crate::error::{Error, Result};
use crate::proto::pb::ErrorReason;
use crate::store::{Conn, Locks, Store, Tx};

mod sql;

/// Marks the cursor of a job that has ended its walk and only retries skipped resources.
const RETRYING: char = '!';
/// The pause before a skipped resource is retried; it doubles with each further attempt.
const PAUSE_MIN: Duration = Duration::from_secs(60);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// The number of skipped resources of one job beyond which the job itself fails: single resources are then
/// hardly the fault.
const SKIPS_MAX: i64 = 1_000;
/// How long the record of a skip outlives its retry time. A job that found the resource due again would have
/// renewed it.
const STALE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The effect of a job on each resource of a batch. It must be idempotent.
pub trait Effect: Clone + Send + Sync + 'static {
    /// The locks for writing these resources.
    fn locks(&self, job: &Job, ids: &[String]) -> Locks;

    /// Writes the effect on these resources.
    fn apply<'t>(
        &'t self,
        tx: &'t mut Tx,
        job: &'t Job,
        ids: &'t [String],
        now: i64,
    ) -> BoxFuture<'t, Result<()>>;
}

/// Applies an effect to a batch of resources and advances the job by `step` in the same transaction. Skips
/// the resources that cannot be written. Returns the step that was recorded.
///
/// # Errors
/// An error of the store, or CONFLICT if the job no longer belongs to this worker.
pub async fn apply<E: Effect>(
    store: &Store,
    job: &Job,
    ids: Vec<String>,
    effect: E,
    step: Step,
) -> Result<Step> {
    let whole = write(store, job, ids.clone(), effect.clone(), step.clone()).await;
    match whole {
        Err(error) if is_of_a_resource(&error) => one_by_one(store, job, ids, effect, step).await,
        outcome => outcome,
    }
}

async fn write<E: Effect>(
    store: &Store,
    job: &Job,
    ids: Vec<String>,
    effect: E,
    step: Step,
) -> Result<Step> {
    let locks = effect.locks(job, &ids);
    let clock = store.clock().clone();
    let data = (job.clone(), ids, effect, step);
    let written = store.write_job_with(locks, data, move |tx, (job, ids, effect, step)| {
        let now = clock.now();
        async move {
            effect.apply(tx, job, ids, now).await?;
            sql::forget(tx, job, ids).await?;
            job.advance(tx, now, step).await?;
            Ok(step.clone())
        }
        .boxed()
    });
    written.await
}

async fn one_by_one<E: Effect>(
    store: &Store,
    job: &Job,
    ids: Vec<String>,
    effect: E,
    step: Step,
) -> Result<Step> {
    let mut skipped = Vec::new();
    for id in ids {
        let single = Step::more(job.cursor.clone(), 1);
        match write(store, job, vec![id.clone()], effect.clone(), single).await {
            Ok(_) => {}
            Err(error) if is_of_a_resource(&error) => skipped.push((id, error)),
            Err(error) => return Err(error),
        }
    }
    let first = skipped.first().map(|(id, error)| {
        let reason = error.reason().as_str_name();
        format!("{}: {reason}", job.resource(id))
    });
    let step = Step {
        // Each resource was counted when it was written.
        worked: 0,
        skipped: i64::try_from(skipped.len()).unwrap_or(i64::MAX),
        note: first,
        ..step
    };
    let noted: Vec<(String, &'static str)> = skipped
        .iter()
        .map(|(id, error)| (id.clone(), error.reason().as_str_name()))
        .collect();
    let (attempts, in_all) = record(store, job, noted, step.clone()).await?;
    for ((id, error), attempts) in skipped.iter().zip(attempts) {
        log(job, &job.resource(id), attempts, error);
    }
    if in_all > SKIPS_MAX {
        return Err(Error::internal(format!(
            "{in_all} resources could not be written"
        )));
    }
    Ok(step)
}

/// Whether an error concerns one resource, and not the store (unavailable, full) or the claim of the job.
fn is_of_a_resource(error: &Error) -> bool {
    !error.is_retryable()
        && error.reason() != ErrorReason::StorageFull
        && !matches!(
            error.code(),
            Code::Unavailable | Code::Aborted | Code::DeadlineExceeded | Code::Cancelled
        )
}

/// Records skipped resources together with the step that left them out. Returns how often each has been
/// tried, and how many the job has skipped.
async fn record(
    store: &Store,
    job: &Job,
    skipped: Vec<(String, &'static str)>,
    step: Step,
) -> Result<(Vec<i64>, i64)> {
    let now = store.clock().now();
    let data = (job.clone(), skipped, step);
    let recorded = store.write_job_with(Locks::none(), data, move |tx, (job, skipped, step)| {
        async move {
            let mut attempts = Vec::with_capacity(skipped.len());
            for (id, reason) in skipped {
                let attempt = sql::attempts(tx, job, id).await? + 1;
                let retry_time = now.saturating_add(clock::micros(pause(attempt)));
                sql::put(tx, job, id, attempt, retry_time, reason).await?;
                attempts.push(attempt);
            }
            job.advance(tx, now, step).await?;
            let in_all = sql::summary(tx, job).await?.count;
            Ok((attempts, in_all))
        }
        .boxed()
    });
    recorded.await
}

/// Logs a resource when it is skipped for the first time.
fn log(job: &Job, resource: &str, attempts: i64, error: &Error) {
    let cause = error.cause();
    if attempts == 1 {
        tracing::warn!(
            job = %job.id, kind = ?job.kind, resource, %error, cause,
            "a resource could not be written: the job continues without it and retries it later"
        );
    } else {
        tracing::debug!(
            job = %job.id, kind = ?job.kind, resource, attempts, %error, cause,
            "a resource still cannot be written"
        );
    }
}

/// The pause after a number of attempts.
fn pause(attempts: i64) -> Duration {
    doubled(PAUSE_MIN, attempts.saturating_sub(1), PAUSE_MAX)
}

/// The position of a job that walks through a set and then retries its skipped resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'c> {
    /// In the set, after this id.
    Walking(&'c str),
    /// Among the skipped resources, after this id.
    Retrying(&'c str),
}

impl<'c> Place<'c> {
    /// Reads the position from a cursor.
    #[must_use]
    pub fn of(cursor: &'c str) -> Self {
        match cursor.strip_prefix(RETRYING) {
            Some(after) => Self::Retrying(after),
            None => Self::Walking(cursor),
        }
    }

    /// The cursor of the position after `id`, in the same part.
    #[must_use]
    pub fn behind(self, id: &str) -> String {
        match self {
            Self::Walking(_) => id.to_owned(),
            Self::Retrying(_) => format!("{RETRYING}{id}"),
        }
    }
}

/// The skipped resources of a job after an id whose retry time has come.
///
/// # Errors
/// An error of the database.
pub async fn due(
    conn: &mut Conn,
    job: &Job,
    after: &str,
    now: i64,
    limit: i64,
) -> Result<Vec<String>> {
    sql::due(conn, job, after, now, limit).await
}

/// The last step of a job without further work. It is done, or parked until the first skipped resource is to
/// be retried. A newer job with the same subject takes these over.
///
/// # Errors
/// An error of the database.
pub async fn ending(conn: &mut Conn, job: &Job) -> Result<Step> {
    let skips = sql::summary(conn, job).await?;
    let note = skips.first(job);
    match skips.retry_time {
        Some(retry_time) if !sql::has_newer(conn, job).await? => {
            Ok(Step::parked(RETRYING, retry_time, skips.count, note))
        }
        _ => Ok(Step {
            skipped: skips.count,
            recounted: true,
            note,
            ..Step::done(0)
        }),
    }
}

/// Records the step of [`ending`].
///
/// # Errors
/// As [`Job::advance`].
pub async fn end(store: &Store, job: &Job) -> Result<Step> {
    let now = store.clock().now();
    let ended = store.write_job_with(Locks::none(), job.clone(), move |tx, job| {
        async move {
            let step = ending(tx, job).await?;
            job.advance(tx, now, &step).await?;
            Ok(step)
        }
        .boxed()
    });
    ended.await
}

/// Records of skips whose resource is no longer due, or is deleted.
pub(super) const STALE: Aged = Aged {
    table: "job_skips",
    key: "shop_id, kind, subject, id",
    time: "retry_time",
    condition: " AND subject = ''",
    age: STALE_AFTER,
    slack: STALE_AFTER,
};

/// Returns the SQL condition that excludes resources whose retry time has not come.
///
/// `shop` and `resource` are SQL expressions for the shop and the id of the row, `now` is a placeholder.
#[must_use]
pub fn not_skipped(kind: JobKind, subject: &str, shop: &str, resource: &str, now: &str) -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM job_skips k WHERE k.shop_id = {shop} AND k.kind = {kind}
            AND k.subject = {subject} AND k.id = {resource} AND k.retry_time > {now})",
        kind = kind.number(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_six_hours() {
        assert_eq!(pause(1), Duration::from_secs(60));
        assert_eq!(pause(2), Duration::from_secs(120));
        assert_eq!(pause(i64::MAX), PAUSE_MAX);
    }

    #[test]
    fn a_cursor_says_whether_a_job_walks_or_tries_again() {
        assert_eq!(Place::of("c-1"), Place::Walking("c-1"));
        assert_eq!(Place::of("!"), Place::Retrying(""));
        assert_eq!(Place::of("!c-1").behind("c-2"), "!c-2");
        assert_eq!(Place::of("").behind("c-2"), "c-2");
    }
}
