//! Log lines. They carry ids and reasons, never a secret or anything personal.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::LogFormat;

/// Tells of each attempt to connect; the store tells of outages. A filter that names it is heeded.
const QUIET: &str = "async_nats=off";

/// Begins to log to standard error. Does nothing where something logs already.
pub fn start(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},info")));
    let lines = fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second subscriber is refused, as in tests that start several servers.
    let _ = match format {
        LogFormat::Human => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
