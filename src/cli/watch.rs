//! `clientela watch`: each change as it happens.
//!
//! The watch goes on by itself when the server goes away and comes back: it resumes after the last
//! message it got, and drops by version what it has shown, so that nothing is lost or shown twice.

mod figures;
mod line;
mod resource;
mod seen;

use std::time::Duration;

use clap::{Args, ValueEnum};
use tonic::{Code, Status, Streaming};

use crate::proto::pb::{self, ErrorReason, snapshot_begin::Cause};

use super::{
    backoff::Backoff,
    connection::{Client, Connection, Need},
    failure::{self, Failure},
    output,
};
use resource::{Carts, Customers, Groups, Signal, Watched};
use seen::Seen;

/// The server sends a heartbeat at least every 15 seconds; a stream that is silent for longer than
/// this is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// Shows each change of carts, customers or groups, or of the figures of carts, as it happens, until it
/// is interrupted
#[derive(Debug, Args)]
pub struct Watch {
    /// What to watch
    what: What,

    /// Only what matches, as `total >= "100.00 EUR"`
    #[arg(long, default_value = "")]
    filter: String,

    /// Every version of each resource; without it a fast series may be shown as its last version
    #[arg(long)]
    every: bool,

    /// Only changes from now on, without what is there already
    #[arg(long)]
    no_snapshot: bool,

    /// Prints messages of the contract, one per line
    #[arg(long)]
    json: bool,

    #[command(flatten, next_help_heading = "Connection")]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    Carts,
    Customers,
    Groups,
    Figures,
}

impl Watch {
    pub async fn run(self) -> Result<(), Failure> {
        let narrowed = !self.filter.is_empty() || self.every || self.no_snapshot;
        if narrowed && matches!(self.what, What::Figures) {
            let text = "--filter, --every and --no-snapshot are not for figures";
            return Err(Failure::usage(text));
        }
        let client = self.connection.open(Need::Admin).await?;
        let follow = async {
            match self.what {
                What::Carts => Follower::<Carts>::new(client, self).follow().await,
                What::Customers => Follower::<Customers>::new(client, self).follow().await,
                What::Groups => Follower::<Groups>::new(client, self).follow().await,
                What::Figures => figures::follow(client, self.json).await,
            }
        };
        tokio::select! {
            result = follow => result,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    }
}

/// Follows one kind of resource across any number of connections.
struct Follower<W> {
    client: Client,
    options: Watch,
    resume_token: String,
    seen: Seen,
    in_snapshot: bool,
    backoff: Backoff,
    resource: W,
}

impl<W: Watched> Follower<W> {
    fn new(client: Client, options: Watch) -> Self {
        Self {
            client,
            resume_token: String::new(),
            seen: Seen::new(!options.no_snapshot),
            in_snapshot: false,
            backoff: Backoff::new(),
            resource: W::default(),
            options,
        }
    }

    async fn follow(mut self) -> Result<(), Failure> {
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

    /// Shows what the stream brings; answers with the status that it ended with.
    async fn read(&mut self, stream: &mut Streaming<W::Response>) -> Result<Status, Failure> {
        loop {
            let message = match next(stream).await {
                Ok(message) => message,
                Err(ended) => return Ok(ended),
            };
            self.backoff.reset();
            self.show(message)?;
        }
    }

    fn show(&mut self, message: W::Response) -> Result<(), Failure> {
        let (changes, token, signal) = W::split(message);
        if let Some(Signal::SnapshotBegin(cause)) = &signal {
            self.begin_snapshot(*cause);
        }
        for change in &changes {
            let head = W::head(change);
            let label = W::label(change);
            let Some(label) = self.seen.admit(&head, label) else {
                continue;
            };
            let text = match self.options.json {
                true => output::json(change)?,
                false => W::lines(change, &label, self.in_snapshot),
            };
            output::print(&text)?;
        }
        if matches!(signal, Some(Signal::SnapshotEnd)) {
            self.in_snapshot = false;
            for (name, label) in self.seen.end_snapshot() {
                // Deletions during an outage that outlasted the history have no message to print.
                note(&format!("{label} ({name}) is gone"));
            }
        }
        if !token.is_empty() {
            self.resume_token = token;
        }
        Ok(())
    }

    fn begin_snapshot(&mut self, cause: Cause) {
        self.in_snapshot = true;
        match cause {
            Cause::EpochChanged => {
                note("the store was replaced; its state is shown from the beginning");
                self.seen.forget();
            }
            Cause::TokenExpired => {
                note("the server has no history since the last message; its state now follows");
            }
            Cause::Unspecified | Cause::Initial | Cause::FilterChanged => {}
        }
        self.seen.begin_snapshot();
    }

    async fn reopen(&mut self, mut ended: Status) -> Result<Streaming<W::Response>, Failure> {
        let mut told = false;
        loop {
            if failure::reason(&ended) == Some(ErrorReason::InvalidResumeToken) {
                // Another store answers at this address, or its secret was replaced.
                self.resume_token.clear();
                self.seen.forget();
            } else if is_final(&ended) {
                return Err(ended.into());
            }
            if !told && failure::reason(&ended) != Some(ErrorReason::Draining) {
                note(&format!(
                    "the stream ended ({}); trying again",
                    ended.message()
                ));
                told = true;
            }
            tokio::time::sleep(self.backoff.wait()).await;
            match self.open().await {
                Ok(stream) => {
                    if told {
                        note("connected again");
                    }
                    return Ok(stream);
                }
                Err(status) => ended = status,
            }
        }
    }
}

/// The next message of a stream that is never silent for long.
async fn next<M>(stream: &mut Streaming<M>) -> Result<M, Status> {
    match tokio::time::timeout(SILENCE_MAX, stream.message()).await {
        Ok(message) => message?.ok_or_else(|| Status::unavailable("the stream ended")),
        Err(_) => Err(Status::unavailable("the server is silent")),
    }
}

/// Whether trying again cannot help.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unauthenticated
            | Code::PermissionDenied
            | Code::InvalidArgument
            | Code::NotFound
            | Code::Unimplemented
    )
}

/// Says what is not a change, apart from the output.
fn note(text: &str) {
    eprintln!("clientela: {}", output::plain(text));
}
