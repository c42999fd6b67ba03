//! Asking for work, and calling it off.

use super::model::{JobKind, NewJob};
use super::{sql, wake};
use crate::caller::Caller;
use crate::error::Result;
use crate::ids;
use crate::store::{Conn, Tx};

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

/// The operation of this kind about this subject that was asked for last.
///
/// # Errors
/// The database's.
pub async fn latest(
    conn: &mut Conn,
    shop: &str,
    kind: JobKind,
    subject: &str,
) -> Result<Option<String>> {
    sql::latest(conn, shop, kind, subject).await
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
