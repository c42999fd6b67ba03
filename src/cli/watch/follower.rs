//! Follows one kind of resource across any number of connections, and passes its changes to a listener.
//!
//! It resumes after the last message that it received. It drops versions that it has passed on already, so
//! that no change is lost or repeated. It does not depend on the display of the changes.

use tonic::{Status, Streaming};

use crate::proto::pb::{self, ErrorReason, snapshot_begin::Cause};

use super::{
    super::{backoff::Backoff, connection::Client, failure, failure::Failure},
    Watch, is_final, next,
    resource::{Signal, Watched},
    seen::Seen,
};

/// News for the listener of a follower.
#[derive(Debug)]
pub enum News<C> {
    /// A change, or a resource that existed when the watch began.
    Change {
        /// The change as the server sent it.
        change: C,
        /// The name of the resource for people.
        label: String,
        /// Whether it is part of a snapshot.
        standing: bool,
    },
    /// A resource was deleted during an interruption; there is no change for it.
    Gone {
        /// The resource's name.
        name: String,
        /// The former name of the resource for people.
        label: String,
    },
    /// A snapshot follows, for this cause.
    Begin(Cause),
    /// The snapshot is complete.
    Whole,
    /// Earlier news belongs to another store.
    Forget,
    /// The connection was lost or came back.
    Link(Link),
}

/// The state of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// The stream ended, or could not be opened again; it is retried.
    Lost {
        /// The cause, for people.
        why: String,
        /// Whether the server had announced it.
        announced: bool,
    },
    /// The stream is open again.
    Back,
}

impl Link {
    /// The loss of a stream that ended with this status.
    pub fn lost(status: &Status) -> Self {
        Self::Lost {
            why: status.message().to_owned(),
            announced: failure::reason(status) == Some(ErrorReason::Draining),
        }
    }
}

/// Follows one kind of resource.
pub struct Follower<W, L> {
    client: Client,
    options: Watch,
    resume_token: String,
    seen: Seen,
    in_snapshot: bool,
    backoff: Backoff,
    resource: W,
    listener: L,
}

impl<W, L> Follower<W, L>
where
    W: Watched,
    L: FnMut(News<W::Change>) -> Result<(), Failure>,
{
    /// Creates a follower for a listener. An error of the listener ends it.
    pub fn new(client: Client, options: Watch, listener: L) -> Self {
        Self {
            client,
            resume_token: String::new(),
            seen: Seen::new(!options.no_snapshot),
            in_snapshot: false,
            backoff: Backoff::new(),
            resource: W::default(),
            options,
            listener,
        }
    }

    /// Follows until the server refuses for good.
    pub async fn follow(mut self) -> Result<(), Failure> {
        // A watch that cannot even begin has a cause that waiting will hardly remove.
        let mut stream = self.open().await?;
        loop {
            let ended = self.read(&mut stream).await?;
            stream = self.reopen(ended).await?;
        }
    }

    async fn open(&mut self) -> Result<Streaming<W::Response>, Status> {
        let mode = if self.options.every {
            pb::DeliveryMode::Every
        } else {
            pb::DeliveryMode::Latest
        };
        let options = pb::WatchOptions {
            resume_token: self.resume_token.clone(),
            skip_snapshot: self.options.no_snapshot && self.resume_token.is_empty(),
            delivery_mode: mode.into(),
            reset_on_expired_token: true,
            ..pb::WatchOptions::default()
        };
        self.in_snapshot = false;
        self.resource
            .open(&self.client, self.options.filter.clone(), options)
            .await
    }

    /// Passes on the changes of the stream. Returns the status with which it ended.
    async fn read(&mut self, stream: &mut Streaming<W::Response>) -> Result<Status, Failure> {
        loop {
            let message = match next(stream).await {
                Ok(message) => message,
                Err(ended) => return Ok(ended),
            };
            self.backoff.reset();
            self.pass_on(message)?;
        }
    }

    fn pass_on(&mut self, message: W::Response) -> Result<(), Failure> {
        let (changes, token, signal) = W::split(message);
        if let Some(Signal::SnapshotBegin(cause)) = &signal {
            self.begin_snapshot(*cause)?;
        }
        for change in changes {
            let label = W::label(&change);
            let Some(label) = self.seen.admit(&W::head(&change), label) else {
                continue;
            };
            (self.listener)(News::Change {
                change,
                label,
                standing: self.in_snapshot,
            })?;
        }
        if matches!(signal, Some(Signal::SnapshotEnd)) {
            self.in_snapshot = false;
            for (name, label) in self.seen.end_snapshot() {
                // Deletions during an outage that outlasted the history have no message of their own.
                (self.listener)(News::Gone { name, label })?;
            }
            (self.listener)(News::Whole)?;
        }
        if !token.is_empty() {
            self.resume_token = token;
        }
        Ok(())
    }

    fn begin_snapshot(&mut self, cause: Cause) -> Result<(), Failure> {
        self.in_snapshot = true;
        (self.listener)(News::Begin(cause))?;
        if cause == Cause::EpochChanged {
            self.forget()?;
        }
        self.seen.begin_snapshot();
        Ok(())
    }

    fn forget(&mut self) -> Result<(), Failure> {
        self.seen.forget();
        (self.listener)(News::Forget)
    }

    async fn reopen(&mut self, mut ended: Status) -> Result<Streaming<W::Response>, Failure> {
        loop {
            if failure::reason(&ended) == Some(ErrorReason::InvalidResumeToken) {
                // Another store answers at this address, or its secret was replaced.
                self.resume_token.clear();
                self.forget()?;
            } else if is_final(&ended) {
                return Err(ended.into());
            }
            (self.listener)(News::Link(Link::lost(&ended)))?;
            tokio::time::sleep(self.backoff.wait()).await;
            match self.open().await {
                Ok(stream) => {
                    (self.listener)(News::Link(Link::Back))?;
                    return Ok(stream);
                }
                Err(status) => ended = status,
            }
        }
    }
}
