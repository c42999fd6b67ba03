//! What `clientela serve` can be told, by flag or by environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

/// Settings of a server.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Where the embedded database, the lock and the key file lie; made if it is not there.
    #[arg(long, env = "CLIENTELA_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// The address to listen on. Port 0 takes a free one.
    #[arg(long, env = "CLIENTELA_LISTEN", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,

    /// A PostgreSQL database (`postgres://…`, version 15 or later) instead of the embedded one.
    #[arg(long, env = "CLIENTELA_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// NATS servers (`nats://…` or `tls://…`, several with commas) by which replicas on one PostgreSQL
    /// tell each other of changes, instead of LISTEN and NOTIFY.
    #[arg(
        long,
        env = "CLIENTELA_NATS_URL",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub nats_url: Vec<String>,

    /// Listens on an address that is not loopback although the traffic is not encrypted.
    #[arg(long, env = "CLIENTELA_ALLOW_PLAINTEXT")]
    pub allow_plaintext: bool,

    /// How long calls and streams may go on after the server was told to stop, in seconds.
    #[arg(long, env = "CLIENTELA_DRAIN_TIMEOUT", default_value = "10", value_parser = seconds)]
    pub drain_timeout: Duration,

    /// Origins whose pages may call over gRPC-Web, as `https://shop.example`; may be repeated.
    #[arg(long, env = "CLIENTELA_CORS_ORIGIN", value_delimiter = ',')]
    pub cors_origin: Vec<String>,

    /// Whether reflection answers without a key. By default only on loopback.
    #[arg(long, env = "CLIENTELA_OPEN_REFLECTION")]
    pub open_reflection: Option<bool>,

    /// How long changes stay in the feed, in seconds.
    #[arg(long, env = "CLIENTELA_FEED_RETENTION", default_value = "259200", value_parser = seconds)]
    pub feed_retention: Duration,

    /// How many bytes of changes stay in the feed.
    #[arg(long, env = "CLIENTELA_FEED_MAX_BYTES", default_value_t = 4 * 1024 * 1024 * 1024)]
    pub feed_max_bytes: u64,

    /// How log lines look.
    #[arg(long, env = "CLIENTELA_LOG_FORMAT", value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,

    /// What is logged, as `info` or `clientela=debug`.
    #[arg(long, env = "CLIENTELA_LOG", default_value = "info")]
    pub log: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Human,
    /// A JSON object a line.
    Json,
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}
