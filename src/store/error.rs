//! The translation of database errors for callers.
//!
//! The text of a database error never reaches a caller: it is at most the source of an internal error.

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
    /// The connection is lost, or none was available.
    Away,
    /// A lock wait, a deadlock, or a serialization failure: the same work may succeed when it runs again.
    Contended,
    /// The disk is full.
    Full,
    /// The database file is damaged or is no database.
    Damaged,
    /// Anything else: a fault of the program or of the data.
    Fault,
}

/// Classifies a database error.
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
        // SQLite does not distinguish a file that may not grow (EFBIG) from a failed write.
        _ if extended == libsqlite3_sys::SQLITE_IOERR_WRITE && file_size::is_limited() => {
            Class::Full
        }
        // No retry: the busy timeout has passed.
        libsqlite3_sys::SQLITE_BUSY | libsqlite3_sys::SQLITE_LOCKED => Class::Away,
        libsqlite3_sys::SQLITE_IOERR
        | libsqlite3_sys::SQLITE_CANTOPEN
        | libsqlite3_sys::SQLITE_READONLY => Class::Away,
        // The statement exceeded its time limit, as PostgreSQL's query_canceled below.
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

/// Whether the connection that reported the error can no longer be used.
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
                // The cache of a connection cannot be trusted after an I/O error.
                let primary = code.parse::<i32>().unwrap_or_default() & 0xff;
                return primary == libsqlite3_sys::SQLITE_IOERR;
            }
            code.starts_with("08")
                || code.starts_with("57P")
                || code == "25P03"
                // Its successor may be another server.
                || code == READ_ONLY
        }
        _ => false,
    }
}

/// PostgreSQL's error code of writes on a standby, or where writing is forbidden.
const READ_ONLY: &str = "25006";

/// Whether a server of PostgreSQL refused to write.
pub(super) fn is_read_only(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database)
        if database.code().is_some_and(|code| code == READ_ONLY))
}

/// Describes a database error for the log: its code and the schema objects that it names. PostgreSQL's
/// details show whole rows, and messages of both engines may quote a value, so those are left out.
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

/// A failure of the store, which every member of a batch can get.
#[derive(Clone, Debug)]
pub(super) struct StoreError {
    class: Class,
    text: String,
}

impl StoreError {
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

    /// The error for the caller.
    pub(super) fn to_error(&self) -> Error {
        match self.class {
            Class::Away => Error::unavailable(
                ErrorReason::DatabaseUnavailable,
                "the database is not available at the moment; try again",
            ),
            Class::Contended => Error::unavailable(
                ErrorReason::DatabaseUnavailable,
                "too many writes contend for the same resources; try again",
            ),
            Class::Full => Error::exhausted(
                ErrorReason::StorageFull,
                "the disk is full: reads continue, and writes will when there is room",
            ),
            Class::Damaged => Error::unavailable(
                ErrorReason::DatabaseUnavailable,
                "the database is damaged; the operator has to restore it",
            ),
            Class::Fault => Error::internal(StoreFault(self.text.clone())),
        }
    }
}

/// The text for the log.
impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The error of a write whose last permitted run lost against other writes, too.
pub(super) fn outrun() -> Error {
    Error::new(
        Code::Aborted,
        ErrorReason::Conflict,
        "the write lost against other writes several times in a row; try again",
    )
    .retryable()
}

/// A fault found by the store. Its text is for the log, not for callers.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct StoreFault(pub String);

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match class(&error) {
            Class::Fault => Error::internal(Redacted(described(&error))),
            Class::Away | Class::Contended | Class::Full | Class::Damaged => {
                tracing::debug!(error = described(&error), "the database reported an error");
                StoreError::of(&error).to_error()
            }
        }
    }
}

/// Whether a statement failed because a unique key is taken.
///
/// Such a statement has ended its transaction: refuse the write, do not continue it. Where a clash is common,
/// `ON CONFLICT DO NOTHING` costs less.
#[must_use]
pub fn is_unique_violation(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database)
        if matches!(database.kind(), ErrorKind::UniqueViolation))
}
