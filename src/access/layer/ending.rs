//! Streams of the services that are not of the contract, health and reflection: they would go on as long
//! as their reader likes, and are ended with the server so that they do not hold it up.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{error::Error, proto::pb::ErrorReason};

/// How long what the end itself brings, as the health NOT_SERVING, may take to come.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A body that ends soon after a server was told to.
pub struct Ending {
    inner: Body,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
    ended: bool,
}

impl Ending {
    /// The body `inner`, which ends when `draining` is cancelled.
    pub fn new(inner: Body, draining: CancellationToken) -> Self {
        let end = Box::pin(async move {
            draining.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        });
        Self {
            inner,
            end,
            ended: false,
        }
    }
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            return Poll::Ready(frame);
        }
        if self.end.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.ended = true;
        let text = "the server is stopping; ask again";
        let mut trailers = HeaderMap::new();
        // The status was made here and fits into headers; without it the stream just ends.
        let _ =
            Status::from(Error::unavailable(ErrorReason::Draining, text)).add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
