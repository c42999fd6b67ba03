//! The targets of connections, and the settings and checks of every new connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

use super::conn::{Conn, Meter, Native};

#[derive(Clone)]
pub(super) enum Target {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Box<Session>),
}

/// The parameters of a session in PostgreSQL.
///
/// Settings are made after connecting: a pooler such as PgBouncer refuses a connection that asks for unknown
/// settings at the start.
#[derive(Clone)]
pub(super) struct Session {
    options: PgConnectOptions,
    settings: Vec<(&'static str, String)>,
    /// Whether a standby, which only reads, is accepted.
    takes_standby: bool,
}

impl Target {
    pub(super) async fn connect(&self, meter: &Arc<Meter>) -> sqlx::Result<Conn> {
        match self {
            Self::Sqlite(options) => {
                let native = Native::Sqlite(options.connect().await?);
                Ok(Conn::new(native, Arc::clone(meter)))
            }
            Self::Postgres(session) => session.connect(meter).await,
        }
    }
}

impl Session {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self {
            // Poolers do not know this parameter, and no column holds a float.
            options: options.extra_float_digits(None),
            settings: Vec::new(),
            takes_standby: false,
        }
    }

    /// Adds a setting. Name and value are text of the program.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    /// Adds a time limit.
    pub(super) fn within(self, name: &'static str, limit: Duration) -> Self {
        self.with(name, format!("{}ms", limit.as_millis()))
    }

    /// Accepts a standby, too.
    pub(super) fn on_standby_too(mut self) -> Self {
        self.takes_standby = true;
        self
    }

    /// The options of the connection, without the settings.
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Opens the driver's connection, with all settings in force.
    ///
    /// # Errors
    /// An error of the database, or that the server is a standby.
    pub(super) async fn open(&self) -> sqlx::Result<(sqlx::PgConnection, i32)> {
        let mut connection = self.options.connect().await?;
        let greeting = sqlx::raw_sql(AssertSqlSafe(self.greeting()));
        let answer = greeting.fetch_one(&mut connection).await?;
        let (standby, pid): (bool, i32) = (answer.try_get(0)?, answer.try_get(1)?);
        if standby && !self.takes_standby {
            return Err(standby_error());
        }
        Ok((connection, pid))
    }

    async fn connect(&self, meter: &Arc<Meter>) -> sqlx::Result<Conn> {
        let (connection, pid) = self.open().await?;
        let conn = Conn::new(Native::Postgres(connection), Arc::clone(meter));
        Ok(conn.of_process(pid))
    }

    /// The settings and the checks, as one message.
    fn greeting(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.settings {
            text.push_str(&format!("SET {name} = '{value}'; "));
        }
        text.push_str("SELECT pg_is_in_recovery(), pg_backend_pid()");
        text
    }
}

/// The error of a connection to a standby.
fn standby_error() -> sqlx::Error {
    sqlx::Error::Io(io::Error::other(
        "only a standby of PostgreSQL answers there, and it takes no writes; let the URL lead to the primary",
    ))
}
