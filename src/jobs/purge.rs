//! Removes what its retention has run out for, shop by shop.
//!
//! Each area brings a [`Sweeper`] for what is its own; those of requests and of jobs are here.
//! Tombstones are not removed: a name made again goes on at the version after its last, for ever.

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

/// How often it is looked for what has run out.
const INTERVAL: Duration = Duration::from_secs(600);
/// What has run out waits this long for company, so that a purge is worth its while.
const SLACK: Duration = Duration::from_secs(3600);

/// The work of purging.
#[derive(Default)]
pub struct Purge {
    sweepers: Vec<Arc<dyn Sweeper>>,
    hold: Hold,
}

impl Purge {
    /// Purges what requests and jobs leave behind.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
            .with(ANSWERS)
            .with(ENDED_JOBS)
            .with(skips::STALE)
    }

    /// Lets `hold` say when nothing goes for its age.
    #[must_use]
    pub fn held_by(self, hold: Hold) -> Self {
        Self { hold, ..self }
    }

    /// Adds a sweeper.
    #[must_use]
    pub fn with(self, sweeper: impl Sweeper) -> Self {
        self.with_shared(Arc::new(sweeper))
    }

    /// Adds a sweeper that others have, too.
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

    /// The cursor is the place of the sweeper whose turn it is, and whether one before it has failed: that one
    /// does not keep the others from their work.
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

/// The mark of a cursor behind a sweeper that has failed.
const FAILED: &str = "!";

/// The last step; an error, from which the purge begins anew later, if a sweeper has failed.
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
