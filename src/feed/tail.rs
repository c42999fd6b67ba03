//! The one reader of the change log in a process: it follows the end of the log and hands the changes to the
//! channels of the streams.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::history;
use super::hub::Hub;
use super::order::LogOrder;
use crate::error::{Error, Result};
use crate::proto::pb::ErrorReason;
use crate::store::{Engine, Store};

/// The most rows that the tail reads at once.
const PAGE_ROWS: i64 = 1_000;
/// The delay until the log is read again on PostgreSQL when a wake found nothing: a write in progress may
/// still hold the row back.
const FIRST_LOOK: Duration = Duration::from_millis(1);
/// The longest delay until the log is read again after a failure, however rarely it is polled otherwise.
const RETRY_MAX: Duration = Duration::from_millis(250);
/// How often the delay by writes in progress is measured.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// Follows the log until `stop`: reads it after each announced commit, and at least every `poll`.
pub async fn follow(
    store: Store,
    hub: Arc<Hub>,
    order: LogOrder,
    poll: Duration,
    stop: CancellationToken,
) {
    let mut committed = store.committed();
    let mut wait = poll;
    let mut measured = tokio::time::Instant::now();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            woken = committed.changed() => {
                // A closed store announces no commits; polling continues until `stop`.
                if woken.is_err() {
                    tokio::time::sleep(wait).await;
                }
                wait = FIRST_LOOK;
            }
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(poll),
        }
        match advance(&store, &hub, order).await {
            Ok(true) => wait = FIRST_LOOK,
            Ok(false) if store.engine() == Engine::Sqlite => wait = poll,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, cause = error.cause(), "the change log cannot be read; streams wait");
                wait = poll.min(RETRY_MAX);
            }
        }
        if store.engine() == Engine::Postgres && measured.elapsed() >= LAG_INTERVAL {
            measured = tokio::time::Instant::now();
            measure_lag(&store, &hub).await;
        }
    }
}

/// Hands over new changes. Returns whether there were any.
async fn advance(store: &Store, hub: &Hub, order: LogOrder) -> Result<bool> {
    let before = hub.position();
    loop {
        if !hub.is_watched() {
            let end = store
                .read(|conn| history::end_after(conn, order, before).boxed())
                .await?;
            if end == before {
                return Ok(false);
            }
            if hub.skip_unwatched(end) {
                return Ok(true);
            }
        }
        let from = hub.position();
        let handed = store
            .read(|conn| history::follow(conn, order, from, PAGE_ROWS).boxed())
            .await
            .and_then(|rows| {
                let full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= PAGE_ROWS;
                hub.hand_over(rows).map(|()| full)
            });
        match handed {
            Ok(true) => {}
            Ok(false) => return Ok(hub.position() != before),
            Err(error) => {
                go_on(store, hub, order, error).await?;
                return Ok(true);
            }
        }
    }
}

/// Continues at the end of the log when the log does not continue where it was left.
async fn go_on(store: &Store, hub: &Hub, order: LogOrder, error: Error) -> Result<()> {
    let reason = error.reason();
    if !matches!(
        reason,
        ErrorReason::ResumeTokenExpired | ErrorReason::StoreEpochChanged
    ) {
        return Err(error);
    }
    let end = store.read(|conn| history::end(conn, order).boxed()).await?;
    if reason == ErrorReason::ResumeTokenExpired {
        tracing::warn!(
            "history was compacted before it was sent to streams; they read it from the log or end"
        );
        hub.skip(end);
    } else {
        tracing::warn!(
            "the store has another history, as after a failover that lost writes; all streams end"
        );
        hub.replace(end);
    }
    Ok(())
}

async fn measure_lag(store: &Store, hub: &Hub) {
    if let Ok(since) = store
        .read(|conn| history::held_back_since(conn).boxed())
        .await
    {
        let now = store.clock().now();
        let lag = since.map_or(0, |since| now.saturating_sub(since).max(0));
        hub.note_lag(lag);
    }
}
