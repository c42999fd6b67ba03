//! The watch stream: a snapshot, then changes, for ever.
//!
//! The way of a stream: [`open`] checks the request; [`Watch::next`] then goes from snapshot to
//! catching up from the log to live changes, and back to the log when it was outrun. The stream holds
//! no queue of its own: it is asked for a message when the connection has room for one.

mod bell;
mod judge;
mod live;
mod messages;
mod options;
mod outbox;
mod snapshot;

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use futures::FutureExt as _;
use tokio::time::Instant;
use tonic::Status;

use super::Feed;
use super::entry::Entry;
use super::frame::{Frame, Signal};
use super::history;
use super::position::Position;
use super::quota::Permit;
use super::resource::{Resource, Scope};
use super::source::Source;
use super::tail;
use super::token::stream_digest;
use crate::access::Caller;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::proto::pb::{self, ErrorReason, snapshot_begin};
use bell::{Bell, Ring};
use judge::too_wide;
use options::Options;
use outbox::Outbox;
use snapshot::Snapshot;

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

/// Rows of the log that catching up reads at once.
const CATCH_UP_ROWS: i64 = 500;

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
    let permit = feed.0.quota.take(&caller.key_id)?;
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
    let phase = match token {
        Some(token) if token.stream == stream => Phase::Resume(token.position),
        Some(_) => Phase::Snapshot(Snapshot::new(snapshot_begin::Cause::FilterChanged)),
        None if options.skip_snapshot => Phase::CatchUp,
        None => Phase::Snapshot(Snapshot::new(snapshot_begin::Cause::Initial)),
    };
    // First the floor, then the source: what is handed over in between is found in both.
    let floor = feed.0.hub.position();
    let channel = feed.0.hub.channel(&shop, resource);
    let source = Source::new(channel, &scope);
    let floor = if feed.0.hub.position().is_after(floor) {
        feed.0.hub.position()
    } else {
        floor
    };
    let age = feed
        .0
        .settings
        .stream_age
        .mul_f64(0.8 + 0.4 * rand::random::<f64>());
    let now = Instant::now();
    let ids = match &scope {
        Scope::Ids(ids) => ids.iter().cloned().collect(),
        Scope::All | Scope::Topic(_) => HashSet::new(),
    };
    let members = filter.is_some() || matches!(scope, Scope::Topic(_));
    let resumed = matches!(phase, Phase::Resume(_));
    let watch = Watch {
        feed: feed.clone(),
        stream_token: feed
            .0
            .tokens
            .seal_stream(&shop, resource.kind(), stream)
            .into(),
        bell: Bell::new(Arc::clone(&caller), feed.0.draining.clone()),
        shop,
        caller,
        resource,
        scope,
        ids,
        filter: filter.map(Arc::new),
        outbox: Outbox::new(options.delivery, options.min_update_interval),
        beat_at: now + options.heartbeat,
        options,
        source,
        floor,
        phase,
        position: floor,
        position_token: None,
        overlap: None,
        members: members.then(|| Members {
            known: HashSet::new(),
            unknown_before: resumed,
        }),
        timed: HashMap::new(),
        ready: VecDeque::new(),
        ends_at: now + age,
        yielded_at: None,
        _permit: permit,
    };
    let messages = futures::stream::unfold(Some(Box::new(watch)), |watch| async move {
        let mut watch = watch?;
        match watch.next().await {
            Ok(frame) => {
                watch.yielded_at = Some(Instant::now());
                Some((Ok(frame), Some(watch)))
            }
            Err(error) => Some((Err(Status::from(watch.with_token(error))), None)),
        }
    });
    Ok(Box::pin(messages))
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
    Resume(Position),
    /// It is sent a whole state.
    Snapshot(Snapshot),
    /// It reads the log until the ring or inbox can take over.
    CatchUp,
    /// It follows the channel.
    Live,
    /// It has been told to go.
    Draining,
}

/// The resources that a filtered stream has sent and not taken back.
struct Members {
    known: HashSet<Box<str>>,
    /// After a resume it is unknown what was sent before: everything may have been.
    unknown_before: bool,
}

