//! The interfaces through which areas provide background work.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::model::{Job, JobKind, Step};
use crate::error::Result;
use crate::store::{Conn, Store};

/// Does the work of one kind.
pub trait Handler: Send + Sync + 'static {
    /// The kind of its jobs.
    fn kind(&self) -> JobKind;

    /// Continues from `job.cursor`: at most 64 aggregates and 50 ms, in one `store.write_job` that ends with
    /// [`Job::advance`] by the returned step.
    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>>;

    /// Whether the effect must include changes of writers that were in progress when the job was enqueued.
    /// The first step then waits for them.
    fn waits_for_writers(&self) -> bool {
        true
    }

    /// How often [`due`](Self::due) is called; None for work that only calls enqueue.
    fn interval(&self) -> Option<Duration> {
        None
    }

    /// The work that is due on its own.
    fn due<'a>(&'a self, _store: &'a Store) -> BoxFuture<'a, Result<Vec<Due>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// Work that is due on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The shop; empty for the whole store.
    pub shop: Arc<str>,
    /// The subject of the work; may be empty.
    pub subject: String,
}

impl Due {
    /// The work of a whole shop, or of the whole store if the shop is empty.
    #[must_use]
    pub fn of_shop(shop: impl Into<Arc<str>>) -> Self {
        Self {
            shop: shop.into(),
            subject: String::new(),
        }
    }
}

/// Removes one kind of row in a purge.
pub trait Sweeper: Send + Sync + 'static {
    /// The shops that have such rows to remove.
    fn due<'a>(&'a self, conn: &'a mut Conn, now: i64) -> BoxFuture<'a, Result<Vec<String>>>;

    /// Removes up to 64 aggregates or 200 rows of `job.shop` and advances the job by a step that keeps its
    /// cursor, in the same transaction. False if there was nothing to remove, and nothing was written.
    fn sweep<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<bool>>;
}

/// Small recurring work that is not worth an operation. Every replica does it, so it must tolerate runs at
/// the same time.
pub trait Upkeep: Send + Sync + 'static {
    /// The time between two runs.
    fn interval(&self) -> Duration;

    /// Runs it once.
    fn run<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<()>>;

    /// Runs at the end of the process, after its last call and before the store is closed.
    fn finish<'a>(&'a self, _store: &'a Store) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}
