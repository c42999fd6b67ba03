//! Enqueues jobs, records their progress, and cancels them.

use futures::FutureExt as _;
use tonic::Code;

use super::model::{Job, NewJob, Step};
use super::{sql, wake};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::proto::pb::ErrorReason;
use crate::store::{Locks, Store, Tx};
use crate::{clock, ids, limits};

/// Enqueues a job, in the transaction whose effect needs it. Returns the operation's id.
///
/// If a job of this kind and subject waits and has not begun, its id is returned instead. The job begins
/// after this transaction, so it sees the transaction's effect.
///
/// # Errors
/// An error of the database.
pub async fn enqueue(tx: &mut Tx, caller: &Caller, now: i64, job: NewJob) -> Result<String> {
    let id = sql::enqueue(tx, caller, &ids::new_id(), now, &job).await?;
    if job.run_at <= now {
        tx.after_commit(wake::queued);
    }
    Ok(id)
}

/// Cancels a job; finished steps stay. Returns false if it had ended.
///
/// # Errors
/// An error of the database.
pub async fn cancel(tx: &mut Tx, id: &str, now: i64) -> Result<bool> {
    let cancelled = sql::cancel(tx, id, now).await?;
    tx.after_commit(wake::progressed);
    Ok(cancelled)
}

impl Job {
    /// Records the result of a step, in the transaction of its effect, and renews the lease.
    ///
    /// # Errors
    /// CONFLICT if the job was cancelled or now belongs to another worker. The effect must be rolled back, so
    /// pass the error on.
    pub async fn advance(&self, tx: &mut Tx, now: i64, step: &Step) -> Result<()> {
        let lease_until = now.saturating_add(clock::micros(limits::JOB_LEASE));
        if !sql::advance(tx, self, now, lease_until, step).await? {
            let text = "the job was cancelled, or another worker has it";
            return Err(Error::new(Code::Aborted, ErrorReason::Conflict, text));
        }
        tx.after_commit(wake::progressed);
        Ok(())
    }

    /// Records a step that had no effect.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub async fn advance_only(&self, store: &Store, step: Step) -> Result<Step> {
        let now = store.clock().now();
        let data = (self.clone(), step);
        store
            .write_job_with(Locks::none(), data, move |tx, (job, step)| {
                async move {
                    job.advance(tx, now, step).await?;
                    Ok(step.clone())
                }
                .boxed()
            })
            .await
    }
}
