//! The feed: the change log and the streams that follow it.
//!
//! Invariant: the log is the truth. Hints, rings and inboxes may be late or lost without harm: a stream sends
//! the changes of the log, in the order of the log.

mod apart;
mod channel;
mod entry;
mod fault_injection;
mod frame;
pub mod history;
mod hub;
mod kept;
mod log;
mod order;
mod progress;
mod resource;
mod runs;
mod shared_filter;
mod source;
mod stall_detector;
mod tail;
#[cfg(test)]
mod things;
mod token;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, TryStreamExt as _};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub use apart::Apart;
pub use entry::{micros, timestamp};
pub use fault_injection::FaultInjection;
pub use frame::Frame;
pub use log::{
    Change, Kind, LogRow, MAX_CAUSES, Replay, WithAppend, answer, answer_part, answered,
    answered_part, append, append_row, check_etag, etag, is_repeated_by_its_caller, locks,
    remember, replay, replayed, request_id_reused,
};
pub use order::LogOrder;
pub use progress::Progress;
pub use resource::{Decoded, PageQuery, Resource, Row, Rows, Scope};
pub use token::Tokens;
pub use watch::{EndReason, Stream, WatchRequest, heartbeat};

use crate::caller::{Caller, Turns};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::limits;
use crate::proto::pb::{Draining, ErrorReason};
use crate::quota::{self, Full, Quota};
use crate::revision::Reached;
use crate::store::{Purpose, Store};
use hub::Hub;
use kept::KeptBytes;
use stall_detector::{Guarded, StallDetector};

/// The share of the age by which a stream may end earlier or later, at random, so that not all end at once.
const AGE_SPREAD: f64 = 0.2;

/// Settings of the feed. Tests set shorter times.
#[derive(Clone, Debug)]
pub struct FeedSettings {
    /// How often the log is polled when no commit was announced.
    pub poll_interval: Duration,
    /// The age at which a stream is asked to connect again, within 20 % more or less.
    pub stream_age: Duration,
    /// How long a stream may be left unread. It is detected up to a third of that later.
    pub stall_limit: Duration,
    /// The longest grace that a drained stream is given to reconnect.
    pub drain_grace: Duration,
    /// The most bytes of the latest changes that the rings of all streams keep in memory.
    pub rings_bytes_max: usize,
    /// The most bytes of changes that all streams together hold back for their `min_update_interval`.
    pub paced_bytes_max: usize,
    /// How long a call waits for `clientela-min-revision`.
    pub revision_wait: Duration,
}

impl FeedSettings {
    /// The age below which no stream is asked to connect again.
    #[must_use]
    pub fn stream_age_min(&self) -> Duration {
        self.stream_age.mul_f64(1.0 - AGE_SPREAD)
    }
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_millis(250),
            stream_age: Duration::from_secs(30 * 60),
            stall_limit: limits::WATCH_STALLED_MAX,
            drain_grace: Duration::from_secs(5),
            rings_bytes_max: limits::RINGS_BYTES_MAX,
            paced_bytes_max: limits::PACED_BYTES_MAX,
            revision_wait: Duration::from_secs(2),
        }
    }
}

/// The right to one open stream. Dropping it gives the right back.
pub type Permit = quota::Permit<Arc<str>>;

/// Refuses a stream beyond a limit.
pub(crate) fn too_many(limit: usize, text: &'static str) -> Error {
    Error::exhausted(ErrorReason::TooManyStreams, text).with("limit", limit.to_string())
}

/// The feed of one process; cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    store: Store,
    settings: FeedSettings,
    fault: FaultInjection,
    tokens: Tokens,
    hub: Arc<Hub>,
    kept: KeptBytes,
    readers: Semaphore,
    quota: Quota<Arc<str>>,
    stall_detector: StallDetector,
    draining: CancellationToken,
}

