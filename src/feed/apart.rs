//! Work of a stream in a task of its own.
//!
//! A stream is polled only while its connection has room for a message. A read of the database that lived
//! inside the stream would lie still with it and keep a connection of the pool, so that a few clients which
//! do not read could take the database from everybody. A task runs on without its stream, and gives back
//! what it holds.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, Result};

/// Work that runs whether or not this is polled, and ends when this is dropped. It resolves to the result.
#[derive(Debug)]
pub struct Apart<T>(AbortOnDropHandle<Result<T>>);

impl<T: Send + 'static> Apart<T> {
    /// Starts the work. Within a runtime.
    pub fn start(work: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self(AbortOnDropHandle::new(tokio::spawn(work)))
    }
}

impl<T> Future for Apart<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A task that panicked fails its stream and nothing else.
        let finished = std::task::ready!(Pin::new(&mut self.0).poll(context));
        Poll::Ready(finished.unwrap_or_else(|error| Err(Error::internal(error))))
    }
}