/// What a snapshot has sent of rows newer than its position: their changes are not sent again.
struct Overlap {
    versions: HashMap<Box<str>, i64>,
    until: (i64, i64),
}

/// One stream.
pub(super) struct Watch {
    feed: Feed,
    caller: Arc<Caller>,
    shop: Arc<str>,
    resource: &'static dyn Resource,
    scope: Scope,
    ids: HashSet<String>,
    filter: Option<Arc<Filter>>,
    options: Options,
    source: Source,
    floor: Position,
    phase: Phase,
    /// Everything up to here has been put into the outbox, or needs not be sent.
    position: Position,
    /// The sealed first half of the token of `position`, where an entry lent it.
    position_token: Option<(Position, Box<str>)>,
    overlap: Option<Overlap>,
    members: Option<Members>,
    /// Resources whose match changes by the clock alone.
    timed: HashMap<Box<str>, (Arc<Entry>, i64)>,
    outbox: Outbox,
    ready: VecDeque<Frame>,
    beat_at: Instant,
    ends_at: Instant,
    yielded_at: Option<Instant>,
    stream_token: Arc<str>,
    bell: Bell,
    _permit: Permit,
}

impl Watch {
    /// The next message.
    async fn next(&mut self) -> Result<Frame> {
        self.check_stalled()?;
        loop {
            if let Some(frame) = self.ready.pop_front() {
                self.beat_at = Instant::now() + self.options.heartbeat;
                return Ok(frame);
            }
            self.check_end()?;
            if !self.ready.is_empty() {
                continue;
            }
            match &mut self.phase {
                Phase::Resume(position) => {
                    let position = *position;
                    // Boxed, as the futures of the database are large and an idle stream has none.
                    Box::pin(self.resume(position)).await?;
                }
                Phase::Snapshot(_) => Box::pin(self.snapshot_step()).await?,
                Phase::CatchUp => Box::pin(self.catch_up_step()).await?,
                Phase::Live => self.live_step().await?,
                Phase::Draining => return Err(self.drained()),
            }
        }
    }

    /// Ends the stream if it has to: with an error, or by asking its reader to come back. Looked at
    /// before every step, as a busy stream never waits.
    fn check_end(&mut self) -> Result<()> {
        if let Some(ring) = self.bell.rung() {
            return self.end_for(ring);
        }
        let now = Instant::now();
        let deadline = self.caller.deadline;
        if deadline.is_some_and(|deadline| now.into_std() >= deadline) {
            return Err(Error::new(
                tonic::Code::DeadlineExceeded,
                ErrorReason::DeadlinePassed,
                "the deadline of the stream has passed",
            ));
        }
        if now >= self.ends_at {
            self.drain();
        }
        Ok(())
    }

    fn end_for(&mut self, ring: Ring) -> Result<()> {
        match ring {
            Ring::KeyEnded => Err(Error::new(
                tonic::Code::Unauthenticated,
                ErrorReason::KeyRevoked,
                "the key of this stream has ended",
            )),
            Ring::Drain => {
                self.ends_at = Instant::now();
                self.drain();
                Ok(())
            }
            Ring::Time => Ok(()),
        }
    }

    /// A stream that nobody read for long ends: its reader is not there any more, or cannot keep up.
    fn check_stalled(&self) -> Result<()> {
        let limit = self.feed.0.settings.stall_limit;
        match self.yielded_at {
            Some(at) if at.elapsed() > limit => Err(Error::exhausted(
                ErrorReason::SlowConsumer,
                "the stream was not read for too long",
            )
            .with(
                "resume_token",
                self.token(self.outbox.sent_up_to(self.position)),
            )),
            _ => Ok(()),
        }
    }

    async fn resume(&mut self, position: Position) -> Result<()> {
        let store = &self.feed.0.store;
        let checked = store
            .snapshot(|conn| history::check(conn, position).boxed())
            .await;
        let cause = match checked {
            Ok(()) => {
                self.position = position;
                self.phase = Phase::CatchUp;
                return Ok(());
            }
            Err(error) => self.reset_cause(error)?,
        };
        self.begin_snapshot(cause);
        Ok(())
    }

