//! The requests of a call that streams them, as those of reflection do. The service itself has no limits: it
//! accepts messages of megabytes and waits for the rest of one without end. At a message that it cannot read
//! it ends its answer with OK.

use std::{
    future::Future as _,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use tokio::time::Sleep;
use tonic::Status;

use crate::{
    access::{
        layer::{
            deadline_passed,
            request::{FRAME_HEAD_BYTES, announced},
        },
        wire,
    },
    error::{Error, Result},
    limits,
};

/// The requests of a call. They pass piece by piece, and end with the first that is refused.
pub struct Requests {
    inner: Body,
    /// The received part of the head of the current message; empty between two messages.
    head: Vec<u8>,
    /// The number of bytes that are missing after the head.
    missing: usize,
    /// The deadline of the current message.
    arrives: Option<Pin<Box<Sleep>>>,
    outcome: Outcome,
}

/// The outcome of the requests of a call. It is unknown as long as they may continue.
#[derive(Clone, Default)]
pub struct Outcome(Arc<OnceLock<Option<Status>>>);

impl Outcome {
    /// The refusal that ends a call whose service reports success.
    pub fn refusal(&self) -> Option<Status> {
        match self.0.get() {
            Some(refusal) => refusal.clone(),
            // The service stops before the end of the requests only at a message that it cannot read.
            None => Some(wire::malformed().into()),
        }
    }
}

impl Requests {
    /// Wraps the requests in `inner`.
    pub fn new(inner: Body) -> Self {
        Self {
            inner,
            head: Vec::with_capacity(FRAME_HEAD_BYTES),
            missing: 0,
            arrives: None,
            outcome: Outcome::default(),
        }
    }

    pub fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }

    /// Checks the messages in the next piece.
    fn follow(&mut self, mut piece: &[u8]) -> Result<()> {
        while !piece.is_empty() {
            let of_head = FRAME_HEAD_BYTES - self.head.len();
            let wanted = if of_head > 0 { of_head } else { self.missing };
            let (taken, rest) = piece.split_at(wanted.min(piece.len()));
            piece = rest;
            if of_head > 0 {
                self.head.extend_from_slice(taken);
                let Some(length) = announced(&self.head, limits::SIDE_REQUEST_BYTES_MAX)? else {
                    break;
                };
                self.missing = length;
            } else {
                self.missing -= taken.len();
            }
            if self.missing == 0 {
                self.head.clear();
                self.arrives = None;
            }
        }
        if !self.head.is_empty() && self.arrives.is_none() {
            let arrives = tokio::time::sleep(limits::REQUEST_BODY_TIME_MAX);
            self.arrives = Some(Box::pin(arrives));
        }
        Ok(())
    }

    /// Ends the requests.
    fn end<T>(&self, refusal: Option<Error>) -> Poll<Option<T>> {
        // Requests end once.
        let _ = self.outcome.0.set(refusal.map(Status::from));
        Poll::Ready(None)
    }
}

impl http_body::Body for Requests {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.outcome.0.get().is_some() {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(frame) => frame.transpose()?,
            Poll::Pending => {
                let Some(arrives) = &mut self.arrives else {
                    return Poll::Pending;
                };
                ready!(arrives.as_mut().poll(context));
                return self.end(Some(deadline_passed()));
            }
        };
        // Trailers end the requests, too.
        match frame.and_then(|frame| frame.into_data().ok()) {
            Some(piece) => match self.follow(&piece) {
                Ok(()) => Poll::Ready(Some(Ok(Frame::data(piece)))),
                Err(refusal) => self.end(Some(refusal)),
            },
            None if self.head.is_empty() => self.end(None),
            None => self.end(Some(wire::malformed())),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};
    use tonic::Code;

    use super::*;

    /// The part of the requests that passes, sent in pieces of `size`, and the refusal at their end.
    async fn through(sent: &[u8], size: usize) -> (Bytes, Option<Code>) {
        let pieces: Vec<_> = sent
            .chunks(size)
            .map(|piece| Ok::<_, std::convert::Infallible>(Frame::data(piece.to_vec().into())))
            .collect();
        let body = StreamBody::new(futures::stream::iter(pieces));
        let requests = Requests::new(Body::new(body));
        let outcome = requests.outcome();
        let passed = requests.collect().await.unwrap().to_bytes();
        (passed, outcome.refusal().map(|status| status.code()))
    }

    #[tokio::test]
    async fn messages_pass_however_they_are_cut() {
        let sent = b"\0\0\0\0\x02ab\0\0\0\0\0\0\0\0\0\x03cde";

        for size in 1..=sent.len() {
            assert_eq!(through(sent, size).await, (sent.as_slice().into(), None));
        }
        assert_eq!(through(b"", 1).await, (Bytes::new(), None));
    }

    #[tokio::test]
    async fn a_message_that_is_refused_does_not_pass_however_it_is_cut() {
        for (sent, code) in [
            (
                &b"\0\0\0\0\x01a\0\0\0\x10\x01bcd"[..],
                Code::ResourceExhausted,
            ),
            (b"\0\0\0\0\x01a\x01\0\0\0\x01b", Code::Internal),
            (b"\0\0\0\0\x01a\x07\0\0\0\x01b", Code::InvalidArgument),
        ] {
            for size in 1..=sent.len() {
                let (passed, refusal) = through(sent, size).await;
                assert_eq!(refusal, Some(code), "cut by {size}");
                // The head may pass, except for its last byte.
                assert!(passed.len() < 11, "cut by {size}: {passed:?}");
            }
        }
    }

    #[tokio::test]
    async fn requests_that_end_within_a_message_are_malformed() {
        let sent = b"\0\0\0\0\x01a\0\0\0\0\x02b";

        for length in 7..=sent.len() {
            let (_, refusal) = through(&sent[..length], 5).await;
            assert_eq!(refusal, Some(Code::InvalidArgument), "{length} bytes");
        }
    }
}
