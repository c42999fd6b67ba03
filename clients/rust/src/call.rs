//! The transport of the generated clients. It adds the key to every call and a request id to mutations, and
//! retries unary calls that fail because the server is unavailable.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::future::BoxFuture;
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};
use prost::encoding::{self, DecodeContext};
use tonic::{Code, Status, body::Body, codegen::StdError, transport::Channel};
use tower::{Service, ServiceExt as _};

use crate::backoff::Backoff;

const ATTEMPTS_MAX: usize = 5;
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The transport: it adds the key to calls, and retries them if the server is unavailable.
#[derive(Debug, Clone)]
pub struct Transport {
    channel: Channel,
    headers: HeaderMap,
}

impl Transport {
    pub(crate) fn new(channel: Channel, headers: HeaderMap) -> Self {
        Self { channel, headers }
    }
}

include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// The properties of a call, which the build reads from the contract.
struct Method {
    /// Whether the call is unary; streams are not retried here.
    unary: bool,
    request_id: Option<i32>,
}

impl Service<http::Request<Body>> for Transport {
    type Response = http::Response<Body>;
    type Error = StdError;
    type Future = BoxFuture<'static, Result<Self::Response, StdError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        Box::pin(send(self.channel.clone(), request))
    }
}

async fn send(
    channel: Channel,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, StdError> {
    let method = method(request.uri().path());
    if !method.unary {
        return channel.oneshot(request).await.map_err(unreachable);
    }
    let (head, body) = request.into_parts();
    let message = body.collect().await?.to_bytes();
    let message = match method.request_id {
        Some(field) => identified(message, field.unsigned_abs()),
        None => message,
    };
    let mut backoff = Backoff::new(WAITS);
    let mut attempt = 1;
    loop {
        let body = Body::new(Full::new(message.clone()));
        let answer = once(&channel, http::Request::from_parts(head.clone(), body)).await;
        if attempt == ATTEMPTS_MAX || !is_unavailable(&answer) {
            return Ok(answer?.map(Body::new));
        }
        attempt += 1;
        tokio::time::sleep(backoff.next()).await;
    }
}

type Answer = http::Response<http_body_util::Collected<Bytes>>;

async fn once(channel: &Channel, request: http::Request<Body>) -> Result<Answer, StdError> {
    let answer = channel
        .clone()
        .oneshot(request)
        .await
        .map_err(unreachable)?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(unreachable)?;
    Ok(http::Response::from_parts(head, body))
}

/// Converts the different errors of a broken connection to UNAVAILABLE. CANCELLED is one of them, because a
/// call that its caller has cancelled returns no error.
fn unreachable(error: impl Into<StdError>) -> StdError {
    let status = Status::from_error(error.into());
    match status.code() {
        Code::Unknown | Code::Internal | Code::Cancelled => {
            Status::unavailable(status.message()).into()
        }
        _ => status.into(),
    }
}

fn is_unavailable(answer: &Result<Answer, StdError>) -> bool {
    let unavailable = |headers: &HeaderMap| {
        headers
            .get("grpc-status")
            .is_some_and(|status| status == "14")
    };
    match answer {
        Ok(answer) => {
            unavailable(answer.headers()) || answer.body().trailers().is_some_and(unavailable)
        }
        Err(error) => error
            .downcast_ref::<Status>()
            .is_some_and(|status| status.code() == Code::Unavailable),
    }
}

/// Returns the message with a request id, so that the server applies a retried call once.
fn identified(framed: Bytes, field: u32) -> Bytes {
    const HEAD: usize = 5;
    // A compressed message is not changed.
    if framed.len() < HEAD || framed[0] != 0 || has_field(&framed[HEAD..], field) {
        return framed;
    }
    let mut message = BytesMut::from(&framed[..]);
    encoding::string::encode(field, &uuid::Uuid::new_v4().to_string(), &mut message);
    let Ok(length) = u32::try_from(message.len() - HEAD) else {
        return framed;
    };
    (&mut message[1..HEAD]).put_u32(length);
    message.freeze()
}

fn has_field(mut message: &[u8], field: u32) -> bool {
    while let Ok((number, wire)) = encoding::decode_key(&mut message) {
        if number == field
            || encoding::skip_field(wire, number, &mut message, DecodeContext::default()).is_err()
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_lost_with_its_connection_is_repeated() {
        let lost = [
            Status::cancelled("operation was canceled"),
            Status::unknown("transport error"),
            Status::internal("protocol error"),
        ];

        for status in lost {
            assert!(is_unavailable(&Err(unreachable(status))));
        }
        assert!(!is_unavailable(&Err(unreachable(
            Status::deadline_exceeded("too late")
        ))));
    }

    #[test]
    fn a_request_id_is_put_only_where_there_is_none() {
        let framed = |message: &[u8]| {
            let mut bytes = BytesMut::from(&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()][..]);
            bytes.extend_from_slice(message);
            bytes.freeze()
        };
        let mine = framed(b"\x0a\x01a\x12\x01b");

        assert_eq!(identified(mine.clone(), 2), mine);
        let put = identified(mine.clone(), 7);
        assert_eq!(put.len(), mine.len() + 38);
        assert_eq!(usize::from(put[4]), put.len() - 5);
        assert_eq!(identified(put.clone(), 7), put);
        assert_eq!(identified(framed(b""), 1).len(), 5 + 38);
    }
}
