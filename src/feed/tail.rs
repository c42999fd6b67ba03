//! The one reader of the change log in a process: it follows the log's end and hands the changes to
//! the channels that streams listen on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::channel::Channel;
use super::entry::Entry;
use super::history::{self, LogRow};
use super::order::LogOrder;
use super::position::Position;
use super::resource::Resource;
use crate::error::Result;
use crate::store::{Engine, Store};

/// Rows that the tail reads at once.
const PAGE_ROWS: i64 = 1_000;
/// How soon after a wake that found nothing the log is looked at again on PostgreSQL, where the row
/// may still be held back by a write in progress.
const FIRST_LOOK: Duration = Duration::from_millis(1);
/// How soon after a failure the log is looked at again, however rarely it is otherwise.
const RETRY_MAX: Duration = Duration::from_millis(250);
/// How often the hold-up by writes in progress is measured.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// The channels of a process, and how far the log has been handed to them.
pub struct Hub {
    channels: Mutex<Channels>,
    position: watch::Sender<Position>,
    lag_micros: AtomicI64,
}

#[derive(Default)]
struct Channels {
    by_shop_and_kind: HashMap<(Arc<str>, i64), Arc<Channel>>,
    position: Position,
}

impl Hub {
    /// A hub for which everything up to `position` is past.
    pub fn new(position: Position) -> Self {
        let channels = Channels {
            by_shop_and_kind: HashMap::new(),
            position,
        };
        Self {
            channels: Mutex::new(channels),
            position: watch::Sender::new(position),
            lag_micros: AtomicI64::new(0),
        }
    }

    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel of a shop and kind, made at its first use.
    pub fn channel(&self, shop: &Arc<str>, resource: &'static dyn Resource) -> Arc<Channel> {
        let mut channels = self.channels();
        let floor = channels.position;
        let key = (Arc::clone(shop), resource.kind().number());
        let make = || Arc::new(Channel::new(resource, floor));
        Arc::clone(channels.by_shop_and_kind.entry(key).or_insert_with(make))
    }

    /// Up to where the log has been handed to the channels, a hand-over that is under way included: what
    /// begins to listen before this is told finds all that comes after it.
    pub fn floor(&self) -> Position {
        self.channels().position
    }

    /// Up to where the log has been handed to the channels.
    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// A receiver of [`position`](Self::position).
    pub fn positions(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    /// How long the oldest write in progress has held the log back, in microseconds.
    pub fn lag_micros(&self) -> i64 {
        self.lag_micros.load(Ordering::Relaxed)
    }

    fn is_watched(&self) -> bool {
        !self.channels().by_shop_and_kind.is_empty()
    }

    /// Hands rows to their channels.
    fn hand_over(&self, rows: Vec<LogRow>) {
        let Some(last) = rows.last().map(LogRow::position) else {
            return;
        };
        let mut channels = self.channels();
        let mut batches: HashMap<(Arc<str>, i64), Vec<Arc<Entry>>> = HashMap::new();
        for row in rows {
            let key = (Arc::from(row.shop_id.as_str()), row.kind);
            let Some(channel) = channels.by_shop_and_kind.get(&key) else {
                continue;
            };
            match entry(channel.resource(), row) {
                Ok(entry) => batches.entry(key).or_default().push(Arc::new(entry)),
                Err(error) => {
                    tracing::error!(%error, cause = error.cause(), "a row of the change log cannot be sent")
                }
            }
        }
        for (key, entries) in batches {
            channels.by_shop_and_kind[&key].push(entries);
        }
        channels.position = last;
        drop(channels);
        self.position.send_replace(last);
    }

    /// Moves on past rows that nobody watches. False if somebody has begun to watch since they were
    /// looked at: they have to be read after all.
    fn skip_to(&self, position: Position) -> bool {
        let mut channels = self.channels();
        if !channels.by_shop_and_kind.is_empty() {
            return false;
        }
        channels.position = position;
        drop(channels);
        self.position.send_replace(position);
        true
    }
}

/// An entry of a row.
///
/// # Errors
/// When the payload is gone or cannot be read.
pub fn entry(resource: &dyn Resource, row: LogRow) -> Result<Entry> {
    let position = row.position();
    let payload = row.payload.ok_or_else(history::expired)?;
    let LogRow {
        resource_id,
        version,
        deleted,
        commit_time,
        left_topic,
        ..
    } = row;
    let entry = Entry::new(
        resource,
        position,
        resource_id,
        version,
        deleted,
        &payload,
        commit_time,
    )?;
    Ok(entry.leaving(left_topic))
}

/// Follows the log until `stop`: looks when told of a commit, and at least every `poll`.
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
            told = committed.changed() => {
                // After the store has closed nothing is told any more; polling goes on until `stop`.
                if told.is_err() {
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

/// Hands over what is new. Whether there was something.
async fn advance(store: &Store, hub: &Hub, order: LogOrder) -> Result<bool> {
    let before = hub.position();
    loop {
        if !hub.is_watched() {
            let end = store.read(|conn| history::end(conn, order).boxed()).await?;
            if !end.is_after(before) {
                return Ok(false);
            }
            if hub.skip_to(end) {
                return Ok(true);
            }
        }
        let from = hub.position();
        let rows = store
            .read(|conn| history::page(conn, order, from, PAGE_ROWS).boxed())
            .await?;
        let full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= PAGE_ROWS;
        hub.hand_over(rows);
        if !full {
            return Ok(hub.position().is_after(before));
        }
    }
}

async fn measure_lag(store: &Store, hub: &Hub) {
    if let Ok(since) = store
        .read(|conn| history::held_back_since(conn).boxed())
        .await
    {
        let now = store.clock().now();
        let lag = since.map_or(0, |since| now.saturating_sub(since).max(0));
        hub.lag_micros.store(lag, Ordering::Relaxed);
    }
}
