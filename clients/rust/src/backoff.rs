//! Pauses between attempts.

use std::time::Duration;

use rand::RngExt as _;

/// Pauses that double, with a random part so that many clients do not reconnect at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    waits: (Duration, Duration),
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(waits: (Duration, Duration)) -> Self {
        Self {
            waits,
            next: waits.0,
        }
    }

    /// Returns the next pause: between half of it and the whole.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.waits.1);
        wait.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.waits.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(10));
        let mut backoff = Backoff::new((first, longest));

        for doubled in 0..400 {
            let whole = (first * 2_u32.pow(doubled.min(10))).min(longest);
            let wait = backoff.next();
            assert!(wait >= whole / 2 && wait <= whole, "{doubled}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= first);
    }
}
