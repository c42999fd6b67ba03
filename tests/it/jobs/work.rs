//! The queue and the workers.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clientela::access::Caller;
use clientela::error::{Error, Result};
use clientela::jobs::{self, Handler, Job, JobKind, Jobs, JobsSettings, NewJob, Step, Upkeep};
use clientela::store::{Conn, Locks, Store, Tx};
use clientela::{execute, on};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::until;
use crate::harness::store::{START, TestStore, caller, stores};

/// Adds one to a counter in each of so many steps.
#[derive(Clone)]
struct Count {
    kind: JobKind,
    steps: i64,
    /// The step at which the worker is lost, once.
    dies_at: Option<i64>,
    died: Arc<AtomicBool>,
    /// How many steps fail before one succeeds.
    failures: Arc<AtomicUsize>,
}

impl Count {
    fn to(steps: i64) -> Self {
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
                                return Err(Error::internal("it was told to fail"));
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

const ADD: &str = "INSERT INTO sequences (shop_id, name, next) VALUES ($1, $2, 1)
    ON CONFLICT (shop_id, name) DO UPDATE SET next = sequences.next + 1";

async fn counted(store: &Store) -> i64 {
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

#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
struct Seen {
    state: i64,
    progress: i64,
    attempts: i64,
    error: Option<String>,
}

async fn seen(conn: &mut Conn, id: &str) -> Result<Seen> {
    Ok(on!(conn, |e| sqlx::query_as(
        "SELECT state, progress, attempts, error FROM jobs WHERE id = $1"
    )
    .bind(id)
    .fetch_one(e)
    .await)?)
}

async fn look(store: &Store, id: &str) -> Seen {
    let id = id.to_owned();
    store
        .read(|conn| async move { seen(conn, &id).await }.boxed())
        .await
        .unwrap()
}

/// Waits until a job is in a state.
async fn reached(store: &Store, id: &str, state: i64) -> Seen {
    let there = || async { look(store, id).await.state == state };
    until("the job is in that state", there).await;
    look(store, id).await
}

async fn tried(store: &Store, id: &str, attempts: i64) {
    until("it was tried so often", || async {
        look(store, id).await.attempts >= attempts
    })
    .await;
}

async fn lost(handler: &Count) {
    until("the worker is lost", || async {
        handler.died.load(Ordering::SeqCst)
    })
    .await;
}

async fn enqueue(tx: &mut Tx, kind: JobKind) -> Result<String> {
    jobs::enqueue(tx, &caller(), START, NewJob::now(kind, "groups/vip", START)).await
}

async fn ask(store: &Store, kind: JobKind) -> String {
    store
        .write(Locks::none(), move |tx| enqueue(tx, kind).boxed())
        .await
        .unwrap()
}

fn settings() -> JobsSettings {
    JobsSettings {
        workers: 2,
        poll_interval: Duration::from_millis(10),
        schedule_interval_max: Duration::from_millis(20),
    }
}

/// Takes as long as it is told to by the clock, and notes whose work it did.
#[derive(Clone)]
struct Slow {
    kind: JobKind,
    steps: i64,
    step: Duration,
    done: Arc<Mutex<Vec<String>>>,
}

impl Handler for Slow {
    fn kind(&self) -> JobKind {
        self.kind
    }

    fn waits_for_writers(&self) -> bool {
        false
    }

    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        async move {
            store.clock().advance(self.step);
            let done: i64 = job.cursor.parse().unwrap_or_default();
            if done + 1 < self.steps {
                let step = Step::more((done + 1).to_string(), 1);
                return job.advance_only(store, step).await;
            }
            self.done.lock().unwrap().push(job.shop.to_string());
            job.advance_only(store, Step::done(1)).await
        }
        .boxed()
    }
}

/// Housekeeping that never ends, or counts how often it was done.
struct Kept(Option<Arc<AtomicUsize>>);

impl Upkeep for Kept {
    fn interval(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn run<'a>(&'a self, _: &'a Store) -> BoxFuture<'a, Result<()>> {
        match &self.0 {
            None => std::future::pending().boxed(),
            Some(count) => {
                count.fetch_add(1, Ordering::SeqCst);
                async { Ok(()) }.boxed()
            }
        }
    }
}

fn run(store: &Store, jobs: Jobs) -> Workers {
    let stop = CancellationToken::new();
    Workers {
        task: tokio::spawn(jobs.run(store.clone(), stop.clone())),
        stop,
    }
}

fn alone() -> JobsSettings {
    JobsSettings {
        workers: 1,
        ..settings()
    }
}

async fn ask_for(store: &Store, shop: &str, kind: JobKind, subject: String) -> String {
    let caller = Caller {
        shop: shop.into(),
        ..caller()
    };
    let data = (caller, NewJob::now(kind, subject, START));
    let asked = store.write_with(Locks::none(), data, |tx, (caller, job)| {
        async move { jobs::enqueue(tx, caller, START, job.clone()).await }.boxed()
    });
    asked.await.unwrap()
}

/// Workers that go with the test, or are killed.
struct Workers {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn start(store: &Store, handler: Count) -> Workers {
    run(store, Jobs::new(settings()).with(handler))
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

#[tokio::test]
async fn a_job_that_takes_long_is_given_back_while_others_are_due() {
    for TestStore { store, .. } in &stores().await {
        let long = Slow {
            kind: JobKind::RepriceCarts,
            steps: i64::MAX,
            step: Duration::from_millis(60),
            done: Arc::default(),
        };
        let short = Slow {
            kind: JobKind::DeleteGroup,
            steps: 1,
            ..long.clone()
        };
        let endless = ask(store, JobKind::RepriceCarts).await;
        let _worker = run(store, Jobs::new(alone()).with(long).with(short));
        until("the long job is under way", || async {
            look(store, &endless).await.progress > 1
        })
        .await;

        for subject in ["groups/a", "groups/b"] {
            let other = ask_for(store, "s", JobKind::DeleteGroup, subject.to_owned()).await;
            reached(store, &other, 3).await;
        }

        let before = look(store, &endless).await;
        until("the long job goes on", || async {
            look(store, &endless).await.progress > before.progress
        })
        .await;
        assert_eq!((before.state, before.attempts), (2, 0));
    }
}

#[tokio::test]
async fn a_shop_with_much_work_does_not_come_before_all_others() {
    for TestStore { store, .. } in &stores().await {
        let handler = Slow {
            kind: JobKind::RepriceCarts,
            steps: 1,
            step: Duration::ZERO,
            done: Arc::default(),
        };
        for number in 0..20 {
            ask_for(
                store,
                "large",
                JobKind::RepriceCarts,
                format!("groups/g{number}"),
            )
            .await;
        }
        ask_for(store, "small", JobKind::RepriceCarts, "groups/g".to_owned()).await;
        let done = Arc::clone(&handler.done);
        let _worker = run(store, Jobs::new(alone()).with(handler));

        until("all is done", || async { done.lock().unwrap().len() == 21 }).await;

        let place = done.lock().unwrap().iter().position(|shop| shop == "small");
        assert!(place.unwrap() <= 1, "{place:?}");
    }
}

#[tokio::test]
async fn what_recurs_does_not_wait_for_anything_else_that_does() {
    for TestStore { store, .. } in &stores().await {
        let count = Arc::new(AtomicUsize::new(0));
        let jobs = Jobs::new(alone())
            .with_upkeep(Kept(None))
            .with_upkeep(Kept(Some(Arc::clone(&count))));
        let _worker = run(store, jobs);

        until("the other is done again and again", || async {
            count.load(Ordering::SeqCst) > 3
        })
        .await;
    }
}

#[tokio::test]
async fn work_that_leaves_no_operation_vanishes_when_it_is_done() {
    for TestStore { store, .. } in &stores().await {
        let id = ask(store, JobKind::RefreshCustomer).await;
        let kept = ask(store, JobKind::RepriceCarts).await;
        let other = Count {
            kind: JobKind::RefreshCustomer,
            ..Count::to(2)
        };
        let _workers = run(store, Jobs::new(settings()).with(Count::to(1)).with(other));

        reached(store, &kept, 3).await;
        until("the job is gone", || {
            let id = id.clone();
            async move {
                let left = store.read(|conn| {
                    async move {
                        let left: i64 = on!(conn, |e| sqlx::query_scalar(
                            "SELECT COUNT(*) FROM jobs WHERE id = $1"
                        )
                        .bind(&id)
                        .fetch_one(e)
                        .await)?;
                        Ok(left)
                    }
                    .boxed()
                });
                left.await.unwrap() == 0
            }
        })
        .await;
        assert_eq!(counted(store).await, 3);
    }
}

#[tokio::test]
async fn work_that_nobody_has_begun_is_not_asked_for_twice() {
    for TestStore { store, .. } in &stores().await {
        let first = ask(store, JobKind::RepriceCarts).await;
        let second = ask(store, JobKind::RepriceCarts).await;
        let other = ask(store, JobKind::RefreshCustomer).await;

        assert_eq!(first, second);
        assert_ne!(first, other);

        let _workers = start(store, Count::to(1));
        reached(store, &first, 3).await;
        let again = ask(store, JobKind::RepriceCarts).await;

        assert_ne!(first, again);
        reached(store, &again, 3).await;
        assert_eq!(counted(store).await, 2);
    }
}

#[tokio::test]
async fn work_of_a_write_that_fails_was_never_asked_for() {
    for TestStore { store, .. } in &stores().await {
        let refused: Result<()> = store
            .write(Locks::none(), |tx| {
                async move {
                    enqueue(tx, JobKind::RepriceCarts).await?;
                    Err(Error::not_found("group"))
                }
                .boxed()
            })
            .await;

        assert!(refused.is_err());
        let latest =
            store.read(|conn| jobs::latest(conn, "s", JobKind::RepriceCarts, "groups/vip").boxed());
        assert_eq!(latest.await.unwrap(), None);
    }
}

#[tokio::test]
async fn several_workers_of_two_replicas_do_each_step_once() {
    for test in &stores().await {
        let id = ask(&test.store, JobKind::RepriceCarts).await;
        let _here = start(&test.store, Count::to(50));
        let _there = start(&test.replica().await, Count::to(50));

        let seen = reached(&test.store, &id, 3).await;

        assert_eq!(
            seen,
            Seen {
                state: 3,
                progress: 50,
                attempts: 0,
                error: None
            }
        );
        assert_eq!(counted(&test.store).await, 50);
    }
}

#[tokio::test]
async fn another_worker_goes_on_where_a_dead_one_stopped() {
    for TestStore { store, clock, .. } in &stores().await {
        let id = ask(store, JobKind::RepriceCarts).await;
        let handler = Count {
            dies_at: Some(3),
            ..Count::to(5)
        };
        let dead = start(store, handler.clone());
        lost(&handler).await;
        drop(dead);
        let _alive = start(store, handler);

        assert_eq!(look(store, &id).await.state, 2);
        clock.advance(Duration::from_secs(31));
        let seen = reached(store, &id, 3).await;

        assert_eq!(seen.progress, 5);
        assert_eq!(counted(store).await, 5);
    }
}

#[tokio::test]
async fn what_failed_is_tried_again_and_its_effect_did_not_stand() {
    for TestStore { store, clock, .. } in &stores().await {
        let id = ask(store, JobKind::RepriceCarts).await;
        let handler = Count {
            failures: Arc::new(AtomicUsize::new(2)),
            ..Count::to(3)
        };
        let _workers = start(store, handler);

        tried(store, &id, 1).await;
        let waiting = look(store, &id).await;
        assert_eq!(
            (waiting.state, waiting.error.as_deref()),
            (1, Some("INTERNAL"))
        );
        clock.advance(Duration::from_secs(1));
        tried(store, &id, 2).await;
        clock.advance(Duration::from_secs(2));

        let seen = reached(store, &id, 3).await;
        assert_eq!(
            seen,
            Seen {
                state: 3,
                progress: 3,
                attempts: 2,
                error: None
            }
        );
        assert_eq!(counted(store).await, 3);
    }
}

#[tokio::test]
async fn work_that_may_be_given_up_fails_after_ten_attempts() {
    for TestStore { store, clock, .. } in &stores().await {
        let id = ask(store, JobKind::Purge).await;
        let failures = Arc::new(AtomicUsize::new(usize::MAX));
        let handler = Count {
            kind: JobKind::Purge,
            failures,
            ..Count::to(1)
        };
        let _workers = start(store, handler);

        for attempts in 1..10 {
            tried(store, &id, attempts).await;
            clock.advance(Duration::from_secs(300));
        }

        let seen = reached(store, &id, 4).await;
        assert_eq!(
            (seen.attempts, seen.error.as_deref()),
            (10, Some("INTERNAL"))
        );
        assert_eq!(counted(store).await, 0);
    }
}

#[tokio::test]
async fn the_step_of_a_cancelled_job_does_not_stand() {
    for TestStore { store, .. } in &stores().await {
        let id = ask(store, JobKind::Purge).await;
        let handler = Count {
            kind: JobKind::Purge,
            dies_at: Some(2),
            ..Count::to(5)
        };
        let _workers = start(store, handler.clone());
        lost(&handler).await;

        let cancelled = {
            let id = id.clone();
            store.write(Locks::none(), move |tx| {
                let id = id.clone();
                async move { jobs::cancel(tx, &id, START).await }.boxed()
            })
        };

        assert!(cancelled.await.unwrap());
        assert_eq!(look(store, &id).await.state, 5);
        assert_eq!(counted(store).await, 2);
    }
}

#[tokio::test]
async fn a_job_of_the_future_waits_for_its_time() {
    for TestStore { store, clock, .. } in &stores().await {
        let later = NewJob {
            run_at: START + 60_000_000,
            ..NewJob::now(JobKind::RepriceCarts, "groups/vip", START)
        };
        let id = store.write_with(Locks::none(), later, |tx, later| {
            async move { jobs::enqueue(tx, &caller(), START, later.clone()).await }.boxed()
        });
        let id = id.await.unwrap();
        let _workers = start(store, Count::to(1));
        let at_once = ask(store, JobKind::RefreshCustomer).await;

        clock.advance(Duration::from_secs(59));
        assert_eq!(look(store, &id).await.state, 1);
        clock.advance(Duration::from_secs(1));

        reached(store, &id, 3).await;
        // Nobody here does this kind; it waits for a release that does.
        assert_eq!(look(store, &at_once).await.state, 1);
    }
}

#[tokio::test]
async fn an_effect_waits_for_writers_that_were_under_way() {
    // SQLite has one writer, so that nobody can be under way while a job is claimed.
    let postgres = stores().await.pop();
    for TestStore { store, .. } in postgres.iter() {
        let (wrote, go) = (
            Arc::new(tokio::sync::Notify::new()),
            Arc::new(tokio::sync::Notify::new()),
        );
        let writer = {
            let (store, wrote, go) = (store.clone(), Arc::clone(&wrote), Arc::clone(&go));
            tokio::spawn(async move {
                let held = (wrote, go);
                store
                    .write_with(Locks::none(), held, |tx, (wrote, go)| {
                        async move {
                            execute!(tx, sqlx::query(ADD).bind("s").bind("other"))?;
                            wrote.notify_one();
                            go.notified().await;
                            Ok(())
                        }
                        .boxed()
                    })
                    .await
            })
        };
        wrote.notified().await;
        let id = ask(store, JobKind::RepriceCarts).await;
        let _workers = start(store, Count::to(1));

        reached(store, &id, 2).await;
        assert_eq!(counted(store).await, 0);
        go.notify_one();

        reached(store, &id, 3).await;
        writer.await.unwrap().unwrap();
        assert_eq!(counted(store).await, 1);
    }
}
