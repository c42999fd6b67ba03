//! Wake-ups within this process: a worker begins at once, and a watched operation is sent at once. Lost or
//! spurious wake-ups do no harm, because workers and watches also poll. So one channel serves all stores of
//! the process.

use std::sync::LazyLock;

use tokio::sync::watch;

static QUEUED: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));
static PROGRESS: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// Wakes the workers after the commit of a job.
pub(super) fn queued() {
    QUEUED.send_modify(|count| *count = count.wrapping_add(1));
    progressed();
}

/// Wakes the watches after a job has advanced or ended.
pub(super) fn progressed() {
    PROGRESS.send_modify(|count| *count = count.wrapping_add(1));
}

/// Changes when a job was committed in this process.
pub(super) fn queue() -> watch::Receiver<u64> {
    QUEUED.subscribe()
}

/// Changes when a job of this process was enqueued, advanced or ended.
#[must_use]
pub fn progress() -> watch::Receiver<u64> {
    PROGRESS.subscribe()
}
