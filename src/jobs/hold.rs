//! Holds back deletions by age for a day when the clock may be wrong.
//!
//! A clock that is a year ahead makes everything old. Two events therefore hold back all deletions by age
//! (carts, history of the feed, answers, ended jobs). One is a start whose clock is more than a day ahead of
//! the last time known to the store. The other is a jump of the running clock by more than a day. A store
//! that was stopped for a month also waits for a day, which does no harm.
//!
//! The end of the hold and the last known time are in `store_meta`. A restart during the hold finds both, and
//! neither restarts nor forgets the hold. A hold that ends more than a day from now was begun by a clock that
//! has been corrected since, and does not count.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::handler::Upkeep;
use super::meta;
use crate::error::{Error, Result};
use crate::store::{Conn, LockKey, Locks, Store, Tx};
use crate::{clock, on};

/// The key in `store_meta` of the end of the hold.
const HELD_UNTIL: &str = "retention_held_until";
/// The key in `store_meta` of the last time at which a server is known to have run.
const CLOCK_SEEN: &str = "clock_seen";

/// How far the clock may be ahead, and how long a hold lasts, in microseconds.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;
/// How often the present time is written, in microseconds.
const NOTE_INTERVAL: i64 = 60 * 60 * 1_000_000;
/// How often the clock is checked.
const INTERVAL: Duration = Duration::from_secs(60);

/// Whether deletions by age are held back. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Hold(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The last reading of the clock, with the monotonic instant at which it was taken; None until
    /// [`Hold::begin`].
    seen: Option<(i64, Instant)>,
    /// The end of a hold that this process began.
    until: Option<i64>,
    /// The time that was last written.
    noted: Option<i64>,
}

/// Whether a hold with this end is active.
#[must_use]
fn is_on(until: i64, now: i64) -> bool {
    now < until && until - now <= DAY
}

impl Hold {
    /// Compares the clock with the last time known to the store.
    ///
    /// # Errors
    /// If the store cannot be read. A store that cannot be written is served all the same: the hold stays in
    /// memory until it can.
    pub async fn begin(store: &Store) -> Result<Self> {
        let hold = Self::default();
        let last = store.read(|conn| last_time(conn).boxed()).await?;
        let now = store.clock().now();
        {
            let mut state = hold.state();
            state.seen = Some(store.clock().reading());
            if let Some(ahead) = last
                .map(|last| now.saturating_sub(last))
                .filter(|ahead| *ahead > DAY)
            {
                state.until = Some(now.saturating_add(DAY));
                warn(ahead, "the store's last write");
            }
        }
        if let Err(error) = hold.note(store).await {
            tracing::warn!(%error, cause = error.cause(), "the present time could not be written down");
        }
        Ok(hold)
    }

    /// Whether no row may be deleted for its age now.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn is_on(&self, store: &Store) -> Result<bool> {
        self.look(store);
        let now = store.clock().now();
        if self.state().until.is_some_and(|until| is_on(until, now)) {
            return Ok(true);
        }
        let left = store.read(|conn| held_for(conn, now).boxed()).await?;
        Ok(left.is_some())
    }

    /// Writes the present time, as the last one of this process.
    async fn note(&self, store: &Store) -> Result<()> {
        self.look(store);
        let now = store.clock().now();
        let until = self.state().until;
        let locks = Locks::none().and(LockKey::of("store", "", "clock"));
        store
            .write_job_with(locks, (now, until), |tx, (now, until)| {
                async move {
                    put(tx, CLOCK_SEEN, *now).await?;
                    match until {
                        Some(until) => put(tx, HELD_UNTIL, *until).await,
                        None => Ok(()),
                    }
                }
                .boxed()
            })
            .await?;
        self.state().noted = Some(now);
        Ok(())
    }

    /// Begins a hold when the clock was set forward by more than a day while the process ran.
    fn look(&self, store: &Store) {
        let mut state = self.state();
        let (now, instant) = store.clock().reading();
        let Some((seen, at)) = state.seen else {
            return;
        };
        state.seen = Some((now, instant));
        let passed = clock::micros(instant.saturating_duration_since(at));
        let ahead = now.saturating_sub(seen).saturating_sub(passed);
        if ahead > DAY {
            state.until = Some(now.saturating_add(DAY));
            state.noted = None;
            warn(ahead, "its own pace");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn(ahead: i64, of: &str) {
    let hours = ahead / (60 * 60 * 1_000_000);
    tracing::warn!(
        "the clock is {hours} hours ahead of {of}: nothing is deleted for its age for a day; \
         if the clock is wrong, put it right within that time"
    );
}

impl Upkeep for Hold {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn run<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<()>> {
        async move {
            self.look(store);
            let now = store.clock().now();
            let noted = self.state().noted;
            // Also when the clock was set back: the old note would hide the next jump.
            match noted {
                Some(noted) if (now - noted).abs() < NOTE_INTERVAL => Ok(()),
                _ => self.note(store).await,
            }
        }
        .boxed()
    }

    fn finish<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<()>> {
        self.note(store).boxed()
    }
}

async fn read(conn: &mut Conn, key: &'static str) -> Result<Option<i64>> {
    meta::read(conn, key)
        .await?
        .map(|value| {
            value
                .parse()
                .map_err(|_| Error::corrupt("store_meta", key, value))
        })
        .transpose()
}

/// How much longer a stored hold lasts, in microseconds; None if there is none.
///
/// # Errors
/// An error of the database.
pub async fn held_for(conn: &mut Conn, now: i64) -> Result<Option<i64>> {
    let until = read(conn, HELD_UNTIL).await?;
    Ok(until
        .filter(|until| is_on(*until, now))
        .map(|until| until - now))
}

const LAST_CHANGE: &str = "SELECT commit_time FROM change_log ORDER BY xid DESC, seq DESC LIMIT 1";

/// The last time known to the store: the time that a server wrote, or else the time of the last change.
async fn last_time(conn: &mut Conn) -> Result<Option<i64>> {
    match read(conn, CLOCK_SEEN).await? {
        Some(seen) => Ok(Some(seen)),
        None => Ok(on!(conn, |e| sqlx::query_scalar(LAST_CHANGE)
            .fetch_optional(e)
            .await)?),
    }
}

async fn put(tx: &mut Tx, key: &'static str, value: i64) -> Result<()> {
    meta::put(tx, key, &value.to_string()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_ends_by_itself_and_with_the_clock_that_began_it() {
        assert!(is_on(DAY + 5, 5));
        assert!(!is_on(DAY + 5, DAY + 5));
        assert!(!is_on(365 * DAY, 5), "the clock was put right");
    }
}
