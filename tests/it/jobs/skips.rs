//! Tests what a job reports of the resources that it could not write.

use clientela::error::{Error, Result};
use clientela::jobs::skips::{self, Place};
use clientela::jobs::{Effect, Handler, Job, JobKind, Jobs, Step};
use clientela::store::{Locks, Store, Tx};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::until;
use super::worker::{ask, job, run, settings};
use crate::harness::store::{TestStore, stores};

/// Writes none of its resources: each fails for a different reason.
#[derive(Clone)]
struct Refuses;

impl Effect for Refuses {
    fn locks(&self, _: &Job, _: &[String]) -> Locks {
        Locks::none()
    }

    fn apply<'t>(
        &'t self,
        _: &'t mut Tx,
        _: &'t Job,
        ids: &'t [String],
        _: i64,
    ) -> BoxFuture<'t, Result<()>> {
        async move {
            match ids {
                [id] if id == "a" => Err(Error::not_found("cart")),
                _ => Err(Error::internal("it has to fail")),
            }
        }
        .boxed()
    }
}

impl Handler for Refuses {
    fn kind(&self) -> JobKind {
        JobKind::RepriceCarts
    }

    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        async move {
            match Place::of(&job.cursor) {
                Place::Walking("") => {
                    let ids = ["a", "b"].map(str::to_owned).to_vec();
                    skips::apply(store, job, ids, Self, Step::more("b", 2)).await
                }
                Place::Walking(_) | Place::Retrying(_) => skips::end(store, job).await,
            }
        }
        .boxed()
    }
}

#[tokio::test]
async fn the_first_skipped_resource_is_reported_with_its_reason() {
    for TestStore { store, .. } in &stores().await {
        let id = ask(store, JobKind::RepriceCarts).await;
        let _workers = run(store, Jobs::new(settings()).with(Refuses));

        // The job has ended its walk, and waits until it can retry them.
        until("the job waits for its skipped resources", || async {
            let seen = job(store, &id).await;
            seen.state == 1 && seen.error.is_some()
        })
        .await;

        let error = job(store, &id).await.error;
        assert_eq!(error.as_deref(), Some("carts/a: NOT_FOUND"));
    }
}
