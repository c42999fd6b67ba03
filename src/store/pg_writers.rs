//! Writes in PostgreSQL: transactions run side by side, and each takes all its locks with its first message.
//!
//! Writes with the same locks can only follow each other. While one runs, the others gather and then share
//! the next transaction and its flush.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rand::RngExt as _;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::batch::{self, Outcome, Queue};
use super::error::{Class, StoreError};
use super::lock_queues::{KeyedMutex, LockQueue, LockQueues};
use super::locks::Locks;
use super::pool::{Pool, silent};
use super::tx::Tx;
use super::wake::Wake;
use super::work::Work;

/// The most jobs that write at the same time. Each has a connection that no call takes.
pub(super) const JOBS_AT_ONCE: usize = 2;
/// Runs of a transaction that loses against others.
const MAX_CONTENTIONS: u32 = 3;
/// How long a write waits for others that have one of its locks.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The writers of a store; cheap to clone.
#[derive(Clone)]
pub(super) struct PgWriters {
    calls_pool: Pool,
    jobs_pool: Pool,
    wake: Wake,
    lock_queues: LockQueues,
    mutex: KeyedMutex,
    jobs: Arc<Semaphore>,
    /// The writes that were submitted and are not answered yet.
    underway: TaskTracker,
}

impl PgWriters {
    pub(super) fn new(calls_pool: Pool, jobs_pool: Pool, wake: Wake) -> Self {
        Self {
            calls_pool,
            jobs_pool,
            wake,
            lock_queues: LockQueues::default(),
            mutex: KeyedMutex::default(),
            jobs: Arc::new(Semaphore::new(JOBS_AT_ONCE)),
            underway: TaskTracker::new(),
        }
    }

    /// Submits a write. It runs whether or not its caller waits.
    pub(super) fn submit(&self, work: Box<dyn Work>, job: bool) {
        if job {
            self.underway.spawn(self.clone().job(work));
        } else if work.locks().is_empty() || work.is_dry_run() {
            self.underway.spawn(self.clone().single(work));
        } else if let Some(lock_queue) = self.lock_queues.join(work) {
            self.underway.spawn(self.clone().lead(lock_queue));
        }
    }

    /// Waits for all submitted writes, then closes the connections.
    pub(super) async fn close(&self) {
        self.underway.close();
        self.underway.wait().await;
        self.calls_pool.close().await;
        self.jobs_pool.close().await;
    }

    async fn job(self, mut work: Box<dyn Work>) {
        let _turn = self.jobs.acquire().await;
        while let Some(again) = self.alone(work, &self.jobs_pool).await {
            work = again;
        }
    }

    fn single(self, work: Box<dyn Work>) -> BoxFuture<'static, ()> {
        async move {
            if let Some(again) = self.alone(work, &self.calls_pool).await {
                self.submit(again, false);
            }
        }
        .boxed()
    }

    /// Runs the writes that gather in a queue.
    fn lead(self, mut lock_queue: LockQueue) -> BoxFuture<'static, ()> {
        async move {
            let mut queue = Queue::new(Some(lock_queue.locks().clone()));
            loop {
                lock_queue.fill(&mut queue);
                if queue.is_empty() {
                    return;
                }
                self.run_out(&mut queue, lock_queue.locks(), &self.calls_pool)
                    .await;
                for work in queue.take_needing_locks() {
                    self.submit(work, false);
                }
            }
        }
        .boxed()
    }

    /// Runs a write in a transaction of its own. Returns it if it needs more locks.
    async fn alone(&self, work: Box<dyn Work>, pool: &Pool) -> Option<Box<dyn Work>> {
        let locks = work.locks().clone();
        let mut queue = Queue::new(Some(locks.clone()));
        queue.push(work);
        self.run_out(&mut queue, &locks, pool).await;
        queue.take_needing_locks().pop()
    }

    /// Runs transactions until the queue is empty.
    async fn run_out(&self, queue: &mut Queue, locks: &Locks, pool: &Pool) {
        let mut contentions = 0;
        while !queue.is_empty() {
            let once_more = contentions + 1 < MAX_CONTENTIONS;
            let lost = match self.transaction(queue, locks, pool, once_more).await {
                Ok(lost) => lost,
                Err(error) if error.class() == Class::Contended && once_more => true,
                Err(error) => {
                    queue.answer_all(&error);
                    false
                }
            };
            if lost {
                contentions += 1;
                let pause = rand::rng().random_range(1..=10 * u64::from(contentions));
                tokio::time::sleep(Duration::from_millis(pause)).await;
            } else {
                contentions = 0;
            }
        }
    }

    /// Runs one transaction and sends all its answers. Returns whether it lost against another. An error
    /// means that it did not begin.
    async fn transaction(
        &self,
        queue: &mut Queue,
        locks: &Locks,
        pool: &Pool,
        once_more: bool,
    ) -> Result<bool, StoreError> {
        let Ok(_turns) = tokio::time::timeout(MAX_WAIT, self.mutex.wait(locks)).await else {
            return Err(StoreError::away(
                "too many writes wait for one of the locks",
            ));
        };
        let mut pooled = pool.begin(&begin_text(locks)).await?;
        let mut tx = Tx::new(pooled.take());
        let outcome = pool.within_silence_limit(queue.run(&mut tx, || None)).await;
        let mut conn = tx.into_conn();
        let Some((mut ran, outcome)) = outcome else {
            // The members that ran get the error of a dropped write.
            conn.give_up();
            pooled.give_back(conn);
            return Err(silent());
        };

        let is_kept = outcome == Outcome::Whole && !batch::is_dry_run(&ran);
        if !is_kept {
            let lost = conn.was_contended();
            if !conn.is_broken() && pool.within_silence_limit(conn.rollback()).await.is_none() {
                conn.give_up();
            }
            pooled.give_back(conn);
            if outcome == Outcome::Whole {
                batch::answer(ran, None);
                return Ok(false);
            }
            queue.requeue(ran, outcome, lost && once_more);
            return Ok(lost);
        }

        let error = match pool.within_silence_limit(conn.commit()).await {
            Some(committed) => committed.err().map(|error| StoreError::of(&error)),
            None => {
                conn.give_up();
                Some(silent())
            }
        };
        pooled.give_back(conn);
        let lost = error
            .as_ref()
            .is_some_and(|error| error.class() == Class::Contended);
        if lost && once_more {
            queue.requeue(ran, outcome, true);
            return Ok(true);
        }
        if error.is_none() && batch::committed(&mut ran) {
            self.wake.committed_here();
        }
        batch::answer(ran, error.as_ref());
        Ok(false)
    }
}

/// `BEGIN` and the locks in one message. Each lock is a statement of its own, because PostgreSQL does not
/// promise the order in which one `SELECT` evaluates its columns.
fn begin_text(locks: &Locks) -> String {
    let mut text = String::from("BEGIN");
    for key in locks.iter() {
        let _ = write!(text, "; SELECT pg_advisory_xact_lock({})", key.value());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::locks::LockKey;
    use super::*;

    #[test]
    fn locks_follow_the_begin_in_ascending_order() {
        let locks = Locks::of("cart", "s", "b").and(LockKey::of("cart", "s", "a"));
        let (low, high) = {
            let mut keys = locks.iter().map(LockKey::value);
            (keys.next().unwrap(), keys.next().unwrap())
        };

        assert!(low < high);
        assert_eq!(
            begin_text(&locks),
            format!(
                "BEGIN; SELECT pg_advisory_xact_lock({low}); SELECT pg_advisory_xact_lock({high})"
            )
        );
        assert_eq!(begin_text(&Locks::none()), "BEGIN");
    }
}
