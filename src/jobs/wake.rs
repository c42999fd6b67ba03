//! Wake-ups within this process: a worker begins at once, and a watched operation is sent at once. Lost or
//! spurious wake-ups do no harm, because workers and watches also poll; so one channel serves all stores of
//! the process.

use std::sync::LazyLock;

use tokio::sync::watch;

static QUEUED: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));
static PROGRESS: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// A job was committed.
pub(super) fn queued() {
    QUEUED.send_modify(|count| *count = count.wrapping_add(1));
    progressed();
}

/// A job went on or ended.
pub(super) fn progressed() {
    PROGRESS.send_modify(|count| *count = count.wrapping_add(1));
}

/// Changes when a job was committed in this process.
pub(super) fn queue() -> watch::Receiver<u64> {
    QUEUED.subscribe()
}

/// Changes when a job of this process was made, went on or ended.
#[must_use]
pub fn progress() -> watch::Receiver<u64> {
    PROGRESS.subscribe()
}
