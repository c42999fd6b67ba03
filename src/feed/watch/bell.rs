//! What interrupts a stream: the drain of the server, the end of its key, its deadline, and time.
//!
//! All of it is registered once in a stream's life and looked at only when it has rung. A stream that
//! wakes for every change must not queue at locks that all streams share.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::caller::Caller;
use crate::clock::{Alarm, Clock};
use crate::error::Error;
use crate::proto::pb::ErrorReason;

/// What rings once. `Sync`, as a stream is held across awaits by reference.
type End = Pin<Box<dyn Future<Output = Ending> + Send + Sync>>;

/// By what a stream comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The server asks its streams to go.
    Drain,
    /// The key of the stream was revoked or has expired.
    Key,
    /// The caller does not wait any longer.
    Deadline,
}

impl Ending {
    /// With what a stream ends then.
    pub fn error(self) -> Error {
        match self {
            Self::Drain => {
                let text = "the stream has to be opened again";
                Error::unavailable(ErrorReason::Draining, text)
            }
            Self::Key => {
                let text = "the key of this stream has ended";
                Error::new(Code::Unauthenticated, ErrorReason::KeyRevoked, text)
            }
            Self::Deadline => {
                let text = "the deadline of the stream has passed";
                Error::new(Code::DeadlineExceeded, ErrorReason::DeadlinePassed, text)
            }
        }
    }
}

/// The bell of one stream.
pub struct Bell {
    ends: FuturesUnordered<End>,
    rung: Vec<Ending>,
    alarm: Alarm,
}

impl Bell {
    /// A bell that rings for the drain, and for the end of the caller's key and patience.
    pub fn new(clock: Clock, caller: Arc<Caller>, draining: CancellationToken) -> Self {
        let ends = FuturesUnordered::<End>::new();
        ends.push(Box::pin(draining.cancelled_owned().map(|()| Ending::Drain)));
        if let Some(deadline) = caller.deadline {
            let passed = tokio::time::sleep_until(Instant::from_std(deadline));
            ends.push(Box::pin(passed.map(|()| Ending::Deadline)));
        }
        ends.push(Box::pin(async move {
            caller.ended().await;
            Ending::Key
        }));
        Self {
            ends,
            rung: Vec::new(),
            alarm: clock.alarm(),
        }
    }

    /// Whether the stream has come to this end by now.
    pub fn has_rung(&mut self, ending: Ending) -> bool {
        while let Some(Some(rung)) = self.ends.next().now_or_never() {
            self.rung.push(rung);
        }
        self.rung.contains(&ending)
    }

    /// Waits for an end, at most until `until`.
    pub async fn ring(&mut self, until: Instant) {
        tokio::select! {
            biased;
            Some(rung) = self.ends.next() => self.rung.push(rung),
            () = self.alarm.reach(until) => {}
        }
    }
}
