//! The watch stream: a snapshot, then changes, for ever.
//!
//! The way of a stream: [`open()`] checks the request; [`Watch::next`] then goes from snapshot to
//! catching up from the log to live changes, and back to the log when it was outrun. The stream holds
//! no queue of its own: it is asked for a message when the connection has room for one.
//!
//! Invariant: whatever a stream waits for, it also waits for its deadline, its end and the end of its caller.

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
use super::judgement::Shared;
use super::progress::Progress;
use super::resource::{Resource, Scope};
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

/// Where a stream is in its life.
enum Phase {
    /// It came with a token, whose place in history is to be checked.
    Resume(Progress),
    /// It is sent a whole state.
    Snapshot(Snapshot),
    /// It reads the log until the ring or inbox can take over.
    CatchUp,
    /// It follows the channel.
    Live,
    /// It has been told to go.
    Draining,
}

/// One stream.
pub(super) struct Watch {
    feed: Feed,
    caller: Arc<Caller>,
    /// Its reads wait for these.
    turns: Arc<Turns>,
    clock: Clock,
    shop: Arc<str>,
    resource: &'static dyn Resource,
    scope: Scope,
    ids: HashSet<String>,
    filter: Option<Shared>,
    options: Options,
    source: Source,
    /// What comes after this is in the source.
    floor: Position,
    phase: Phase,
    /// What the phase waits for.
    reading: Option<Reading>,
    /// Everything up to here has been put into the outbox, or needs not be sent.
    position: Position,
    /// The furthest change that shows in what was put into messages.
    seen: Position,
    /// The first half of the token of the next message, where its last change has one.
    progress_token: Option<(Progress, Box<str>)>,
    overlap: Option<Overlap>,
    members: Option<Members>,
    /// Resources whose match changes by the clock alone.
    timed: Timed,
    outbox: Outbox,
    ready: VecDeque<Message>,
    /// How far the reader is: the token of the last message. None amid a snapshot.
    sent: Option<Progress>,
    beat_at: Instant,
    ends_at: Instant,
    stream_token: Arc<str>,
    interrupts: Interrupts,
    _permit: Permit,
}

impl Watch {
    /// The next message.
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
            // Before what is to be read, of which there may always be more.
            self.check_interrupts()?;
            if self.ready.is_empty()
                && !self.advance()?
                && let Some(read) = self.wait().await
            {
                self.take_read(read)?;
            }
        }
    }

    /// Goes on as far as that needs no waiting; whether there is something to send or to go on with.
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

    /// Waits for what was asked for, or until something else is to be done.
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

    /// The log is of another history since the stream was opened: whatever the stream has sent may be none of
    /// it. Begins anew if the reader asked for that.
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
