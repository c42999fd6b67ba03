//! Limits the parallel work of one key, so that other keys have room.
//!
//! The lists and stream pages that a key reads at once leave connections for other keys. A key runs at most
//! [`limits::WRITES_PER_KEY_MAX`] writes at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{Error, Result};
use crate::limits;
use crate::proto::pb::ErrorReason;

/// Returns the limit of parallel reads of one key: two thirds of `at_once`, at least one.
fn of_one_key(at_once: usize) -> usize {
    (at_once * 2 / 3).max(1)
}

/// Semaphores and a counter for the calls of one key. A permit is called a turn.
#[derive(Debug)]
pub struct Turns {
    /// For its calls that read many rows.
    lists: Arc<Semaphore>,
    /// For the reads of its streams.
    pages: Semaphore,
    /// For its writes.
    writes: Arc<Semaphore>,
    /// The number of its calls that run or wait.
    calls: AtomicUsize,
}

impl Turns {
    /// Makes the turns of a key. `lists_at_once` and `pages_at_once` are the limits of parallel lists and stream
    /// pages of the process.
    pub fn new(lists_at_once: usize, pages_at_once: usize) -> Self {
        Self {
            lists: Arc::new(Semaphore::new(of_one_key(lists_at_once))),
            pages: Semaphore::new(of_one_key(pages_at_once)),
            writes: Arc::new(Semaphore::new(limits::WRITES_PER_KEY_MAX)),
            calls: AtomicUsize::new(0),
        }
    }

    /// Makes the turns of the service as a caller, which opens no streams.
    pub fn of_service() -> Self {
        Self::new(1, 1)
    }

    /// The turns of the key's calls that read many rows.
    pub fn lists(&self) -> &Arc<Semaphore> {
        &self.lists
    }

    /// The turns of the key's writes.
    pub fn writes(&self) -> &Arc<Semaphore> {
        &self.writes
    }

    /// Waits for a turn to read for a stream: first a turn of the key, then one of `all`.
    ///
    /// # Errors
    /// If the turns were closed.
    pub async fn page<'t>(
        &'t self,
        all: &'t Semaphore,
    ) -> Result<(SemaphorePermit<'t>, SemaphorePermit<'t>)> {
        let of_key = self.pages.acquire().await.map_err(Error::internal)?;
        let of_all = all.acquire().await.map_err(Error::internal)?;
        Ok((of_key, of_all))
    }

    /// Counts a call until the returned value is dropped.
    ///
    /// # Errors
    /// OVERLOADED if the key has reached its limit of calls in progress.
    pub fn begin(&self) -> Result<CallInProgress<'_>> {
        let before = self.calls.fetch_add(1, Ordering::Relaxed);
        let call = CallInProgress(self);
        if before < limits::CALLS_PER_KEY_MAX {
            return Ok(call);
        }
        let text = "the key has reached its limit of calls in progress; retry later";
        let limit = limits::CALLS_PER_KEY_MAX.to_string();
        Err(Error::exhausted(ErrorReason::Overloaded, text).with("limit", limit))
    }
}

/// A call that counts against the limit of its key.
#[must_use]
pub struct CallInProgress<'t>(&'t Turns);

impl Drop for CallInProgress<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_two_thirds_of_the_connections_and_at_least_one() {
        assert_eq!(of_one_key(1), 1);
        assert_eq!(of_one_key(3), 2);
    }

    #[test]
    fn a_call_beyond_the_limit_of_its_key_is_refused() {
        let turns = Turns::new(3, 3);
        let calls: Vec<_> = (0..limits::CALLS_PER_KEY_MAX)
            .map(|_| turns.begin().unwrap())
            .collect();

        for _ in 0..2 {
            let refused = turns.begin().map(drop).unwrap_err();
            assert_eq!(refused.reason(), ErrorReason::Overloaded);
        }
        drop(calls);
        assert!(turns.begin().is_ok());
    }
}
