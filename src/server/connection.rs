//! One connection, from its first byte to its end.

use std::{convert::Infallible, error::Error, time::Duration};

use axum::body::Body;
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::{Routes, ServerSettings, accept::Place, stalling::Stalling};
use crate::connection::Connection;
use crate::limits;

/// How long a connection that is closed for its silence may take to send its last frames.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The service and the settings with which a process serves its connections.
#[derive(Clone)]
pub struct Serving {
    builder: Builder<TokioExecutor>,
    routes: Routes,
    first_request_timeout: Duration,
    stall_timeout: Duration,
    age: Duration,
    /// Asks connections to accept no further calls.
    pub stop: CancellationToken,
    /// Ends connections at once.
    pub cut: CancellationToken,
}

impl Serving {
    /// Serves `routes` on connections. From the age `age` on they accept no further calls.
    pub fn new(routes: Routes, settings: &ServerSettings, age: Duration) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new());
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits::STREAMS_PER_CONNECTION_MAX)
            .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
            .keep_alive_interval(settings.keepalive_interval)
            .keep_alive_timeout(settings.keepalive_timeout)
            .max_header_list_size(limits::HEADER_LIST_BYTES_MAX)
            .max_send_buf_size(limits::SEND_BUFFER_BYTES);
        Self {
            builder,
            routes,
            first_request_timeout: settings.first_request_timeout,
            stall_timeout: settings.stall_timeout,
            age,
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Serves one connection to its end, and keeps its place until then.
    pub async fn run(self, stream: TcpStream, place: Place) {
        let connection = Connection::cut_with(&self.cut);
        let stop = self.stop.child_token();
        let given_up = connection.given_up().clone();
        let io = TokioIo::new(Stalling::new(stream, self.stall_timeout, given_up));
        let (routes, shared) = (self.routes, connection.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            shared.note_call();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(shared.clone());
            let answered = routes.of(&request).call(request);
            async move { Ok::<_, Infallible>(answered.await.unwrap_or_else(|never| match never {})) }
        });
        let mut served = std::pin::pin!(self.builder.serve_connection(io, service));
        let mut first_request = std::pin::pin!(tokio::time::sleep(self.first_request_timeout));
        let mut age = std::pin::pin!(tokio::time::sleep(self.age));
        let (mut is_new, mut takes_calls) = (true, true);
        loop {
            tokio::select! {
                ended = served.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection failed");
                        if is_unanswered_ping(&*error) {
                            connection.given_up().set();
                        }
                    }
                    break;
                }
                () = first_request.as_mut(), if is_new => {
                    is_new = false;
                    if !connection.has_called() {
                        served.as_mut().graceful_shutdown();
                        let _ = tokio::time::timeout(CLOSE_TIMEOUT, served).await;
                        break;
                    }
                }
                () = age.as_mut(), if takes_calls => {
                    takes_calls = false;
                    served.as_mut().graceful_shutdown();
                }
                () = stop.cancelled(), if takes_calls => {
                    takes_calls = false;
                    served.as_mut().graceful_shutdown();
                }
                () = connection.cut() => break,
            }
        }
        drop(place);
    }
}

/// Whether a connection ended because its client did not answer a ping. The other timeout of hyper is that of
/// HTTP/1.1 for the headers of a request. It has no source, and is a proper end of the connection.
fn is_unanswered_ping(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<hyper::Error>();
    error.is_some_and(|error| error.is_timeout() && error.source().is_some())
}
