//! Schedules recurring work: regularly asks each handler for due work, and runs the upkeep.
//!
//! Every replica does so; the queue keeps one of equal jobs. Each recurring work has a task of its own, so
//! that none waits for another.

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
enum Recurring {
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
    let handlers = handlers.into_iter().filter_map(|handler| {
        let interval = handler.interval()?;
        Some((Recurring::Work(handler), interval))
    });
    let upkeep = upkeep.into_iter().map(|upkeep| {
        let interval = upkeep.interval();
        (Recurring::Upkeep(upkeep), interval)
    });
    let mut tasks = JoinSet::new();
    for (work, interval) in handlers.chain(upkeep) {
        tasks.spawn(recur(
            store.clone(),
            work,
            interval.min(interval_max),
            stop.clone(),
        ));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "recurring work ended unexpectedly");
        }
    }
}

/// Runs one recurring work again and again until `stop` is cancelled.
async fn recur(store: Store, work: Recurring, interval: Duration, stop: CancellationToken) {
    let mut next = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(next) => {}
        }
        // A panic ends one run and not all later ones.
        let run = AssertUnwindSafe(run_once(&store, &work)).catch_unwind();
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = run => outcome,
        };
        match outcome.unwrap_or_else(|_| Err(Error::internal("recurring work panicked"))) {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, cause = error.cause(), "recurring work failed; it runs again later");
            }
        }
        next = Instant::now() + interval;
    }
}

async fn run_once(store: &Store, work: &Recurring) -> Result<()> {
    match work {
        Recurring::Upkeep(upkeep) => upkeep.run(store).await,
        Recurring::Work(handler) => {
            for due in handler.due(store).await? {
                enqueue_once(store, handler.kind(), due).await?;
            }
            Ok(())
        }
    }
}

/// Enqueues a job unless it already waits or runs.
async fn enqueue_once(store: &Store, kind: JobKind, due: Due) -> Result<()> {
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
