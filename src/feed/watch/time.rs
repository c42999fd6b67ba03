//! Work that is due by time: heartbeats, delayed changes, and the ends of a stream.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;

use super::interrupts::EndReason;
use super::{Phase, Watch};
use crate::error::{Error, Result};

impl Watch {
    /// Does the work that is due now although nothing changed.
    pub(super) fn check_interrupts(&mut self) -> Result<()> {
        for ending in [EndReason::Key, EndReason::Deadline] {
            if self.interrupts.has_come(ending) {
                return Err(ending.error());
            }
        }
        let now = self.clock.instant();
        if now >= self.ends_at || self.interrupts.has_come(EndReason::Drain) {
            self.drain();
            return Ok(());
        }
        self.read_due();
        if self.outbox.due(now).is_some_and(|due| due <= now) {
            self.flush();
        }
        if self.ready.is_empty() && now >= self.beat_at {
            self.push_heartbeat();
        }
        Ok(())
    }

    /// The next time at which work is due although nothing changes.
    pub(super) fn next_time(&self) -> Instant {
        let now = self.clock.instant();
        let mut next = self.beat_at.min(self.ends_at);
        if let Some(due) = self.outbox.due(now) {
            next = next.min(due);
        }
        if let Some(flip) = self.next_flip() {
            let wait = flip.saturating_sub(self.clock.now()).max(0);
            next = next.min(now + Duration::from_micros(wait.cast_unsigned()));
        }
        next
    }

    /// Adds the resume token to an error after which the client should open the stream again.
    pub(super) fn come_back(&self, error: Error) -> Error {
        let has_token = error.metadata("resume_token").is_some();
        if error.code() == Code::Unavailable && !has_token {
            self.place().with_token(error, self.sent)
        } else {
            error
        }
    }

    fn drain(&mut self) {
        self.reading = None;
        self.outbox.expedite();
        self.flush();
        self.push_draining();
        self.phase = Phase::Draining;
    }

    pub(super) fn drained(&self) -> Error {
        self.place().with_token(EndReason::Drain.error(), self.sent)
    }
}
