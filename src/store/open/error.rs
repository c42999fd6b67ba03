//! The reasons not to open a store, as sentences for its operator.

use std::borrow::Cow;
use std::path::PathBuf;

use sqlx::migrate::MigrateError;

use crate::store::error::{Class, class};

/// The reason why a store is not opened, as a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database URL is invalid.
    #[error("the database URL cannot be read: {0}")]
    BadUrl(String),
    /// A NATS URL is invalid.
    #[error("the NATS URLs cannot be read: {0}")]
    BadNatsUrl(String),
    /// An encryption mode that may fall back to plain text.
    #[error(
        "the database is on another machine, and sslmode=allow and sslmode=prefer may send \
         everything in plain text; use verify-full, or sslmode=disable to do so knowingly"
    )]
    PlainAllowed,
    /// Another process uses the folder.
    #[error("another clientela process is using {}; stop it first", .0.display())]
    InUse(PathBuf),
    /// An empty or missing database in a folder that had one.
    #[error(
        "{} is empty or missing, but {sign} lies beside it, so this is no first start; nothing was \
         changed. Put the database back or restore a backup; for a new store, name an empty folder \
         with --data-dir", .file.display()
    )]
    NoDatabase {
        /// The database file.
        file: PathBuf,
        /// The file that shows that there was one.
        sign: &'static str,
    },
    /// The path of the folder is too long for SQLite.
    #[error(
        "the path of the data folder has {length} bytes, and SQLite takes at most {most}; choose a \
         shorter one with --data-dir"
    )]
    LongPath {
        /// The length in bytes.
        length: usize,
        /// The limit in bytes.
        most: usize,
    },
    /// Not an SQLite file.
    #[error("{} is not a Clientela database: its header is wrong", .0.display())]
    WrongHeader(PathBuf),
    /// An SQLite file of another program.
    #[error("{} is a database of another program", .0.display())]
    Foreign(PathBuf),
    /// A file whose content cannot be read.
    #[error("{} is damaged and is left as it is; restore a copy of it", .0.display())]
    DamagedFile(PathBuf),
    /// A release that is too old for the data.
    #[error(
        "the database was written by a newer release, which asks for reader version {needed}, \
         and this one has {own}; install the newer release"
    )]
    TooNew {
        /// The reader version that the data requires.
        needed: i64,
        /// The reader version of this release.
        own: i64,
    },
    /// A library or server that is too old.
    #[error("{what} is version {found}, and at least {needed} is needed")]
    OldEngine {
        /// The name of the library or server.
        what: &'static str,
        /// Its version.
        found: String,
        /// The oldest version that is accepted.
        needed: &'static str,
    },
    /// A setting that durability needs did not take effect.
    #[error("the database does not accept the setting {0}, without which commits may be lost")]
    Setting(&'static str),
    /// A PostgreSQL database whose encoding cannot store every text.
    #[error(
        "the database's encoding is {0}, and it has to be UTF8; make another with CREATE DATABASE … \
         ENCODING 'UTF8' TEMPLATE template0"
    )]
    Encoding(String),
    /// A pooler that gives one session of PostgreSQL to several clients in turn.
    #[error(
        "a pooler before PostgreSQL shares sessions between transactions; it has to keep a session for \
         each connection, as PgBouncer does with pool_mode=session"
    )]
    SharedSessions,
    /// The identity of the store is damaged.
    #[error("the database's own description is damaged: {0}")]
    Damaged(String),
    /// A file or folder cannot be used.
    #[error("cannot use {}: {source}", .path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A migration failed.
    #[error("the database could not be brought up to date: {}", refused_migration(.0))]
    Migration(#[from] MigrateError),
    /// The database reported an error.
    #[error("{}", refusal(.0))]
    Database(#[from] sqlx::Error),
}

/// Tells the operator how to correct a known error of the database.
fn refusal(error: &sqlx::Error) -> String {
    let code = match error {
        sqlx::Error::Database(database) => database.code().unwrap_or_default(),
        sqlx::Error::Io(error) => return format!("the database cannot be reached: {error}"),
        _ => Cow::Borrowed(""),
    };
    if class(error) == Class::Full {
        return "the database's disk is full".to_owned();
    }
    match &*code {
        "28P01" | "28000" => {
            "PostgreSQL does not accept the user or the password of the database URL".to_owned()
        }
        "3D000" => "the database of the URL does not exist; create it first".to_owned(),
        "42501" => "the user of the database URL may not do this in the database: it has to own \
                    its schema, or have the right to create in it (GRANT CREATE ON SCHEMA)"
            .to_owned(),
        // When no schema of the search path may be used.
        "3F000" => "the user of the database URL may use no schema of the database: GRANT USAGE, \
                    CREATE ON SCHEMA gives it the right"
            .to_owned(),
        "25006" => {
            "PostgreSQL only reads: it is a standby, or default_transaction_read_only is on; \
                    lead the URL to a primary that takes writes"
                .to_owned()
        }
        "53300" => "PostgreSQL has no connection left; raise its max_connections".to_owned(),
        "57P03" => "PostgreSQL is starting or stopping; try again".to_owned(),
        _ => format!("the database cannot be opened: {error}"),
    }
}

/// As [`refusal`], for an error in the middle of a migration.
fn refused_migration(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => refusal(error),
        error => error.to_string(),
    }
}
