//! A watch that reconnects: the loop of a client in the server's `docs/WATCH.md`. It ends only with an
//! error that another attempt cannot cure, and yields no version of a resource twice.

mod seen;
mod watched;

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use futures::{Stream, StreamExt as _, stream::BoxStream};
use tonic::{Code, Status, Streaming};

pub use watched::{WatchRequest, Watched};

use crate::{
    Client, Error,
    reconnect::{Reconnecting, interval, is_transient},
    v1::{ChangeKind, ErrorReason, snapshot_begin::Cause},
};
use seen::Seen;

/// An event of a watch.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<C> {
    /// A resource is new, has changed, was deleted, or has left the filter: see its kind.
    Changed(C),
    /// Discard all resources: a snapshot follows. Every watch without a resume token begins with it.
    Reset(Cause),
    /// The snapshot is complete.
    Ready {
        /// The number of resources that the reader now has.
        count: i64,
    },
}

/// Events of resources, until it is dropped.
///
/// When the server or the network fails, it waits 0.1 s to 10 s and connects again, however long that
/// takes. It continues after the last event and yields no change twice. It ends with an error if another
/// attempt cannot help, for example after the key was revoked. Read an event at least every 30 s: the
/// server closes the stream of a slower reader, and the watch has to catch up.
pub struct Watch<C> {
    events: BoxStream<'static, Result<Event<C>, Error>>,
    told: Arc<Mutex<String>>,
}

impl<C: Watched> Watch<C> {
    pub(crate) fn new(client: &Client, request: impl WatchRequest<Change = C>) -> Self {
        let told = Arc::new(Mutex::new(String::new()));
        let follower = Follower::new(client.clone(), request, Arc::clone(&told));
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

    /// Returns the position after the last event that was read. A request with it continues there, also in
    /// another process. Empty within a snapshot.
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

/// One watch across any number of streams.
struct Follower<Q: WatchRequest> {
    client: Client,
    request: Q,
    stream: Option<Streaming<Q::Response>>,
    pending: VecDeque<Event<Q::Change>>,
    seen: Seen,
    connection: Reconnecting,
    received: String,
    told: Arc<Mutex<String>>,
}

impl<Q: WatchRequest> Follower<Q> {
    fn new(client: Client, mut request: Q, told: Arc<Mutex<String>>) -> Self {
        let options = request.options().get_or_insert_default();
        options.reset_on_expired_token = true;
        let follower = Self {
            received: options.resume_token.clone(),
            connection: Reconnecting::new(&client.watching, interval(options.heartbeat_interval)),
            client,
            request,
            stream: None,
            pending: VecDeque::new(),
            seen: Seen::default(),
            told,
        };
        follower.note_position();
        follower
    }

    async fn next(&mut self) -> Result<Event<Q::Change>, Error> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                self.note_position();
                return Ok(event);
            }
            match tokio::time::timeout(self.connection.silence, self.message()).await {
                Ok(Ok(message)) => self.take(message),
                Ok(Err(status)) => self.ended(status).await?,
                Err(_) => {
                    self.ended(Status::unavailable("the server sent nothing for too long"))
                        .await?
                }
            }
        }
    }

    async fn message(&mut self) -> Result<Q::Response, Status> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let options = self.request.options().get_or_insert_default();
                options.resume_token.clone_from(&self.received);
                options.skip_snapshot &= self.received.is_empty();
                none.insert(self.request.clone().open(self.client.transport()).await?)
            }
        };
        let message = stream.message().await?;
        message.ok_or_else(|| Status::unavailable("the stream ended without an error"))
    }

    fn take(&mut self, message: Q::Response) {
        self.connection.received();
        let (signal, changes, token) = Q::split(message);
        let (before, after) = match signal {
            Some(begin @ Event::Reset(_)) => (Some(begin), None),
            other => (None, other),
        };
        if before.is_some() {
            self.seen.reset();
            // A stream that breaks within a snapshot has to begin again.
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
        self.note_position();
    }

    async fn ended(&mut self, status: Status) -> Result<(), Error> {
        self.stream = None;
        let error = Error::from(status);
        let is_stale = match error.code {
            Code::OutOfRange | Code::Aborted => true,
            _ => error.reason == ErrorReason::InvalidResumeToken && !self.received.is_empty(),
        };
        if is_stale {
            // The server cannot continue from the token: begin again without it.
            self.received.clear();
        } else if !is_transient(&error) {
            return Err(error);
        }
        self.connection.lost(&error).await;
        Ok(())
    }

    /// Records the position of a message after its last event was read.
    fn note_position(&self) {
        if self.pending.is_empty()
            && let Ok(mut told) = self.told.lock()
        {
            told.clone_from(&self.received);
        }
    }
}
