//! Follows one kind of resource across any number of connections, and tells what it hears.
//!
//! It resumes after the last message it got, and drops by version what it has told, so that nothing is
//! lost or told twice. It does not know whether lines or a screen are made of what it tells.

use tonic::{Status, Streaming};

use crate::proto::pb::{self, ErrorReason, snapshot_begin::Cause};

use super::{
    super::{backoff::Backoff, connection::Client, failure, failure::Failure},
    Watch, is_final, next,
    resource::{Signal, Watched},
    seen::Seen,
};

/// What a follower tells.
#[derive(Debug)]
pub enum News<C> {
    /// Something changed, or was there when the watch began.
    Change {
        /// The change as the server sent it.
        change: C,
        /// What people call the resource.
        label: String,
        /// Whether it is part of a whole state.
        standing: bool,
    },
    /// A resource went while nobody watched; there is no change to tell of it.
    Gone {
        /// The resource's name.
        name: String,
        /// What people called it.
        label: String,
    },
    /// A whole state follows, for this cause.
    Begin(Cause),
    /// The whole state has been told.
    Whole,
    /// What was told before is of another store.
    Forget,
    /// The connection went or came.
    Link(Link),
}

/// What happens to the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// The stream ended, or could not be opened again; it is tried again.
    Lost {
        /// What is said of it.
        why: String,
        /// Whether the server had announced it.
        announced: bool,
    },
    /// There is a stream again.
    Back,
}

impl Link {
    /// The stream ended with this.
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
    /// A follower that tells its listener; a failure of the listener ends it.
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

    /// Goes on until the server refuses for good.
    pub async fn follow(mut self) -> Result<(), Failure> {
        // A watch that cannot even begin has a reason that waiting will hardly mend.
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

    /// Tells what the stream brings; answers with the status that it ended with.
    async fn read(&mut self, stream: &mut Streaming<W::Response>) -> Result<Status, Failure> {
        loop {
            let message = match next(stream).await {
                Ok(message) => message,
                Err(ended) => return Ok(ended),
            };
            self.backoff.reset();
            self.tell(message)?;
        }
    }

    fn tell(&mut self, message: W::Response) -> Result<(), Failure> {
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
                // Deletions during an outage that outlasted the history have no message to show.
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
