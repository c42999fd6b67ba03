//! The interrupts of a stream: the drain of the server, the end of its key, its deadline, and timers.
//!
//! All are registered once in a stream's life and checked only when one has come. A stream that wakes for
//! every change must not queue at locks that all streams share.

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

/// An interrupt that comes once. It is `Sync` because a stream is held across awaits by reference.
type End = Pin<Box<dyn Future<Output = EndReason> + Send + Sync>>;

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The server asks its streams to leave.
    Drain,
    /// The key of the stream was revoked or has expired.
    Key,
    /// The caller's deadline has passed.
    Deadline,
}

impl EndReason {
    /// The error of a stream that ends for this reason.
    pub fn error(self) -> Error {
        match self {
            Self::Drain => {
                let text = "the server ends this stream; open it again with the resume token";
                Error::unavailable(ErrorReason::Draining, text)
            }
            Self::Key => {
                let text = "the API key of this stream was revoked or has expired";
                Error::new(Code::Unauthenticated, ErrorReason::KeyRevoked, text)
            }
            Self::Deadline => {
                let text = "the deadline of the stream has passed";
                Error::new(Code::DeadlineExceeded, ErrorReason::DeadlinePassed, text)
            }
        }
    }
}

pub struct Interrupts {
    ends: FuturesUnordered<End>,
    come: Vec<EndReason>,
    alarm: Alarm,
}

impl Interrupts {
    /// Creates the interrupts of a stream of this caller: the drain, the end of the key, and the deadline.
    pub fn new(clock: Clock, caller: Arc<Caller>, draining: CancellationToken) -> Self {
        let ends = FuturesUnordered::<End>::new();
        ends.push(Box::pin(
            draining.cancelled_owned().map(|()| EndReason::Drain),
        ));
        if let Some(deadline) = caller.deadline {
            let passed = tokio::time::sleep_until(Instant::from_std(deadline));
            ends.push(Box::pin(passed.map(|()| EndReason::Deadline)));
        }
        ends.push(Box::pin(async move {
            caller.ended().await;
            EndReason::Key
        }));
        Self {
            ends,
            come: Vec::new(),
            alarm: clock.alarm(),
        }
    }

    /// Whether the stream has to end for this reason by now.
    pub fn has_come(&mut self, reason: EndReason) -> bool {
        while let Some(Some(come)) = self.ends.next().now_or_never() {
            self.come.push(come);
        }
        self.come.contains(&reason)
    }

    /// Waits for an interrupt, at most until `until`.
    pub async fn wait(&mut self, until: Instant) {
        tokio::select! {
            biased;
            Some(come) = self.ends.next() => self.come.push(come),
            () = self.alarm.reach(until) => {}
        }
    }
}
