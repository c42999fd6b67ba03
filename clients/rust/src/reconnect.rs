//! The steps of watches between two streams: wait, notify the listener, and connect again.

use std::{fmt, sync::Arc, time::Duration};

use tonic::Code;

use crate::{Error, backoff::Backoff, v1::ErrorReason};

const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// The server's interval of heartbeats in seconds, if the request does not name one.
const HEARTBEAT: i64 = 15;

/// Receives the error when a connection is lost, and `None` when there is a new one.
type Listener = Arc<dyn Fn(Option<&Error>) + Send + Sync>;

/// The options of all watches of a client.
#[derive(Clone)]
pub(crate) struct Watching {
    pub(crate) waits: (Duration, Duration),
    pub(crate) listener: Listener,
    pub(crate) silence: Option<Duration>,
}

impl Watching {
    pub(crate) fn new() -> Self {
        Self {
            waits: WAITS,
            listener: Arc::new(|_| {}),
            silence: None,
        }
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching")
            .field("waits", &self.waits)
            .finish_non_exhaustive()
    }
}

/// The state of a watch across its streams.
pub(crate) struct Reconnecting {
    backoff: Backoff,
    listener: Listener,
    away: bool,
    /// A stream that sends nothing for this long has ended.
    pub(crate) silence: Duration,
}

impl Reconnecting {
    /// `interval` is the longest time between two messages, in seconds.
    pub(crate) fn new(watching: &Watching, interval: i64) -> Self {
        let silence = Duration::from_secs(3 * interval.unsigned_abs());
        Self {
            backoff: Backoff::new(watching.waits),
            listener: Arc::clone(&watching.listener),
            away: false,
            silence: watching.silence.unwrap_or(silence),
        }
    }

    /// Records that a stream works.
    pub(crate) fn received(&mut self) {
        self.backoff.reset();
        if std::mem::take(&mut self.away) {
            (self.listener)(None);
        }
    }

    /// Waits after the end of a stream.
    pub(crate) async fn lost(&mut self, error: &Error) {
        self.away = true;
        (self.listener)(Some(error));
        tokio::time::sleep(self.backoff.next()).await;
    }
}

/// Returns the interval in seconds that the server makes of a requested one.
pub(crate) fn interval(asked: Option<prost_types::Duration>) -> i64 {
    asked.map_or(HEARTBEAT, |interval| interval.seconds.clamp(1, 60))
}

/// Whether the same stream may work at the next attempt.
pub(crate) fn is_transient(error: &Error) -> bool {
    // Cancelled comes from a proxy that closed the stream: the reader has not.
    matches!(
        error.code,
        Code::Unavailable | Code::Internal | Code::Unknown | Code::Cancelled
    ) || error.reason == ErrorReason::SlowConsumer
}
