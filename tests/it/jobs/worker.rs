//! A job that counts, its workers, and its visible state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use clientela::error::{Error, Result};
use clientela::jobs::{self, Handler, Job, JobKind, Jobs, JobsSettings, NewJob, Step};
use clientela::store::{Conn, Locks, Store, Tx};
use clientela::{execute, on};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::until;
use crate::harness::store::{START, caller};

/// Adds one to a counter in each of its steps.
#[derive(Clone)]
pub struct Count {
    pub kind: JobKind,
    pub steps: i64,
    /// The step at which the worker is lost, once.
    pub dies_at: Option<i64>,
    pub died: Arc<AtomicBool>,
    /// The number of steps that fail before one succeeds.
    pub failures: Arc<AtomicUsize>,
}

impl Count {
    pub fn to(steps: i64) -> Self {
        Self {
            kind: JobKind::RepriceCarts,
            steps,
            dies_at: None,
            died: Arc::default(),
            failures: Arc::default(),
        }
    }
}

impl Handler for Count {
    fn kind(&self) -> JobKind {
        self.kind
    }

    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        async move {
            let done: i64 = job.cursor.parse().unwrap_or_default();
            if Some(done) == self.dies_at && !self.died.swap(true, Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let fails = self
                .failures
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                });
            let step = if done + 1 == self.steps {
                Step::done(1)
            } else {
                Step::more((done + 1).to_string(), 1)
            };
            let now = store.clock().now();
            let data = (job.clone(), step, fails.is_ok());
            store
                .write_job_with(
                    Locks::of("counter", "s", "n"),
                    data,
                    move |tx, (job, step, fails)| {
                        async move {
                            execute!(tx, sqlx::query(ADD).bind("s").bind("n"))?;
                            if *fails {
                                return Err(Error::internal("it has to fail"));
                            }
                            job.advance(tx, now, step).await?;
                            Ok(step.clone())
                        }
                        .boxed()
                    },
                )
                .await
        }
        .boxed()
    }
}

pub const ADD: &str = "INSERT INTO sequences (shop_id, name, next) VALUES ($1, $2, 1)
    ON CONFLICT (shop_id, name) DO UPDATE SET next = sequences.next + 1";

pub async fn counted(store: &Store) -> i64 {
    let count = store.read(|conn| {
        async move {
            let count: Option<i64> = on!(conn, |e| sqlx::query_scalar(
                "SELECT next FROM sequences WHERE shop_id = $1 AND name = $2"
            )
            .bind("s")
            .bind("n")
            .fetch_optional(e)
            .await)?;
            Ok(count.unwrap_or_default())
        }
        .boxed()
    });
    count.await.unwrap()
}

#[derive(Debug, PartialEq, Eq, sqlx_macros::FromRow)]
pub struct Seen {
    pub state: i64,
    pub progress: i64,
    pub attempts: i64,
    pub error: Option<String>,
}

async fn seen(conn: &mut Conn, id: &str) -> Result<Seen> {
    Ok(on!(conn, |e| sqlx::query_as(
        "SELECT state, progress, attempts, error FROM jobs WHERE id = $1"
    )
    .bind(id)
    .fetch_one(e)
    .await)?)
}

pub async fn job(store: &Store, id: &str) -> Seen {
    let id = id.to_owned();
    store
        .read(|conn| async move { seen(conn, &id).await }.boxed())
        .await
        .unwrap()
}

/// Waits until a job is in a state.
pub async fn reached(store: &Store, id: &str, state: i64) -> Seen {
    let there = || async { job(store, id).await.state == state };
    until("the job is in that state", there).await;
    job(store, id).await
}

pub async fn tried(store: &Store, id: &str, attempts: i64) {
    until("it has this number of attempts", || async {
        job(store, id).await.attempts >= attempts
    })
    .await;
}

pub async fn lost(handler: &Count) {
    until("the worker is lost", || async {
        handler.died.load(Ordering::SeqCst)
    })
    .await;
}

pub async fn enqueue(tx: &mut Tx, kind: JobKind) -> Result<String> {
    jobs::enqueue(tx, &caller(), START, NewJob::now(kind, "groups/vip", START)).await
}

pub async fn ask(store: &Store, kind: JobKind) -> String {
    store
        .write(Locks::none(), move |tx| enqueue(tx, kind).boxed())
        .await
        .unwrap()
}

pub fn settings() -> JobsSettings {
    JobsSettings {
        workers: 2,
        poll_interval: Duration::from_millis(10),
        schedule_interval_max: Duration::from_millis(20),
    }
}

pub fn run(store: &Store, jobs: Jobs) -> Workers {
    let stop = CancellationToken::new();
    Workers {
        task: tokio::spawn(jobs.run(store.clone(), stop.clone())),
        stop,
    }
}

/// Workers that end with the test, or are killed.
pub struct Workers {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

pub fn start(store: &Store, handler: Count) -> Workers {
    run(store, Jobs::new(settings()).with(handler))
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}
