//! The log entry of a call: ids, code, reason and time, but no content.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body::{Frame, SizeHint};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{access::keys::Key, contract::Method, telemetry::CallId};

/// A call from its beginning to its line in the log.
pub struct Call {
    pub method: &'static Method,
    pub started: Instant,
    /// The key of the caller, once it is known.
    pub key: Option<Arc<Key>>,
    /// The id of the call, as the log shows it.
    pub id: CallId,
}

impl Call {
    /// Starts a call now.
    pub fn new(method: &'static Method) -> Self {
        Self {
            method,
            started: Instant::now(),
            key: None,
            id: CallId::fresh(),
        }
    }

    /// The id as a header for the caller.
    pub fn header(&self) -> HeaderValue {
        HeaderValue::try_from(self.id.to_string()).expect("hexadecimal digits go into headers")
    }

    /// Logs the call: at once, or when its stream ends.
    pub fn answered(self, response: Response<Body>) -> Response<Body> {
        match response.extensions().get::<Status>() {
            Some(status) => {
                let status = status.clone();
                self.log(Some(&status));
                response
            }
            None if self.method.streams => response.map(|inner| {
                Body::new(Logged {
                    inner,
                    call: Some(self),
                    status: None,
                })
            }),
            None => {
                self.log(None);
                response
            }
        }
    }

    fn log(&self, status: Option<&Status>) {
        let code = status.map_or(Code::Ok, Status::code);
        let duration_micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let key = self.key.as_ref().map_or("", |key| &key.id);
        let id = self.id;
        let method = self.method.path.as_str();
        match status.filter(|status| status.code() != Code::Ok) {
            Some(status) => {
                let info = status.get_details_error_info();
                let reason = info.as_ref().map_or("", |info| &info.reason);
                tracing::info!(method, ?code, reason, duration_micros, key, request = %id, "call");
            }
            None if self.method.reads_only => {
                tracing::debug!(method, ?code, duration_micros, key, request = %id, "call");
            }
            None => tracing::info!(method, ?code, duration_micros, key, request = %id, "call"),
        }
    }
}

/// The body of a stream, which is logged when it ends or is dropped.
struct Logged {
    inner: Body,
    call: Option<Call>,
    status: Option<Status>,
}

impl Drop for Logged {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            let left = || Status::cancelled("the caller left");
            call.log(Some(&self.status.take().unwrap_or_else(left)));
        }
    }
}

impl http_body::Body for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let id = self
            .call
            .as_ref()
            .map_or_else(CallId::fresh, |call| call.id);
        let polled = id.cover_now(|| Pin::new(&mut self.inner).poll_frame(context));
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            self.status = Status::from_header_map(trailers);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
