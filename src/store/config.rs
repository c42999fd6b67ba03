//! The settings of a store: its database and the sizes of its pools.

mod hints;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use log::LevelFilter;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

pub use hints::{Hints, NatsUrls};

use super::open::OpenError;
use crate::limits::CONNECTION_AGE;

/// The location of the data: a folder of this machine, or a PostgreSQL database.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// One SQLite file in a folder that only this process uses.
    Embedded {
        /// The folder; created if it does not exist.
        data_dir: PathBuf,
    },
    /// A PostgreSQL database that all replicas share.
    Postgres(Box<PgConnectOptions>),
}

impl DatabaseUrl {
    /// A store in a folder.
    #[must_use]
    pub fn embedded(data_dir: impl Into<PathBuf>) -> Self {
        Self::Embedded {
            data_dir: data_dir.into(),
        }
    }

    /// Reads the URL of a PostgreSQL database.
    ///
    /// The connection to another machine is encrypted and the certificate checked, unless the URL names
    /// another `sslmode`. The modes that silently fall back to plain text (`allow`, `prefer`) are refused.
    ///
    /// # Errors
    /// If the URL cannot be read, or asks for one of the refused modes.
    pub fn postgres(url: &str) -> Result<Self, OpenError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(OpenError::BadUrl("it must begin with postgres://".into()));
        }
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| OpenError::BadUrl(error.to_string()))?;
        if is_local(&options) {
            return Ok(Self::Postgres(Box::new(options)));
        }
        let named = url.contains("sslmode=") || url.contains("ssl-mode=");
        let options = match (named, options.get_ssl_mode()) {
            (false, _) => options.ssl_mode(PgSslMode::VerifyFull),
            (true, PgSslMode::Allow | PgSslMode::Prefer) => return Err(OpenError::PlainAllowed),
            (true, _) => options,
        };
        Ok(Self::Postgres(Box::new(options)))
    }
}

/// Whether the server is on a socket or the loopback address of this machine.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Never shows the password.
impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded { data_dir } => write!(f, "{}", data_dir.display()),
            Self::Postgres(options) => write!(
                f,
                "postgres://{}:{}/{}",
                options.get_host(),
                options.get_port(),
                options.get_database().unwrap_or_default()
            ),
        }
    }
}

/// Connections of a replica for the reads of calls, for lists, and for the pages of streams.
pub(super) const POSTGRES_READERS: usize = 10;
pub(super) const POSTGRES_LISTS: usize = 7;
pub(super) const POSTGRES_STREAMS: usize = 4;
/// Connections of a replica for the writes of calls.
pub(super) const POSTGRES_WRITERS: usize = 16;
/// The settings of a store.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The location of the data.
    pub database: DatabaseUrl,
    /// The most reads of calls at once.
    pub read_connections: usize,
    /// The most lists that are read at once. One key may read fewer.
    pub list_connections: usize,
    /// The most pages of streams that are read at once.
    pub stream_connections: usize,
    /// The most writes of calls at once on PostgreSQL. SQLite has one writer.
    pub write_connections: usize,
    /// How long a call waits for a free connection before it is refused as unavailable.
    pub acquire_timeout: Duration,
    /// How long SQLite waits for a lock that another program holds on the file.
    pub busy_timeout: Duration,
    /// How long a start on SQLite waits for the check of a file that was not closed. The rest is checked
    /// while the server runs.
    pub start_check_time: Duration,
    /// The time limit of a statement on PostgreSQL, and of a reading statement on SQLite.
    pub statement_timeout: Duration,
    /// The time limit of a wait for a lock within a PostgreSQL statement.
    pub lock_timeout: Duration,
    /// How long a read or a transaction waits for a PostgreSQL server that sends nothing, for example because
    /// its machine or the network is down. Then its connection is closed. It must exceed the server's own
    /// limits.
    pub silence_limit: Duration,
    /// The greatest age of a connection to PostgreSQL, give or take a fifth. An address may come to lead to
    /// another server, and only new connections follow it.
    pub connection_age: Duration,
    /// How replicas on one PostgreSQL notify each other of their commits.
    pub hints: Hints,
    /// A delay before each commit on SQLite. For benchmarks only: it simulates a slow disk.
    pub commit_delay: Option<Duration>,
    /// Logs the text of each statement, without its values, at TRACE with the target `sqlx::query`. For tests
    /// only, because it logs every statement.
    pub log_statements: bool,
}

impl StoreConfig {
    /// The defaults for a database.
    #[must_use]
    pub fn new(database: DatabaseUrl) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let cores = cores.clamp(2, 8);
        let (read_connections, list_connections, stream_connections) = match &database {
            // One list more than there are cores: a key may keep all cores busy, and a list of another key
            // can still run.
            DatabaseUrl::Embedded { .. } => (cores, cores + 1, 2),
            DatabaseUrl::Postgres(_) => (POSTGRES_READERS, POSTGRES_LISTS, POSTGRES_STREAMS),
        };
        Self {
            database,
            read_connections,
            list_connections,
            stream_connections,
            write_connections: POSTGRES_WRITERS,
            acquire_timeout: Duration::from_secs(5),
            busy_timeout: Duration::from_secs(5),
            start_check_time: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(2),
            silence_limit: Duration::from_secs(15),
            connection_age: CONNECTION_AGE,
            hints: Hints::Notify,
            commit_delay: None,
            log_statements: false,
        }
    }
}

impl StoreConfig {
    /// The level at which the driver logs statements.
    pub(super) fn statement_level(&self) -> LevelFilter {
        if self.log_statements {
            LevelFilter::Trace
        } else {
            LevelFilter::Off
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> PgSslMode {
        match DatabaseUrl::postgres(url) {
            Ok(DatabaseUrl::Postgres(options)) => options.get_ssl_mode(),
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn another_machine_must_show_its_certificate() {
        assert!(matches!(
            mode("postgres://db.example.test/shop"),
            PgSslMode::VerifyFull
        ));
        assert!(matches!(
            mode("postgres://db.example.test/shop?sslmode=disable"),
            PgSslMode::Disable
        ));
    }

    #[test]
    fn a_mode_that_falls_back_to_plain_text_is_refused() {
        let refused = DatabaseUrl::postgres("postgres://db.example.test/shop?sslmode=prefer");

        assert!(matches!(refused, Err(OpenError::PlainAllowed)));
    }

    #[test]
    fn this_machine_needs_no_certificate() {
        for url in [
            "postgres://localhost/a",
            "postgres://127.0.0.1/a",
            "postgres://[::1]/a",
        ] {
            assert!(!matches!(mode(url), PgSslMode::VerifyFull), "{url}");
        }
    }

    #[test]
    fn the_password_is_never_shown() {
        let url = DatabaseUrl::postgres("postgres://u:hunter2@localhost/a").unwrap();

        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
