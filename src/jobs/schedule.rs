//! Schedules recurring work: asks each handler now and then for the work that is due, and does the
//! housekeeping.
//!
//! Every replica does so; the queue keeps one job of all that they ask for. Each recurring thing has a task
//! of its own, so that none waits for another.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::handler::{Due, Handler, Upkeep};
use super::model::{JobKind, NewJob};
use super::{queue, sql};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::store::{Locks, Store};

#[derive(Clone)]
enum What {
    Work(Arc<dyn Handler>),
    Upkeep(Arc<dyn Upkeep>),
}

pub(super) async fn run(
    store: Store,
    handlers: Vec<Arc<dyn Handler>>,
    upkeep: Vec<Arc<dyn Upkeep>>,
    interval_max: Duration,
    stop: CancellationToken,
) {
    let work = handlers.into_iter().filter_map(|handler| {
        let interval = handler.interval()?;
        Some((What::Work(handler), interval))
    });
    let upkeep = upkeep.into_iter().map(|upkeep| {
        let interval = upkeep.interval();
        (What::Upkeep(upkeep), interval)
    });
    let mut tasks = JoinSet::new();
    for (what, interval) in work.chain(upkeep) {
        tasks.spawn(recur(
            store.clone(),
            what,
            interval.min(interval_max),
            stop.clone(),
        ));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "something that recurs ended by itself");
        }
    }
}

/// Does one thing again and again until `stop` is cancelled.
async fn recur(store: Store, what: What, interval: Duration, stop: CancellationToken) {
    let mut next = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(next) => {}
        }
        // A panic ends one look and not all later ones.
        let look = AssertUnwindSafe(take(&store, &what)).catch_unwind();
        let looked = tokio::select! {
            () = stop.cancelled() => return,
            looked = look => looked,
        };
        match looked.unwrap_or_else(|_| Err(Error::internal("a look at what recurs panicked"))) {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, cause = error.cause(), "what recurs could not be looked at");
            }
        }
        next = Instant::now() + interval;
    }
}

async fn take(store: &Store, what: &What) -> Result<()> {
    match what {
        What::Upkeep(upkeep) => upkeep.run(store).await,
        What::Work(handler) => {
            for due in handler.due(store).await? {
                ask(store, handler.kind(), due).await?;
            }
            Ok(())
        }
    }
}

/// Asks for work unless it waits or is under way already.
async fn ask(store: &Store, kind: JobKind, due: Due) -> Result<()> {
    let now = store.clock().now();
    let live = {
        let due = due.clone();
        store.read(move |conn| {
            async move { sql::is_live(conn, &due.shop, kind, &due.subject).await }.boxed()
        })
    };
    if live.await? {
        return Ok(());
    }
    let caller = Caller::system(due.shop, None);
    let data = (caller, NewJob::now(kind, due.subject, now));
    store
        .write_job_with(Locks::none(), data, move |tx, (caller, job)| {
            queue::enqueue(tx, caller, now, job.clone())
                .map(|asked| asked.map(drop))
                .boxed()
        })
        .await
}
