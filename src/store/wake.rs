//! The wake-up that a commit sends to the followers of the change log.
//!
//! A wake-up has no content and may be lost or repeated; the log alone is the truth.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Wakes the followers of the change log in this process.
#[derive(Clone)]
pub(super) struct Wake {
    here: watch::Sender<u64>,
    anywhere: watch::Sender<u64>,
    hints: Arc<AtomicU64>,
}

impl Wake {
    pub(super) fn new() -> Self {
        Self {
            here: watch::Sender::new(0),
            anywhere: watch::Sender::new(0),
            hints: Arc::default(),
        }
    }

    /// Wakes the followers after a commit of this process.
    pub(super) fn committed_here(&self) {
        self.here.send_modify(|count| *count += 1);
        self.committed_elsewhere();
    }

    /// Wakes the followers for a possible commit of another process.
    pub(super) fn committed_elsewhere(&self) {
        self.anywhere.send_modify(|count| *count += 1);
    }

    /// Wakes the followers for a hint of another process.
    pub(super) fn hinted(&self) {
        self.hints.fetch_add(1, Ordering::Relaxed);
        self.committed_elsewhere();
    }

    /// The number of received hints.
    pub(super) fn hints(&self) -> u64 {
        self.hints.load(Ordering::Relaxed)
    }

    /// Changes after each commit of this process.
    pub(super) fn here(&self) -> watch::Receiver<u64> {
        self.here.subscribe()
    }

    /// Changes after each commit of any process, as far as it is known.
    pub(super) fn anywhere(&self) -> watch::Receiver<u64> {
        self.anywhere.subscribe()
    }
}
