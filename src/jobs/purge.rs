//! Removes rows whose retention has ended, shop by shop.
//!
//! Each area brings a [`Sweeper`] for its own rows; those for requests and jobs are here. Tombstones are
//! never removed: a name that is created again continues at the version after its last.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tonic::Code;

use super::aged::Aged;
use super::handler::{Due, Handler, Sweeper};
use super::hold::Hold;
use super::model::{Job, JobKind, Step};
use super::skips;
use crate::error::{Error, Result};
use crate::limits;
use crate::store::Store;

/// How often the sweepers are asked for rows to remove.
const INTERVAL: Duration = Duration::from_secs(600);
/// How long expired rows wait for others, so that one purge removes many.
const SLACK: Duration = Duration::from_secs(3600);

/// The job of purging.
#[derive(Default)]
pub struct Purge {
    sweepers: Vec<Arc<dyn Sweeper>>,
    hold: Hold,
}

impl Purge {
    /// Creates a purge of the rows that requests and jobs leave behind.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
            .with(ANSWERS)
            .with(ENDED_JOBS)
            .with(skips::STALE)
    }

    /// Lets `hold` hold back deletions by age.
    #[must_use]
    pub fn held_by(self, hold: Hold) -> Self {
        Self { hold, ..self }
    }

    /// Adds a sweeper.
    #[must_use]
    pub fn with(self, sweeper: impl Sweeper) -> Self {
        self.with_shared(Arc::new(sweeper))
    }

    /// Adds a sweeper that is shared.
    #[must_use]
    pub fn with_shared(mut self, sweeper: Arc<dyn Sweeper>) -> Self {
        self.sweepers.push(sweeper);
        self
    }
}

impl Handler for Purge {
    fn kind(&self) -> JobKind {
        JobKind::Purge
    }

    fn waits_for_writers(&self) -> bool {
        false
    }

    fn interval(&self) -> Option<Duration> {
        Some(INTERVAL)
    }

    fn due<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<Vec<Due>>> {
        async move {
            if self.hold.is_on(store).await? {
                return Ok(Vec::new());
            }
            let now = store.clock().now();
            let sweepers = self.sweepers.clone();
            let shops = store.read(move |conn| {
                async move {
                    let mut shops = BTreeSet::new();
                    for sweeper in &sweepers {
                        shops.extend(sweeper.due(conn, now).await?);
                    }
                    Ok(shops)
                }
                .boxed()
            });
            let due = |shop: String| Due {
                shop: Arc::from(shop),
                subject: String::new(),
            };
            Ok(shops.await?.into_iter().map(due).collect())
        }
        .boxed()
    }

    /// The cursor holds the number of the current sweeper, and whether an earlier one has failed. A failed
    /// sweeper does not stop the others.
    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        async move {
            let (place, failed) = match job.cursor.strip_suffix(FAILED) {
                Some(place) => (place, FAILED),
                None => (job.cursor.as_str(), ""),
            };
            let place: usize = place.parse().unwrap_or_default();
            if self.hold.is_on(store).await? {
                return job.advance_only(store, Step::done(0)).await;
            }
            let Some(sweeper) = self.sweepers.get(place) else {
                return end(store, job, failed).await;
            };
            let next = |failed: &str| Step::more(format!("{}{failed}", place + 1), 0);
            match sweeper.sweep(store, job).await {
                Ok(true) => Ok(Step::more(job.cursor.clone(), 0)),
                Ok(false) => job.advance_only(store, next(failed)).await,
                Err(error) if error.code() == Code::Internal => {
                    let cause = error.cause();
                    tracing::warn!(job = %job.id, place, %error, cause, "one part of a purge failed");
                    job.advance_only(store, next(FAILED)).await
                }
                Err(error) => Err(error),
            }
        }
        .boxed()
    }
}

/// The mark in a cursor that a sweeper has failed.
const FAILED: &str = "!";

/// The last step. If a sweeper has failed it is an error, after which the purge restarts later.
async fn end(store: &Store, job: &Job, failed: &str) -> Result<Step> {
    if failed.is_empty() {
        return job.advance_only(store, Step::done(0)).await;
    }
    job.advance_only(store, Step::more("", 0)).await?;
    Err(Error::internal("a part of the purge failed"))
}

/// Answers of requests whose id may be used again.
pub const ANSWERS: Aged = Aged {
    table: "answers",
    key: "shop_id, request_id",
    time: "create_time",
    condition: "",
    age: limits::REQUEST_ID_RETENTION,
    slack: SLACK,
};

/// Jobs that ended long ago.
const ENDED_JOBS: Aged = Aged {
    table: "jobs",
    key: "id",
    time: "end_time",
    condition: "",
    age: limits::OPERATION_RETENTION,
    slack: SLACK,
};
