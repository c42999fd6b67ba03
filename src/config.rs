//! The settings of `clientela serve`, by flag or by environment.

mod origin;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, value_parser};

pub use origin::origin;

use crate::limits;

/// The longest time that the server may take to stop.
const DRAIN_TIMEOUT_MAX: u64 = 60 * 60;
/// The longest time that changes may be kept: a hundred years.
const FEED_RETENTION_MAX: u64 = 100 * 365 * 24 * 60 * 60;

/// Settings of a server.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The folder of the embedded database, the lock and the key file; created if it does not exist.
    #[arg(long, env = "CLIENTELA_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// The address to listen on. Port 0 takes a free one.
    #[arg(long, env = "CLIENTELA_LISTEN", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,

    /// A PostgreSQL database (`postgres://…`, version 15 or later) instead of the embedded one.
    #[arg(long, env = "CLIENTELA_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// NATS servers (`nats://…` or `tls://…`, several with commas) by which replicas on one PostgreSQL notify
    /// each other of changes, instead of LISTEN and NOTIFY.
    #[arg(
        long,
        env = "CLIENTELA_NATS_URL",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub nats_url: Vec<String>,

    /// Allows an address that is not loopback although the traffic is not encrypted.
    #[arg(long, env = "CLIENTELA_ALLOW_PLAINTEXT")]
    pub allow_plaintext: bool,

    /// How long calls and streams may continue after the server was asked to stop, in seconds.
    #[arg(long, env = "CLIENTELA_DRAIN_TIMEOUT", default_value = "10", value_parser = drain_timeout)]
    pub drain_timeout: Duration,

    /// Origins whose pages may call over gRPC-Web, for example `https://shop.example`; may be repeated.
    #[arg(long, env = "CLIENTELA_CORS_ORIGIN", value_delimiter = ',', value_parser = origin)]
    pub cors_origin: Vec<String>,

    /// The most open connections; further ones are closed at once.
    #[arg(
        long,
        env = "CLIENTELA_MAX_CONNECTIONS",
        default_value_t = connections(limits::CONNECTIONS_MAX),
        value_parser = value_parser!(u32).range(1..)
    )]
    pub max_connections: u32,

    /// The most open connections from one address, or from one /64 network of IPv6. The default is 1,000, and
    /// no limit for this machine. A proxy on another machine needs as many as it has clients.
    #[arg(
        long,
        env = "CLIENTELA_MAX_CONNECTIONS_PER_ADDRESS",
        value_parser = value_parser!(u32).range(1..)
    )]
    pub max_connections_per_address: Option<u32>,

    /// Whether reflection answers without a key. By default only on loopback.
    #[arg(long, env = "CLIENTELA_OPEN_REFLECTION")]
    pub open_reflection: Option<bool>,

    /// How long changes stay in the feed, in seconds.
    #[arg(long, env = "CLIENTELA_FEED_RETENTION", default_value = "259200", value_parser = feed_retention)]
    pub feed_retention: Duration,

    /// The most bytes of changes that stay in the feed.
    #[arg(
        long,
        env = "CLIENTELA_FEED_MAX_BYTES",
        default_value_t = 4 * 1024 * 1024 * 1024,
        value_parser = value_parser!(u64).range(1..=i64::MAX.unsigned_abs())
    )]
    pub feed_max_bytes: u64,

    /// The format of log lines.
    #[arg(long, env = "CLIENTELA_LOG_FORMAT", value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,

    /// The log filter, for example `info` or `clientela=debug`.
    #[arg(long, env = "CLIENTELA_LOG", default_value = "info")]
    pub log: String,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Human,
    /// A JSON object a line.
    Json,
}

fn drain_timeout(text: &str) -> Result<Duration, String> {
    seconds(text, 0, DRAIN_TIMEOUT_MAX)
}

fn feed_retention(text: &str) -> Result<Duration, String> {
    seconds(text, 1, FEED_RETENTION_MAX)
}

fn seconds(text: &str, min: u64, max: u64) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    seconds
        .filter(|seconds| (min..=max).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| format!("give whole seconds, from {min} to {max}"))
}

/// Converts a limit of the program to the type of its flag.
fn connections(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}
