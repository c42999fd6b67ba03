//! The watch stream: a snapshot, then changes, for ever.
//!
//! The way of a stream: [`open`] checks the request; [`Watch::next`] then goes from snapshot to
//! catching up from the log to live changes, and back to the log when it was outrun. The stream holds
//! no queue of its own: it is asked for a message when the connection has room for one.
//!
//! Invariant: whatever a stream waits for, it heeds the time, its end and its caller's.

mod bell;
mod judge;
mod live;
mod messages;
mod options;
mod outbox;
mod outgoing;
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
use super::token::stream_digest;
use super::{Feed, Permit};
use crate::caller::{Caller, Turns};
use crate::clock::Clock;
use crate::error::Result;
use crate::filter::Filter;
use crate::proto::pb::{self, snapshot_begin::Cause};
use crate::revision::Position;
use bell::Bell;
pub use bell::Ending;
use judge::Members;
use options::Options;
pub use options::heartbeat;
use outbox::Outbox;
use reading::{Read, Reading};
use snapshot::{Overlap, Snapshot};
use timed::Timed;

/// The messages of a watch.
pub type Stream = Pin<Box<dyn futures::Stream<Item = Result<Frame, Status>> + Send>>;

/// What a watch is asked for.
pub struct WatchRequest {
    /// Who asks.
    pub caller: Arc<Caller>,
    /// Of what kind.
    pub resource: &'static dyn Resource,
    /// Of which resources.
    pub scope: Scope,
    /// Which of them.
    pub filter: Option<Filter>,
    /// How.
    pub options: Option<pb::WatchOptions>,
}

/// Checks a request and opens its stream.
///
/// # Errors
/// What is wrong with the request, or TOO_MANY_STREAMS.
pub fn open(feed: &Feed, request: WatchRequest) -> Result<Stream> {
    let WatchRequest {
        caller,
        resource,
        scope,
        filter,
        options,
    } = request;
    let options = Options::read(options.unwrap_or_default())?;
    let permit = feed.admit(&caller)?;
    let stream = stream_digest(
        parameters(&scope, filter.as_ref())
            .iter()
            .map(String::as_str),
    );
    let shop = Arc::clone(&caller.shop);
    let token = match options.resume_token.as_str() {
        "" => None,
        token => Some(feed.0.tokens.open(&shop, resource.kind(), token)?),
    };
    let clock = feed.0.store.clock().clone();
    let by_clock = filter.as_ref().is_some_and(Filter::uses_clock);
    let phase = match token {
        // Where the clock decides what matches, nobody knows what did when the token was given.
        Some(token) if token.stream == stream && !by_clock => Phase::Resume(token.progress),
        Some(_) => Phase::Snapshot(Snapshot::new(Cause::FilterChanged, clock.now())),
        None if options.skip_snapshot && by_clock => Phase::Snapshot(Snapshot::unsent(clock.now())),
        None if options.skip_snapshot => Phase::CatchUp,
        None => Phase::Snapshot(Snapshot::new(Cause::Initial, clock.now())),
    };
    let source = Source::new(feed.0.hub.lend(&shop, resource), &scope);
    // After the source: what is handed over from here on is found in it.
    let floor = feed.0.hub.floor();
    let age = feed.stream_age();
    let now = clock.instant();
    let ids = match &scope {
        Scope::Ids(ids) => ids.iter().cloned().collect(),
        Scope::All | Scope::Topic(_) => HashSet::new(),
    };
    let members = filter.is_some() || matches!(scope, Scope::Topic(_));
    let (resumed, progress) = match phase {
        Phase::Resume(progress) => (true, progress),
        _ => (false, Progress::at(floor)),
    };
    let watch = Watch {
        feed: feed.clone(),
        turns: Arc::clone(&caller.turns),
        stream_token: feed
            .0
            .tokens
            .seal_stream(&shop, resource.kind(), stream)
            .into(),
        bell: Bell::new(clock.clone(), caller, feed.0.draining.clone()),
        clock,
        shop,
        resource,
        scope,
        ids,
        filter: filter.map(|filter| feed.0.hub.share_filter(resource.kind(), filter)),
        outbox: Outbox::new(
            options.delivery,
            options.min_update_interval,
            feed.0.kept.clone(),
        ),
        beat_at: now + options.heartbeat,
        options,
        source,
        floor,
        phase,
        reading: None,
        position: progress.up_to,
        seen: progress.seen,
        progress_token: None,
        overlap: None,
        members: members.then(|| Members::new(resumed)),
        timed: Timed::default(),
        ready: VecDeque::new(),
        sent: resumed.then_some(progress),
        ends_at: now + age,
        _permit: permit,
    };
    let (sent, place) = (watch.sent, watch.place());
    let messages = futures::stream::unfold(Some(Box::new(watch)), |watch| async move {
        let mut watch = watch?;
        match watch.next().await {
            Ok(frame) => Some((Ok((frame, watch.sent)), Some(watch))),
            Err(error) => Some((Err(Status::from(watch.come_back(error))), None)),
        }
    });
    let unread = &feed.0.unread;
    let ending = move |error, sent| place.with_token(error, sent);
    Ok(Box::pin(unread.guard(messages, sent, ending)))
}

fn parameters(scope: &Scope, filter: Option<&Filter>) -> Vec<String> {
    let mut parameters = vec![filter.map(Filter::to_string).unwrap_or_default()];
    match scope {
        Scope::All => {}
        Scope::Ids(ids) => {
            let mut ids = ids.clone();
            ids.sort_unstable();
            ids.dedup();
            parameters.extend(ids);
        }
        Scope::Topic(topic) => parameters.push(format!(":{topic}")),
    }
    parameters
}

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
    bell: Bell,
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
            self.heed()?;
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
            () = self.bell.ring(next_time) => None,
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
