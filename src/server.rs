//! The listener: gRPC, gRPC-Web and the page on one port, with the limits that keep one client from
//! harming others, and an orderly end.

mod readiness;

use std::time::Duration;

use anyhow::Context as _;
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::Response,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::server::{Server, TcpIncoming},
};
use tonic_web::GrpcWebLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

pub use readiness::{Health, watch_readiness};

use crate::{limits, monitor};

/// How the server behaves beside what it serves.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Origins whose pages may call over gRPC-Web.
    pub cors_origins: Vec<String>,
    /// How old a connection gets before it takes no further calls; None: as old as its streams get at
    /// least, so that it takes no new ones when they are asked to go.
    pub connection_age: Option<Duration>,
    /// How often a silent connection is asked whether it lives.
    pub keepalive_interval: Duration,
    /// Within which time it must answer; then it is cut, with its calls and streams.
    pub keepalive_timeout: Duration,
    /// How long calls and streams may go on after the stop.
    pub drain_timeout: Duration,
    /// How long, after that, the writes that were taken may go on and the store may take to close.
    pub closing_timeout: Duration,
}

/// Serves `grpc` on `listener` until `stop` is cancelled, then lets calls finish for at most the drain
/// timeout and cuts what is left.
///
/// A connection that is older than the settings allow, or without a word there than `stream_age`, takes no further calls, and what was begun on it
/// goes on: its client makes a new one, which a balancer of connections can lead elsewhere.
///
/// # Errors
/// When a CORS origin is no origin, or the listener fails.
pub async fn serve(
    listener: TcpListener,
    grpc: Router,
    settings: &ServerSettings,
    stream_age: Duration,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let incoming = TcpIncoming::from(listener)
        .with_nodelay(Some(true))
        .with_keepalive(Some(limits::TCP_KEEPALIVE));
    let routes = Routes::from(router(grpc, &settings.cors_origins)?);
    let serving = Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION_MAX)
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(settings.keepalive_interval))
        .http2_keepalive_timeout(Some(settings.keepalive_timeout))
        .http2_max_header_list_size(limits::HEADER_LIST_BYTES_MAX)
        .max_connection_age(settings.connection_age.unwrap_or(stream_age))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    let cut = async {
        stop.cancelled().await;
        tokio::time::sleep(settings.drain_timeout).await;
    };
    tokio::select! {
        served = serving => served.context("the listener failed"),
        // Streams whose reader stopped reading never end by themselves; they are cut.
        () = cut => {
            tracing::warn!("connections were still open at the drain limit and are cut");
            Ok(())
        }
    }
}

/// gRPC and gRPC-Web for requests that are one, the page for the rest.
fn router(grpc: Router, origins: &[String]) -> anyhow::Result<Router> {
    let grpc = grpc
        .layer(GrpcWebLayer::new())
        .layer(cors(origins)?)
        .layer(middleware::from_fn(only_grpc));
    Ok(monitor::router().fallback_service(grpc))
}

/// Requests that are no gRPC get a plain answer instead of a gRPC status.
async fn only_grpc(request: Request, next: Next) -> Response {
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes);
    let is_grpc = content_type.is_some_and(|value| value.starts_with(b"application/grpc"));
    if is_grpc || request.method() == Method::OPTIONS {
        return next.run(request).await;
    }
    let mut response = Response::new(Body::from("not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn cors(origins: &[String]) -> anyhow::Result<CorsLayer> {
    let origins = origins
        .iter()
        .map(|origin| {
            origin
                .parse()
                .with_context(|| format!("{origin:?} is no origin"))
        })
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
    ];
    let response_headers = [
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
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
