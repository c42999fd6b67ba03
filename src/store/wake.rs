//! "Look now": what a commit tells those who follow the change log.
//!
//! A wake-up carries nothing and may be lost or repeated; the log alone is the truth.

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

    /// This process has committed a change.
    pub(super) fn committed_here(&self) {
        self.here.send_modify(|count| *count += 1);
        self.committed_elsewhere();
    }

    /// Another process has, or may have.
    pub(super) fn committed_elsewhere(&self) {
        self.anywhere.send_modify(|count| *count += 1);
    }

    /// Another process says that it has.
    pub(super) fn hinted(&self) {
        self.hints.fetch_add(1, Ordering::Relaxed);
        self.committed_elsewhere();
    }

    /// How many hints of other processes were heard.
    pub(super) fn hints(&self) -> u64 {
        self.hints.load(Ordering::Relaxed)
    }

    /// Changes when this process has committed.
    pub(super) fn here(&self) -> watch::Receiver<u64> {
        self.here.subscribe()
    }

    /// Changes when any process has, as far as it is known.
    pub(super) fn anywhere(&self) -> watch::Receiver<u64> {
        self.anywhere.subscribe()
    }
}
