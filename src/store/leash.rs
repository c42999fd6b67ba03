//! Ends a statement of SQLite that nobody waits for any more, or that takes too long.
//!
//! SQLite works in this process and knows neither callers nor limits of time. It asks the leash of its
//! connection every few thousand steps whether it may go on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use sqlx::SqliteConnection;

/// Steps of SQLite's machine between two questions: less than a millisecond.
const STEPS: i32 = 4_000;

/// From when the moments of leashes count.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The leash of one connection.
pub(super) struct Leash {
    limit: Duration,
    /// When the statement under way has to end, in milliseconds from the beginning.
    until: AtomicU64,
    /// Whether it has to end at once.
    pulled: AtomicBool,
}

impl Leash {
    /// Puts a connection on a leash: none of its statements takes longer than `limit`.
    pub(super) async fn put_on(
        connection: &mut SqliteConnection,
        limit: Duration,
    ) -> sqlx::Result<Arc<Self>> {
        let leash = Arc::new(Self {
            limit,
            until: AtomicU64::new(u64::MAX),
            pulled: AtomicBool::new(false),
        });
        let asked = Arc::clone(&leash);
        let mut handle = connection.lock_handle().await?;
        handle.set_progress_handler(STEPS, move || asked.may_go_on());
        drop(handle);
        Ok(leash)
    }

    /// A statement begins.
    pub(super) fn begin(&self) {
        let until = now().saturating_add(millis(self.limit));
        self.until.store(until, Ordering::Relaxed);
    }

    /// Ends the statement under way, and every other that takes more than a moment.
    pub(super) fn pull(&self) {
        self.pulled.store(true, Ordering::Release);
    }

    /// Lets statements take their time again.
    pub(super) fn loosen(&self) {
        self.pulled.store(false, Ordering::Release);
    }

    fn may_go_on(&self) -> bool {
        !self.pulled.load(Ordering::Acquire) && now() <= self.until.load(Ordering::Relaxed)
    }
}

fn now() -> u64 {
    millis(BEGINNING.elapsed())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
