//! What an area provides so that its work is done.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::model::{Job, JobKind, Step};
use crate::error::Result;
use crate::store::{Conn, Store};

/// Does the work of one kind.
pub trait Handler: Send + Sync + 'static {
    /// Which kind.
    fn kind(&self) -> JobKind;

    /// Goes on from `job.cursor`: at most 64 aggregates and 50 ms, in one `store.write_job` that ends
    /// with [`Job::advance`] with the step that is returned.
    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>>;

    /// Whether the effect must see what writers did that were under way when the job was asked for.
    /// The first step then waits for them.
    fn waits_for_writers(&self) -> bool {
        true
    }

    /// How often [`due`](Self::due) is asked; None for work that only calls ask for.
    fn interval(&self) -> Option<Duration> {
        None
    }

    /// What has become due by itself.
    fn due<'a>(&'a self, _store: &'a Store) -> BoxFuture<'a, Result<Vec<Due>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// Work that has become due by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The shop; empty for what concerns the whole store.
    pub shop: Arc<str>,
    /// What it is about; may be empty.
    pub subject: String,
}

impl Due {
    /// Work of a whole shop, or of the whole store where the shop is empty.
    #[must_use]
    pub fn of_shop(shop: impl Into<Arc<str>>) -> Self {
        Self {
            shop: shop.into(),
            subject: String::new(),
        }
    }
}

/// Removes one sort of thing in a purge.
pub trait Sweeper: Send + Sync + 'static {
    /// The shops that have some of it.
    fn due<'a>(&'a self, conn: &'a mut Conn, now: i64) -> BoxFuture<'a, Result<Vec<String>>>;

    /// Removes up to 64 aggregates or 200 rows of `job.shop` and advances the job by a step with the
    /// cursor that it has, in the same transaction. False if there was nothing, and nothing was
    /// written.
    fn sweep<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<bool>>;
}

/// Small housekeeping that recurs and that nobody would want to look at as an operation. Every
/// replica does it, so it must not mind company.
pub trait Upkeep: Send + Sync + 'static {
    /// How often.
    fn interval(&self) -> Duration;

    /// Does it once.
    fn run<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<()>>;

    /// Does what is left when the process ends, after its last call and before the store is closed.
    fn finish<'a>(&'a self, _store: &'a Store) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}
