//! What interrupts a stream beside its changes: the end of its key, the drain of the server, and time.
//!
//! All of it is registered once in a stream's life and looked at only when it has rung. A stream that
//! wakes for every change must not queue at a lock that all streams share.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use crate::access::Caller;

/// What has rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// The server asks its streams to go.
    Drain,
    /// The key of the stream has been revoked or has expired.
    KeyEnded,
    /// A time has come. It may ring early: who hears it looks at the clock.
    Time,
}

/// What rings once. `Sync`, as a stream is held across awaits by reference.
type End = Pin<Box<dyn Future<Output = Ring> + Send + Sync>>;

/// The bell of one stream.
pub struct Bell {
    ends: FuturesUnordered<End>,
    timer: Pin<Box<Sleep>>,
}

impl Bell {
    /// A bell that rings for the end of the caller's key and for the drain.
    pub fn new(caller: Arc<Caller>, draining: CancellationToken) -> Self {
        let ends = FuturesUnordered::<End>::new();
        let drained = draining.cancelled_owned().map(|()| Ring::Drain);
        ends.push(Box::pin(drained));
        ends.push(Box::pin(async move {
            caller.ended().await;
            Ring::KeyEnded
        }));
        Self {
            ends,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }

    /// What has rung by now, if not the time.
    pub fn rung(&mut self) -> Option<Ring> {
        self.ends.next().now_or_never().flatten()
    }

    /// Waits until it rings, which it does at `until` at the latest.
    pub async fn wait(&mut self, until: Instant) -> Ring {
        // Set later only once it has rung: most waits end before, and each would pay for the change.
        if self.timer.is_elapsed() || until < self.timer.deadline() {
            self.timer.as_mut().reset(until);
        }
        tokio::select! {
            biased;
            Some(ring) = self.ends.next() => ring,
            () = self.timer.as_mut() => Ring::Time,
        }
    }
}
