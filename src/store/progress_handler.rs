//! Ends a statement of SQLite whose caller has gone, or that takes too long.
//!
//! SQLite works in this process and knows neither callers nor time limits. Every few thousand steps it asks
//! the progress handler of its connection whether it may continue.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use sqlx::SqliteConnection;

/// Steps of SQLite's virtual machine between two calls: less than a millisecond.
const STEPS: i32 = 4_000;

/// The zero of the handlers' times.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The progress handler of one connection.
pub(super) struct ProgressHandler {
    limit: Duration,
    /// When the current statement has to end, in milliseconds since `BEGINNING`.
    until: AtomicU64,
    /// Whether it has to end at once.
    interrupted: AtomicBool,
}

impl ProgressHandler {
    /// Installs a handler on a connection: none of its statements takes longer than `limit`.
    pub(super) async fn install(
        connection: &mut SqliteConnection,
        limit: Duration,
    ) -> sqlx::Result<Arc<Self>> {
        let handler = Arc::new(Self {
            limit,
            until: AtomicU64::new(u64::MAX),
            interrupted: AtomicBool::new(false),
        });
        let asked = Arc::clone(&handler);
        let mut connection = connection.lock_handle().await?;
        connection.set_progress_handler(STEPS, move || asked.may_continue());
        drop(connection);
        Ok(handler)
    }

    /// Starts the time of a statement.
    pub(super) fn begin(&self) {
        let until = now().saturating_add(millis(self.limit));
        self.until.store(until, Ordering::Relaxed);
    }

    /// Ends the current statement, and every later one that takes more than a moment.
    pub(super) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
    }

    /// Lets statements run to their limit again.
    pub(super) fn resume(&self) {
        self.interrupted.store(false, Ordering::Release);
    }

    fn may_continue(&self) -> bool {
        !self.interrupted.load(Ordering::Acquire) && now() <= self.until.load(Ordering::Relaxed)
    }
}

fn now() -> u64 {
    millis(BEGINNING.elapsed())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
