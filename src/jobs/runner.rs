//! The workers. Each claims a job, runs its steps, and looks for the next. Those of all replicas work side by
//! side.
//!
//! Workers take turns between the pairs of shop and kind that have work. Within a pair the job that has
//! waited longest comes first. A job that has used its time slice is returned while others are due.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::handler::{Handler, Upkeep};
use super::model::{Job, JobKind, Step, doubled};
use super::{schedule, sql, wake};
use crate::error::{Error, Result};
use crate::proto::pb::ErrorReason;
use crate::store::{Locks, Store};
use crate::{clock, ids, limits};

/// The number of failures in a row after which a job that may fail for good does so.
const ATTEMPTS_MAX: i64 = 10;
/// The pause after the first failure; it doubles with each further one.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// How long a worker stays with a job while others are due.
const SLICE: Duration = Duration::from_millis(200);
/// How often a job checks whether earlier writers have ended.
const WRITERS_POLL: Duration = Duration::from_millis(10);

/// Settings of the workers. Tests set shorter times.
#[derive(Clone, Debug)]
pub struct JobsSettings {
    /// The number of workers of this process.
    pub workers: usize,
    /// How often a worker looks for jobs without a wake-up: jobs of other replicas, of dead ones, and jobs
    /// whose time has come.
    pub poll_interval: Duration,
    /// The longest time between two runs of recurring work, whatever its own interval.
    pub schedule_interval_max: Duration,
}

impl Default for JobsSettings {
    fn default() -> Self {
        Self {
            workers: 2,
            poll_interval: Duration::from_secs(1),
            schedule_interval_max: Duration::from_secs(3600),
        }
    }
}

/// The handlers and the recurring work of a process.
#[derive(Default)]
pub struct Jobs {
    settings: JobsSettings,
    handlers: Vec<Arc<dyn Handler>>,
    upkeep: Vec<Arc<dyn Upkeep>>,
}

impl Jobs {
    /// Creates a runner without handlers.
    #[must_use]
    pub fn new(settings: JobsSettings) -> Self {
        Self {
            settings,
            handlers: Vec::new(),
            upkeep: Vec::new(),
        }
    }

    /// Adds a handler.
    #[must_use]
    pub fn with(self, handler: impl Handler) -> Self {
        self.with_shared(Arc::new(handler))
    }

    /// Adds a handler that is shared.
    #[must_use]
    pub fn with_shared(mut self, handler: Arc<dyn Handler>) -> Self {
        debug_assert!(
            self.handlers
                .iter()
                .all(|other| other.kind() != handler.kind()),
            "one handler per kind of work"
        );
        self.handlers.push(handler);
        self
    }

    /// Adds recurring work.
    #[must_use]
    pub fn with_upkeep(self, upkeep: impl Upkeep) -> Self {
        self.with_shared_upkeep(Arc::new(upkeep))
    }

    /// Adds recurring work that is shared.
    #[must_use]
    pub fn with_shared_upkeep(mut self, upkeep: Arc<dyn Upkeep>) -> Self {
        self.upkeep.push(upkeep);
        self
    }

    /// Works until `stop` is cancelled. Claimed jobs are then returned after their current step.
    pub async fn run(self, store: Store, stop: CancellationToken) {
        let workers = self.settings.workers;
        let poll_interval = self.settings.poll_interval;
        let kinds = self.handlers.iter().map(|handler| handler.kind()).collect();
        let shared = Arc::new(Shared {
            store,
            handlers: self.handlers,
            kinds,
            poll_interval,
            turn: Mutex::new(sql::first_pair()),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            tasks.spawn(Arc::clone(&shared).work(stop.clone()));
        }
        tasks.spawn(schedule::run(
            shared.store.clone(),
            shared.handlers.clone(),
            self.upkeep,
            self.settings.schedule_interval_max,
            stop,
        ));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a worker ended unexpectedly");
            }
        }
    }
}

struct Shared {
    store: Store,
    handlers: Vec<Arc<dyn Handler>>,
    kinds: Vec<JobKind>,
    poll_interval: Duration,
    /// The shop and kind of the job that was claimed last.
    turn: Mutex<sql::Pair>,
}

