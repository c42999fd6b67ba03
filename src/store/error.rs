//! What the databases' errors mean to a caller.
//!
//! The database's own text never leaves: it is the source of an internal error at most.

use std::fmt;

use sqlx::error::ErrorKind;
use tonic::Code;

use super::file_size;
use crate::error::{Error, Redacted};
use crate::proto::pb::ErrorReason;
use crate::telemetry;

/// The class of a database error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The connection is gone, or none could be had.
    Away,
    /// Locked by somebody else, deadlocked, or not serializable: the same work may succeed when
    /// it is done again.
    Contended,
    /// No room on the disk.
    Full,
    /// The database file is damaged or is no database.
    Damaged,
    /// Anything else: a fault of the program or of the data.
    Fault,
}

/// Sorts a database error.
pub(super) fn class(error: &sqlx::Error) -> Class {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::WorkerCrashed => Class::Away,
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if database
                .try_downcast_ref::<sqlx::sqlite::SqliteError>()
                .is_some()
            {
                sqlite_class(code.parse().unwrap_or_default())
            } else {
                postgres_class(&code)
            }
        }
        _ => Class::Fault,
    }
}

fn sqlite_class(extended: i32) -> Class {
    match extended & 0xff {
        libsqlite3_sys::SQLITE_FULL => Class::Full,
        libsqlite3_sys::SQLITE_CORRUPT | libsqlite3_sys::SQLITE_NOTADB => Class::Damaged,
        // SQLite does not tell a file that may not grow (EFBIG) from a write that failed.
        _ if extended == libsqlite3_sys::SQLITE_IOERR_WRITE && file_size::is_limited() => {
            Class::Full
        }
        // Without waiting: the waiting was done by the busy timeout.
        libsqlite3_sys::SQLITE_BUSY | libsqlite3_sys::SQLITE_LOCKED => Class::Away,
        libsqlite3_sys::SQLITE_IOERR
        | libsqlite3_sys::SQLITE_CANTOPEN
        | libsqlite3_sys::SQLITE_READONLY => Class::Away,
        // It took longer than a statement may, as PostgreSQL's query_canceled below.
        libsqlite3_sys::SQLITE_INTERRUPT => Class::Away,
        _ => Class::Fault,
    }
}

fn postgres_class(state: &str) -> Class {
    match state {
        "53100" => Class::Full,
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => Class::Contended,
        // query_canceled (statement timeout), idle session ended, read-only after a failover
        "57014" | "25P03" | READ_ONLY => Class::Away,
        _ if state.starts_with("08") || state.starts_with("53") || state.starts_with("57P") => {
            Class::Away
        }
        _ => Class::Fault,
    }
}

/// Whether the connection that reported the error is of no more use.
pub(super) fn ends_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if database
                .try_downcast_ref::<sqlx::sqlite::SqliteError>()
                .is_some()
            {
                // What a connection has in its cache after an I/O error is not to be trusted.
                let primary = code.parse::<i32>().unwrap_or_default() & 0xff;
                return primary == libsqlite3_sys::SQLITE_IOERR;
            }
            code.starts_with("08")
                || code.starts_with("57P")
                || code == "25P03"
                // Its successor may be elsewhere.
                || code == READ_ONLY
        }
        _ => false,
    }
}

/// The code of PostgreSQL's errors for writes on a standby, and where writing is forbidden.
const READ_ONLY: &str = "25006";

/// Whether a server of PostgreSQL refused to write.
pub(super) fn is_read_only(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database)
        if database.code().is_some_and(|code| code == READ_ONLY))
}

/// A database's error for the log: its code and what of the schema it is about. PostgreSQL's details
/// show whole rows, and messages of both engines may quote a value, so those are left out.
#[must_use]
pub fn described(error: &sqlx::Error) -> String {
    let sqlx::Error::Database(database) = error else {
        return telemetry::redacted(&error.to_string()).into_owned();
    };
    let mut text = format!(
        "{} (code {})",
        telemetry::redacted(database.message()),
        database.code().unwrap_or_default()
    );
    for (what, name) in [
        ("table", database.table()),
        ("constraint", database.constraint()),
    ] {
        if let Some(name) = name {
            text.push_str(&format!(", {what} {name}"));
        }
    }
    text
}

/// An error that can be told to every member of a batch.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    class: Class,
    text: String,
}

impl Trouble {
    pub(super) fn of(error: &sqlx::Error) -> Self {
        Self {
            class: class(error),
            text: described(error),
        }
    }

    pub(super) fn away(text: &str) -> Self {
        Self {
            class: Class::Away,
            text: text.to_owned(),
        }
    }

    pub(super) fn damaged() -> Self {
        Self {
            class: Class::Damaged,
            text: "the database file is damaged".to_owned(),
        }
    }

    pub(super) fn fault(text: &str) -> Self {
        Self {
            class: Class::Fault,
            text: text.to_owned(),
        }
    }

    pub(super) fn class(&self) -> Class {
        self.class
    }

    /// The error as a caller gets it.
    pub(super) fn to_error(&self) -> Error {
        match self.class {
            Class::Away => Error::unavailable(
                ErrorReason::DatabaseUnavailable,
                "the database is not available at the moment; try again",
            ),
            Class::Contended => Error::unavailable(
                ErrorReason::DatabaseUnavailable,
                "too many writes met at the same place; try again",
            ),
            Class::Full => Error::exhausted(
                ErrorReason::StorageFull,
                "there is no room left to store this; reads go on, and writes will when there is",
            ),
            Class::Damaged => Error::unavailable(
                ErrorReason::DatabaseUnavailable,
                "the database is damaged; its operator has to restore it",
            ),
            Class::Fault => Error::internal(StoreFault(self.text.clone())),
        }
    }
}

/// For the log.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The error of a write that was run again as often as it may be, as each time others came first.
pub(super) fn outrun() -> Error {
    Error::new(
        Code::Aborted,
        ErrorReason::Conflict,
        "other writes at the same place came first several times in a row; try again",
    )
    .retryable()
}

/// A fault found by the store; its text is for the log, not for callers.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct StoreFault(pub String);

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match class(&error) {
            Class::Fault => Error::internal(Redacted(described(&error))),
            Class::Away | Class::Contended | Class::Full | Class::Damaged => {
                tracing::debug!(error = described(&error), "the database refused");
                Trouble::of(&error).to_error()
            }
        }
    }
}

/// Whether a statement failed because a unique key is taken, and which (where the engine says).
///
/// Such a statement has ended its transaction: turn it into a refusal, do not go on. Where a
/// clash is common, `ON CONFLICT DO NOTHING` costs less.
#[must_use]
pub fn is_unique_violation(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database)
        if matches!(database.kind(), ErrorKind::UniqueViolation))
}
