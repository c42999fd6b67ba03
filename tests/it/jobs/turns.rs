//! Tests the turns of jobs: no job and no shop keeps the workers from the others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clientela::caller::Caller;
use clientela::error::Result;
use clientela::jobs::{self, Handler, Job, JobKind, Jobs, JobsSettings, NewJob, Step, Upkeep};
use clientela::store::{Locks, Store};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::until;
use super::worker::{ask, job, reached, run, settings};
use crate::harness::store::{START, TestStore, caller, stores};

/// A handler whose steps take a given time of the clock. It records the shops of its jobs.
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

/// Housekeeping that never ends, or counts its runs.
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

#[tokio::test]
async fn a_long_job_is_returned_while_others_are_due() {
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
        until("the long job runs", || async {
            job(store, &endless).await.progress > 1
        })
        .await;

        for subject in ["groups/a", "groups/b"] {
            let other = ask_for(store, "s", JobKind::DeleteGroup, subject.to_owned()).await;
            reached(store, &other, 3).await;
        }

        let before = job(store, &endless).await;
        until("the long job continues", || async {
            job(store, &endless).await.progress > before.progress
        })
        .await;
        assert_eq!((before.state, before.attempts), (2, 0));
    }
}

#[tokio::test]
async fn a_shop_with_many_jobs_does_not_delay_the_others() {
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
async fn housekeeping_does_not_wait_for_other_housekeeping() {
    for TestStore { store, .. } in &stores().await {
        let count = Arc::new(AtomicUsize::new(0));
        let jobs = Jobs::new(alone())
            .with_upkeep(Kept(None))
            .with_upkeep(Kept(Some(Arc::clone(&count))));
        let _worker = run(store, jobs);

        until("the other part runs repeatedly", || async {
            count.load(Ordering::SeqCst) > 3
        })
        .await;
    }
}
