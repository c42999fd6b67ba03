//! WatchOperation: sends the operation, then each of its changes, until it has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::read;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::feed::{Apart, Feed, Permit};
use crate::jobs;
use crate::proto::pb::{self, ErrorReason};
use crate::store::{Purpose, Store};

/// The messages of a watched operation.
pub(super) type Stream = Pin<Box<dyn futures::Stream<Item = Result<pb::Operation, Status>> + Send>>;

/// The interval at which an operation is read, because another replica may run it.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

struct Watch {
    store: Store,
    feed: Feed,
    caller: Caller,
    id: String,
    draining: CancellationToken,
    progress: Receiver<u64>,
    sent: Option<pb::Operation>,
    ended: bool,
    /// Released when the stream ends.
    _permit: Permit,
}

/// Opens the stream of an operation.
///
/// # Errors
/// TOO_MANY_STREAMS.
pub(super) fn stream(store: Store, feed: &Feed, caller: Caller, id: String) -> Result<Stream> {
    let watch = Watch {
        _permit: feed.admit(&caller)?,
        draining: feed.draining().clone(),
        progress: jobs::progress(),
        store: store.reserved_for(Purpose::Streams),
        feed: feed.clone(),
        caller,
        id,
        sent: None,
        ended: false,
    };
    let messages = futures::stream::unfold(watch, |mut watch| async move {
        if watch.ended {
            return None;
        }
        let next = watch.next().await.map_err(|error| {
            watch.ended = true;
            Status::from(error)
        });
        Some((next, watch))
    });
    Ok(Box::pin(feed.guard(messages)))
}

impl Watch {
    /// Reads the operation.
    async fn read(&self) -> Result<pb::Operation> {
        let (store, feed) = (self.store.clone(), self.feed.clone());
        let (caller, id) = (self.caller.clone(), self.id.clone());
        let read = Apart::start(async move {
            let turns = Arc::clone(&caller.turns);
            let _turn = feed.turn(&turns).await?;
            let read =
                store.read(|conn| async move { read::get(conn, &caller, &id).await }.boxed());
            read.await
        });
        tokio::select! {
            () = self.draining.cancelled() => Err(draining()),
            () = self.caller.ended() => Err(revoked()),
            operation = read => operation,
        }
    }

    /// Waits for a state of the operation that was not sent yet.
    async fn next(&mut self) -> Result<pb::Operation> {
        loop {
            self.progress.borrow_and_update();
            let operation = match (self.read().await, &self.sent) {
                // The rows of some jobs are deleted when they succeed.
                (Err(error), Some(last)) if error.reason() == ErrorReason::NotFound => {
                    self.ended = true;
                    return Ok(pb::Operation {
                        state: pb::operation::State::Done.into(),
                        ..last.clone()
                    });
                }
                (read, _) => read?,
            };
            if self.sent.as_ref() != Some(&operation) {
                self.ended = super::has_ended(&operation);
                self.sent = Some(operation.clone());
                return Ok(operation);
            }
            tokio::select! {
                () = self.draining.cancelled() => return Err(draining()),
                () = self.caller.ended() => return Err(revoked()),
                _ = self.progress.changed() => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
            if self
                .caller
                .deadline
                .is_some_and(|deadline| Instant::now().into_std() >= deadline)
            {
                return Err(late());
            }
        }
    }
}

fn draining() -> Error {
    Error::unavailable(ErrorReason::Draining, "the server is stopping; watch again")
}

fn revoked() -> Error {
    let text = "the key was revoked or has expired";
    Error::new(Code::Unauthenticated, ErrorReason::KeyRevoked, text)
}

fn late() -> Error {
    let text = "the deadline of the stream has passed";
    Error::new(Code::DeadlineExceeded, ErrorReason::DeadlinePassed, text)
}
