//! WatchCartFigures: sends the figures of a shop at once, and then whenever they have changed.
//!
//! A stream holds only its last message. It is polled when the connection has room, and then takes the
//! present figures.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::Instant;
use tonic::Status;

use super::Service;
use crate::caller::Caller;
use crate::carts::figures::Watched;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::feed::{self, EndReason, Feed, Permit};
use crate::limits;
use crate::proto::pb;

pub type Stream =
    Pin<Box<dyn futures::Stream<Item = Result<pb::WatchCartFiguresResponse, Status>> + Send>>;

/// How long a stream without changes waits at the most: time alone also changes figures.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

impl Service {
    pub(super) fn watch_figures(
        &self,
        caller: Arc<Caller>,
        request: pb::WatchCartFiguresRequest,
    ) -> Result<Stream> {
        let min_interval = min_interval(request.min_interval)?;
        let heartbeat = feed::heartbeat(request.heartbeat_interval).max(min_interval);
        let permit = self.feed.admit(&caller)?;
        let figures = self.figures.watch(&caller.shop);
        let now = Instant::now();
        let watch = Watch {
            changes: figures.changes(),
            figures,
            clock: self.store.clock().clone(),
            ends_at: now + self.feed.stream_age(),
            feed: self.feed.clone(),
            caller,
            storefront: request.storefront,
            min_interval,
            heartbeat,
            sent: None,
            phase: Phase::Live,
            _permit: permit,
        };
        let messages = futures::stream::unfold(watch, |mut watch| async move {
            if watch.phase == Phase::Ended {
                return None;
            }
            let next = watch.next().await.map_err(|error| {
                watch.phase = Phase::Ended;
                Status::from(error)
            });
            Some((next, watch))
        });
        Ok(Box::pin(self.feed.guard(messages)))
    }
}

fn min_interval(asked: Option<prost_types::Duration>) -> Result<Duration> {
    let Some(asked) = asked else {
        return Ok(limits::FIGURES_INTERVAL_DEFAULT);
    };
    let allowed = limits::FIGURES_INTERVAL_MIN..=limits::FIGURES_INTERVAL_MAX;
    let interval = Duration::try_from(asked).ok();
    interval
        .filter(|interval| allowed.contains(interval))
        .ok_or_else(|| {
            let text = "must be 100 milliseconds to 60 seconds";
            Error::invalid_field("min_interval", "OUT_OF_RANGE", text)
        })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Figures are sent.
    Live,
    /// The client has been asked to reconnect.
    Draining,
    /// Nothing follows.
    Ended,
}

struct Watch {
    figures: Arc<Watched>,
    changes: Receiver<u64>,
    feed: Feed,
    clock: Clock,
    caller: Arc<Caller>,
    storefront: String,
    min_interval: Duration,
    heartbeat: Duration,
    /// The last figures without their time, and when they were sent.
    sent: Option<(pb::CartFigures, Instant)>,
    ends_at: Instant,
    phase: Phase,
    /// Released when the stream is dropped.
    _permit: Permit,
}

impl Watch {
    /// Waits for the next message.
    async fn next(&mut self) -> Result<pb::WatchCartFiguresResponse> {
        if self.phase == Phase::Draining {
            return Err(EndReason::Drain.error());
        }
        loop {
            if let Some(draining) = self.check_end()? {
                return Ok(draining);
            }
            // Marked as seen before the figures are read, so that a change during the read is not missed.
            self.changes.borrow_and_update();
            let now = Instant::now();
            let may_send_at = match &self.sent {
                Some((_, at)) => *at + self.min_interval,
                None => now,
            };
            if may_send_at <= now
                && let Some(figures) = self.news(now)
            {
                return Ok(pb::WatchCartFiguresResponse {
                    figures: Some(figures),
                    draining: None,
                });
            }
            self.wait(now, may_send_at).await;
        }
    }

    /// Checks whether the stream has to end: with an error, or by asking its client to reconnect.
    fn check_end(&mut self) -> Result<Option<pb::WatchCartFiguresResponse>> {
        let now = Instant::now();
        if self.caller.key_ended.is_cancelled() {
            return Err(EndReason::Key.error());
        }
        let deadline = self.caller.deadline;
        if deadline.is_some_and(|deadline| now.into_std() >= deadline) {
            return Err(EndReason::Deadline.error());
        }
        if !self.feed.draining().is_cancelled() && now < self.ends_at {
            return Ok(None);
        }
        self.phase = Phase::Draining;
        Ok(Some(pb::WatchCartFiguresResponse {
            figures: None,
            draining: Some(self.feed.drain_notice()),
        }))
    }

    /// The figures, if they have changed or it is time to repeat them.
    fn news(&mut self, now: Instant) -> Option<pb::CartFigures> {
        let figures = self.figures.figures(&self.storefront, self.clock.now())?;
        let timeless = pb::CartFigures {
            time: None,
            ..figures.clone()
        };
        if let Some((sent, at)) = &self.sent
            && *sent == timeless
            && now < *at + self.heartbeat
        {
            return None;
        }
        self.sent = Some((timeless, now));
        Some(figures)
    }

    /// Waits until figures may be sent, or until the stream may have to end.
    async fn wait(&mut self, now: Instant, may_send_at: Instant) {
        let may_send = may_send_at <= now;
        let mut until = if may_send {
            now + self.min_interval.min(LOOK_INTERVAL)
        } else {
            may_send_at
        };
        until = until.min(self.ends_at);
        if let Some(deadline) = self.caller.deadline {
            until = until.min(Instant::from_std(deadline));
        }
        tokio::select! {
            () = self.feed.draining().cancelled() => {}
            () = self.caller.ended() => {}
            // The stream holds the board, and the board holds the sender.
            _ = self.changes.changed(), if may_send => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}
