//! What recurs: asks each handler now and then what has become due, and does the housekeeping.
//!
//! Every replica does so; the queue keeps one job of what all of them ask for.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::handler::{Due, Handler, Upkeep};
use super::model::{JobKind, NewJob};
use super::{queue, sql};
use crate::access::Caller;
use crate::error::Result;
use crate::store::{Locks, Store};

/// One thing that recurs, and when it is looked at next.
struct Turn {
    what: What,
    interval: Duration,
    next: Instant,
}

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
    let now = Instant::now();
    let work = handlers.into_iter().filter_map(|handler| {
        let interval = handler.interval()?;
        Some((What::Work(handler), interval))
    });
    let upkeep = upkeep.into_iter().map(|upkeep| {
        let interval = upkeep.interval();
        (What::Upkeep(upkeep), interval)
    });
    let mut turns: Vec<Turn> = work
        .chain(upkeep)
        .map(|(what, interval)| Turn {
            what,
            interval: interval.min(interval_max),
            next: now,
        })
        .collect();
    loop {
        let Some(turn) = turns.iter_mut().min_by_key(|turn| turn.next) else {
            return;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(turn.next) => {}
        }
        if let Err(error) = take(&store, &turn.what).await {
            tracing::warn!(%error, cause = error.cause(), "what recurs could not be looked at");
        }
        turn.next = Instant::now() + turn.interval;
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
