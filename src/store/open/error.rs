//! Why a store is not opened, in sentences for its operator.

use std::borrow::Cow;
use std::path::PathBuf;

use sqlx::migrate::MigrateError;

use crate::store::error::{Class, class};

/// Why a store is not opened; each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database URL cannot be used.
    #[error("the database URL cannot be read: {0}")]
    BadUrl(String),
    /// A URL of NATS cannot be used.
    #[error("the NATS URLs cannot be read: {0}")]
    BadNatsUrl(String),
    /// A mode of encryption that may fall back to none.
    #[error(
        "the database is on another machine, and sslmode=allow and sslmode=prefer may send \
         everything in plain text; use verify-full, or sslmode=disable to do so knowingly"
    )]
    PlainAllowed,
    /// Another process has the folder.
    #[error("another clientela process is using {}; stop it first", .0.display())]
    InUse(PathBuf),
    /// An empty or missing database in a folder that had one.
    #[error(
        "{} is empty or missing, but {sign} lies beside it, so this is no first start; nothing was \
         changed. Put the database back or restore a backup; for a new store, name an empty folder \
         with --data-dir", .file.display()
    )]
    NoDatabase {
        /// The file.
        file: PathBuf,
        /// Which file says that there was one.
        sign: &'static str,
    },
    /// A folder whose path SQLite does not take.
    #[error(
        "the path of the data folder has {length} bytes, and SQLite takes at most {most}; choose a \
         shorter one with --data-dir"
    )]
    LongPath {
        /// How long it is.
        length: usize,
        /// How long it may be.
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
        /// What the data asks for.
        needed: i64,
        /// What this release has.
        own: i64,
    },
    /// A library or server that is too old.
    #[error("{what} is version {found}, and at least {needed} is needed")]
    OldEngine {
        /// Which one.
        what: &'static str,
        /// Its version.
        found: String,
        /// The version that is needed.
        needed: &'static str,
    },
    /// A setting that durability rests on did not take.
    #[error("the database does not accept the setting {0}, without which commits may be lost")]
    Setting(&'static str),
    /// A PostgreSQL database that does not store every text.
    #[error(
        "the database's encoding is {0}, and it has to be UTF8; make another with CREATE DATABASE … \
         ENCODING 'UTF8' TEMPLATE template0"
    )]
    Encoding(String),
    /// A pooler that hands one session of PostgreSQL to several clients in turn.
    #[error(
        "a pooler before PostgreSQL shares sessions between transactions; it has to keep a session for \
         each connection, as PgBouncer does with pool_mode=session"
    )]
    SharedSessions,
    /// What the store knows of itself is damaged.
    #[error("the database's own description is damaged: {0}")]
    Damaged(String),
    /// A file or folder cannot be used.
    #[error("cannot use {}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A migration failed.
    #[error("the database could not be brought up to date: {}", refused_migration(.0))]
    Migration(#[from] MigrateError),
    /// The database refused.
    #[error("{}", refusal(.0))]
    Database(#[from] sqlx::Error),
}

/// What the operator can do about a database that refuses, where that is known.
fn refusal(error: &sqlx::Error) -> String {
    let code = match error {
        sqlx::Error::Database(database) => database.code().unwrap_or_default(),
        sqlx::Error::Io(error) => return format!("the database cannot be reached: {error}"),
        _ => Cow::Borrowed(""),
    };
    if class(error) == Class::Full {
        return "there is no room left on the database's disk".to_owned();
    }
    match &*code {
        "28P01" | "28000" => {
            "PostgreSQL does not accept the user or the password of the database URL".to_owned()
        }
        "3D000" => "there is no database of the URL's name; create it first".to_owned(),
        "42501" => "the user of the database URL may not do this in the database: it has to own \
                    its schema, or have the right to create in it (GRANT CREATE ON SCHEMA)"
            .to_owned(),
        // Where no schema of the search path may be used.
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

/// The same for a database that refuses in the middle of a migration.
fn refused_migration(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => refusal(error),
        error => error.to_string(),
    }
}
