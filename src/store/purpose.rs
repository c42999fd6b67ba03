//! The purpose of a read, and the context that a call passes to its reads and writes.
//!
//! Each purpose has connections of its own. A caller that takes all connections of one purpose does not keep
//! others from reading: a flood of calls does not stop the feed, the keys, the jobs or the health checks.

use std::any::Any;
use std::sync::Arc;

use super::config::StoreConfig;
use super::conn::Meter;
use super::pool::{Pool, PoolSettings};
use super::target::Target;

/// The purpose of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Reads of calls.
    Calls,
    /// Reads of calls that read many rows, for example lists; see [`reading_lists`].
    Lists,
    /// The pages of streams.
    Streams,
    /// The follower of the end of the change log.
    Tail,
    /// API keys and shops.
    Keys,
    /// Health checks.
    Health,
    /// Background work.
    Jobs,
}

impl Purpose {
    /// Every purpose.
    pub(super) const ALL: [Self; 7] = [
        Self::Calls,
        Self::Lists,
        Self::Streams,
        Self::Tail,
        Self::Keys,
        Self::Health,
        Self::Jobs,
    ];

    /// The number of its connections. Some are fixed, others come from the settings.
    pub(super) const fn connections(self, config: &StoreConfig) -> usize {
        match self {
            Self::Calls => config.read_connections,
            Self::Lists => config.list_connections,
            Self::Streams => config.stream_connections,
            Self::Tail => TAIL,
            Self::Keys => KEYS,
            Self::Health => HEALTH,
            Self::Jobs => JOBS,
        }
    }
}

const TAIL: usize = 1;
/// One for the poll, and one for the lookups of calls.
const KEYS: usize = 2;
const HEALTH: usize = 1;
const JOBS: usize = 2;
/// The sum of the fixed numbers.
pub(super) const FIXED: usize = TAIL + KEYS + HEALTH + JOBS;

tokio::task_local! {
    /// Set while a call is answered that reads many rows.
    static LISTING: ();
}

/// Runs a call that reads many rows: its reads use the connections of [`Purpose::Lists`].
pub async fn reading_lists<T>(call: impl Future<Output = T>) -> T {
    LISTING.scope((), call).await
}

tokio::task_local! {
    /// The resources that the writes of a call keep until they end.
    static HELD: Held;
}

/// Anything that releases a resource when it is dropped.
pub(super) type Held = Arc<dyn Any + Send + Sync>;

/// Runs a call. Each write that it begins keeps `held` until the write ends, even if the caller leaves
/// before.
pub async fn holding<T>(held: impl Any + Send + Sync, call: impl Future<Output = T>) -> T {
    HELD.scope(Arc::new(held), call).await
}

/// The value that a write that begins here has to keep.
pub(super) fn held_here() -> Option<Held> {
    HELD.try_with(Arc::clone).ok()
}

/// The purpose of a read that names none.
pub(super) fn purpose_here() -> Purpose {
    match LISTING.try_with(|()| ()) {
        Ok(()) => Purpose::Lists,
        Err(_) => Purpose::Calls,
    }
}

/// The reading pools of a store.
pub(super) struct Pools([Pool; Purpose::ALL.len()]);

impl Pools {
    pub(super) fn new(
        target: &Target,
        config: &StoreConfig,
        settings: &PoolSettings,
        meter: &Arc<Meter>,
    ) -> Self {
        Self(Purpose::ALL.map(|purpose| {
            let size = purpose.connections(config);
            Pool::new(target.clone(), size, settings.clone(), Arc::clone(meter))
        }))
    }

    pub(super) fn of(&self, purpose: Purpose) -> &Pool {
        &self.0[purpose as usize]
    }

    /// Waits until every connection has been returned, then closes all.
    pub(super) async fn close(&self) {
        for pool in &self.0 {
            pool.close().await;
        }
    }
}
