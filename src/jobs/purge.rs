//! Removes what its retention has run out for, shop by shop.
//!
//! Each area brings a [`Sweeper`] for what is its own; those of requests and of jobs are here.
//! Tombstones are not removed: a name made again goes on at the version after its last, for ever.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::handler::{Due, Handler};
use super::model::{Job, JobKind, Step};
use super::sql;
use crate::error::Result;
use crate::store::{Conn, Locks, Store};
use crate::{clock, limits};

/// How often it is looked for what has run out.
const INTERVAL: Duration = Duration::from_secs(600);
/// What has run out waits this long for company, so that a purge is worth its while.
const SLACK: Duration = Duration::from_secs(3600);
/// Rows that one step removes.
const ROWS: i64 = 200;

/// Removes one sort of thing.
pub trait Sweeper: Send + Sync + 'static {
    /// The shops that have some of it.
    fn due<'a>(&'a self, conn: &'a mut Conn, now: i64) -> BoxFuture<'a, Result<Vec<String>>>;

    /// Removes up to 64 aggregates or 200 rows of `job.shop` and advances the job by a step with the
    /// cursor that it has, in the same transaction. False if there was nothing, and nothing was
    /// written.
    fn sweep<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<bool>>;
}

/// The work of purging.
#[derive(Default)]
pub struct Purge {
    sweepers: Vec<Arc<dyn Sweeper>>,
}

impl Purge {
    /// Purges what requests and jobs leave behind.
    #[must_use]
    pub fn new() -> Self {
        Self::default().with(Answers).with(EndedJobs)
    }

    /// Adds a sweeper.
    #[must_use]
    pub fn with(mut self, sweeper: impl Sweeper) -> Self {
        self.sweepers.push(Arc::new(sweeper));
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

    /// The cursor is the place of the sweeper whose turn it is.
    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        async move {
            let place: usize = job.cursor.parse().unwrap_or_default();
            let Some(sweeper) = self.sweepers.get(place) else {
                return job.advance_only(store, Step::done(0)).await;
            };
            if sweeper.sweep(store, job).await? {
                return Ok(Step::more(job.cursor.clone(), 0));
            }
            job.advance_only(store, Step::more((place + 1).to_string(), 0))
                .await
        }
        .boxed()
    }
}

/// Answers of requests whose id may be used again.
pub struct Answers;

impl Sweeper for Answers {
    fn due<'a>(&'a self, conn: &'a mut Conn, now: i64) -> BoxFuture<'a, Result<Vec<String>>> {
        let age = limits::REQUEST_ID_RETENTION + SLACK;
        sql::shops_with_answers(conn, now - clock::micros(age)).boxed()
    }

    fn sweep<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<bool>> {
        let now = store.clock().now();
        let before = now - clock::micros(limits::REQUEST_ID_RETENTION);
        store
            .write_job_with(Locks::none(), job.clone(), move |tx, job| {
                async move {
                    let gone = sql::delete_answers(tx, &job.shop, before, ROWS).await?;
                    if gone > 0 {
                        job.advance(tx, now, &Step::more(job.cursor.clone(), gone))
                            .await?;
                    }
                    Ok(gone > 0)
                }
                .boxed()
            })
            .boxed()
    }
}

/// Jobs that ended long ago.
pub struct EndedJobs;

impl Sweeper for EndedJobs {
    fn due<'a>(&'a self, conn: &'a mut Conn, now: i64) -> BoxFuture<'a, Result<Vec<String>>> {
        let age = limits::OPERATION_RETENTION + SLACK;
        sql::shops_with_ended(conn, now - clock::micros(age)).boxed()
    }

    fn sweep<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<bool>> {
        let now = store.clock().now();
        let before = now - clock::micros(limits::OPERATION_RETENTION);
        store
            .write_job_with(Locks::none(), job.clone(), move |tx, job| {
                async move {
                    let gone = sql::delete_ended(tx, &job.shop, before, ROWS).await?;
                    if gone > 0 {
                        job.advance(tx, now, &Step::more(job.cursor.clone(), gone))
                            .await?;
                    }
                    Ok(gone > 0)
                }
                .boxed()
            })
            .boxed()
    }
}
