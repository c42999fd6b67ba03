//! The waits between attempts.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Waits that double, each lengthened at random so that many clients do not come back at once.
#[derive(Debug)]
pub struct Backoff(ExponentialBackoff);

impl Backoff {
    /// Begins with the shortest wait.
    pub fn new() -> Self {
        let waits = ExponentialBuilder::new()
            .with_min_delay(FIRST)
            .with_max_delay(LONGEST)
            .with_jitter()
            .without_max_times();
        Self(waits.build())
    }

    /// The next wait; at most twice the longest.
    pub fn wait(&mut self) -> Duration {
        self.0.next().unwrap_or(LONGEST)
    }

    /// Begins anew, after a success.
    pub fn reset(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_seconds_and_begin_anew() {
        let mut backoff = Backoff::new();

        let waits: Vec<Duration> = (0..100).map(|_| backoff.wait()).collect();

        let is_about = |wait: Duration, least: Duration| wait >= least && wait <= least * 2;
        assert!(is_about(waits[0], FIRST), "{waits:?}");
        assert!(is_about(waits[3], FIRST * 8), "{waits:?}");
        assert!(is_about(waits[99], LONGEST), "{waits:?}");
        backoff.reset();
        assert!(is_about(backoff.wait(), FIRST));
    }
}
