//! Where the store lies and how large its pools are.

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

/// Where the data is: in a folder of this machine, or in a PostgreSQL.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// One SQLite file in a folder that belongs to this process alone.
    Embedded {
        /// The folder; made when it is absent.
        data_dir: PathBuf,
    },
    /// A PostgreSQL, shared by all replicas.
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

    /// A store in PostgreSQL, from its URL.
    ///
    /// To another machine the connection is encrypted and the certificate checked, unless the URL
    /// itself names another `sslmode`; the modes that fall back to plain text by themselves
    /// (`allow`, `prefer`) are refused.
    ///
    /// # Errors
    /// When the URL cannot be read, or asks for one of the refused modes.
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

/// A socket of this machine, or its loopback address: nothing leaves the machine.
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
/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Where the data is.
    pub database: DatabaseUrl,
    /// How many reads of calls run at once.
    pub read_connections: usize,
    /// How many lists are read at once; one key reads fewer.
    pub list_connections: usize,
    /// How many pages of streams are read at once.
    pub stream_connections: usize,
    /// How many writes of calls run at once on PostgreSQL; SQLite has one writer.
    pub write_connections: usize,
    /// How long a call waits for a free connection before it is told to come back.
    pub acquire_timeout: Duration,
    /// How long SQLite waits for a lock that a foreign program holds on the file.
    pub busy_timeout: Duration,
    /// How long a start on SQLite may wait for the check of a file that was not closed; what is left is
    /// checked while the server runs.
    pub start_check_time: Duration,
    /// How long PostgreSQL works on one statement, and SQLite on one that reads.
    pub statement_timeout: Duration,
    /// How long PostgreSQL lets a statement wait for a lock.
    pub lock_timeout: Duration,
    /// How long a read or a transaction waits for a PostgreSQL that says nothing at all, as when its
    /// machine or the network to it is gone; then its connection is given up. Longer than what the
    /// server itself allows.
    pub silence_limit: Duration,
    /// How old a connection to PostgreSQL becomes, give or take a fifth: an address may come to lead to
    /// another server, and only new connections follow it.
    pub connection_age: Duration,
    /// How replicas on one PostgreSQL tell each other of their commits.
    pub hints: Hints,
    /// Waits so long before each commit on SQLite. For benchmarks only: it plays a slow disk.
    pub commit_delay: Option<Duration>,
    /// Logs the text of each statement, without its values, at TRACE with the target `sqlx::query`. For
    /// tests only: it shows them all.
    pub log_statements: bool,
}

impl StoreConfig {
    /// The defaults for a database.
    #[must_use]
    pub fn new(database: DatabaseUrl) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let cores = cores.clamp(2, 8);
        let (read_connections, list_connections, stream_connections) = match &database {
            // Of the lists one more than there are cores: a key may keep all cores busy, and another's
            // list still has its place.
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
    /// How loudly the driver tells of statements.
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
