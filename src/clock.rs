//! The time, as the one input that tests can hold.
//!
//! Every time of the service is a count of microseconds since 1970 (UTC); nothing else in the
//! crate reads the system's clock. No order is ever derived from these values.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Tells the time; cheap to clone, and every clone tells the same.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    held: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still at `micros` until it is moved.
    #[must_use]
    pub fn held_at(micros: i64) -> Self {
        Self {
            held: Some(Arc::new(AtomicI64::new(micros))),
        }
    }

    /// Microseconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        match &self.held {
            Some(held) => held.load(Ordering::Relaxed),
            None => system_micros(),
        }
    }

    /// Moves a held clock forward; the machine's clock does not listen.
    pub fn advance(&self, by: Duration) {
        if let Some(held) = &self.held {
            held.fetch_add(micros(by), Ordering::Relaxed);
        }
    }
}

/// A duration in the unit of the clock; longer than 292,000 years is cut.
#[must_use]
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the machine's clock"
)]
fn system_micros() -> i64 {
    let now = std::time::SystemTime::now();
    match now.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_clock_moves_only_when_told() {
        let clock = Clock::held_at(1_000_000);
        let other = clock.clone();

        clock.advance(Duration::from_millis(5));

        assert_eq!(other.now(), 1_005_000);
    }
}