impl Feed {
    /// Begins to follow the change log of `store`. When `draining` is cancelled, all streams are asked to
    /// leave, and end.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn start(
        store: Store,
        settings: FeedSettings,
        draining: CancellationToken,
    ) -> Result<Self> {
        Self::start_faulty(store, settings, FaultInjection::None, draining).await
    }

    /// As [`start`](Self::start), with a fault, for tests of the programs that check streams.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_faulty(
        store: Store,
        settings: FeedSettings,
        fault: FaultInjection,
        draining: CancellationToken,
    ) -> Result<Self> {
        let order = fault.order();
        let (store, tail_store) = (
            store.reserved_for(Purpose::Streams),
            store.reserved_for(Purpose::Tail),
        );
        let readers = store.connections_for(Purpose::Streams);
        let end = tail_store
            .read(|conn| history::end(conn, order).boxed())
            .await?;
        let hub = Arc::new(Hub::new(end, settings.rings_bytes_max));
        let follower = tail::follow(
            tail_store,
            Arc::clone(&hub),
            order,
            settings.poll_interval,
            draining.clone(),
        );
        tokio::spawn(follower);
        let stall_detector = StallDetector::new(store.clock().clone(), settings.stall_limit);
        tokio::spawn(stall_detector.clone().look_over(draining.clone()));
        let tokens = Tokens::new(*store.meta().secret());
        Ok(Self(Arc::new(Inner {
            store,
            kept: KeptBytes::new(settings.paced_bytes_max),
            settings,
            fault,
            tokens,
            hub,
            readers: Semaphore::new(readers),
            quota: Quota::default(),
            stall_detector,
            draining,
        })))
    }

    /// The clock of the store.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.0.store.clock()
    }

    /// The number of open streams.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.0.quota.open()
    }

    /// The number of watched pairs of shop and kind, and the bytes of their latest changes in memory.
    #[must_use]
    pub fn rings(&self) -> (usize, usize) {
        self.0.hub.held()
    }

    /// How many times the filter of a stream was evaluated for a change.
    #[must_use]
    pub fn evaluations(&self) -> u64 {
        self.0.hub.evaluations()
    }

    /// The value of `clientela-revision` for a call that wrote up to `reached`, or that read.
    #[must_use]
    pub fn revision(&self, reached: &Reached) -> String {
        let position = reached.get().unwrap_or_else(|| self.0.hub.position());
        self.0.tokens.seal_revision(position)
    }

    /// Waits until this replica has read the log up to `revision`, a value of `clientela-revision`.
    ///
    /// # Errors
    /// INVALID_REVISION, or REVISION_NOT_REACHED when the wait times out.
    pub async fn reach(&self, revision: &str) -> Result<()> {
        let wanted = self.0.tokens.open_revision(revision)?;
        let mut positions = self.0.hub.positions();
        let reached = positions.wait_for(|position| !wanted.is_after(*position));
        match tokio::time::timeout(self.0.settings.revision_wait, reached).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::unavailable(
                ErrorReason::RevisionNotReached,
                "this replica has not reached the revision yet; retry the call",
            )),
        }
    }

    /// Waits for a turn to read for a stream.
    ///
    /// There are as many turns as connections; a key has at most two thirds of them. The wait has no time
    /// limit: the stream still sends heartbeats.
    pub(crate) async fn turn<'t>(
        &'t self,
        of_key: &'t Turns,
    ) -> Result<(SemaphorePermit<'t>, SemaphorePermit<'t>)> {
        of_key.page(&self.0.readers).await
    }

    /// Counts a stream of another kind, for example of an operation, as open until the permit is dropped.
    ///
    /// # Errors
    /// TOO_MANY_STREAMS.
    pub fn admit(&self, caller: &Caller) -> Result<Permit> {
        let (all, of_key) = (limits::WATCH_STREAMS_MAX, limits::WATCH_STREAMS_PER_KEY_MAX);
        let taken = self.0.quota.take(Arc::clone(&caller.key_id), all, of_key);
        taken.map_err(|full| match full {
            Full::All => too_many(
                all,
                "the server has reached its limit of open streams; retry later",
            ),
            Full::OfKey => {
                let text = "the key has reached its limit of open streams; close one first";
                too_many(of_key, text)
            }
        })
    }

    /// Wraps the messages of a stream of another kind, which is closed like all others when its client does
    /// not read.
    pub fn guard<T: 'static>(
        &self,
        stream: impl futures::Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> Guarded<T, ()> {
        let marked = stream.map_ok(|message| (message, ()));
        self.0.stall_detector.guard(marked, (), |error, ()| error)
    }

    /// Cancelled when all streams are asked to leave.
    #[must_use]
    pub fn draining(&self) -> &CancellationToken {
        &self.0.draining
    }

    /// The age at which a stream that opens now will end. It is random, so that streams that began together
    /// do not end together.
    #[must_use]
    pub fn stream_age(&self) -> Duration {
        let spread = 1.0 - AGE_SPREAD + 2.0 * AGE_SPREAD * rand::random::<f64>();
        self.0.settings.stream_age.mul_f64(spread)
    }

    /// The notice that ends a stream. Its grace is random, so that clients reconnect at different times.
    #[must_use]
    pub fn drain_notice(&self) -> Draining {
        let grace = self.0.settings.drain_grace.mul_f64(rand::random::<f64>());
        let grace = prost_types::Duration::try_from(grace).unwrap_or_default();
        Draining { grace: Some(grace) }
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// TOO_MANY_STREAMS, or the error of the request.
    pub fn watch(&self, request: WatchRequest) -> Result<Stream> {
        watch::open(self, request)
    }
}
