//! The ends of health and reflection streams, whose services are not of the contract. Those services never
//! end a stream on their own. Here a stream ends at its age, at the client's deadline, and with the server. A
//! stream whose requests were refused ends with the refusal.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::{
    answer,
    refusal::{deadline_passed, is_undetailed},
    side,
};
use crate::{error::Error, proto::pb::ErrorReason};

/// How long the last message, for example the health status NOT_SERVING, may take to arrive after the end.
const LAST_MESSAGE_TIMEOUT: Duration = Duration::from_millis(500);

/// A body that ends in time.
pub struct Ending {
    inner: Body,
    end: Pin<Box<dyn Future<Output = Error> + Send>>,
    ended: bool,
    /// The outcome of the requests, if the call streams them.
    requests: Option<side::Outcome>,
    _permit: side::Permit,
}

/// The conditions under which a stream ends.
pub struct Ends {
    /// The server stops.
    pub draining: CancellationToken,
    /// The greatest age of the stream.
    pub age: Duration,
    /// The deadline of the caller, if it has one.
    pub deadline: Option<Instant>,
}

impl Ends {
    async fn reached(self) -> Error {
        let deadline = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.draining.cancelled() => {
                tokio::time::sleep(LAST_MESSAGE_TIMEOUT).await;
                Error::unavailable(ErrorReason::Draining, "the server is stopping; ask again")
            }
            () = tokio::time::sleep(self.age) => {
                let text = "the stream reached its age; ask again";
                Error::unavailable(ErrorReason::Draining, text)
            }
            () = deadline => deadline_passed(),
        }
    }
}

impl Ending {
    /// Wraps the body `inner`, which keeps its permit until it ends.
    pub fn new(
        inner: Body,
        ends: Ends,
        requests: Option<side::Outcome>,
        permit: side::Permit,
    ) -> Self {
        Self {
            inner,
            end: Box::pin(ends.reached()),
            ended: false,
            requests,
            _permit: permit,
        }
    }

    fn end(&mut self, status: &Status) -> Frame<Bytes> {
        self.ended = true;
        answer::last_frame(status)
    }

    /// The status that replaces the final status of the service.
    fn instead(&self, status: &Status) -> Option<Status> {
        if is_undetailed(status) {
            return Some(side::detailed(status).into());
        }
        let requests = self.requests.as_ref();
        let requests = requests.filter(|_| status.code() == Code::Ok);
        requests.and_then(side::Outcome::refusal)
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
            let status = match &frame {
                Some(Ok(frame)) => frame.trailers_ref().and_then(Status::from_header_map),
                _ => None,
            };
            return Poll::Ready(match status.and_then(|status| self.instead(&status)) {
                Some(refusal) => Some(Ok(self.end(&refusal))),
                None => frame,
            });
        }
        match self.end.as_mut().poll(context) {
            Poll::Ready(error) => Poll::Ready(Some(Ok(self.end(&error.into())))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
