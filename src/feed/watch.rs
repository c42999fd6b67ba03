//! The watch stream: a snapshot, then changes, without end.
//!
//! [`open()`] checks the request. [`Watch::next`] then goes from snapshot to catching up from the log to live
//! changes, and back to the log when it was outrun. The stream holds no queue of its own: it is polled for a
//! message when the connection has room for one.
//!
//! Invariant: every wait of a stream is also a wait for its deadline, its end and the end of its caller.

mod classify;
mod interrupts;
mod live;
mod messages;
mod open;
mod options;
mod outbox;
mod outgoing;
mod overlap;
mod paced;
mod reading;
mod snapshot;
mod time;
mod timed;

use std::collections::{HashSet, VecDeque};
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use tokio::time::Instant;
use tonic::Status;

use super::frame::{Frame, Message};
use super::history;
use super::progress::Progress;
use super::resource::{Resource, Scope};
use super::shared_filter::Shared;
use super::source::Source;
use super::{Feed, Permit};
use crate::caller::{Caller, Turns};
use crate::clock::Clock;
use crate::error::Result;
use crate::revision::Position;
use classify::Members;
pub use interrupts::EndReason;
use interrupts::Interrupts;
pub use open::{WatchRequest, open};
use options::Options;
pub use options::heartbeat;
use outbox::Outbox;
use overlap::Overlap;
use reading::{Read, Reading};
use snapshot::Snapshot;
use timed::Timed;

/// The messages of a watch.
pub type Stream = Pin<Box<dyn futures::Stream<Item = Result<Frame, Status>> + Send>>;

/// The phase of a stream.
enum Phase {
    /// The stream came with a token whose position in history is to be checked.
    Resume(Progress),
    /// The stream sends a snapshot.
    Snapshot(Snapshot),
    /// The stream reads the log until the ring or inbox can take over.
    CatchUp,
    /// The stream follows the channel.
    Live,
    /// The stream was asked to leave.
    Draining,
}

pub(super) struct Watch {
    feed: Feed,
    caller: Arc<Caller>,
    /// The turns for its reads.
    turns: Arc<Turns>,
    clock: Clock,
    shop: Arc<str>,
    resource: &'static dyn Resource,
    scope: Scope,
    ids: HashSet<String>,
    filter: Option<Shared>,
    options: Options,
    source: Source,
    /// The source holds every change after this position.
    floor: Position,
    phase: Phase,
    /// The read that the phase waits for.
    reading: Option<Reading>,
    /// Everything up to here is in the outbox, or need not be sent.
    position: Position,
    /// The furthest change that shows in a message.
    seen: Position,
    /// The first half of the next message's token, if the message's last change has one.
    progress_token: Option<(Progress, Box<str>)>,
    overlap: Option<Overlap>,
    members: Option<Members>,
    /// Resources whose match changes by the clock alone.
    timed: Timed,
    outbox: Outbox,
    ready: VecDeque<Message>,
    /// The progress of the reader: the token of the last message. None amid a snapshot.
    sent: Option<Progress>,
    beat_at: Instant,
    ends_at: Instant,
    stream_token: Arc<str>,
    interrupts: Interrupts,
    _permit: Permit,
}

impl Watch {
    async fn next(&mut self) -> Result<Frame> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                self.sent = message.progress;
                self.beat_at = self.clock.instant() + self.options.heartbeat;
                return Ok(message.frame);
            }
            if matches!(self.phase, Phase::Draining) {
                return Err(self.drained());
            }
            if self.source.has_ended() {
                self.leave_history()?;
            }
            // Before the reads, which may never come to an end.
            self.check_interrupts()?;
            if self.ready.is_empty()
                && !self.advance()?
                && let Some(read) = self.wait().await
            {
                self.take_read(read)?;
            }
        }
    }

    /// Advances as far as possible without waiting. Returns whether there is something to send or more to do.
    fn advance(&mut self) -> Result<bool> {
        if self.reading.is_some() {
            return Ok(false);
        }
        match &self.phase {
            Phase::Resume(progress) => {
                let topic = matches!(self.scope, Scope::Topic(_)).then(|| self.query(None));
                self.reading = Some(reading::resume(
                    &self.feed,
                    &self.turns,
                    self.resource,
                    *progress,
                    topic,
                ));
                Ok(false)
            }
            Phase::Snapshot(_) => Ok(self.advance_snapshot()),
            Phase::CatchUp if self.source.join(self.position, self.floor) => {
                self.phase = Phase::Live;
                Ok(true)
            }
            Phase::CatchUp => {
                self.reading = Some(reading::log(&self.feed, &self.turns, self.position));
                Ok(false)
            }
            Phase::Live => self.take_changes(),
            Phase::Draining => Ok(true),
        }
    }

    /// Waits for the read in progress, or until something else is due.
    async fn wait(&mut self) -> Option<Result<Read>> {
        let next_time = self.next_time();
        let live = self.reading.is_none();
        tokio::select! {
            biased;
            () = self.interrupts.wait(next_time) => None,
            read = finished(&mut self.reading) => Some(read),
            () = self.source.changed(), if live => None,
        }
    }

    /// Leaves the history that the stream was opened in, because the log is of another one. The stream's
    /// messages may not be part of that. Begins anew if the reader asked for that.
    fn leave_history(&mut self) -> Result<()> {
        let cause = self.reset_cause(history::epoch_changed())?;
        let hub = &self.feed.0.hub;
        self.source = Source::new(hub.lend(&self.shop, self.resource), &self.scope);
        self.floor = hub.floor();
        self.reading = None;
        self.begin_snapshot(cause);
        Ok(())
    }

    fn move_to(&mut self, position: Position) {
        if position.is_after(self.position) {
            self.position = position;
        }
    }
}

/// Waits for a read to end; for ever if there is none.
async fn finished(reading: &mut Option<Reading>) -> Result<Read> {
    match reading {
        Some(under_way) => {
            let read = under_way.await;
            *reading = None;
            read
        }
        None => pending().await,
    }
}