impl Shared {
    async fn work(self: Arc<Self>, stop: CancellationToken) {
        let mut queue = wake::queue();
        while !stop.is_cancelled() {
            // Marked as seen before the look, so that a job that is enqueued during the look is not missed.
            queue.borrow_and_update();
            let pause = match self.claim().await {
                Ok(Claim::Job(job)) => {
                    self.perform(*job, &stop).await;
                    continue;
                }
                Ok(Claim::NotBefore(pause)) => pause.min(self.poll_interval),
                Err(error) => {
                    tracing::warn!(%error, cause = error.cause(), "jobs cannot be read");
                    self.poll_interval
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                _ = queue.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Reads first: an idle worker writes nothing.
    async fn claim(&self) -> Result<Claim> {
        let now = self.store.clock().now();
        match self.store.read(|conn| sql::next(conn).boxed()).await? {
            None => return Ok(Claim::NotBefore(self.poll_interval)),
            Some(run_at) if run_at > now => {
                let micros = u64::try_from(run_at.saturating_sub(now)).unwrap_or_default();
                return Ok(Claim::NotBefore(Duration::from_micros(micros)));
            }
            Some(_) => {}
        }
        let kinds = self.kinds.clone();
        let lease_owner = ids::new_id();
        let lease_until = now.saturating_add(clock::micros(limits::JOB_LEASE));
        let turn = self.turn().clone();
        let data = (kinds, turn, lease_owner);
        let claimed = self
            .store
            .write_job_with(Locks::none(), data, move |tx, (kinds, turn, owner)| {
                sql::claim(tx, kinds, turn, owner, now, lease_until).boxed()
            })
            .await?;
        Ok(match claimed {
            Some(job) => {
                *self.turn() = (Arc::clone(&job.shop), job.kind.number());
                Claim::Job(Box::new(job))
            }
            None => Claim::NotBefore(self.poll_interval),
        })
    }

    async fn perform(&self, mut job: Job, stop: &CancellationToken) {
        let Some(handler) = self
            .handlers
            .iter()
            .find(|handler| handler.kind() == job.kind)
        else {
            tracing::error!(job = %job.id, "a job was claimed that has no handler");
            return;
        };
        let slice_end = self.store.clock().instant() + SLICE;
        // A job that has begun has already waited for them.
        let waits = handler.waits_for_writers() && job.cursor.is_empty();
        if waits && !self.wait_for_writers(&job, slice_end, stop).await {
            self.give_back(job).await;
            return;
        }
        loop {
            if stop.is_cancelled() || self.must_yield(&job, slice_end).await {
                self.give_back(job).await;
                return;
            }
            let step = AssertUnwindSafe(handler.step(&self.store, &job))
                .catch_unwind()
                .await;
            let step = step.unwrap_or_else(|_| Err(Error::internal("the work panicked")));
            match step {
                Ok(Step { done: true, .. })
                | Ok(Step {
                    resume_at: Some(_), ..
                }) => return,
                Ok(Step { cursor, .. }) => job.cursor = cursor,
                Err(error) => {
                    self.fail(job, error).await;
                    return;
                }
            }
        }
    }

    fn turn(&self) -> std::sync::MutexGuard<'_, sql::Pair> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a job has used its time slice while others are due.
    async fn must_yield(&self, job: &Job, slice_end: Instant) -> bool {
        if self.store.clock().instant() < slice_end {
            return false;
        }
        let (kinds, id, now) = (self.kinds.clone(), job.id.clone(), self.store.clock().now());
        let others = self
            .store
            .read(|conn| async move { sql::others_are_due(conn, &kinds, &id, now).await }.boxed());
        // If the store does not answer, the step reports it.
        others.await.unwrap_or(false)
    }

    /// Waits until the writers that were in progress at the claim have ended. Returns false if the job has to
    /// be left before.
    async fn wait_for_writers(
        &self,
        job: &Job,
        slice_end: Instant,
        stop: &CancellationToken,
    ) -> bool {
        let xid = job.xid;
        let patience = limits::JOB_LEASE / 3;
        let waited = async {
            loop {
                match self
                    .store
                    .read(|conn| sql::is_past(conn, xid).boxed())
                    .await
                {
                    Ok(true) => return true,
                    Ok(false) if self.must_yield(job, slice_end).await => return false,
                    Ok(false) => tokio::time::sleep(WRITERS_POLL).await,
                    Err(_) => return false,
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => false,
            waited = tokio::time::timeout(patience, waited) => waited.unwrap_or(false),
        }
    }

    /// Returns a job, for another worker, or for this one after the others that are due.
    async fn give_back(&self, job: Job) {
        let now = self.store.clock().now();
        let given_back = self
            .store
            .write_job_with(Locks::none(), job, move |tx, job| {
                sql::lease(tx, job, now, now).boxed()
            })
            .await;
        if let Err(error) = given_back {
            tracing::debug!(%error, "a job could not be returned; its lease will expire");
        }
    }

    async fn fail(&self, job: Job, error: Error) {
        // A step that lost against other writes is retryable, and runs again.
        if error.reason() == ErrorReason::Conflict && !error.is_retryable() {
            tracing::debug!(job = %job.id, "a job was cancelled, or its lease ran out");
            return;
        }
        let (id, kind, attempts) = (job.id.clone(), job.kind, job.attempts);
        log_failure(&job, &error);
        let now = self.store.clock().now();
        let give_up = kind.is_cancellable() && attempts + 1 >= ATTEMPTS_MAX;
        let retry_at = (!give_up).then(|| now.saturating_add(clock::micros(pause(attempts))));
        let reason = error.reason().as_str_name();
        let noted = self
            .store
            .write_job_with(Locks::none(), job, move |tx, job| {
                async move {
                    tx.after_commit(wake::progressed);
                    sql::fail(tx, job, now, retry_at, reason).await
                }
                .boxed()
            })
            .await;
        if let Err(error) = noted {
            tracing::warn!(job = %id, %error, cause = error.cause(), "a failure could not be noted; the lease will expire");
        }
    }
}

fn log_failure(job: &Job, error: &Error) {
    let cause = error.cause();
    tracing::warn!(
        job = %job.id, kind = ?job.kind, attempts = job.attempts, %error, cause, "a job failed"
    );
}

enum Claim {
    Job(Box<Job>),
    NotBefore(Duration),
}

/// The pause before the next attempt.
fn pause(attempts: i64) -> Duration {
    doubled(RETRY_MIN, attempts, RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_have_an_end() {
        assert_eq!(pause(0), Duration::from_secs(1));
        assert_eq!(pause(3), Duration::from_secs(8));
        assert_eq!(pause(i64::MAX), RETRY_MAX);
    }
}
