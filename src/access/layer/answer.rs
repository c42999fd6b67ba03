//! The body of an answer: removes the fields that its reader may not see, and turns a panic into a status.

use crate::contract::MessageId;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tonic::{Code, Status};

use crate::{
    access::{
        layer::{is_undetailed, request::FRAME_HEAD_BYTES, undetailed},
        wire::{self, Malformed},
    },
    caller::Roles,
    error::Error,
};

/// An answer that is being sent.
pub struct Answer {
    inner: Body,
    view: Option<(MessageId, Roles)>,
    /// The beginning of a message that is not complete yet.
    rest: BytesMut,
    ended: bool,
}

impl Answer {
    /// The answer `inner`; its messages are narrowed for the roles of `view`.
    pub fn new(inner: Body, view: Option<(MessageId, Roles)>) -> Self {
        Self {
            inner,
            view,
            rest: BytesMut::new(),
            ended: false,
        }
    }

    /// Narrows the messages that are complete; None if there are none.
    fn narrowed(&mut self, data: Bytes) -> Result<Option<Bytes>, Malformed> {
        let Some((message, roles)) = self.view else {
            return Ok(Some(data));
        };
        let data = if self.rest.is_empty() {
            data
        } else {
            self.rest.extend_from_slice(&data);
            self.rest.split().freeze()
        };
        let mut out: Option<BytesMut> = None;
        let mut at = 0;
        while let Some(length) = frame_length(data.get(at..).unwrap_or_default())? {
            let frame = data.get(at..at + length).ok_or(Malformed)?;
            let inner = frame.get(FRAME_HEAD_BYTES..).ok_or(Malformed)?;
            match wire::view(message, inner, roles)? {
                Some(seen) => {
                    let out = out.get_or_insert_with(|| BytesMut::from(&data[..at]));
                    let length = u32::try_from(seen.len()).map_err(|_| Malformed)?;
                    out.extend_from_slice(&[0]);
                    out.extend_from_slice(&length.to_be_bytes());
                    out.extend_from_slice(&seen);
                }
                None => {
                    if let Some(out) = &mut out {
                        out.extend_from_slice(frame);
                    }
                }
            }
            at += length;
        }
        self.rest
            .extend_from_slice(data.get(at..).unwrap_or_default());
        let out = out.map_or_else(|| data.slice(..at), BytesMut::freeze);
        Ok((!out.is_empty()).then_some(out))
    }

    /// Ends an answer that cannot continue.
    fn fail(&mut self, what: &'static str) -> Frame<Bytes> {
        self.ended = true;
        last_frame(&Status::from(Error::internal(what)))
    }
}

/// The last frame of an answer that is refused.
pub fn last_frame(status: &Status) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    // The status was made here and fits into headers. Without it the answer just ends.
    let _ = status.add_header(&mut trailers);
    Frame::trailers(trailers)
}

/// Reads an answer of one message, and its trailers.
///
/// # Errors
/// If it ends with a status without a reason: it is too large, or the server is at fault.
pub async fn whole(mut body: Body) -> Result<(Bytes, Option<HeaderMap>), Error> {
    let mut message = Bytes::new();
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        match frame.map_err(Error::internal)?.into_data() {
            Ok(data) if message.is_empty() => message = data,
            Ok(data) => message = [message, data].concat().into(),
            Err(last) => trailers = last.into_trailers().ok(),
        }
    }
    if let Some(status) = trailers.as_ref().and_then(Status::from_header_map)
        && is_undetailed(&status)
    {
        return Err(match status.code() {
            Code::OutOfRange => Error::answer_too_large(),
            _ => undetailed(&status),
        });
    }
    Ok((message, trailers))
}

/// The length of the frame that `data` begins with, if it is complete.
fn frame_length(data: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(([flag, length @ ..], _)) = data.split_first_chunk::<FRAME_HEAD_BYTES>() else {
        return Ok(None);
    };
    if *flag != 0 {
        return Err(Malformed);
    }
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Malformed)?;
    let length = length.checked_add(FRAME_HEAD_BYTES).ok_or(Malformed)?;
    Ok((length <= data.len()).then_some(length))
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            let inner = Pin::new(&mut self.inner);
            let Ok(polled) = catch_unwind(AssertUnwindSafe(|| inner.poll_frame(context))) else {
                return Poll::Ready(Some(Ok(self.fail("a stream panicked"))));
            };
            let frame = match polled {
                Poll::Ready(Some(Ok(frame))) => frame,
                other => return other,
            };
            return match frame.into_data() {
                Ok(data) => match self.narrowed(data) {
                    Ok(Some(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
                    Ok(None) => continue,
                    Err(Malformed) => {
                        Poll::Ready(Some(Ok(self.fail("an answer is no message of its kind"))))
                    }
                },
                Err(trailers) => Poll::Ready(Some(Ok(trailers))),
            };
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.view.is_some() {
            SizeHint::default()
        } else {
            self.inner.size_hint()
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;
    use prost::Message as _;

    use super::*;
    use crate::{contract::TABLES, proto::pb};

    fn frame(customer: &pb::Customer) -> Vec<u8> {
        let message = customer.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0], length.as_slice(), &message].concat()
    }

    fn body(pieces: Vec<Vec<u8>>) -> Body {
        let frames = pieces
            .into_iter()
            .map(|piece| Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(piece))));
        Body::new(StreamBody::new(futures::stream::iter(frames)))
    }

    async fn seen_by(role: pb::Role, pieces: Vec<Vec<u8>>) -> Vec<u8> {
        let customer = TABLES.find("Customer").unwrap();
        let answer = Answer::new(body(pieces), Some((customer, Roles::of(role))));
        answer.collect().await.unwrap().to_bytes().to_vec()
    }

    #[tokio::test]
    async fn messages_are_narrowed_however_they_are_cut() {
        let plain = pb::Customer {
            name: "customers/bob".to_owned(),
            ..pb::Customer::default()
        };
        let rated = pb::Customer {
            risk: 3,
            accounting_number: "4711".to_owned(),
            ..plain.clone()
        };
        let sent = [frame(&rated), frame(&plain), frame(&rated)].concat();
        let expected = frame(&plain).repeat(3);

        for size in 1..=sent.len() {
            let pieces = sent.chunks(size).map(<[u8]>::to_vec).collect();
            assert_eq!(
                seen_by(pb::Role::Storefront, pieces).await,
                expected,
                "cut by {size}"
            );
        }
        assert_eq!(seen_by(pb::Role::Admin, vec![sent.clone()]).await, sent);
    }

    #[tokio::test]
    async fn an_answer_that_is_no_message_ends_with_a_status() {
        let customer = TABLES.find("Customer").unwrap();
        let pieces = vec![b"\0\0\0\0\x02\xff\xff".to_vec()];
        let view = Some((customer, Roles::of(pb::Role::Storefront)));

        let collected = Answer::new(body(pieces), view).collect().await.unwrap();

        assert_eq!(collected.trailers().unwrap()["grpc-status"], "13");
        assert_eq!(collected.to_bytes(), Bytes::new());
    }

    #[tokio::test]
    async fn a_stream_that_panics_ends_with_a_status() {
        let panics = futures::stream::poll_fn(
            |_| -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
                panic!("planted")
            },
        );

        let answer = Answer::new(Body::new(StreamBody::new(panics)), None);

        let collected = answer.collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "13");
    }
}
