//! Asking for work, writing down how far it is, and calling it off.

use futures::FutureExt as _;
use tonic::Code;

use super::model::{Job, NewJob, Step};
use super::{sql, wake};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::proto::pb::ErrorReason;
use crate::store::{Locks, Store, Tx};
use crate::{clock, ids, limits};

/// Asks for work, in the transaction whose effect makes it necessary; gives the operation's id.
///
/// Work of this kind about this subject that nobody has begun yet is not asked for twice: the answer
/// is then its id. It begins after this transaction, so it sees its effect.
///
/// # Errors
/// The database's.
pub async fn enqueue(tx: &mut Tx, caller: &Caller, now: i64, job: NewJob) -> Result<String> {
    let id = sql::enqueue(tx, caller, &ids::new_id(), now, &job).await?;
    if job.run_at <= now {
        tx.after_commit(wake::queued);
    }
    Ok(id)
}

/// Calls work off; what is done stays done. False if it had ended.
///
/// # Errors
/// The database's.
pub async fn cancel(tx: &mut Tx, id: &str, now: i64) -> Result<bool> {
    let cancelled = sql::cancel(tx, id, now).await?;
    tx.after_commit(wake::progressed);
    Ok(cancelled)
}

impl Job {
    /// Writes down how far a step came, in the transaction of its effect, and renews the lease.
    ///
    /// # Errors
    /// CONFLICT when the job was cancelled or belongs to another worker by now: the effect must not
    /// stand, so pass the error on.
    pub async fn advance(&self, tx: &mut Tx, now: i64, step: &Step) -> Result<()> {
        let lease_until = now.saturating_add(clock::micros(limits::JOB_LEASE));
        if !sql::advance(tx, self, now, lease_until, step).await? {
            let text = "the job was cancelled, or another worker has it";
            return Err(Error::new(Code::Aborted, ErrorReason::Conflict, text));
        }
        tx.after_commit(wake::progressed);
        Ok(())
    }

    /// Writes down a step that had no effect.
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
