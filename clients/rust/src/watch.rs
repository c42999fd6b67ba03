//! A watch that goes on by itself: the loop of a client in `docs/WATCH.md`. It ends only with an error
//! that waiting does not mend, and tells no version of a resource twice.

mod seen;
mod watched;

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt as _, stream::BoxStream};
use tonic::{Code, Status, Streaming};

pub use watched::Watched;

use crate::{
    Client, Error,
    backoff::Backoff,
    v1::{ChangeKind, ErrorReason, snapshot_begin::Cause},
};
use seen::Seen;

const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What a watch tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<C> {
    /// A resource is there, has changed, is gone, or has left the filter: see its kind.
    Changed(C),
    /// Forget what you know: all that is there follows. Also the first event.
    Reset(Cause),
    /// Now you know all that is there.
    Ready {
        /// How many you hold.
        count: i64,
    },
}

/// Events, for ever. It connects again by itself, goes on after the last event, and tells nothing
/// twice; it ends with an error if trying again cannot help, or by being dropped.
pub struct Watch<C> {
    events: BoxStream<'static, Result<Event<C>, Error>>,
    told: Arc<Mutex<String>>,
}

impl<C: Watched> Watch<C> {
    pub(crate) fn new(client: &Client, request: C::Request) -> Self {
        let told = Arc::new(Mutex::new(String::new()));
        let follower = Follower::<C>::new(client.clone(), request, Arc::clone(&told));
        let events = futures::stream::unfold(Some(follower), |follower| async move {
            let mut follower = follower?;
            match follower.next().await {
                Ok(event) => Some((Ok(event), Some(follower))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Self {
            events: events.boxed(),
            told,
        }
    }

    /// The place of the last event; a request with it goes on after that. Empty amid a snapshot.
    pub fn resume_token(&self) -> String {
        self.told
            .lock()
            .map(|told| told.clone())
            .unwrap_or_default()
    }
}

impl<C> Stream for Watch<C> {
    type Item = Result<Event<C>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_next_unpin(context)
    }
}

impl<C> fmt::Debug for Watch<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// Hears why a connection ended, and `None` when there is one again.
type Listener = Arc<dyn Fn(Option<&Error>) + Send + Sync>;

/// How watches wait and whom they tell, as it was said when connecting.
#[derive(Clone)]
pub(crate) struct Watching {
    pub(crate) waits: (Duration, Duration),
    pub(crate) listener: Listener,
    pub(crate) silence: Option<Duration>,
}

impl Watching {
    pub(crate) fn new() -> Self {
        Self {
            waits: WAITS,
            listener: Arc::new(|_| {}),
            silence: None,
        }
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching")
            .field("waits", &self.waits)
            .finish_non_exhaustive()
    }
}

/// Follows one watch across any number of connections.
struct Follower<C: Watched> {
    client: Client,
    request: C::Request,
    stream: Option<Streaming<C::Response>>,
    pending: VecDeque<Event<C>>,
    seen: Seen,
    backoff: Backoff,
    away: bool,
    silence: Duration,
    received: String,
    told: Arc<Mutex<String>>,
}

impl<C: Watched> Follower<C> {
    fn new(client: Client, mut request: C::Request, told: Arc<Mutex<String>>) -> Self {
        let options = C::options(&mut request).get_or_insert_default();
        options.reset_on_expired_token = true;
        let heartbeat = options
            .heartbeat_interval
            .map_or(15, |interval| interval.seconds.clamp(1, 60));
        let follower = Self {
            received: options.resume_token.clone(),
            silence: client
                .watching
                .silence
                .unwrap_or(Duration::from_secs(3 * heartbeat.unsigned_abs())),
            backoff: Backoff::new(client.watching.waits),
            away: false,
            client,
            request,
            stream: None,
            pending: VecDeque::new(),
            seen: Seen::default(),
            told,
        };
        follower.note_place();
        follower
    }

    async fn next(&mut self) -> Result<Event<C>, Error> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                self.note_place();
                return Ok(event);
            }
            match tokio::time::timeout(self.silence, self.message()).await {
                Ok(Ok(message)) => self.take(message),
                Ok(Err(status)) => self.ended(status).await?,
                Err(_) => {
                    self.ended(Status::unavailable("the server is silent"))
                        .await?
                }
            }
        }
    }

    async fn message(&mut self) -> Result<C::Response, Status> {
        if self.stream.is_none() {
            let options = C::options(&mut self.request).get_or_insert_default();
            options.resume_token.clone_from(&self.received);
            options.skip_snapshot &= self.received.is_empty();
            self.stream = Some(C::open(self.client.transport(), self.request.clone()).await?);
        }
        let message = match &mut self.stream {
            Some(stream) => stream.message().await?,
            None => None,
        };
        // A stream has no end of its own, so one in good order is as good as a broken one.
        message.ok_or_else(|| Status::unavailable("the stream ended"))
    }

    fn take(&mut self, message: C::Response) {
        self.backoff.reset();
        if std::mem::take(&mut self.away) {
            (self.client.watching.listener)(None);
        }
        let (signal, changes, token) = C::split(message);
        let (before, after) = match signal {
            Some(begin @ Event::Reset(_)) => (Some(begin), None),
            other => (None, other),
        };
        if before.is_some() {
            self.seen.reset();
            self.received.clear();
        }
        self.pending.extend(before);
        for change in changes {
            let (kind, name, version) = change.head();
            if self.seen.admit(kind == ChangeKind::Upserted, name, version) {
                self.pending.push_back(Event::Changed(change));
            }
        }
        self.pending.extend(after);
        if !token.is_empty() {
            self.received = token;
        }
        self.note_place();
    }

    async fn ended(&mut self, status: Status) -> Result<(), Error> {
        self.stream = None;
        let error = Error::from(status);
        let forgotten = match error.code {
            Code::OutOfRange | Code::Aborted => true,
            _ => error.reason == ErrorReason::InvalidResumeToken && !self.received.is_empty(),
        };
        // Cancelled is a stream that a proxy gave up: whoever reads has not.
        let mends = matches!(
            error.code,
            Code::Unavailable | Code::Internal | Code::Unknown | Code::Cancelled
        ) || error.reason == ErrorReason::SlowConsumer;
        if forgotten {
            self.received.clear();
        } else if !mends {
            return Err(error);
        }
        self.away = true;
        (self.client.watching.listener)(Some(&error));
        tokio::time::sleep(self.backoff.next()).await;
        Ok(())
    }

    /// The place of a message counts when all of its events were told.
    fn note_place(&self) {
        if self.pending.is_empty()
            && let Ok(mut told) = self.told.lock()
        {
            told.clone_from(&self.received);
        }
    }
}
