//! The listener: gRPC, gRPC-Web and the page on one port, with limits that keep one client from harming
//! others, and an orderly shutdown.
//!
//! Connections are served here and not by tonic's `Server`. That one answers a deadline itself, without a
//! reason, cannot limit its buffers, and spins when no connection can be accepted.

mod accept;
mod connection;
mod readiness;
mod stalling;

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, Method, StatusCode, Version, header},
    middleware::{self, Next},
    response::Response,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic_web::GrpcWebLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use accept::Acceptor;
pub use accept::ConnectionLimits;
use connection::Serving;
pub use readiness::{Health, watch_readiness};

use crate::config::origin;
use crate::{limits, monitor};

/// Settings of the listener, beside its routes.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Origins whose pages may call over gRPC-Web.
    pub cors_origins: Vec<String>,
    /// The limits of open connections.
    pub connections: ConnectionLimits,
    /// How soon a new connection must send the headers of its first request.
    pub first_request_timeout: Duration,
    /// How long a connection may accept none of the bytes that wait to be sent on it.
    pub stall_timeout: Duration,
    /// The age from which a connection accepts no further calls. None: the least age of a watch stream, so
    /// that a client that is asked to reconnect its stream makes a new connection.
    pub connection_age: Option<Duration>,
    /// How often a silent connection is pinged.
    pub keepalive_interval: Duration,
    /// How soon it must answer. Otherwise it is cut, with its calls and streams.
    pub keepalive_timeout: Duration,
    /// How long calls and streams may continue after the stop.
    pub drain_timeout: Duration,
    /// How long, after that, submitted writes may continue and the store may take to close.
    pub closing_timeout: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            cors_origins: Vec::new(),
            connections: ConnectionLimits::default(),
            first_request_timeout: limits::FIRST_REQUEST_TIME_MAX,
            stall_timeout: limits::CONNECTION_STALLED_MAX,
            connection_age: None,
            keepalive_interval: limits::KEEPALIVE_INTERVAL,
            keepalive_timeout: limits::KEEPALIVE_TIMEOUT,
            drain_timeout: limits::DRAIN_TIMEOUT_DEFAULT,
            closing_timeout: limits::CLOSING_TIME_MAX,
        }
    }
}

/// Serves `grpc` on `listener` until `stop` is cancelled. Then lets calls finish within the drain timeout,
/// and cuts the rest.
///
/// Connections older than `connection_age` (default: `stream_age`) accept no new calls; the calls and streams
/// on them continue. Their clients make new connections, which a balancer can lead to another replica.
///
/// # Errors
/// If a CORS origin is invalid.
pub async fn serve(
    listener: TcpListener,
    grpc: Router,
    settings: &ServerSettings,
    stream_age: Duration,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let routes = Routes::new(grpc, &settings.cors_origins)?;
    let age = settings.connection_age.unwrap_or(stream_age);
    let serving = Serving::new(routes, settings, age);
    let mut acceptor = Acceptor::new(listener, settings.connections);
    let connections = TaskTracker::new();
    loop {
        let (stream, place) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = acceptor.next() => accepted,
        };
        connections.spawn(serving.clone().run(stream, place));
    }
    // The port is free from here on, and no connection waits in its queue.
    drop(acceptor);
    serving.stop.cancel();
    connections.close();
    let drained = tokio::time::timeout(settings.drain_timeout, connections.wait()).await;
    if drained.is_err() {
        // Streams whose reader has stopped reading never end by themselves.
        tracing::warn!("connections were still open at the drain limit and are cut");
        serving.cut.cancel();
        connections.wait().await;
    }
    Ok(())
}

/// The routes of requests. Cheap to clone.
#[derive(Clone)]
struct Routes {
    grpc: Router,
    /// The page, gRPC-Web, and gRPC with an `Origin` or over HTTP/1.1.
    web: Router,
}

impl Routes {
    fn new(grpc: Router, origins: &[String]) -> anyhow::Result<Self> {
        let grpc = grpc.with_state(());
        let web = grpc
            .clone()
            .layer(GrpcWebLayer::new())
            .layer(cors(origins)?)
            .layer(middleware::from_fn(only_grpc));
        let web = monitor::router().fallback_service(web).with_state(());
        Ok(Self { grpc, web })
    }

    /// The routes of a request. Calls of gRPC that do not come from a page skip the layers for pages.
    fn of(&self, request: &Request) -> Router {
        let headers = request.headers();
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.as_bytes().strip_prefix(GRPC));
        let is_call = request.version() == Version::HTTP_2
            && request.method() == Method::POST
            && content_type.is_some_and(|rest| !rest.starts_with(b"-web"))
            && !headers.contains_key(header::ORIGIN);
        if is_call { &self.grpc } else { &self.web }.clone()
    }
}

/// Answers requests that are not gRPC in plain text instead of with a gRPC status. Answers of gRPC-Web are
/// sent message by message, also through a proxy: nginx buffers an answer unless a header forbids it.
async fn only_grpc(request: Request, next: Next) -> Response {
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .map_or(b"".as_slice(), HeaderValue::as_bytes);
    if content_type.starts_with(b"application/grpc-web") {
        let mut response = next.run(request).await;
        let no = HeaderValue::from_static("no");
        response.headers_mut().insert(UNBUFFERED, no);
        return response;
    }
    if content_type.starts_with(GRPC) || request.method() == Method::OPTIONS {
        return next.run(request).await;
    }
    let (status, text) = if request.method() == Method::POST {
        let text = "the content type must be application/grpc or application/grpc-web\n";
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
    } else {
        (StatusCode::NOT_FOUND, "not found\n")
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

/// The common prefix of the content types of gRPC and of gRPC-Web.
const GRPC: &[u8] = b"application/grpc";

/// Read by nginx, which does not buffer an answer that has it with the value `no`.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

fn cors(origins: &[String]) -> anyhow::Result<CorsLayer> {
    let origins = origins
        .iter()
        .map(|text| Ok(origin(text)?.parse()?))
        .collect::<anyhow::Result<Vec<HeaderValue>>>()?;
    let request_headers = [
        "content-type",
        "x-grpc-web",
        "x-user-agent",
        "grpc-timeout",
        "authorization",
        "clientela-shop",
        "clientela-actor",
        "clientela-on-behalf-of",
        "clientela-min-revision",
        // Libraries that trace calls from the browser on send these with every call.
        "traceparent",
        "tracestate",
    ];
    let response_headers = [
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
        "grpc-accept-encoding",
        "clientela-revision",
        "clientela-operation",
        "x-request-id",
    ];
    Ok(CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::POST])
        .allow_headers(request_headers.map(header::HeaderName::from_static))
        .expose_headers(response_headers.map(header::HeaderName::from_static))
        .max_age(Duration::from_secs(2 * 60 * 60)))
}