    /// The cause of a new snapshot instead of an error about history, if the reader asked for that.
    fn reset_cause(&self, error: Error) -> Result<snapshot_begin::Cause> {
        match error.reason() {
            ErrorReason::ResumeTokenExpired if self.options.reset => {
                Ok(snapshot_begin::Cause::TokenExpired)
            }
            ErrorReason::StoreEpochChanged if self.options.reset => {
                Ok(snapshot_begin::Cause::EpochChanged)
            }
            _ => Err(error),
        }
    }

    fn begin_snapshot(&mut self, cause: snapshot_begin::Cause) {
        self.outbox.clear();
        self.overlap = None;
        self.timed.clear();
        if let Some(members) = &mut self.members {
            *members = Members {
                known: HashSet::new(),
                unknown_before: false,
            };
        }
        self.phase = Phase::Snapshot(Snapshot::new(cause));
    }

    /// Reads a page of the log, or goes live where the channel can take over.
    async fn catch_up_step(&mut self) -> Result<()> {
        if self.source.join(self.position, self.floor) {
            self.phase = Phase::Live;
            return Ok(());
        }
        match self.read_log().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let cause = self.reset_cause(error)?;
                self.begin_snapshot(cause);
                Ok(())
            }
        }
    }

    /// Puts a page of the log into the outbox and what of it is due into messages. Whether the log
    /// went on.
    async fn read_log(&mut self) -> Result<bool> {
        // Whatever was handed to the channel by now can be read below.
        let handed = self.feed.0.hub.position();
        let position = self.position;
        let rows = {
            let _turn = self
                .feed
                .0
                .readers
                .acquire()
                .await
                .map_err(Error::internal)?;
            let store = &self.feed.0.store;
            let read = store.snapshot(|conn| {
                async move {
                    match history::compacted(conn).await? {
                        Some(compacted) if compacted.is_after(position) => Err(history::expired()),
                        _ => history::page(conn, position, CATCH_UP_ROWS).await,
                    }
                }
                .boxed()
            });
            read.await?
        };
        let full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= CATCH_UP_ROWS;
        let went_on = !rows.is_empty();
        let end = rows.last().map(history::LogRow::position);
        for row in rows {
            if *row.shop_id == *self.shop && row.kind == self.resource.kind().number() {
                self.consider(Arc::new(tail::entry(self.resource, row)?))?;
            }
        }
        if let Some(end) = end {
            self.move_to(end);
        }
        if !full && handed.is_after(self.position) {
            self.move_to(handed);
        }
        self.flush();
        Ok(went_on)
    }

    /// Asks the reader to come back. A snapshot that was begun is finished first: there is no token to
    /// come back with before its end.
    fn drain(&mut self) {
        if matches!(
            self.phase,
            Phase::Snapshot(_) | Phase::Resume(_) | Phase::Draining
        ) {
            return;
        }
        let grace = self
            .feed
            .0
            .settings
            .drain_grace
            .mul_f64(rand::random::<f64>());
        let grace = prost_types::Duration::try_from(grace).unwrap_or_default();
        self.outbox.expedite();
        self.flush();
        self.push_signal(&Signal::Draining(pb::Draining { grace: Some(grace) }));
        self.phase = Phase::Draining;
    }

    /// Who is to open the stream again is told with which token, once there is a place to go on from.
    fn with_token(&self, error: Error) -> Error {
        let position = match &self.phase {
            Phase::Snapshot(_) => return error,
            Phase::Resume(position) => *position,
            Phase::CatchUp | Phase::Live | Phase::Draining => self.position,
        };
        if error.code() != tonic::Code::Unavailable || error.metadata("resume_token").is_some() {
            return error;
        }
        let token = self.token(self.outbox.sent_up_to(position));
        error.with("resume_token", token)
    }

    fn drained(&self) -> Error {
        let token = self.token(self.outbox.sent_up_to(self.position));
        Error::unavailable(ErrorReason::Draining, "the stream has to be opened again")
            .with("resume_token", token)
    }

    fn move_to(&mut self, position: Position) {
        if position.is_after(self.position) {
            self.position = position;
        }
    }
}
