//! Work of a stream in a task of its own.
//!
//! A stream is polled only while its connection has room for a message. A database read inside the stream
//! would stop with it and keep a pooled connection. A few clients that do not read could then take the
//! database from everybody. A task runs on without its stream, and releases its connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, Result};

/// Work that runs whether or not this future is polled, and is aborted when it is dropped.
#[derive(Debug)]
pub struct Apart<T>(AbortOnDropHandle<Result<T>>);

impl<T: Send + 'static> Apart<T> {
    /// Starts the work. Must be called within a runtime.
    pub fn start(work: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self(AbortOnDropHandle::new(tokio::spawn(work)))
    }
}

impl<T> Future for Apart<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A panic in the task fails only its own stream.
        let finished = std::task::ready!(Pin::new(&mut self.0).poll(context));
        Poll::Ready(finished.unwrap_or_else(|error| Err(Error::internal(error))))
    }
}
